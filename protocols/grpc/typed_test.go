package grpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	dpb "google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/schema/transcode"
)

// typed returns a frontend whose typed services are those of the world as it is.
func typed(t testing.TB, w *world, o Options) *Frontend {
	t.Helper()
	o.Registry = w.registry
	f := frontend(t, w, o)
	if !f.update(context.Background()) {
		t.Fatal("some source has no types")
	}
	return f
}

// reflected asks the server for a service as a client does.
func reflected(ctx context.Context, t testing.TB, conn *grpc.ClientConn, service string) protoreflect.ServiceDescriptor {
	t.Helper()
	set := &dpb.FileDescriptorSet{}
	have := map[string]bool{}
	var fetch func(*reflection.ServerReflectionRequest)
	fetch = func(req *reflection.ServerReflectionRequest) {
		res := ask(ctx, t, conn, req)
		var missing []string
		for _, raw := range res.GetFileDescriptorResponse().GetFileDescriptorProto() {
			fd := &dpb.FileDescriptorProto{}
			if err := proto.Unmarshal(raw, fd); err != nil {
				t.Fatal(err)
			}
			if !have[fd.GetName()] {
				have[fd.GetName()] = true
				set.File = append(set.File, fd)
				missing = append(missing, fd.GetDependency()...)
			}
		}
		for _, path := range missing {
			if !have[path] {
				fetch(&reflection.ServerReflectionRequest{MessageRequest: &reflection.ServerReflectionRequest_FileByFilename{FileByFilename: path}})
			}
		}
	}
	fetch(bySymbol(service))
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	d, err := files.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		t.Fatal(err)
	}
	return d.(protoreflect.ServiceDescriptor)
}

func bySymbol(name string) *reflection.ServerReflectionRequest {
	return &reflection.ServerReflectionRequest{MessageRequest: &reflection.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name}}
}

// ask puts one question of reflection on a stream of its own.
func ask(ctx context.Context, t testing.TB, conn *grpc.ClientConn, req *reflection.ServerReflectionRequest) *reflection.ServerReflectionResponse {
	t.Helper()
	stream, err := reflection.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(req); err != nil {
		t.Fatal(err)
	}
	res, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return res
}

// invoke calls a method of a service with JSON, and returns the response as
// JSON.
func invoke(ctx context.Context, conn *grpc.ClientConn, m protoreflect.MethodDescriptor, args string) (string, error) {
	in, out := dynamicpb.NewMessage(m.Input()), dynamicpb.NewMessage(m.Output())
	if err := protojson.Unmarshal([]byte(args), in); err != nil {
		return "", err
	}
	if err := conn.Invoke(ctx, fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name()), in, out); err != nil {
		return "", err
	}
	return compact(protojson.Format(out)), nil
}

// compact returns JSON without white space, which protojson varies.
func compact(text string) string {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return err.Error()
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// raw is a client's codec for bytes that are a message already.
type raw struct{ name string }

func (r raw) Name() string { return r.name }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

var _ encoding.CodecV2 = raw{}

const demoService = "trilith.demo.v1.DemoService"

func TestTyped(t *testing.T) {
	w := newWorld(t)
	if err := w.funcs.AddPrompt(json.RawMessage(`{"name":"hello","description":"Says hello.","arguments":[{"name":"who","description":"To whom.","required":true},{"name":"how"}]}`),
		func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
			text, _ := json.Marshal(string(c.Args))
			return &gateway.Result{Raw: json.RawMessage(`{"description":"d","messages":[{"role":"user","content":{"type":"text","text":` + string(text) + `}},
				{"role":"assistant","content":{"type":"image","data":"AQI=","mimeType":"image/png"}}]}`)}, nil
		}); err != nil {
		t.Fatal(err)
	}
	w.settle(t, func(s *gateway.Snapshot) bool { return s.Prompt("demo.hello") != nil })
	conn := dial(t, typed(t, w, Options{Reflection: true}))
	ctx := as(t.Context(), "alice")
	service := reflected(ctx, t, conn, demoService)
	for _, test := range []struct{ method, args, want string }{
		{"Add", `{"a":"40","b":"2"}`, `{"sum":"42"}`},
		{"Echo", `{"*":{"x":[1,null,{"y":"é"}]}}`, `{"structuredContent":{"x":[1,null,{"y":"é"}]}}`},
		{"AB", `{}`, `{"content":[{"text":"slash","type":"text"}]}`},
		{
			"HelloPrompt", `{"who":"Ada"}`,
			`{"description":"d","messages":[{"content":{"text":"{\"who\":\"Ada\"}","type":"text"},"role":"user"},{"content":{"data":"AQI=","mimeType":"image/png","type":"image"},"role":"assistant"}]}`,
		},
	} {
		m := service.Methods().ByName(protoreflect.Name(test.method))
		if m == nil {
			t.Errorf("there is no method %s", test.method)
			continue
		}
		if got, err := invoke(ctx, conn, m, test.args); err != nil || got != test.want {
			t.Errorf("%s: %s, %v, want %s", test.method, got, err, test.want)
		}
	}
	if c := service.ParentFile().SourceLocations().ByDescriptor(service.Methods().ByName("Add")).LeadingComments; strings.TrimSpace(c) != "Adds two numbers." {
		t.Errorf("comment %q", c)
	}
}

