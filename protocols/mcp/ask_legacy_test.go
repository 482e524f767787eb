package mcp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// open begins a legacy session of a client with capabilities.
func open(t testing.TB, srv *httptest.Server, who, rev, capabilities string) http.Header {
	t.Helper()
	h := http.Header{"Test-Principal": {who}}
	s := openTap(t, srv, "POST", h, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"`+rev+`","capabilities":`+capabilities+`,"clientInfo":{"name":"t","version":"1"}}}`)
	h.Set("Mcp-Session-Id", s.res.Header.Get("Mcp-Session-Id"))
	h.Set("Mcp-Protocol-Version", rev)
	return h
}

func callOf(tool string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `","arguments":{}}}`
}

// withID gives a request another id: those of a session must differ.
func withID(id int, request string) string {
	return strings.Replace(request, `"id":1`, fmt.Sprintf(`"id":%d`, id), 1)
}

// question reads a request to the client and returns its id.
func (tp *tap) question(method string) string {
	tp.t.Helper()
	var q struct {
		ID     string
		Method string
		Params json.RawMessage
	}
	event := tp.next()
	if err := json.Unmarshal([]byte(event), &q); err != nil || q.Method != method || len(q.ID) < 20 || q.Params == nil {
		tp.t.Fatalf("%v: no question in %s", err, event)
	}
	return q.ID
}

