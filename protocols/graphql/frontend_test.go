package graphql

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fixture is a frontend on a gateway whose tools show what a door must carry.
type fixture struct {
	*Frontend
	funcs    *gateway.Funcs
	registry *gateway.Registry
	log      *bytes.Buffer // of the frontend
	ready    chan string   // URIs whose subscription is being watched
	release  chan struct{} // lets one call of demo.wait go on
	waiting  chan struct{} // a call of demo.wait has begun
	hidden   *hiddenTools  // the policy
	lastArgs func() string // of demo.echo
	records  *records      // of all calls and refusals
}

// hiddenTools is a policy: some tools do not exist for some principals.
type hiddenTools struct {
	mu   sync.Mutex
	from map[string]string // principal's ID → tool or URI
}

func (h *hiddenTools) hides(id string, c *gateway.Capability) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.from[id] != "" && (c.Name == h.from[id] || c.Origin == h.from[id])
}

func (h *hiddenTools) Admit(_ context.Context, call *gateway.Call) error {
	if h.hides(call.Principal.ID, call.Target) {
		return gateway.NotFoundError(call, "policy", nil)
	}
	return nil
}

func (h *hiddenTools) View(p *gateway.Principal, s *gateway.Snapshot) *gateway.Snapshot {
	return s.Filter(func(c *gateway.Capability) bool { return !h.hides(p.ID, c) })
}

func (h *hiddenTools) hide(id, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.from[id] = name
}

func alice() *gateway.Principal {
	return &gateway.Principal{ID: "https://idp.example|user|alice", Kind: "user", Name: "Alice", Roles: []string{"developer"}}
}

const echoDefinition = `{"name":"echo","title":"Echo","description":"Says it again.","inputSchema":{"type":"object","properties":{"n":{"type":["integer","string"]}},"x-big":123456789012345678901234567890},"annotations":{"readOnlyHint":true}}`