// settle waits until the registry is as a test wants it.
func (w *world) settle(t testing.TB, is func(*gateway.Snapshot) bool) {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		changed := w.registry.Changed()
		if is(w.registry.Snapshot()) {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatal("the registry does not change")
		}
	}
}

// asJSON are the options of a call whose messages are JSON.
func asJSON() []grpc.CallOption {
	return []grpc.CallOption{grpc.ForceCodecV2(raw{"json"}), grpc.CallContentSubtype("json")}
}

// TestTypedJSON has messages that are JSON on the wire.
func TestTypedJSON(t *testing.T) {
	conn := dial(t, typed(t, newWorld(t), Options{}))
	ctx := as(t.Context(), "alice")
	call := func(method, args string) (string, error) {
		in, out := []byte(args), []byte(nil)
		err := conn.Invoke(ctx, "/"+demoService+"/"+method, &in, &out, asJSON()...)
		return string(out), err
	}
	if got, err := call("Add", `{"a": 40, "b": 2}`); err != nil || got != `{"sum":42}` {
		t.Errorf("Add: %s, %v", got, err)
	}
	if got, err := call("AB", ``); err != nil || got != `{"content":[{"type":"text","text":"slash"}]}` {
		t.Errorf("AB: %s, %v", got, err)
	}
	for _, bad := range []string{`[]`, `{"a":1,"a":2}`, `{`, "\x00"} {
		if got, err := call("Echo", bad); status.Code(err) != codes.InvalidArgument {
			t.Errorf("Echo %q: %s, %v", bad, got, err)
		}
	}
	if _, err := call("Fail", `{}`); status.Code(err) != codes.Unknown {
		t.Errorf("Fail: %v", err)
	}
}

// TestTypedMessage has a tool that answers with the message that the door makes
// of its result, where the door shows nothing else of it.
func TestTypedMessage(t *testing.T) {
	w := newWorld(t)
	var asked atomic.Int64
	if err := w.funcs.AddTool(json.RawMessage(`{"name":"known","inputSchema":{"type":"object"},"outputSchema":{"type":"object","properties":{"n":{"type":"integer"}}}}`),
		func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
			value := json.RawMessage(`{"n":7}`)
			to, ok := c.Into.(*transcode.Plan)
			if !ok {
				return gateway.StructuredResult(value), nil
			}
			asked.Add(1)
			message, err := to.AppendWire([]byte{}, []byte(`{"n":8}`))
			return gateway.MessageResult(message, func() (json.RawMessage, error) { return value, nil }), err
		}); err != nil {
		t.Fatal(err)
	}
	w.settle(t, func(s *gateway.Snapshot) bool { return s.Tool("demo.known") != nil })
	f := typed(t, w, Options{Reflection: true})
	conn := dial(t, f)
	ctx := as(t.Context(), "alice")
	service := reflected(ctx, t, conn, demoService)
	if got, err := invoke(ctx, conn, service.Methods().ByName("Known"), `{}`); err != nil || got != `{"n":"8"}` {
		t.Errorf("Known: %s, %v", got, err)
	}
	in, out := []byte(`{}`), []byte(nil)
	if err := conn.Invoke(ctx, "/"+demoService+"/Known", &in, &out, asJSON()...); err != nil || string(out) != `{"n":7}` {
		t.Errorf("as JSON: %s, %v", out, err)
	}
	res, err := gatewayv1.NewGatewayServiceClient(conn).CallTool(ctx, &gatewayv1.CallToolRequest{Name: "demo.known"})
	if err != nil || !strings.HasSuffix(res.GetResultJson(), `"structuredContent":{"n":7}}`) {
		t.Errorf("CallTool: %v, %v", res, err)
	}
	if asked.Load() != 1 {
		t.Errorf("%d calls were for a message, not one", asked.Load())
	}
	small := typed(t, w, Options{MaxMessage: 65})
	if _, err := invoke(ctx, dial(t, small), service.Methods().ByName("Known"), `{}`); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message that is too long: %v", err)
	}
}