func answerTo(id string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"result":%s}`, id, accepted)
}

func accept(t testing.TB, srv *httptest.Server, h http.Header, body string) {
	t.Helper()
	if status, text := post(t, srv, h, body); status != http.StatusAccepted || text != "" {
		t.Errorf("%s: %d %s", body, status, text)
	}
}

// TestForeignAnswers answers questions that were put to another.
func TestForeignAnswers(t *testing.T) {
	f, ended := newAsking(t, mcp.FrontendOptions{})
	srv := f.serve(t)
	alice := open(t, srv, "alice", "2025-11-25", `{"elicitation":{}}`)
	bob := open(t, srv, "bob", "2025-11-25", `{"elicitation":{}}`)
	elsewhere := open(t, srv, "alice", "2025-11-25", `{"elicitation":{}}`)
	call := openTap(t, srv, "POST", alice, callOf("ask"))
	id := call.question("elicitation/create")

	stolen := alice.Clone()
	stolen.Set("Test-Principal", "bob")
	if status, _ := post(t, srv, stolen, answerTo(id)); status != http.StatusNotFound {
		t.Errorf("bob with alice's session: %d", status)
	}
	accept(t, srv, bob, answerTo(id))
	accept(t, srv, elsewhere, answerTo(id))
	accept(t, srv, alice, answerTo("0"))
	accept(t, srv, alice, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	select {
	case err := <-ended:
		t.Fatalf("an answer was taken: %v", err)
	default:
	}
	accept(t, srv, alice, answerTo(id))
	second := call.question("elicitation/create")
	accept(t, srv, alice, answerTo(id)) // once more, too late
	accept(t, srv, alice, answerTo(second))
	if got := call.next(); !strings.Contains(got, "got Ann Ann") {
		t.Errorf("got %s", got)
	}
}

func TestLegacyClientRefuses(t *testing.T) {
	f, _ := newAsking(t, mcp.FrontendOptions{})
	srv := f.serve(t)
	h := open(t, srv, "alice", "2025-11-25", `{"elicitation":{}}`)
	for i, tt := range []struct{ answer, want string }{
		{`"error":{"code":-1,"message":"not now"}`, `"code":-32000,"message":"the client refused to answer: not now"`},
		{`"result":{"action":"shout"}`, `"code":-32602,"message":"the client's answer does not fit the question"`},
		{`"result":[]`, `"code":-32602`},
	} {
		call := openTap(t, srv, "POST", h, withID(i+1, callOf("input")))
		id := call.question("elicitation/create")
		accept(t, srv, h, `{"jsonrpc":"2.0","id":"`+id+`",`+tt.answer+`}`)
		if got := call.next(); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s", tt.answer, got)
		}
	}
}

func TestLegacyClientDoesNotAnswer(t *testing.T) {
	f, _ := newAsking(t, mcp.FrontendOptions{AnswerTimeout: 100 * time.Millisecond, KeepAlive: 5 * time.Millisecond})
	srv := f.serve(t)
	h := open(t, srv, "alice", "2025-06-18", `{"elicitation":{}}`)
	call := openTap(t, srv, "POST", h, callOf("ask"))
	id := call.question("elicitation/create")
	receive(t, call.beat)
	if got := call.next(); got != `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"`+id+`"}}` {
		t.Errorf("got %s", got)
	}
	if got := call.next(); !strings.Contains(got, `"DEADLINE_EXCEEDED"`) {
		t.Errorf("got %s", got)
	}
}

// TestEndOfSessionEndsQuestions ends a session and cancels a call while the
// client is being asked.
func TestEndOfSessionEndsQuestions(t *testing.T) {
	f, ended := newAsking(t, mcp.FrontendOptions{})
	srv := f.serve(t)
	h := open(t, srv, "alice", "2025-11-25", `{"elicitation":{}}`)
	call := openTap(t, srv, "POST", h, callOf("ask"))
	call.question("elicitation/create")
	accept(t, srv, h, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	if err := receive(t, ended); err == nil {
		t.Error("the cancelled call went on")
	}
	call = openTap(t, srv, "POST", h, withID(2, callOf("ask")))
	call.question("elicitation/create")
	if end := openTap(t, srv, "DELETE", h, ""); end.res.StatusCode != http.StatusNoContent {
		t.Errorf("DELETE: %d", end.res.StatusCode)
	}
	if err := receive(t, ended); err == nil {
		t.Error("the call of the ended session went on")
	}
}

func TestTooManyLegacyQuestions(t *testing.T) {
	f, _ := newAsking(t, mcp.FrontendOptions{QuestionsPerPrincipal: 2})
	srv := f.serve(t)
	for i := range 3 {
		h := open(t, srv, "alice", "2025-11-25", `{"elicitation":{}}`)
		if i < 2 {
			openTap(t, srv, "POST", h, callOf("ask")).question("elicitation/create")
		} else if status, text := post(t, srv, h, callOf("ask")); status != http.StatusOK || !strings.Contains(text, "RESOURCE_EXHAUSTED") {
			t.Errorf("one too many: %d %s", status, text)
		}
	}
}

func TestLegacyClientLacksCapability(t *testing.T) {
	f, _ := newAsking(t, mcp.FrontendOptions{})
	srv := f.serve(t)
	for _, tt := range []struct{ rev, declared, tool, needs string }{
		{"2025-11-25", `{}`, "ask", `{"elicitation":{}}`},
		{"2025-11-25", `{}`, "input", `{"elicitation":{}}`},
		{"2025-11-25", `{"sampling":{}}`, "input", `{"elicitation":{}}`},
		{"2025-11-25", `{"elicitation":{"form":{}}}`, "visit", `{"elicitation":{"url":{}}}`},
		{"2025-06-18", `{"elicitation":{"form":{},"url":{}}}`, "visit", `{"elicitation":{"url":{}}}`},
		{"2025-03-26", `{"elicitation":{}}`, "ask", `{"elicitation":{}}`},
		{"2025-03-26", `{"roots":{}}`, "sample", `{"sampling":{}}`},
	} {
		status, text := post(t, srv, open(t, srv, "alice", tt.rev, tt.declared), callOf(tt.tool))
		if status != http.StatusOK || !strings.Contains(text, `"code":-32000`) || !strings.Contains(text, `"requiredCapabilities":`+tt.needs) {
			t.Errorf("%s %s with %s: %d %s", tt.rev, tt.tool, tt.declared, status, text)
		}
	}
}

// TestVisits holds that a visit to a URL gets the id that its revision requires.
func TestVisits(t *testing.T) {
	f, _ := newAsking(t, mcp.FrontendOptions{})
	srv := f.serve(t)
	h := open(t, srv, "alice", "2025-11-25", `{"elicitation":{"url":{}}}`)
	call := openTap(t, srv, "POST", h, callOf("visit"))
	var q struct {
		ID     string
		Params struct{ Mode, URL, ElicitationID string }
	}
	if err := json.Unmarshal([]byte(call.next()), &q); err != nil || q.Params.Mode != "url" || q.Params.ElicitationID == "" || q.Params.URL == "" {
		t.Fatalf("%v: %+v", err, q)
	}
	accept(t, srv, h, `{"jsonrpc":"2.0","id":"`+q.ID+`","result":{"action":"accept"}}`)
	if got := call.next(); !strings.Contains(got, `{\"action\":\"accept\"}`) {
		t.Errorf("got %s", got)
	}
}

// TestPipeEndsWhileAsking closes the input while the client is being asked, in
// both eras.
func TestPipeEndsWhileAsking(t *testing.T) {
	f, ended := newAsking(t, mcp.FrontendOptions{})
	l := dial(t, f, "alice")
	l.send(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}}}}`)
	l.wantIn(`"protocolVersion":"2025-11-25"`)
	l.send(callOf("ask"))
	l.wantIn(`"method":"elicitation/create"`)
	l.send(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"ask",` + allMeta + `}}`)
	l.wantIn(`"resultType":"input_required"`)
	l.in.Close()
	l.wantIn(`the client can no longer be asked`)
	if err := receive(t, l.done); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := receive(t, ended); err == nil {
			t.Error("a call went on")
		}
	}
}
