package mcp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

func TestMain(m *testing.M) {
	if !runProgram() {
		goleak.VerifyTestMain(m)
	}
}

// A fixture is a gateway with a little of everything, and its MCP door.
type fixture struct {
	funcs    *gateway.Funcs
	registry *gateway.Registry
	gw       *gateway.Gateway
	frontend *mcp.Frontend
	started  chan *gateway.Call // calls of the tool "hang" that have begun
	ended    chan error         // how their contexts ended
	followed chan string        // subscriptions that have begun
	released chan string        // and ended
	lose     chan struct{}      // makes one running subscription fail
}

// rights hide what begins with "secret" from everybody but alice, and lock
// what begins with "locked".
type rights struct{}

func hidden(p *gateway.Principal, name string) bool {
	return strings.Contains(name, "secret") && p.Name != "alice"
}

func (rights) Admit(_ context.Context, call *gateway.Call) error {
	switch {
	case hidden(call.Principal, call.Name):
		return gateway.NotFoundError(call, "policy", errors.New("no rule admits it"))
	case strings.HasPrefix(call.Name, "locked"):
		return &gateway.Error{Code: gateway.PermissionDenied, By: "policy", Msg: "not allowed", Err: errors.New("rule 7 of the secret policy")}
	}
	return nil
}

type viewKey struct{ name string }

func (rights) View(p *gateway.Principal, s *gateway.Snapshot) *gateway.Snapshot {
	return s.Memo(viewKey{p.Name}, func(s *gateway.Snapshot) any {
		return s.Filter(func(c *gateway.Capability) bool { return !hidden(p, c.Name) && !hidden(p, c.Origin) })
	}).(*gateway.Snapshot)
}

// principal returns one of the personas. Carol's credential ends soon.
func principal(name string) *gateway.Principal {
	p := &gateway.Principal{ID: "test|user|" + name, Issuer: "test", Subject: name, Kind: "user", Name: name}
	if name == "carol" {
		p.Expiry = time.Now().Add(2 * time.Second)
	}
	return p
}

// ServeHTTP is the door before the door: the header names the principal.
func (f *fixture) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.Header.Get("Test-Principal")
	if name == "" {
		name = "alice"
	}
	if name != "nobody" {
		r = r.WithContext(auth.With(r.Context(), principal(name)))
	}
	f.frontend.ServeHTTP(w, r)
}

func newFixture(t testing.TB, o mcp.FrontendOptions) *fixture {
	t.Helper()
	f := &fixture{
		funcs: &gateway.Funcs{}, registry: &gateway.Registry{},
		started: make(chan *gateway.Call, 16), ended: make(chan error, 16),
		followed: make(chan string, 1024), released: make(chan string, 1024), lose: make(chan struct{}),
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tool := func(def string, run gateway.Func) { t.Helper(); must(f.funcs.AddTool(json.RawMessage(def), run)) }
	raw := func(s string) gateway.Func {
		return func(context.Context, *gateway.Call) (*gateway.Result, error) {
			return &gateway.Result{Raw: json.RawMessage(s)}, nil
		}
	}
	tool(`{"name":"echo","description":"Echo.","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]},"vendor":{"n":9007199254740993,"x":1.10}}`, f.echo)
	tool(`{"name":"secret","description":"For alice alone.","inputSchema":{"type":"object"}}`, raw(`{"content":[{"type":"text","text":"42"}]}`))
	tool(`{"name":"locked","description":"For nobody.","inputSchema":{"type":"object"}}`, raw(`{"content":[]}`))
	tool(`{"name":"exact","description":"Answers what only raw bytes keep.","inputSchema":{"type":"object"}}`,
		raw(`{ "structuredContent":{"n":9007199254740993,"x":1.10}, "content":[{"type":"hologram","data":"<&>"}], "_meta":{"vendor":1}, "extra":null}`))
	tool(`{"name":"named","description":"Says who it is.","inputSchema":{"type":"object"}}`,
		raw(`{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"up","version":"9"}},"content":[]}`))
	tool(`{"name":"fails","description":"Fails.","inputSchema":{"type":"object"}}`, func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return gateway.ErrorResult("it broke"), nil
	})
	tool(`{"name":"broken","description":"Answers no object.","inputSchema":{"type":"object"}}`, raw(`[]`))
	tool(`{"name":"refuse","description":"Refuses with a code.","inputSchema":{"type":"object"}}`, refuse)
	tool(`{"name":"report","description":"Reports.","inputSchema":{"type":"object"}}`, report)
	tool(`{"name":"hang","description":"Waits until it is cancelled.","inputSchema":{"type":"object"}}`, func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
		f.started <- call
		<-ctx.Done()
		f.ended <- context.Cause(ctx)
		return nil, ctx.Err()
	})
	tool(`{"name":"mirrored","description":"Has header parameters.","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"deep":{"type":"object","properties":{"level":{"type":"integer","x-mcp-header":"Level"}}},"dry":{"type":"boolean","x-mcp-header":"Dry"}}}}`,
		raw(`{"content":[]}`))
	text := func(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
		return &gateway.Result{Raw: fmt.Appendf(nil, `{"contents":[{"uri":%q,"text":"hello"}]}`, call.Name)}, nil
	}
	must(f.funcs.AddResource(json.RawMessage(`{"uri":"test://text","name":"text","description":"A text."}`), text))
	must(f.funcs.AddResource(json.RawMessage(`{"uri":"test://secret","name":"secret","description":"A secret."}`), text))
	must(f.funcs.AddResource(json.RawMessage(`{"uri":"test://hinted","name":"hinted","description":"Has its own hints."}`),
		raw(`{"cacheScope":"public","ttlMs":60000,"contents":[{"uri":"test://hinted","text":""}]}`)))
	must(f.funcs.AddTemplate(json.RawMessage(`{"uriTemplate":"test://item/{id}","name":"item","description":"An item."}`), text))
	must(f.funcs.AddPrompt(json.RawMessage(`{"name":"greet","description":"Greets.","arguments":[{"name":"who"}]}`), func(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
		return &gateway.Result{Raw: fmt.Appendf(nil, `{"messages":[{"role":"user","content":{"type":"text","text":%q}}]}`, "args "+string(call.Args))}, nil
	}))
	f.funcs.AddCompletion(gateway.KindPrompt, "greet", func(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
		return &gateway.Result{Raw: fmt.Appendf(nil, `{"completion":{"values":[%q]}}`, string(call.Args))}, nil
	})
	f.publish(t)
	gw, err := gateway.New(f.registry, nil, []gateway.Gate{rights{}, gateway.ValidateArgs{}})
	must(err)
	f.gw = gw
	f.frontend = mcp.NewFrontend(gw, o)
	t.Cleanup(func() { f.frontend.Close() })
	return f
}

