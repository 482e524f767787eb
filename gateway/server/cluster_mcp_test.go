package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
)

// TestClusterLegacy: what a session does at one node it can go on with at the
// other: a stream, a question, a cancellation, its end.
func TestClusterLegacy(t *testing.T) {
	p := twoNodes(t)
	session := p.begin(t, `{"elicitation":{}}`)
	h := func() http.Header { return p.headers(t, "dev", session) }
	call := func(id, tool string) string {
		return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"x.` + tool + `","_meta":{"progressToken":` + id + `}}}`
	}

	asked := p.stream(t, p.a, http.MethodPost, h(), call("1", "ask"))
	var q struct{ ID string }
	if err := json.Unmarshal([]byte(until(t, asked, "elicitation/create").data), &q); err != nil {
		t.Fatal(err)
	}
	if code, body := p.send(t, p.b, "dev", session, `{"jsonrpc":"2.0","id":"`+q.ID+`","result":{"action":"decline"}}`); code != http.StatusAccepted {
		t.Fatalf("%d %s", code, body)
	}
	until(t, asked, `answered {\"action\":\"decline\"}`)

	working := p.stream(t, p.a, http.MethodPost, h(), call("2", "work"))
	first := until(t, working, "")
	next(t, p.started)
	from := h()
	from.Set("Last-Event-Id", first.id)
	rest := p.stream(t, p.b, http.MethodGet, from, "")
	until(t, rest, "notifications/progress")
	p.release <- struct{}{}
	until(t, rest, "worked")

	p.stream(t, p.a, http.MethodPost, h(), call("3", "work"))
	next(t, p.started)
	if code, body := p.send(t, p.b, "dev", session, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}`); code != http.StatusAccepted {
		t.Fatalf("%d %s", code, body)
	}
	next(t, p.ended)

	p.stream(t, p.a, http.MethodPost, h(), call("4", "work"))
	next(t, p.started)
	if code, body := p.b.send(t, "", http.MethodDelete, "/mcp", h(), ""); code != http.StatusNoContent {
		t.Fatalf("%d %s", code, body)
	}
	next(t, p.ended)
	poll(t, func() bool {
		code, _ := p.send(t, p.a, "dev", session, `{"jsonrpc":"2.0","id":5,"method":"tools/list"}`)
		return code == http.StatusNotFound
	})
}

// TestClusterModern: the answer to a call that waits on one node is brought to
// the other, and to it when the first has ended.
func TestClusterModern(t *testing.T) {
	p := twoNodes(t)
	ask := func(node *rig, more string) (state, body string) {
		_, body = p.modern(t, node, "dev", "tools/call", "x.ask", `"name":"x.ask"`+more)
		var res struct {
			Result struct {
				State string `json:"requestState"`
			} `json:"result"`
		}
		if err := json.Unmarshal([]byte(body), &res); err != nil {
			t.Fatal(body)
		}
		return res.Result.State, body
	}
	state, _ := ask(p.a, "")
	back := `,"inputResponses":{"q1":{"action":"decline"}},"requestState":"`
	if _, body := ask(p.b, back+state+`"`); !strings.Contains(body, `answered {\"action\":\"decline\"}`) {
		t.Fatal(body)
	}
	state, _ = ask(p.a, "")
	p.a.stop()
	if _, body := ask(p.b, back+state+`"`); !strings.Contains(body, "UNAVAILABLE") || !strings.Contains(body, "begin again") {
		t.Fatal(body)
	}
}

