package grpc

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a gateway with a source of every kind of capability. Alice may use
// everything, bob nothing whose name holds "secret".
type world struct {
	gw       *gateway.Gateway
	registry *gateway.Registry
	funcs    *gateway.Funcs
	hidden   *hide
	records  *records
	running  sync.WaitGroup
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{registry: &gateway.Registry{}, funcs: &gateway.Funcs{}, hidden: &hide{}, records: &records{}}
	w.fill(t)
	var err error
	if w.gw, err = gateway.New(w.registry, []gateway.Observer{w.records}, []gateway.Gate{w.hidden, gateway.ValidateArgs{}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	first := w.registry.Changed()
	w.running.Go(func() {
		w.registry.Follow(ctx, "demo", w.funcs, gateway.Options{Prefix: "demo.", Tags: []string{"test"}}, func(err error) {
			if err != nil {
				t.Error(err)
			}
		})
	})
	t.Cleanup(func() { cancel(); w.running.Wait() })
	<-first
	return w
}

func (w *world) fill(t testing.TB) {
	t.Helper()
	type pair struct {
		A int `json:"a"`
		B int `json:"b"`
	}
	type sum struct {
		Sum int `json:"sum"`
	}
	raw := func(text string) gateway.Func {
		return func(context.Context, *gateway.Call) (*gateway.Result, error) {
			return gateway.NewResult(json.RawMessage(text))
		}
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(gateway.AddTool(w.funcs, "add", "Adds two numbers.", func(_ context.Context, _ *gateway.Call, in pair) (sum, error) {
		return sum{in.A + in.B}, nil
	}, gateway.ReadOnly(), gateway.WithTitle("Add")))
	tool := func(name string, run gateway.Func) {
		check(w.funcs.AddTool(json.RawMessage(`{"name":"`+name+`","inputSchema":{"type":"object"}}`), run))
	}
	tool("echo", func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
		return &gateway.Result{Raw: json.RawMessage(`{"content":[],"structuredContent":` + string(c.Args) + `,"vendor":1e400}`)}, nil
	})
	tool("fail", raw(`{"content":[{"type":"text","text":"it broke"}],"isError":true}`))
	tool("secret", raw(`{"content":[]}`))
	tool("a/b", raw(`{"content":[{"type":"text","text":"slash"}]}`))
	tool("panic", func(context.Context, *gateway.Call) (*gateway.Result, error) { panic("with a secret") })
	tool("broken", func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return nil, errors.New("password=hunter2")
	})
	tool("limited", func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return nil, &gateway.Error{Code: gateway.ResourceExhausted, By: "limiter", Msg: "slow down", Retry: 1500 * time.Millisecond}
	})
	tool("refused", func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return nil, &gateway.Error{Code: gateway.FailedPrecondition, By: "upstream/demo", Msg: "no account", Data: json.RawMessage(`{"id":12345678901234567890}`), Err: errors.New("hidden cause")}
	})
	tool("wait", func(ctx context.Context, _ *gateway.Call) (*gateway.Result, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	tool("big", func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return gateway.TextResult(strings.Repeat("x", 5<<20)), nil
	})
	tool("steps", func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
		if c.Progress != nil {
			c.Progress(gateway.Progress{Progress: "1", Total: "2", Message: "half"})
			c.Log(gateway.LogMessage{Level: "debug", Data: json.RawMessage(`"` + strings.Repeat("x", eventMost) + `"`)})
			c.Log(gateway.LogMessage{Level: "info", Logger: "demo", Data: json.RawMessage("{\n\"n\":1}")})
		}
		return gateway.TextResult("done"), nil
	})
	check(w.funcs.AddResource(json.RawMessage(`{"uri":"demo://motd","name":"motd","mimeType":"text/plain","size":5}`),
		raw(`{"contents":[{"uri":"demo://motd","text":"hello"}]}`)))
	check(w.funcs.AddTemplate(json.RawMessage(`{"uriTemplate":"demo://users/{id}","name":"user"}`),
		raw(`{"contents":[{"uri":"demo://users/7","text":"seven"}]}`)))
	check(w.funcs.AddPrompt(json.RawMessage(`{"name":"greet","description":"Greets.","arguments":[{"name":"who","required":true}]}`),
		func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
			return &gateway.Result{Raw: json.RawMessage(`{"messages":[{"role":"user","content":{"type":"text","text":` + cmp.Or(string(c.Args), "{}") + `}}]}`)}, nil
		}))
	w.funcs.AddCompletion(gateway.KindPrompt, "greet", func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
		if string(c.Args) != `{"argument":{"name":"who","value":"w"},"context":{"arguments":{"x":"y"}}}` {
			return nil, &gateway.Error{Code: gateway.InvalidArgument, By: "test", Msg: string(c.Args)}
		}
		return &gateway.Result{Raw: json.RawMessage(`{"completion":{"values":["world","wife"],"total":7,"hasMore":true}}`)}, nil
	})
}

// hide is a policy: what bob must not know of.
type hide struct{ more sync.Map }

func (h *hide) allowed(p *gateway.Principal, c *gateway.Capability) bool {
	_, hidden := h.more.Load(c.Name)
	return p.Subject == "alice" || !hidden && !strings.Contains(c.Name, "secret")
}

func (h *hide) Admit(_ context.Context, call *gateway.Call) error {
	if h.allowed(call.Principal, call.Target) {
		return nil
	}
	return gateway.NotFoundError(call, "policy", nil)
}

func (h *hide) View(p *gateway.Principal, s *gateway.Snapshot) *gateway.Snapshot {
	return s.Filter(func(c *gateway.Capability) bool { return h.allowed(p, c) })
}

func principal(name string) *gateway.Principal {
	if name == "" {
		return nil
	}
	return &gateway.Principal{ID: "test|user|" + name, Issuer: "test", Subject: name, Kind: "user"}
}

func frontend(t testing.TB, w *world, o Options) *Frontend {
	t.Helper()
	f, err := NewFrontend(w.gw, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// withPrincipal stands for the Door: it believes whoever names himself.
func withPrincipal(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := principal(r.Header.Get("Who")); p != nil {
			r = r.WithContext(auth.With(r.Context(), p))
		}
		next.ServeHTTP(w, r)
	})
}

func named(ctx context.Context) context.Context {
	md, _ := metadata.FromIncomingContext(ctx)
	if who := md.Get("who"); len(who) > 0 {
		return auth.With(ctx, principal(who[0]))
	}
	return ctx
}

type namedStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s namedStream) Context() context.Context { return s.ctx }

func door() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			return next(named(ctx), req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			return next(srv, namedStream{ss, named(ss.Context())})
		}),
	}
}

// dial serves the frontend in memory and returns a connection to it.
func dial(t testing.TB, f *Frontend, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	s := f.Server(door()...)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///memory", append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		s.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	return conn
}

func client(t testing.TB, f *Frontend) gatewayv1.GatewayServiceClient {
	t.Helper()
	return gatewayv1.NewGatewayServiceClient(dial(t, f))
}

func as(ctx context.Context, who string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "who", who)
}

// collect receives until the stream ends.
func collect[T any](t testing.TB, stream grpc.ServerStreamingClient[T]) []*T {
	t.Helper()
	var all []*T
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
}
