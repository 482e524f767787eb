package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/trilith-gateway/trilith/auth/issuer"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/audit"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/guard"
	"github.com/trilith-gateway/trilith/gateway/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A rig is a running gateway and what a test needs to speak to it.
type rig struct {
	*server.Server
	config *config.Config
	grpc   *grpc.ClientConn
	stop   func() // ends it and waits
}

// start runs a gateway in development mode on ports of the kernel's choice,
// until the test ends. Edit, if not nil, changes its configuration.
func start(t testing.TB, sources map[string]gateway.Upstream, edit func(*config.Config)) *rig {
	t.Helper()
	return startWith(t, server.Options{Dev: &server.Dev{}, Sources: sources}, edit)
}

// startWith is start with other options. Without a logger the gateway's log is
// the test's.
func startWith(t testing.TB, o server.Options, edit func(*config.Config)) *rig {
	t.Helper()
	cfg := config.Default()
	cfg.Listen.HTTP, cfg.Listen.GRPC, cfg.Data = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
	server.DevSources(cfg)
	if edit != nil {
		edit(cfg)
	}
	if o.Logger == nil && testing.Verbose() {
		o.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	building, built := context.WithCancel(t.Context())
	s, err := server.New(building, cfg, o)
	built() // What New opens must outlast its context.
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	end := sync.OnceFunc(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the gateway ended with %v", err)
		}
	})
	t.Cleanup(end)
	select {
	case <-s.Ready():
	case <-time.After(time.Minute):
		t.Fatal("the gateway is not ready after a minute")
	}
	conn, err := grpc.NewClient(s.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &rig{s, cfg, conn, end}
}

// token returns a persona's token; "" and "nobody" have none. "stranger" has
// one that is not ours, "elsewhere" one for another audience, and "late" one
// that has expired.
func (r *rig) token(t testing.TB, persona string) string {
	t.Helper()
	switch persona {
	case "", "nobody":
		return ""
	case "stranger":
		return "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl"
	case "elsewhere":
		return r.mint(t, "https://elsewhere.example", time.Hour)
	case "late":
		return r.mint(t, r.URL(), time.Nanosecond)
	}
	token, err := r.Token(persona)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// mint returns a token for the persona dev as the built-in issuer makes it.
func (r *rig) mint(t testing.TB, audience string, ttl time.Duration) string {
	t.Helper()
	is, err := issuer.Open(issuer.Options{URL: r.URL() + "/dev/issuer", KeyFile: filepath.Join(r.config.Data, "dev-issuer.pem"), Existing: true})
	if err != nil {
		t.Fatal(err)
	}
	token, err := is.Mint("dev", audience, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// send makes one HTTP request and returns the status and the body.
func (r *rig) send(t testing.TB, persona, method, path string, header http.Header, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	if token := r.token(t, persona); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// mcp sends one request of revision 2026-07-28, with the headers that its
// body asks for.
func (r *rig) mcp(t testing.TB, persona, body string) (int, string) {
	t.Helper()
	var env struct {
		Method string `json:"method"`
		Params struct {
			Name string `json:"name"`
			URI  string `json:"uri"`
		} `json:"params"`
	}
	// A body that does not parse is sent as it is.
	_ = json.Unmarshal([]byte(body), &env)
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "application/json, text/event-stream")
	h.Set("MCP-Protocol-Version", "2026-07-28")
	h.Set("Mcp-Method", env.Method)
	if name := env.Params.Name + env.Params.URI; name != "" {
		h.Set("Mcp-Name", name)
	}
	return r.send(t, persona, http.MethodPost, "/mcp", h, body)
}

// records returns the audit records of calls and of refusals at the door, in
// order, once there are n of them.
func (r *rig) records(t testing.TB, n int) []audit.Record {
	t.Helper()
	var out []audit.Record
	poll(t, func() bool {
		out = out[:0]
		for rec, err := range audit.Tail(t.Context(), r.config.AuditDir(), 10_000, false) {
			if err != nil {
				t.Fatal(err)
			}
			if rec.Type == "call" || rec.Type == "door" {
				out = append(out, rec)
			}
		}
		return len(out) >= n
	})
	return out
}

// poll waits until ok, at most thirty seconds.
func poll(t testing.TB, ok func() bool) {
	t.Helper()
	late := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("what the test waits for has not happened after 30 s")
		}
	}
}

// lab is a source for what the demo toolset cannot show: every kind of
// failure, and payloads that must not change.
func lab(t testing.TB) *gateway.Funcs {
	t.Helper()
	f := new(gateway.Funcs)
	tool := func(name, schema string, run gateway.Func) {
		t.Helper()
		err := f.AddTool(json.RawMessage(`{"name":"`+name+`","description":"For tests.","inputSchema":`+schema+`}`), run)
		if err != nil {
			t.Fatal(err)
		}
	}
	tool("fail", `{"type":"object","properties":{"code":{"type":"integer"}},"required":["code"]}`, func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
		var in struct {
			Code gateway.Code `json:"code"`
		}
		if err := json.Unmarshal(c.Args, &in); err != nil {
			return nil, err
		}
		return nil, &gateway.Error{Code: in.Code, By: "upstream/lab", Msg: "the lab said no", Retry: 1500 * time.Millisecond, Err: errors.New("SECRET cause")}
	})
	tool("panic", `{"type":"object"}`, func(context.Context, *gateway.Call) (*gateway.Result, error) { panic("SECRET panic") })
	tool("hang", `{"type":"object"}`, func(ctx context.Context, _ *gateway.Call) (*gateway.Result, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	tool("raw", `{"type":"object"}`, func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
		return gateway.NewResult(json.RawMessage(`{"content":[{"type":"hologram","x":1.10,"big":9007199254740993}],"structuredContent":{"z":1,"a":12345678901234567890.10,"args":` + string(c.Args) + `},"vendor":{"k":[]}}`))
	})
	tool("limited", `{"type":"object","additionalProperties":false}`, func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return gateway.NewResult(json.RawMessage(`{"content":[]}`))
	})
	if err := f.AddResource(json.RawMessage(`{"uri":"lab://notes","name":"notes","description":"For tests.","mimeType":"text/plain"}`), func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return gateway.NewResult(json.RawMessage(`{"contents":[{"uri":"lab://notes","mimeType":"text/plain","text":"a < b & \u00e9"}]}`))
	}); err != nil {
		t.Fatal(err)
	}
	return f
}