func newFixture(t *testing.T, o Options) *fixture {
	t.Helper()
	f := &fixture{
		funcs: &gateway.Funcs{}, registry: &gateway.Registry{}, log: &bytes.Buffer{}, ready: make(chan string, 16),
		release: make(chan struct{}), waiting: make(chan struct{}, 16), hidden: &hiddenTools{from: map[string]string{}},
		records: &records{},
	}
	var mu sync.Mutex
	var last string
	f.lastArgs = func() string { mu.Lock(); defer mu.Unlock(); return last }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(f.funcs.AddTool(json.RawMessage(echoDefinition), func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
		mu.Lock()
		last = string(c.Args)
		mu.Unlock()
		args := c.Args
		if args == nil {
			args = json.RawMessage("{}")
		}
		return gateway.NewResult(json.RawMessage("{\n \"content\":[{\"type\":\"text\",\"text\":\"line\\nline\"},{\"type\":\"image\",\"data\":\"AA==\",\"mimeType\":\"image/png\"},{\"type\":\"resource\",\"resource\":{\"uri\":\"demo://a\",\"text\":\"A\"}},{\"type\":\"hologram\",\"depth\":3},{\"text\":5}],\n\"structuredContent\":" + string(args) + ",\"extra\":1e400}"))
	}))
	must(f.funcs.AddTool(json.RawMessage(`{"name":"fail","inputSchema":{"type":"object"}}`), func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return nil, errors.New("the secret cause")
	}))
	must(f.funcs.AddTool(json.RawMessage(`{"name":"busy","inputSchema":{"type":"object"}}`), func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return nil, &gateway.Error{Code: gateway.ResourceExhausted, By: "limits", Msg: "slow down", Retry: 1500e6, Data: json.RawMessage(`{"left":12345678901234567890}`), Err: errors.New("the secret cause")}
	}))
	must(f.funcs.AddTool(json.RawMessage(`{"name":"sick","inputSchema":{"type":"object"}}`), func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return gateway.ErrorResult("it hurts"), nil
	}))
	must(f.funcs.AddTool(json.RawMessage(`{"name":"panic","inputSchema":{"type":"object"}}`), func(context.Context, *gateway.Call) (*gateway.Result, error) {
		panic("the secret cause")
	}))
	must(f.funcs.AddTool(json.RawMessage(`{"name":"steps","inputSchema":{"type":"object","properties":{"n":{"type":"integer"}}}}`), func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
		var in struct{ N int }
		_ = json.Unmarshal(c.Args, &in)
		for i := range in.N {
			if c.Progress != nil {
				c.Progress(gateway.Progress{Progress: json.Number(string(rune('1' + i%9))), Total: "9", Message: "step"})
			}
		}
		if c.Log != nil {
			c.Log(gateway.LogMessage{Level: "info", Logger: "steps", Data: json.RawMessage("{\n\"n\": 12345678901234567890}")})
		}
		return gateway.TextResult("done"), nil
	}))
	must(f.funcs.AddTool(json.RawMessage(`{"name":"wait","inputSchema":{"type":"object"}}`), func(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
		f.waiting <- struct{}{}
		select {
		case <-f.release:
			return gateway.TextResult("released"), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}))
	must(f.funcs.AddResource(json.RawMessage(`{"uri":"demo://a","name":"a","mimeType":"text/plain","size":5}`), func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return gateway.NewResult(json.RawMessage(`{"contents":[{"uri":"demo://a","mimeType":"text/plain","text":"hello"}]}`))
	}))
	must(f.funcs.AddTemplate(json.RawMessage(`{"uriTemplate":"demo://day/{day}","name":"day"}`), func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
		return gateway.NewResult(json.RawMessage(`{"contents":[{"uri":"` + c.Name + `","blob":"AAE="}]}`))
	}))
	must(f.funcs.AddPrompt(json.RawMessage(`{"name":"review","arguments":[{"name":"lang","required":true}]}`), func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
		return gateway.NewResult(json.RawMessage(`{"description":"d","messages":[{"role":"user","content":{"type":"text","text":"review it"}}]}`))
	}))
	f.funcs.AddCompletion(gateway.KindPrompt, "review", func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
		mu.Lock()
		last = string(c.Args)
		mu.Unlock()
		return gateway.NewResult(json.RawMessage(`{"completion":{"values":["go","groovy"],"total":2,"hasMore":false}}`))
	})
	must(f.attach())
	gw, err := gateway.New(f.registry, []gateway.Observer{f.records}, []gateway.Gate{f.hidden, gateway.ValidateArgs{}})
	must(err)
	o.Logger = slog.New(slog.NewTextHandler(&lockedWriter{w: f.log}, nil))
	f.Frontend, err = NewFrontend(gw, o)
	must(err)
	t.Cleanup(func() { must(f.Close()) })
	return f
}

// attach registers what the functions are now. The upstream reports the subscriptions that it watches.
func (f *fixture) attach() error {
	up := gateway.Func(func(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
		if c.Op == gateway.OpSubscribe {
			ready := c.Subscription.Ready
			c.Subscription.Ready = func() { ready(); f.ready <- c.Name }
		}
		return f.funcs.Do(ctx, c)
	})
	for c := range f.funcs.Watch(context.Background()) {
		return f.registry.Attach("demo", up, c, gateway.Options{Prefix: "demo.", Tags: []string{"t1"}})
	}
	return errors.New("no catalog")
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// as serves the frontend to one principal, as the door would.
func (f *fixture) as(p *gateway.Principal) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p != nil {
			r = r.WithContext(auth.With(r.Context(), p))
		}
		f.ServeHTTP(w, r)
	})
}

// post sends a request and returns the response.
func (f *fixture) post(t *testing.T, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/graphql", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.as(alice()).ServeHTTP(w, r)
	return w
}

// run executes a document and returns the response's text.
func (f *fixture) run(t *testing.T, query string, variables ...string) string {
	t.Helper()
	q, err := json.Marshal(query)
	if err != nil {
		t.Fatal(err)
	}
	body := `{"query":` + string(q)
	if len(variables) > 0 {
		body += `,"variables":` + variables[0]
	}
	return f.post(t, body+"}").Body.String()
}