func TestTypedErrors(t *testing.T) {
	w := newWorld(t)
	conn := dial(t, typed(t, w, Options{Reflection: true}))
	service := reflected(as(t.Context(), "alice"), t, conn, demoService)
	for _, test := range []struct {
		name, who, method, args string
		code                    codes.Code
		message, reason         string
	}{
		{"tool error", "alice", "Fail", `{}`, codes.Unknown, "it broke", "TOOL_ERROR"},
		{"schema", "alice", "Add", `{"a":"1"}`, codes.InvalidArgument, "invalid arguments: the member \"b\" is missing", "INVALID_ARGUMENTS"},
		{"limit", "alice", "Limited", `{}`, codes.ResourceExhausted, "slow down", "RESOURCE_EXHAUSTED"},
		{"hidden cause", "alice", "Broken", `{}`, codes.Internal, "internal error", "INTERNAL"},
		{"panic", "alice", "Panic", `{}`, codes.Internal, "internal error", "INTERNAL"},
		{"mismatch", "alice", "GreetPrompt", `{"who":"x"}`, codes.Internal, "/messages/0/content/text: the result does not match the tool's output schema; CallTool shows it as it is", "INTERNAL"},
		{"too large", "alice", "Big", `{}`, codes.ResourceExhausted, "", "RESOURCE_EXHAUSTED"},
		{"no principal", "", "Add", `{"a":"1","b":"2"}`, codes.Unauthenticated, "authentication required", "UNAUTHENTICATED"},
		{"hidden", "bob", "Secret", `{}`, codes.Unimplemented, "there is no such method", "UNIMPLEMENTED"},
		{"hidden stream", "bob", "SecretStream", `{}`, codes.Unimplemented, "there is no such method", "UNIMPLEMENTED"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx := t.Context()
			if test.who != "" {
				ctx = as(ctx, test.who)
			}
			_, err := invoke(ctx, conn, service.Methods().ByName(protoreflect.Name(test.method)), test.args)
			s := status.Convert(err)
			if s.Code() != test.code || test.message != "" && s.Message() != test.message {
				t.Errorf("%v %q, want %v %q", s.Code(), s.Message(), test.code, test.message)
			}
			reason := ""
			for _, d := range s.Details() {
				if info, ok := d.(*errdetails.ErrorInfo); ok {
					reason = info.GetReason()
				}
			}
			if reason != test.reason {
				t.Errorf("reason %q, want %q", reason, test.reason)
			}
		})
	}
}

// TestConcealed holds the answer to a method that bob may not see against that
// to one that there is not, whatever he sends.
func TestConcealed(t *testing.T) {
	w := newWorld(t)
	conn := dial(t, typed(t, w, Options{}))
	for _, who := range []string{"alice", "bob"} {
		answer := func(method string, message []byte) string {
			w.records.take()
			var out []byte
			err := conn.Invoke(as(t.Context(), who), "/"+demoService+"/"+method, &message, &out, grpc.ForceCodecV2(raw{"proto"}))
			if n := len(w.records.take()); n != 1 {
				t.Errorf("%s %s %q: %d records", who, method, message, n)
			}
			return status.Convert(err).Proto().String()
		}
		for _, message := range []string{"", "\x0a\x00", "\xff\xff", strings.Repeat("x", 5000)} {
			nothing, secret := answer("Nothing", []byte(message)), answer("Secret", []byte(message))
			if who == "bob" && nothing != secret {
				t.Errorf("%q tells: %s, %s", message, nothing, secret)
			}
			if who == "alice" && nothing == secret {
				t.Errorf("%q: alice sees no difference: %s", message, secret)
			}
		}
	}
}

// TestTypedStream has progress, a log line that is too long, another one, and
// the result.
func TestTypedStream(t *testing.T) {
	conn := dial(t, typed(t, newWorld(t), Options{Reflection: true}))
	ctx := as(t.Context(), "alice")
	m := reflected(ctx, t, conn, demoService).Methods().ByName("StepsStream")
	want := []string{
		`{"progress":{"message":"half","progress":1,"total":2}}`,
		`{"dropped":"1","log":{"data":{"n":1},"level":"info","logger":"demo"}}`,
		`{"result":{"content":[{"text":"done","type":"text"}]}}`,
	}
	for _, wire := range []string{"proto", "json"} {
		opts := []grpc.CallOption{grpc.ForceCodecV2(raw{wire}), grpc.CallContentSubtype(wire)}
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, fmt.Sprintf("/%s/%s", demoService, m.Name()), opts...)
		if err != nil {
			t.Fatal(err)
		}
		in := []byte(nil)
		if err := errors.Join(stream.SendMsg(&in), stream.CloseSend()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for {
			var out []byte
			if err := stream.RecvMsg(&out); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if wire == "proto" {
				event := dynamicpb.NewMessage(m.Output())
				if err := proto.Unmarshal(out, event); err != nil {
					t.Fatal(err)
				}
				out = []byte(protojson.Format(event))
			}
			got = append(got, strings.ReplaceAll(compact(string(out)), `"dropped":1,`, `"dropped":"1",`))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", wire, d)
		}
	}
}

