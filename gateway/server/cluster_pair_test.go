package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
)

// A nodePair is two gateways on one state, a and b, that trust the same issuer.
type nodePair struct {
	a, b    *rig
	started chan string // calls of the tool "work" on a that have begun
	ended   chan error  // and how their contexts ended
	release chan struct{}
}

// twoNodes starts a and b. What b's own tools do is not told.
func twoNodes(t *testing.T) *nodePair {
	t.Helper()
	url := shared(t)
	p := &nodePair{started: make(chan string, 16), ended: make(chan error, 16), release: make(chan struct{})}
	policy := withPolicy(t, "p, role:dev, *, **, *, allow\np, role:admin, *, **, *, allow\np, role:admin, *, admin/**, *, allow\n")
	edit := func(cfg *config.Config) {
		policy(cfg)
		cfg.State.NATSURL, cfg.Limits.CallTimeout = url, time.Minute
	}
	p.a = start(t, map[string]gateway.Upstream{"x": p.tools(t)}, edit)
	p.b = start(t, map[string]gateway.Upstream{"x": p.tools(t)}, func(cfg *config.Config) {
		edit(cfg)
		cfg.Auth.Issuers = []config.Issuer{{Name: "a", Issuer: p.a.URL() + "/dev/issuer", Audiences: []string{p.a.URL()}, RequireTyp: true}}
	})
	poll(t, func() bool { // b may still be looking for the issuer's keys.
		code, _ := p.send(t, p.b, "dev", "", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
		return code == http.StatusOK
	})
	return p
}

func (p *nodePair) tools(t *testing.T) *gateway.Funcs {
	t.Helper()
	f := &gateway.Funcs{}
	add := func(name, more string, run gateway.Func) {
		if err := f.AddTool(json.RawMessage(`{"name":"`+name+`","description":"For tests.","inputSchema":{"type":"object"}`+more+`}`), run); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
		answer, err := call.Ask(ctx, gateway.Question{Method: "elicitation/create", Params: json.RawMessage(`{"message":"Who?","requestedSchema":{"type":"object","properties":{}}}`)})
		if err != nil {
			return nil, err
		}
		return gateway.TextResult("answered " + string(answer)), nil
	}
	work := func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
		if call.Progress != nil {
			call.Progress(gateway.Progress{Progress: "1"})
		}
		p.started <- call.Name
		select {
		case <-p.release:
			return gateway.TextResult("worked"), nil
		case <-ctx.Done():
			p.ended <- context.Cause(ctx)
			return nil, ctx.Err()
		}
	}
	add("ask", "", ask)
	add("work", "", work)
	add("task", `,"execution":{"taskSupport":"required"}`, work)
	add("asking_task", `,"execution":{"taskSupport":"required"}`, ask)
	return f
}

// headers are those of a persona's request, which both nodes trust.
func (p *nodePair) headers(t testing.TB, persona, session string) http.Header {
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "application/json, text/event-stream")
	h.Set("Authorization", "Bearer "+p.a.token(t, persona))
	if session != "" {
		h.Set("Mcp-Session-Id", session)
		h.Set("MCP-Protocol-Version", "2025-11-25")
	}
	return h
}

func (p *nodePair) send(t testing.TB, node *rig, persona, session, body string) (int, string) {
	t.Helper()
	return node.send(t, "", http.MethodPost, "/mcp", p.headers(t, persona, session), body)
}

// modern makes a request of 2026-07-28.
func (p *nodePair) modern(t testing.TB, node *rig, persona, method, name, params string) (int, string) {
	t.Helper()
	h := p.headers(t, persona, "")
	h.Set("MCP-Protocol-Version", "2026-07-28")
	h.Set("Mcp-Method", method)
	h.Set("Mcp-Name", name)
	return node.send(t, "", http.MethodPost, "/mcp", h, `{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":{`+params+
		`,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}}}}`)
}

// begin opens a session at a.
func (p *nodePair) begin(t *testing.T, capabilities string) string {
	t.Helper()
	h := p.headers(t, "dev", "")
	return p.a.initializeAs(t, h, capabilities)
}

// A sseEvent is one event of a stream.
type sseEvent struct{ id, data string }

// stream makes a request that is answered by a stream, whose events it sends
// until it ends.
func (p *nodePair) stream(t *testing.T, node *rig, method string, h http.Header, body string) <-chan sseEvent {
	t.Helper()
	return p.streamAt(t, node, method, "/mcp", h, body)
}

func (p *nodePair) streamAt(t *testing.T, node *rig, method, path string, h http.Header, body string) <-chan sseEvent {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, node.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = h
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", method, res.Status)
	}
	t.Cleanup(func() { res.Body.Close() })
	events := make(chan sseEvent, 64)
	go func() {
		defer close(events)
		var e sseEvent
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			field, value, _ := strings.Cut(lines.Text(), ": ")
			switch field {
			case "id":
				e.id = value
			case "data":
				e.data = value
			case "":
				if e != (sseEvent{}) {
					events <- e
					e = sseEvent{}
				}
			}
		}
	}()
	return events
}

func next[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came in 10 s")
		panic("unreachable")
	}
}

// until returns the first event with a text in it.
func until(t testing.TB, events <-chan sseEvent, text string) sseEvent {
	t.Helper()
	for {
		e := next(t, events)
		if e == (sseEvent{}) {
			t.Fatalf("the stream ended without %s", text)
		}
		if strings.Contains(e.data, text) {
			return e
		}
	}
}

// about makes a request about a task.
func (p *nodePair) about(t testing.TB, node *rig, persona, verb, id, more string) taskResult {
	t.Helper()
	_, body := p.modern(t, node, persona, "tasks/"+verb, id, `"taskId":"`+id+`"`+more)
	var res struct {
		Result taskResult `json:"result"`
		Error  *struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	if err := json.Unmarshal([]byte(body), &res); err != nil {
		t.Fatal(body)
	}
	if res.Error != nil {
		res.Result.refused = res.Error.Code
	}
	return res.Result
}
