package upstream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/gatewaytest"
	"github.com/trilith-gateway/trilith/protocols/egress"
	"github.com/trilith-gateway/trilith/protocols/grpc/upstream"
)

// fixture returns an upstream to the whole fixture, after its first catalog.
func fixture(t *testing.T, edit func(*upstream.Options)) (*fakeServer, *upstream.Upstream, *watched, gateway.Catalog) {
	t.Helper()
	s := serveFixture(t, "v1")
	u := upstreamTo(t, s.addr, edit)
	w := watch(t, u)
	return s, u, w, w.catalog(t)
}

func toolOf(t *testing.T, c gateway.Catalog, name string) *gateway.Tool {
	t.Helper()
	i := slices.IndexFunc(c.Tools, func(t *gateway.Tool) bool { return t.Name == name })
	if i < 0 {
		t.Fatalf("no tool %s", name)
	}
	return c.Tools[i]
}

func equalJSON(t *testing.T, a json.RawMessage, b string) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}

func noted(c gateway.Catalog, change gateway.NoteChange, subject, reason string) bool {
	return slices.ContainsFunc(c.Notes, func(n gateway.Note) bool {
		return n.Change == change && n.Subject == subject && strings.Contains(n.Reason, reason)
	})
}

func TestUpstreamCatalog(t *testing.T) {
	_, _, _, c := fixture(t, func(o *upstream.Options) { o.Descriptors = fixtureSet(t, nil) })
	var names []string
	for _, tool := range c.Tools {
		names = append(names, tool.Name)
	}
	want := []string{
		"Fixture.echo", "Fixture.add", "Fixture.exact", "Fixture.fail", "Fixture.refuse", "Fixture.count", "Fixture.wait", "Fixture.grow",
		"Fixture.touch", "Odd.Wrapped", "Odd.Free", "Odd.Watch", "Odd.Nest",
	}
	if !slices.Equal(names, want) {
		t.Errorf("tools %q\nwant  %q", names, want)
	}
	for _, name := range []string{"Upload", "Chat"} {
		if !noted(c, gateway.NoteSkipped, "fixture.v1.Odd."+name, "requests are a stream") {
			t.Errorf("%s is not noted: %+v", name, c.Notes)
		}
	}
	echo, add := toolOf(t, c, "Fixture.echo"), toolOf(t, c, "Fixture.add")
	if echo.Description != "Send a text back." {
		t.Errorf("description %q", echo.Description)
	}
	if a := echo.Annotations; a.ReadOnly == nil || !*a.ReadOnly {
		t.Errorf("echo is not read-only: %+v", a)
	}
	if a := add.Annotations; a.ReadOnly != nil || a.Idempotent == nil || !*a.Idempotent {
		t.Errorf("add: %+v", a)
	}
	const wrapped = `{"type":"object","properties":{"value":{"type":["string","null"]}},"additionalProperties":false,"required":["value"]}`
	if got := string(toolOf(t, c, "Odd.Wrapped").Input.JSON()); got != wrapped {
		t.Errorf("Odd.Wrapped: %s", got)
	}
	if !strings.Contains(string(add.Input.JSON()), `"One of them."`) {
		t.Errorf("no comments of fields: %s", add.Input.JSON())
	}
	for text, ok := range map[string]bool{`{"a":"1"}`: true, `{"a":1}`: true, `{"a":null}`: true, `{"a":true}`: false, `{"c":1}`: false} {
		if err := add.Accepts.Validate(json.RawMessage(text)); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestUpstreamDescriptors has a server without reflection.
func TestUpstreamDescriptors(t *testing.T) {
	s := serve(t, serverOptions{set: bare(fixtureSet(t, nil)), noHealth: true})
	s.on("echo", func(_ context.Context, in string, send func(string) error) error { return send(in) })
	for _, reflection := range []bool{true, false} {
		u := upstreamTo(t, s.addr, func(o *upstream.Options) {
			o.Descriptors, o.Reflection, o.Services = fixtureSet(t, nil), reflection, []string{"fixture.v1.Fix*"}
		})
		c := watch(t, u).catalog(t)
		if len(c.Tools) != 10 || toolOf(t, c, "Fixture.grown").Description != "Offered after grow was called." {
			t.Errorf("reflection %v: %d tools", reflection, len(c.Tools))
		}
		res, err := call(t.Context(), u, "Fixture.echo", `{"text":"x"}`, nil)
		if err != nil || !strings.Contains(string(res.Raw), `"structuredContent":{"text":"x"}`) {
			t.Errorf("%v, %v", res, err)
		}
	}
	u := upstreamTo(t, s.addr, nil)
	if err := next(t, watch(t, u).errs, "a server that says nothing about itself"); !strings.Contains(err.Error(), "does not serve reflection") {
		t.Error(err)
	}
	if _, err := upstream.New(upstream.Options{Name: "x"}); err == nil {
		t.Error("an upstream without a client")
	}
}

// TestUpstreamClash has two services of one name.
func TestUpstreamClash(t *testing.T) {
	set := bare(fixtureSet(t, func(f *descriptorpb.FileDescriptorProto) {
		f.GetService()[1].Name = new(string)
		*f.GetService()[1].Name = "Fixture2"
	}))
	twin := fixtureSet(t, func(f *descriptorpb.FileDescriptorProto) { *f.Name, *f.Package = "other.proto", "other.v2" })
	for _, f := range twin.GetFile() {
		if f.GetName() != "other.proto" {
			continue
		}
		for _, s := range f.GetService() {
			for _, m := range s.GetMethod() {
				*m.InputType = strings.Replace(m.GetInputType(), ".fixture.v1.", ".other.v2.", 1)
				*m.OutputType = strings.Replace(m.GetOutputType(), ".fixture.v1.", ".other.v2.", 1)
			}
		}
		for _, m := range f.GetMessageType() {
			for _, field := range m.GetField() {
				if field.TypeName != nil {
					*field.TypeName = strings.Replace(field.GetTypeName(), ".fixture.v1.", ".other.v2.", 1)
				}
			}
		}
		f.Service = f.GetService()[:1]
		set.File = append(set.GetFile(), bare(twin).GetFile()[slices.Index(twin.GetFile(), f)])
	}
	s := serve(t, serverOptions{set: set, reflect: "v1"})
	c := watch(t, upstreamTo(t, s.addr, nil)).catalog(t)
	toolOf(t, c, "fixture.v1.Fixture.echo")
	toolOf(t, c, "other.v2.Fixture.echo")
	toolOf(t, c, "Fixture2.Free")
	if !noted(c, gateway.NoteRenamed, "other.v2.Fixture", "full name") {
		t.Errorf("notes: %+v", c.Notes)
	}
}

func TestUpstreamForms(t *testing.T) {
	s, u, _, _ := fixture(t, nil)
	s.on("Wrapped", func(_ context.Context, in string, send func(string) error) error {
		if in != `"2026-11-23"` {
			return status.Error(codes.InvalidArgument, in)
		}
		return send(`"2026-11-23T09:00:00Z"`)
	})
	s.on("Free", func(_ context.Context, in string, send func(string) error) error { return send(in) })
	s.on("Nest", func(_ context.Context, in string, send func(string) error) error { return send(in) })
	for _, tt := range []struct{ tool, args, want string }{
		{"Odd.Wrapped", `{"value":"2026-11-23"}`, `{"value":"2026-11-23T09:00:00Z"}`},
		{"Odd.Free", `{"a":[1,{"b":null}]}`, `{"a":[1,{"b":null}]}`},
		{"Odd.Nest", `{"name":"a","children":[{"name":"b"}]}`, `{"name":"a","children":[{"name":"b","children":[]}]}`},
	} {
		res, err := call(t.Context(), u, tt.tool, tt.args, nil)
		if err != nil {
			t.Errorf("%s: %v", tt.tool, err)
			continue
		}
		if p, err := res.Parts(); err != nil || !equalJSON(t, p.Structured, tt.want) {
			t.Errorf("%s: %s, %v; want %s", tt.tool, p.Structured, err, tt.want)
		}
	}
	_, err := call(t.Context(), u, "Odd.Nest", `{"children":[{"name":1}]}`, nil)
	if e := gateway.AsError(err); e == nil || e.Code != gateway.InvalidArgument || e.Msg != "invalid arguments: /children/0/name: must be a string" {
		t.Errorf("arguments that do not fit: %v", err)
	}
}

func TestUpstreamStream(t *testing.T) {
	s, u, _, _ := fixture(t, func(o *upstream.Options) {
		o.MaxMessages, o.MaxStream, o.Timeout = 5, 400, time.Second
	})
	send := func(n int, end error) handler {
		return func(_ context.Context, _ string, send func(string) error) error {
			for i := range n {
				if err := send(fmt.Sprintf(`"%d"`, i)); err != nil {
					return err
				}
			}
			if end == nil && n < 5 {
				<-t.Context().Done() // It goes on, but has no more to say now. Its own deadline may be over before the caller's.
			}
			return end
		}
	}
	for _, tt := range []struct {
		name  string
		with  handler
		want  string
		error gateway.Code
	}{
		{"whole", func(_ context.Context, _ string, send func(string) error) error { return send(`"7"`) }, `{"messages":["7"],"truncated":false}`, 0},
		{"nothing", func(context.Context, string, func(string) error) error { return nil }, `{"messages":[],"truncated":false}`, 0},
		{"quiet for ever", send(2, nil), `{"messages":["0","1"],"truncated":true}`, 0},
		{"too many", send(1_000_000, nil), `{"messages":["0","1","2","3","4"],"truncated":true}`, 0},
		{"fails in the middle", send(2, status.Error(codes.Internal, "boom")), "INTERNAL: boom\nUntil then it had sent:\n[\"0\",\"1\"]", 0},
		{"away in the middle", send(2, status.Error(codes.Unavailable, "bye")), "", gateway.Unavailable},
		{"says nothing", send(0, nil), "", gateway.DeadlineExceeded},
	} {
		s.on("Watch", tt.with)
		var shown []string
		res, err := call(t.Context(), u, "Odd.Watch", `{}`, func(p gateway.Progress) { shown = append(shown, p.Message) })
		if tt.error != 0 {
			if e := gateway.AsError(err); e == nil || e.Code != tt.error {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		p, err := res.Parts()
		if err != nil {
			t.Fatal(err)
		}
		got := string(p.Structured)
		if res.IsError {
			var block struct{ Text string }
			if err := json.Unmarshal(p.Content[0], &block); err != nil {
				t.Fatal(err)
			}
			got = block.Text
		}
		if got != tt.want {
			t.Errorf("%s: %s; want %s", tt.name, got, tt.want)
		}
		if n := strings.Count(tt.want, `"`)/2 - 2; !res.IsError && len(shown) != n {
			t.Errorf("%s: shown %q", tt.name, shown)
		}
	}
}

// TestUpstreamErrors says what callers see of a status.
func TestUpstreamErrors(t *testing.T) {
	s, u, _, _ := fixture(t, nil)
	with := func(c codes.Code, msg string) error {
		st, err := status.New(c, msg).WithDetails(
			&errdetails.RetryInfo{RetryDelay: durationpb.New(7 * time.Second)},
			&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "text", Description: "too short"}}},
			&errdetails.DebugInfo{Detail: "secret stack"},
		)
		if err != nil {
			t.Fatal(err)
		}
		return st.Err()
	}
	for _, tt := range []struct {
		code  codes.Code
		want  gateway.Code // 0 is a result
		retry time.Duration
	}{
		{codes.InvalidArgument, 0, 0},
		{codes.NotFound, 0, 0},
		{codes.AlreadyExists, 0, 0},
		{codes.FailedPrecondition, 0, 0},
		{codes.Aborted, 0, 0},
		{codes.OutOfRange, 0, 0},
		{codes.Internal, 0, 0},
		{codes.Unknown, 0, 0},
		{codes.DataLoss, 0, 0},
		{codes.Code(77), 0, 0},
		{codes.Unavailable, gateway.Unavailable, 7 * time.Second},
		{codes.ResourceExhausted, gateway.ResourceExhausted, 7 * time.Second},
		{codes.Unauthenticated, gateway.FailedPrecondition, 7 * time.Second},
		{codes.PermissionDenied, gateway.FailedPrecondition, 7 * time.Second},
		{codes.DeadlineExceeded, gateway.DeadlineExceeded, 7 * time.Second},
		{codes.Canceled, gateway.Unavailable, 7 * time.Second},
		{codes.Unimplemented, gateway.Unimplemented, 7 * time.Second},
	} {
		s.on("echo", func(context.Context, string, func(string) error) error { return with(tt.code, "secret?\nno") })
		res, err := call(t.Context(), u, "Fixture.echo", `{"text":"x"}`, nil)
		if tt.want != 0 {
			e := gateway.AsError(err)
			if e == nil || e.Code != tt.want || e.Retry != tt.retry || e.By != "upstream/test" || strings.Contains(e.Msg, "secret") {
				t.Errorf("%s: %+v", tt.code, e)
			}
			continue
		}
		if err != nil || !res.IsError {
			t.Errorf("%s: %v", tt.code, err)
			continue
		}
		text := string(res.Raw)
		for _, part := range []string{"secret? no", `too short`, "google.rpc.BadRequest"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s does not say %q: %s", tt.code, part, text)
			}
		}
		if strings.Contains(text, "stack") {
			t.Errorf("%s shows what is for debugging: %s", tt.code, text)
		}
	}
}