// Do counts subscriptions and leaves the rest to the functions.
func (f *fixture) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	if call.Op != gateway.OpSubscribe {
		return f.funcs.Do(ctx, call)
	}
	watched, sub := *call, *call.Subscription
	sub.Ready = func() {
		call.Subscription.Ready()
		f.followed <- call.Name
	}
	watched.Subscription = &sub
	defer func() { f.released <- call.Name }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lost := make(chan bool, 1)
	go func() {
		select {
		case <-f.lose:
			lost <- true
			cancel()
		case <-ctx.Done():
			lost <- false
		}
	}()
	res, err := f.funcs.Do(ctx, &watched)
	cancel()
	if <-lost {
		return nil, &gateway.Error{Code: gateway.Unavailable, By: "upstream/demo", Msg: "gone"}
	}
	return res, err
}

// publish puts what the functions offer now into the registry.
func (f *fixture) publish(t testing.TB) {
	t.Helper()
	for c, err := range f.funcs.Watch(t.Context()) {
		if err == nil {
			err = f.registry.Attach("demo", f, c, gateway.Options{})
		}
		if err != nil {
			t.Fatal(err)
		}
		break
	}
}

// addTool adds a tool of that name and publishes it.
func (f *fixture) addTool(t testing.TB, name string) {
	t.Helper()
	def := `{"name":"` + name + `","description":"New.","inputSchema":{"type":"object"}}`
	err := f.funcs.AddTool(json.RawMessage(def), func(context.Context, *gateway.Call) (*gateway.Result, error) { return gateway.TextResult("new"), nil })
	if err != nil {
		t.Fatal(err)
	}
	f.publish(t)
}

// echo answers its arguments and what it got as _meta.
func (f *fixture) echo(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
	var in struct {
		Text string `json:"text"`
	}
	if err := json.Unmarshal(call.Args, &in); err != nil {
		return nil, err
	}
	if call.Meta != nil {
		in.Text += " " + string(call.Meta)
	}
	return gateway.TextResult(in.Text), nil
}

func refuse(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
	var in struct {
		Code    gateway.Code    `json:"code"`
		Data    json.RawMessage `json:"data"`
		RetryMs int             `json:"retryMs"`
	}
	if err := json.Unmarshal(call.Args, &in); err != nil {
		return nil, err
	}
	return nil, &gateway.Error{
		Code: in.Code, By: "upstream/demo", Msg: "refused as asked", Data: in.Data,
		Retry: time.Duration(in.RetryMs) * time.Millisecond, Err: errors.New("cause with a password"),
	}
}

// report reports all that a call can, with values that must not break the wire.
func report(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
	if call.Progress != nil {
		call.Progress(gateway.Progress{Progress: "1", Total: "2", Message: "half\n\"way\""})
		call.Progress(gateway.Progress{Progress: "not a number"})
		call.Progress(gateway.Progress{Progress: "2.50"})
	}
	if call.Log != nil {
		call.Log(gateway.LogMessage{Level: "debug", Data: json.RawMessage(`"quiet"`)})
		call.Log(gateway.LogMessage{Level: "warning", Logger: "up", Data: json.RawMessage("{\"line\":\n1}")})
		call.Log(gateway.LogMessage{Level: "loud"})
	}
	return &gateway.Result{Raw: json.RawMessage("{\"content\":\n[]}")}, nil
}

// serve starts a server for the fixture.
func (f *fixture) serve(t testing.TB) *httptest.Server {
	srv := httptest.NewServer(f)
	t.Cleanup(func() {
		f.frontend.Close()
		srv.Close()
	})
	return srv
}

// serveHandler starts a server for a handler.
func serveHandler(t testing.TB, h http.Handler) *httptest.Server {
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv
}
