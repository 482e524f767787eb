package grpc

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
)

// reader is a stream whose reader takes a message when the test says so.
type reader[T any] struct {
	grpc.ServerStream
	ctx   context.Context
	taken chan *T
}

func newReader[T any](ctx context.Context, p *gateway.Principal) *reader[T] {
	return &reader[T]{ctx: auth.With(ctx, p), taken: make(chan *T)}
}

func (r *reader[T]) Context() context.Context { return r.ctx }

func (r *reader[T]) Send(m *T) error {
	select {
	case r.taken <- m:
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// synced runs a test on fake time with a service over a world.
func synced(t *testing.T, o Options, run func(t *testing.T, w *world, s *service)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		run(t, w, &service{Frontend: frontend(t, w, o), via: "grpc"})
	})
}

// start runs a streaming method as grpc-go does: the stream ends with it.
func start[T any](t *testing.T, p *gateway.Principal, method func(*reader[T]) error) (*reader[T], <-chan error) {
	ctx, cancel := context.WithCancel(t.Context())
	r, ended := newReader[T](ctx, p), make(chan error, 1)
	go func() {
		err := method(r)
		cancel()
		ended <- err
	}()
	return r, ended
}

func TestCallToolStream(t *testing.T) {
	c := client(t, frontend(t, newWorld(t), Options{}))
	stream, err := c.CallToolStream(as(t.Context(), "alice"), &gatewayv1.CallToolStreamRequest{Name: "demo.steps", ArgumentsJson: "{}"})
	if err != nil {
		t.Fatal(err)
	}
	total := 2.0
	want := []*gatewayv1.CallToolStreamResponse{
		{Event: &gatewayv1.CallToolStreamResponse_Progress{Progress: &gatewayv1.Progress{Progress: 1, Total: &total, Message: "half"}}},
		{Event: &gatewayv1.CallToolStreamResponse_Log{Log: &gatewayv1.LogMessage{Level: "info", Logger: "demo", DataJson: "{\n\"n\":1}"}}, Dropped: 1},
		{Event: &gatewayv1.CallToolStreamResponse_Result{Result: &gatewayv1.CallToolResponse{ResultJson: `{"content":[{"type":"text","text":"done"}]}`}}},
	}
	if d := cmp.Diff(want, collect(t, stream), protocmp.Transform()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// TestSlowReaderOfACall has a tool report faster than the reader reads: the
// newest reports are kept, the others counted, and the result arrives.
func TestSlowReaderOfACall(t *testing.T) {
	synced(t, Options{Queue: 2}, func(t *testing.T, w *world, s *service) {
		stuck := make(chan struct{})
		addTool(t, w, "chatty", func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
			for i := range 10 {
				c.Progress(gateway.Progress{Progress: json.Number(fmt.Sprint(i))})
				if i == 0 {
					<-stuck // The first is on its way.
				}
			}
			return gateway.TextResult("done"), nil
		})
		r, ended := start(t, principal("alice"), func(r *reader[gatewayv1.CallToolStreamResponse]) error {
			return s.CallToolStream(&gatewayv1.CallToolStreamRequest{Name: "demo.chatty"}, r)
		})
		synctest.Wait()
		close(stuck)
		synctest.Wait()
		var got []string
		for range 3 {
			m := <-r.taken
			got = append(got, fmt.Sprint(m.GetProgress().GetProgress(), " ", m.GetDropped(), " ", m.GetResult() != nil))
		}
		if d := cmp.Diff([]string{"0 0 false", "9 8 false", "0 0 true"}, got); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestReaderThatStops has a stream end when one message is not taken in time,
// and the call with it.
func TestReaderThatStops(t *testing.T) {
	synced(t, Options{WriteTimeout: time.Minute}, func(t *testing.T, w *world, s *service) {
		addTool(t, w, "stuck", func(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
			c.Progress(gateway.Progress{Progress: "1"})
			<-ctx.Done()
			return nil, ctx.Err()
		})
		began := time.Now()
		_, ended := start(t, principal("alice"), func(r *reader[gatewayv1.CallToolStreamResponse]) error {
			return s.CallToolStream(&gatewayv1.CallToolStreamRequest{Name: "demo.stuck"}, r)
		})
		if err := <-ended; status.Code(err) != codes.ResourceExhausted || time.Since(began) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestWatchCapabilities(t *testing.T) {
	synced(t, Options{}, func(t *testing.T, w *world, s *service) {
		r, ended := start(t, principal("bob"), func(r *reader[gatewayv1.WatchCapabilitiesResponse]) error {
			return s.WatchCapabilities(&gatewayv1.WatchCapabilitiesRequest{}, r)
		})
		expect := func(want *gatewayv1.WatchCapabilitiesResponse) {
			t.Helper()
			if d := cmp.Diff(want, <-r.taken, protocmp.Transform()); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		}
		silent := func(after string) {
			t.Helper()
			synctest.Wait()
			select {
			case m := <-r.taken:
				t.Errorf("%s: told of %v", after, m)
			default:
			}
		}
		expect(&gatewayv1.WatchCapabilitiesResponse{Tools: true, Resources: true, Prompts: true})
		addTool(t, w, "new", nil)
		expect(&gatewayv1.WatchCapabilitiesResponse{Tools: true})

		// What bob may not see is nothing to him.
		addTool(t, w, "secret.two", nil)
		silent("a hidden tool was added")
		w.registry.Refresh()
		silent("the policy stayed as it was")
		w.hidden.more.Store("demo.new", true)
		w.registry.Refresh()
		expect(&gatewayv1.WatchCapabilitiesResponse{Tools: true})

		// While he does not read, changes become one message.
		addTool(t, w, "n1", nil)
		synctest.Wait()
		addTool(t, w, "n2", nil)
		synctest.Wait()
		w.funcs.Remove(gateway.KindResource, "demo://motd")
		synctest.Wait()
		w.funcs.Remove(gateway.KindPrompt, "greet")
		synctest.Wait()
		expect(&gatewayv1.WatchCapabilitiesResponse{Tools: true})
		expect(&gatewayv1.WatchCapabilitiesResponse{Tools: true, Resources: true, Prompts: true})
		silent("all was told")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s.Shutdown(ctx)
		if err := <-ended; status.Code(err) != codes.Unavailable {
			t.Errorf("shutdown: %v", err)
		}
		err := s.WatchCapabilities(nil, newReader[gatewayv1.WatchCapabilitiesResponse](t.Context(), principal("bob")))
		if status.Code(err) != codes.Unavailable {
			t.Errorf("after the shutdown: %v", err)
		}
	})
}

func TestWatchResource(t *testing.T) {
	synced(t, Options{Queue: 2}, func(t *testing.T, w *world, s *service) {
		var sub *gateway.Subscription
		stop := make(chan struct{})
		err := w.funcs.AddResource(json.RawMessage(`{"uri":"demo://motd","name":"motd"}`), func(context.Context, *gateway.Call) (*gateway.Result, error) {
			return gateway.TextResult(""), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.registry.Detach("demo")
		c := w.funcs
		if err := w.registry.Attach("other", gateway.Func(func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
			sub = call.Subscription
			sub.Ready()
			select {
			case <-stop:
				return gateway.TextResult(""), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}), catalog(t, c), gateway.Options{}); err != nil {
			t.Fatal(err)
		}
		watch := func() (*reader[gatewayv1.WatchResourceResponse], <-chan error) {
			return start(t, principal("alice"), func(r *reader[gatewayv1.WatchResourceResponse]) error {
				return s.WatchResource(&gatewayv1.WatchResourceRequest{Uri: "demo://motd"}, r)
			})
		}
		r, ended := watch()
		if m := <-r.taken; m.GetUri() != "demo://motd" {
			t.Errorf("first %v", m)
		}
		for _, uri := range []string{"demo://motd/a", "demo://motd/b", "demo://motd/b", "demo://motd/c", "demo://motd/b"} {
			sub.Updated(uri)
			synctest.Wait()
		}
		for _, want := range []string{"demo://motd/a", "demo://motd/b", "demo://motd/c"} {
			if m := <-r.taken; m.GetUri() != want {
				t.Errorf("%v, want %s", m, want)
			}
		}
		for i := range 4 {
			sub.Updated(fmt.Sprint("demo://motd/", i))
			synctest.Wait()
		}
		if err := <-ended; status.Code(err) != codes.ResourceExhausted {
			t.Errorf("too slow: %v", err)
		}

		r, ended = watch()
		<-r.taken
		sub.Updated(strings.Repeat("x", nameMost+1))
		if m := <-r.taken; m.GetUri() != "demo://motd" {
			t.Errorf("a URI that is too long: %v", m)
		}
		close(stop)
		if err := <-ended; status.Code(err) != codes.Unavailable {
			t.Errorf("ended by the source: %v", err)
		}
	})
}

// TestStreamsEndWithTheCredential has the credential of every kind of stream
// expire.
func TestStreamsEndWithTheCredential(t *testing.T) {
	synced(t, Options{}, func(t *testing.T, _ *world, s *service) {
		p := principal("alice")
		p.Expiry = time.Now().Add(time.Hour)
		began := time.Now()
		c, capabilities := start(t, p, func(r *reader[gatewayv1.WatchCapabilitiesResponse]) error {
			return s.WatchCapabilities(nil, r)
		})
		<-c.taken
		r, resource := start(t, p, func(r *reader[gatewayv1.WatchResourceResponse]) error {
			return s.WatchResource(&gatewayv1.WatchResourceRequest{Uri: "demo://motd"}, r)
		})
		<-r.taken
		_, tool := start(t, p, func(r *reader[gatewayv1.CallToolStreamResponse]) error {
			return s.CallToolStream(&gatewayv1.CallToolStreamRequest{Name: "demo.wait"}, r)
		})
		for name, ended := range map[string]<-chan error{"capabilities": capabilities, "resource": resource, "tool": tool} {
			if err := <-ended; status.Code(err) != codes.Unauthenticated {
				t.Errorf("%s: %v", name, err)
			}
		}
		if after := time.Since(began); after != time.Hour {
			t.Errorf("after %v", after)
		}
	})
}

// TestHeartbeat has a call say nothing for a while over Server-Sent Events.
func TestHeartbeat(t *testing.T) {
	synced(t, Options{}, func(t *testing.T, _ *world, s *service) {
		got := call(s.REST(), "POST", "/v1/tools/demo.wait:call", "{}", "Accept", "text/event-stream", "Grpc-Timeout", "50S")
		want := ": still here\n\n: still here\n\nevent: error\n" +
			`data: {"title":"Gateway Timeout","status":504,"code":"DEADLINE_EXCEEDED","detail":"the call took too long"}` + "\n\n"
		if got.Code != http.StatusOK || got.Body.String() != want {
			t.Errorf("%d\n%s", got.Code, got.Body)
		}
	})
}

// TestPanicWhileSending has a stream panic in the outbox's own goroutine.
func TestPanicWhileSending(t *testing.T) {
	synced(t, Options{}, func(t *testing.T, _ *world, s *service) {
		err := s.WatchCapabilities(nil, &panicking{reader: newReader[gatewayv1.WatchCapabilitiesResponse](t.Context(), principal("alice"))})
		if s := status.Convert(err); s.Code() != codes.Internal || s.Message() != "internal error" {
			t.Error(err)
		}
	})
}

type panicking struct {
	*reader[gatewayv1.WatchCapabilitiesResponse]
}

func (*panicking) Send(*gatewayv1.WatchCapabilitiesResponse) error { panic("secret") }

// TestStreamsAreCounted has a principal open too many.
func TestStreamsAreCounted(t *testing.T) {
	synced(t, Options{StreamsPerPrincipal: 2}, func(t *testing.T, _ *world, s *service) {
		ctx, cancel := context.WithCancel(t.Context())
		watch := func(who string) (*reader[gatewayv1.WatchCapabilitiesResponse], <-chan error) {
			r, ended := newReader[gatewayv1.WatchCapabilitiesResponse](ctx, principal(who)), make(chan error, 1)
			method := s.WatchCapabilities
			go func() { ended <- method(nil, r) }()
			return r, ended
		}
		var open []<-chan error
		for range 2 {
			r, ended := watch("alice")
			<-r.taken
			open = append(open, ended)
		}
		if _, ended := watch("alice"); status.Code(<-ended) != codes.ResourceExhausted {
			t.Error("alice opened a third")
		}
		r, ended := watch("bob")
		<-r.taken
		cancel()
		for _, e := range append(open, ended) {
			if err := <-e; status.Code(err) != codes.Canceled {
				t.Error(err)
			}
		}
		if n := len(s.streams.count) + len(s.streams.watches); n != 0 {
			t.Errorf("%d are left", n)
		}
	})
}

// TestSlowReaderOverTheWire has a client open a watch and not read it.
func TestSlowReaderOverTheWire(t *testing.T) {
	w := newWorld(t)
	f := frontend(t, w, Options{WriteTimeout: 100 * time.Millisecond, Queue: 4})
	c := gatewayv1.NewGatewayServiceClient(dial(t, f, grpc.WithInitialWindowSize(64<<10)))
	uri := "demo://users/" + strings.Repeat("x", 1900)
	stream, err := c.WatchResource(as(t.Context(), "alice"), &gatewayv1.WatchResourceRequest{Uri: uri})
	if err != nil {
		t.Fatal(err)
	}
	poll(t, func() bool { return total(f) == 1 })
	poll(t, func() bool { w.funcs.Updated(uri); return total(f) == 0 })
	for err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.ResourceExhausted {
		t.Error(err)
	}
}

// TestClientsThatLeave has clients leave every kind of stream; goleak sees what
// they leave behind.
func TestClientsThatLeave(t *testing.T) {
	w := newWorld(t)
	f := frontend(t, w, Options{})
	c := client(t, f)
	server := httptest.NewServer(withPrincipal(f.REST()))
	defer server.Close()
	ctx, cancel := context.WithCancel(as(t.Context(), "alice"))
	if _, err := c.WatchCapabilities(ctx, &gatewayv1.WatchCapabilitiesRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WatchResource(ctx, &gatewayv1.WatchResourceRequest{Uri: "demo://motd"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CallToolStream(ctx, &gatewayv1.CallToolStreamRequest{Name: "demo.wait"}); err != nil {
		t.Fatal(err)
	}
	var requests sync.WaitGroup
	for _, path := range []string{"GET /v1/capabilities:watch", "GET /v1/resources:watch?uri=demo://motd", "POST /v1/tools/demo.wait:call"} {
		method, path, _ := strings.Cut(path, " ")
		req, err := http.NewRequestWithContext(ctx, method, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Who", "alice")
		req.Header.Set("Accept", "text/event-stream")
		requests.Go(func() {
			if res, err := server.Client().Do(req); err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		})
	}
	poll(t, func() bool { return total(f) == 6 })
	cancel()
	requests.Wait()
	poll(t, func() bool { return total(f) == 0 })
}

func TestHealth(t *testing.T) {
	f := frontend(t, newWorld(t), Options{})
	c := grpc_health_v1.NewHealthClient(dial(t, f))
	stream, err := c.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "gateway.v1.GatewayService"})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want grpc_health_v1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		if got, err := stream.Recv(); err != nil || got.GetStatus() != want {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
		all, err := c.List(t.Context(), &grpc_health_v1.HealthListRequest{})
		if err != nil || len(all.GetStatuses()) != 2 {
			t.Fatalf("%v, %v", all, err)
		}
		for name, s := range all.GetStatuses() {
			if s.GetStatus() != want {
				t.Errorf("%q is %v", name, s)
			}
			one, err := c.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: name})
			if err != nil || one.GetStatus() != want {
				t.Errorf("%v, %v", one, err)
			}
		}
	}
	expect(grpc_health_v1.HealthCheckResponse_SERVING)
	f.SetServing(false)
	expect(grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	f.SetServing(true)
	expect(grpc_health_v1.HealthCheckResponse_SERVING)

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	f.Shutdown(ctx)
	if ctx.Err() != nil {
		t.Error("a health watch held up the shutdown")
	}
	for err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("watch: %v", err)
	}
}

// TestShutdownCutsOff has a call outlast the shutdown.
func TestShutdownCutsOff(t *testing.T) {
	f := frontend(t, newWorld(t), Options{})
	c := client(t, f)
	stream, err := c.CallToolStream(as(t.Context(), "alice"), &gatewayv1.CallToolStreamRequest{Name: "demo.wait"})
	if err != nil {
		t.Fatal(err)
	}
	poll(t, func() bool { return total(f) == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	f.Shutdown(ctx)
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}

func addTool(t *testing.T, w *world, name string, run gateway.Func) {
	t.Helper()
	if err := w.funcs.AddTool(json.RawMessage(`{"name":"`+name+`","inputSchema":{"type":"object"}}`), run); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// catalog returns what the source offers now.
func catalog(t *testing.T, f *gateway.Funcs) gateway.Catalog {
	t.Helper()
	for c, err := range f.Watch(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return gateway.Catalog{}
}

// poll waits until a condition holds.
func poll(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it did not come to pass")
		}
	}
}

// total returns how many streams are open.
func total(f *Frontend) int {
	f.streams.mu.Lock()
	defer f.streams.mu.Unlock()
	n := 0
	for _, c := range f.streams.count {
		n += c
	}
	return n
}

// TestEndedSession has a watch ended from outside: the client is told why.
func TestEndedSession(t *testing.T) {
	sessions := &gateway.Sessions{}
	c := client(t, frontend(t, newWorld(t), Options{Sessions: sessions}))
	stream, err := c.WatchCapabilities(as(t.Context(), "alice"), &gatewayv1.WatchCapabilitiesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	why := &gateway.Error{Code: gateway.Unauthenticated, By: "test", Msg: "the credential was revoked"}
	if n := sessions.End(func(s *gateway.Session) *gateway.Error {
		if s.Via != "grpc" || s.Principal.ID != principal("alice").ID {
			t.Errorf("session %+v", s)
		}
		return why
	}); n != 1 {
		t.Errorf("%d sessions ended", n)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Unauthenticated || status.Convert(err).Message() != why.Msg {
		t.Errorf("the stream ended with %v", err)
	}
}