// TestUpstreamMetadata says what the server is told: what is configured, a credential, and nothing of the caller's.
func TestUpstreamMetadata(t *testing.T) {
	var seen metadata.MD
	var left time.Duration
	s, u, _, _ := fixture(t, func(o *upstream.Options) {
		headers := http.Header{"X-Team": {"blue"}, "Authorization": {"Bearer own"}}
		client, err := egress.New(egress.Options{Name: "test", URL: o.Client.URL().String(), Headers: headers, AllowPrivate: loopback})
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Client.Close(); err != nil {
			t.Fatal(err)
		}
		o.Client, o.Headers, o.Timeout = client, headers, time.Hour
	})
	s.on("echo", func(ctx context.Context, in string, send func(string) error) error {
		seen, _ = metadata.FromIncomingContext(ctx)
		end, _ := ctx.Deadline()
		left = time.Until(end)
		return send(in)
	})
	ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(t.Context(), metadata.Pairs("theirs", "1")), time.Minute)
	defer cancel()
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	_, err := u.Do(ctx, &gateway.Call{
		Op: gateway.OpCall, Args: json.RawMessage(`{"text":"x"}`), Principal: gatewaytest.Caller(),
		Meta:   json.RawMessage(`{"traceparent":"` + trace + `","x-other":"2"}`),
		Target: &gateway.Capability{Kind: gateway.KindTool, Origin: "Fixture.echo"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"x-team": "blue", "authorization": "Bearer own", "traceparent": trace, "theirs": "", "x-other": ""} {
		if got := strings.Join(seen[name], ","); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if left <= 0 || left > time.Minute {
		t.Errorf("the server has %v left", left)
	}
	if _, err := upstream.New(upstream.Options{Name: "x", Reflection: true, Client: mustClient(t, s.addr), Headers: http.Header{"Grpc-Timeout": {"1S"}}}); err == nil {
		t.Error("a header that gRPC sets itself")
	}
}

// TestUpstreamHealth has a server that says that it does not serve, and again that it does.
func TestUpstreamHealth(t *testing.T) {
	s, _, w, _ := fixture(t, nil)
	s.health.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
	if err := next(t, w.errs, "a server that does not serve"); !strings.Contains(err.Error(), "does not serve") {
		t.Error(err)
	}
	s.health.SetServingStatus("", healthv1.HealthCheckResponse_SERVING)
	if c := w.catalog(t); len(c.Tools) != 13 {
		t.Errorf("%d tools", len(c.Tools))
	}
}

// TestUpstreamReturns has a server that goes away and comes back with another schema at the same address. A call that
// runs meanwhile keeps the plan that it began with.
func TestUpstreamReturns(t *testing.T) {
	s, u, w, _ := fixture(t, nil)
	addr := s.addr
	s.Stop()
	next(t, w.errs, "a server that is away")
	if _, err := call(t.Context(), u, "Fixture.echo", `{"text":"x"}`, nil); gateway.AsError(err) == nil || gateway.AsError(err).Code != gateway.Unavailable {
		t.Errorf("a call of a server that is away: %v", err)
	}
	s = serve(t, serverOptions{listen: addr, reflect: "v1", set: bare(fixtureSet(t, func(f *descriptorpb.FileDescriptorProto) {
		f.Service = f.GetService()[:1]
	}))})
	if c := w.catalog(t); len(c.Tools) != 10 {
		t.Errorf("%d tools", len(c.Tools))
	}
	entered := make(chan struct{})
	release := make(chan struct{})
	s.on("echo", func(_ context.Context, in string, send func(string) error) error {
		close(entered)
		<-release
		return send(in)
	})
	type outcome struct {
		res *gateway.Result
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		res, err := call(t.Context(), u, "Fixture.echo", `{"text":"old"}`, nil)
		done <- outcome{res, err}
	}()
	<-entered
	s.describe(t, bare(fixtureSet(t, without("echo"))))
	if c := w.catalog(t); len(c.Tools) != 13 {
		t.Errorf("%d tools", len(c.Tools))
	}
	close(release)
	if o := next(t, done, "the call that ran"); o.err != nil || !strings.Contains(string(o.res.Raw), "old") {
		t.Errorf("the call that ran: %v", o.err)
	}
	if _, err := call(t.Context(), u, "Fixture.echo", `{"text":"new"}`, nil); gateway.AsError(err) == nil || gateway.AsError(err).Code != gateway.NotFound {
		t.Errorf("a call of what is gone: %v", err)
	}
}

// TestUpstreamGuard says that no private address is dialled that is not allowed.
func TestUpstreamGuard(t *testing.T) {
	s := serveFixture(t, "v1")
	client, err := egress.New(egress.Options{Name: "test", URL: "http://" + s.addr})
	if err != nil {
		t.Fatal(err)
	}
	u := upstreamTo(t, s.addr, func(o *upstream.Options) {
		if err := o.Client.Close(); err != nil {
			t.Fatal(err)
		}
		o.Client = client
	})
	if err := next(t, watch(t, u).errs, "an address that is not allowed"); !strings.Contains(err.Error(), "not permitted") && !strings.Contains(err.Error(), "prohibited") {
		t.Error(err)
	}
}