// unbroken is the lab without a circuit breaker, which failures on purpose would
// open.
func unbroken(t testing.TB) gateway.Upstream {
	return guard.New(lab(t), guard.Options{Most: 300 * time.Millisecond})
}

// lost is a source that was here once, with a tool, and is away now.
type lost struct{ *gateway.Funcs }

func newLost(t testing.TB) lost {
	t.Helper()
	f := new(gateway.Funcs)
	err := f.AddTool(json.RawMessage(`{"name":"raw","inputSchema":{"type":"object"}}`), func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return nil, errors.New("SECRET: a source that is away was called")
	})
	if err != nil {
		t.Fatal(err)
	}
	return lost{f}
}

func (l lost) Watch(ctx context.Context) iter.Seq2[gateway.Catalog, error] {
	return func(yield func(gateway.Catalog, error) bool) {
		for c, err := range l.Funcs.Watch(ctx) {
			if !yield(c, err) || !yield(gateway.Catalog{}, errors.New("SECRET: the process exited")) {
				return
			}
		}
	}
}

// labPolicy is the policy of the parity cases.
const labPolicy = `p, role:admin, *, **, *, allow
p, role:dev, *, tool/demo/*, call, allow
p, role:dev, *, tool/lab/*, call, allow
p, role:dev, *, tool/lost/*, call, allow
p, role:dev, *, resource/**, *, allow
p, role:dev, *, prompt/demo/*, *, allow
p, role:guest, *, tool/demo/echo, call, allow
`

// withPolicy returns an edit that puts a policy in force.
func withPolicy(t testing.TB, csv string) func(*config.Config) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.csv")
	if err := os.WriteFile(file, []byte(csv), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(cfg *config.Config) { cfg.Policy.File = file }
}