// TestClusterTasks: a task that runs on one node is looked at, answered, stopped
// and listened to through the other, and has failed when its node has ended.
func TestClusterTasks(t *testing.T) {
	p := twoNodes(t)
	begin := func(tool string) string {
		_, body := p.modern(t, p.a, "dev", "tools/call", "x."+tool, `"name":"x.`+tool+`"`)
		var res struct{ Result taskResult }
		if err := json.Unmarshal([]byte(body), &res); err != nil || res.Result.Type != "task" {
			t.Fatal(body)
		}
		return res.Result.ID
	}

	asking := begin("asking_task")
	h := p.headers(t, "dev", "")
	h.Set("MCP-Protocol-Version", "2026-07-28")
	h.Set("Mcp-Method", "subscriptions/listen")
	events := p.stream(t, p.b, http.MethodPost, h, `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"taskIds":["`+asking+
		`"]},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}}}`)
	until(t, events, `"status":"input_required"`)
	if got := p.about(t, p.b, "dev", "get", asking, ""); got.Status != "input_required" {
		t.Errorf("%+v", got)
	}
	answer := `,"inputResponses":{"q1":{"action":"decline"}}`
	for _, verb := range []string{"get", "update", "cancel"} {
		if got := p.about(t, p.b, "admin", verb, asking, answer); got.refused != -32602 {
			t.Errorf("another principal's %s: %+v", verb, got)
		}
	}
	if got := p.about(t, p.b, "dev", "update", asking, answer); got.Type != "complete" {
		t.Errorf("%+v", got)
	}
	poll(t, func() bool { return p.about(t, p.b, "dev", "get", asking, "").Status == "completed" })
	until(t, events, `"status":"completed"`)

	working := begin("task")
	next(t, p.started)
	if got := p.about(t, p.b, "dev", "cancel", working, ""); got.Type != "complete" {
		t.Errorf("%+v", got)
	}
	next(t, p.ended)
	if got := p.about(t, p.b, "dev", "get", working, ""); got.Status != "cancelled" {
		t.Errorf("%+v", got)
	}
	if got := p.about(t, p.b, "dev", "cancel", working, ""); got.Type != "complete" {
		t.Errorf("%+v", got)
	}

	lost := begin("task")
	next(t, p.started)
	p.a.stop()
	poll(t, func() bool { return p.about(t, p.b, "dev", "get", lost, "").Status == "failed" })
	if got := p.about(t, p.b, "dev", "get", lost, ""); !strings.Contains(string(got.Error), "restarted") {
		t.Errorf("%s", got.Error)
	}
}

// TestClusterTaskOfSource: a task that a source makes goes on there when the node
// that follows it dies. The other node takes it up.
func TestClusterTaskOfSource(t *testing.T) {
	url := shared(t)
	begun, end := make(chan string, 4), make(chan struct{})
	source := func() gateway.Upstream {
		f := &gateway.Funcs{}
		def := `{"name":"far","description":"Runs elsewhere.","inputSchema":{"type":"object"},"execution":{"taskSupport":"required"}}`
		if err := f.AddTool(json.RawMessage(def), func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
			if call.Rejoin == nil {
				call.Began(json.RawMessage(`{"task":"far away"}`))
				begun <- "new"
			} else {
				begun <- string(call.Rejoin)
			}
			select {
			case <-end:
				return gateway.TextResult("from afar, for " + call.Principal.Name), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}); err != nil {
			t.Fatal(err)
		}
		return f
	}
	policy := withPolicy(t, "p, role:dev, *, **, *, allow\np, role:admin, *, **, *, allow\np, role:admin, *, admin/**, *, allow\n")
	edit := func(cfg *config.Config) {
		policy(cfg)
		cfg.State.NATSURL = url
	}
	p := &nodePair{}
	p.a = start(t, map[string]gateway.Upstream{"x": source()}, edit)
	p.b = start(t, map[string]gateway.Upstream{"x": source()}, func(cfg *config.Config) {
		edit(cfg)
		cfg.Auth.Issuers = []config.Issuer{{Name: "a", Issuer: p.a.URL() + "/dev/issuer", Audiences: []string{p.a.URL()}, RequireTyp: true}}
	})
	poll(t, func() bool { // b may still be looking for the issuer's keys.
		code, _ := p.modern(t, p.b, "dev", "tools/list", "", `"cursor":null`)
		return code == http.StatusOK
	})
	_, body := p.modern(t, p.a, "dev", "tools/call", "x.far", `"name":"x.far"`)
	var res struct{ Result taskResult }
	if err := json.Unmarshal([]byte(body), &res); err != nil || res.Result.Type != "task" {
		t.Fatal(body)
	}
	if how := next(t, begun); how != "new" {
		t.Error(how)
	}
	p.a.stop()
	if got := p.about(t, p.b, "admin", "get", res.Result.ID, ""); got.refused != -32602 {
		t.Errorf("another principal's task: %+v", got)
	}
	if got := p.about(t, p.b, "dev", "get", res.Result.ID, ""); got.Status != "working" {
		t.Errorf("%+v %s", got, got.Error)
	}
	if how := next(t, begun); how != `{"task":"far away"}` {
		t.Error(how)
	}
	close(end)
	poll(t, func() bool { return p.about(t, p.b, "dev", "get", res.Result.ID, "").Status == "completed" })
	if got := p.about(t, p.b, "dev", "get", res.Result.ID, ""); !strings.Contains(string(got.Result), "from afar") {
		t.Errorf("%s", got.Result)
	}
	if len(begun) > 0 {
		t.Error("it was begun again")
	}
}