// TestTypedDeadline has a call that ends with its caller's patience.
func TestTypedDeadline(t *testing.T) {
	conn := dial(t, typed(t, newWorld(t), Options{}))
	ctx, cancel := context.WithTimeout(as(t.Context(), "alice"), 50*time.Millisecond)
	defer cancel()
	in, out := []byte(nil), []byte(nil)
	if err := conn.Invoke(ctx, "/"+demoService+"/Wait", &in, &out, grpc.ForceCodecV2(raw{"proto"})); status.Code(err) != codes.DeadlineExceeded {
		t.Error(err)
	}
}

// TestSameRoad holds a typed call against CallTool: the same result, and the
// same record.
func TestSameRoad(t *testing.T) {
	w := newWorld(t)
	conn := dial(t, typed(t, w, Options{}))
	ctx := as(t.Context(), "alice")
	for tool, args := range map[string]string{
		"demo.add": `{"a":1,"b":2}`, "demo.echo": `{"x":1}`, "demo.fail": `{}`, "demo.limited": `{}`, "demo.broken": `{}`, "demo.a/b": `{}`, "demo.refused": `{}`,
	} {
		w.records.take()
		in, out := []byte(args), []byte(nil)
		method := map[string]string{"demo.a/b": "AB"}[tool]
		if method == "" {
			method = strings.ToUpper(tool[5:6]) + tool[6:]
		}
		typedErr := conn.Invoke(ctx, "/"+demoService+"/"+method, &in, &out, asJSON()...)
		was := w.records.take()
		w.records.take()
		res, err := gatewayv1.NewGatewayServiceClient(conn).CallTool(ctx, &gatewayv1.CallToolRequest{Name: tool, ArgumentsJson: args})
		if d := cmp.Diff(w.records.take(), was); d != "" {
			t.Errorf("%s: the records differ: %s", tool, d)
		}
		if err != nil {
			if d := cmp.Diff(status.Convert(err).Proto().String(), status.Convert(typedErr).Proto().String()); d != "" {
				t.Errorf("%s: %s", tool, d)
			}
			continue
		}
		if res.GetIsError() {
			if status.Code(typedErr) != codes.Unknown {
				t.Errorf("%s: %v", tool, typedErr)
			}
			continue
		}
		want := res.GetResultJson()
		if tool == "demo.add" {
			want = string(member([]byte(want), "structuredContent"))
		}
		if string(out) != want || typedErr != nil {
			t.Errorf("%s: %s, %v, want %s", tool, out, typedErr, want)
		}
	}
}

// TestHotPublish changes what the source offers 200 times while 16 callers run:
// no call may fail.
func TestHotPublish(t *testing.T) {
	w := newWorld(t)
	f := typed(t, w, Options{})
	conn := dial(t, f)
	ctx, cancel := context.WithCancel(as(t.Context(), "alice"))
	defer cancel()
	var following sync.WaitGroup
	following.Go(func() { f.Follow(ctx) })
	var calls, bad atomic.Int64
	var callers sync.WaitGroup
	stop := make(chan struct{})
	for range 16 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				in, out := []byte("\x08\x28\x10\x02"), []byte(nil)
				if err := conn.Invoke(ctx, "/"+demoService+"/Add", &in, &out, grpc.ForceCodecV2(raw{"proto"})); err != nil || string(out) != "\x08\x2a" {
					t.Errorf("%q, %v", out, err)
					bad.Add(1)
				}
				calls.Add(1)
			}
		})
	}
	for i := range 200 {
		def := fmt.Sprintf(`{"name":"late%d","inputSchema":{"type":"object","properties":{"p%d":{"type":"string"}}}}`, i%7, i)
		if i%3 == 0 {
			w.funcs.Remove(gateway.KindTool, fmt.Sprintf("late%d", i%7))
		}
		if err := w.funcs.AddTool(json.RawMessage(def), func(context.Context, *gateway.Call) (*gateway.Result, error) { return gateway.TextResult("x"), nil }); err != nil {
			t.Error(err)
		}
		w.settle(t, func(s *gateway.Snapshot) bool {
			tool := s.Tool(fmt.Sprintf("demo.late%d", i%7))
			return tool != nil && strings.Contains(string(tool.Definition), fmt.Sprintf(`"p%d"`, i))
		})
		f.Refresh(ctx)
	}
	close(stop)
	callers.Wait()
	cancel()
	following.Wait()
	if bad.Load() > 0 || calls.Load() < 16 {
		t.Errorf("%d of %d calls failed", bad.Load(), calls.Load())
	}
}
