package mcp_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// TestAnswerThroughAnotherNode answers each kind of question of a legacy call
// through the node that does not run it.
func TestAnswerThroughAnotherNode(t *testing.T) {
	a, b, _ := pair(t)
	srvA, srvB := a.serve(t), b.serve(t)
	h := open(t, srvA, "alice", "2025-11-25", `{"elicitation":{},"sampling":{},"roots":{}}`)
	for i, tt := range []struct{ tool, method, answer, want string }{
		{"ask", "elicitation/create", accepted, "got Ann"},
		{"sample", "sampling/createMessage", `{"role":"assistant","content":{"type":"text","text":"Bern"},"model":"m"}`, "Bern"},
		{"roots", "roots/list", `{"roots":[{"uri":"file:///home"}]}`, "file:///home"},
	} {
		call := openTap(t, srvA, "POST", h, withID(i+1, callOf(tt.tool)))
		id := call.question(tt.method)
		body := `{"jsonrpc":"2.0","id":"` + id + `","result":` + tt.answer + `}`
		// Neither another session nor another principal can answer there either.
		accept(t, srvB, open(t, srvB, "alice", "2025-11-25", `{}`), body)
		accept(t, srvB, open(t, srvB, "bob", "2025-11-25", `{}`), body)
		accept(t, srvB, h, answerTo(id[:len(id)-2]+"AA"))
		accept(t, srvB, h, body)
		got := call.next()
		if tt.tool == "ask" {
			accept(t, srvB, h, body) // Once more, too late.
			second := questionIn(t, got)
			accept(t, srvB, h, answerTo(second))
			got = call.next()
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %s", tt.tool, got)
		}
	}
}

// TestSessionEndsEverywhere cancels a call and ends a session through the node
// that has nothing to do with it. A call that has let its connection go ends with
// the session too.
func TestSessionEndsEverywhere(t *testing.T) {
	t.Parallel() // It waits most of the time.
	a, b, _ := pair(t)
	srvA, srvB := a.serve(t), b.serve(t)
	h := open(t, srvA, "alice", "2025-11-25", `{}`)
	openTap(t, srvA, "POST", h, callOf("hang"))
	receive(t, a.started)
	accept(t, srvB, h, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	if err := receive(t, a.ended); err == nil {
		t.Error("the cancelled call ended by itself")
	}
	call := openTap(t, srvA, "POST", h, withID(2, callOf("hang")))
	receive(t, a.started)
	call.close() // From now on the call runs on its own.
	if end := openTap(t, srvB, "DELETE", h, ""); end.res.StatusCode != http.StatusNoContent {
		t.Fatalf("DELETE: %d", end.res.StatusCode)
	}
	if err := receive(t, a.ended); err == nil {
		t.Error("the call of the ended session ended by itself")
	}
	for name, srv := range map[string]*httptest.Server{"a": srvA, "b": srvB} {
		if status, _ := post(t, srv, h, request("tools/list", `{}`)); status != http.StatusNotFound {
			t.Errorf("%s still knows the session: %d", name, status)
		}
	}
}

// TestDeleteEndsDetachedCalls: on one node too.
func TestDeleteEndsDetachedCalls(t *testing.T) {
	t.Parallel() // It waits most of the time.
	f, _ := newAsking(t, mcp.FrontendOptions{})
	srv := f.serve(t)
	h := open(t, srv, "alice", "2025-11-25", `{}`)
	other := open(t, srv, "alice", "2025-11-25", `{}`)
	call := openTap(t, srv, "POST", h, callOf("hang"))
	receive(t, f.started)
	stays := openTap(t, srv, "POST", other, callOf("hang"))
	receive(t, f.started)
	call.close()
	openTap(t, srv, "DELETE", h, "")
	if err := receive(t, f.ended); err == nil || !strings.Contains(err.Error(), "ended the session") {
		t.Errorf("ended with %v", err)
	}
	select {
	case err := <-f.ended:
		t.Errorf("another session's call ended with %v", err)
	default:
	}
	stays.close()
}

// TestStreamGoesOnAtAnotherNode resumes the stream of a call on the other node,
// and then loses the first one.
func TestStreamGoesOnAtAnotherNode(t *testing.T) {
	a, b, m := pair(t)
	answer := patient(t, a, false)
	srvA, srvB := a.serve(t), b.serve(t)
	h := open(t, srvA, "alice", "2025-11-25", `{}`)
	_, events := openEvents(t, srvA, "POST", "", h, patientCall)
	first := receive(t, events)
	if e := receive(t, events); e.data != progressed("1") {
		t.Fatalf("%+v", e)
	}
	_, rest := openEvents(t, srvB, "GET", "", from(h, first.id), "")
	if e := receive(t, rest); e.data != progressed("1") {
		t.Fatalf("%+v", e)
	}
	ended(t, events) // The client has one stream, the latest.
	answer <- "done"
	if e := receive(t, rest); e.data != progressed("2") {
		t.Fatalf("%+v", e)
	}
	if e := receive(t, rest); e.data != patientAnswer {
		t.Fatalf("%+v", e)
	}
	ended(t, rest)

	_, events = openEvents(t, srvA, "POST", "", h, withID(2, patientCall))
	first = receive(t, events)
	_, rest = openEvents(t, srvB, "GET", "", from(h, first.id), "")
	if e := receive(t, rest); e.data != progressed("1") {
		t.Fatalf("%+v", e)
	}
	m.kill("a")
	if e := receive(t, rest); !strings.HasPrefix(e.data, `{"jsonrpc":"2.0","id":2,"error":{"code":-32000`) || !strings.Contains(e.data, "UNAVAILABLE") {
		t.Fatalf("%+v", e)
	}
	ended(t, rest)
	_, again := openEvents(t, srvB, "GET", "", from(h, first.id), "")
	receive(t, again)
	if e := receive(t, again); !strings.Contains(e.data, "UNAVAILABLE") {
		t.Fatalf("%+v", e)
	}
	answer <- "for nobody"
}

// TestStandaloneStreamMoves: a session has one stream of its own, wherever.
func TestStandaloneStreamMoves(t *testing.T) {
	a, b, _ := pair(t)
	srvA, srvB := a.serve(t), b.serve(t)
	h := open(t, srvA, "alice", "2025-11-25", `{}`)
	_, atA := openEvents(t, srvA, "GET", "", h, "")
	first := receive(t, atA)
	_, atB := openEvents(t, srvB, "GET", "", from(h, first.id), "")
	ended(t, atA)
	b.addTool(t, "new")
	for e := receive(t, atB); !strings.Contains(e.data, "list_changed"); e = receive(t, atB) {
		if e == (sse{}) {
			t.Fatal("the stream has ended")
		}
	}
}

// TestSettingsOfSessionMove: what a session sets at one node holds at the other,
// where its stream is, or comes to be.
func TestSettingsOfSessionMove(t *testing.T) {
	a, b, _ := pairWith(t, time.Minute)
	srvA, srvB := a.serve(t), b.serve(t)
	h := open(t, srvA, "alice", "2025-11-25", `{}`)
	ok := func(srv *httptest.Server, id int, method, params string) {
		t.Helper()
		if status, body := post(t, srv, h, withID(id, request(method, params))); status != http.StatusOK || strings.Contains(body, `"error"`) {
			t.Fatalf("%s: %d %s", method, status, body)
		}
	}
	updates := func(events <-chan sse, uri string) {
		t.Helper()
		for e := receive(t, events); !strings.Contains(e.data, "resources/updated") || !strings.Contains(e.data, uri); e = receive(t, events) {
			if e == (sse{}) {
				t.Fatal("the stream has ended")
			}
		}
	}
	ok(srvA, 1, "resources/subscribe", `{"uri":"test://text"}`)
	if uri := receive(t, a.followed); uri != "test://text" {
		t.Fatal(uri)
	}
	_, events := openEvents(t, srvB, "GET", "", h, "")
	if uri := receive(t, b.followed); uri != "test://text" {
		t.Fatal(uri)
	}
	b.funcs.Updated("test://text")
	updates(events, "test://text")

	ok(srvA, 2, "resources/subscribe", `{"uri":"test://hinted"}`)
	if uri := receive(t, b.followed); uri != "test://hinted" {
		t.Fatal(uri)
	}
	b.funcs.Updated("test://hinted")
	updates(events, "test://hinted")
	ok(srvA, 3, "resources/unsubscribe", `{"uri":"test://text"}`)
	if uri := receive(t, b.released); uri != "test://text" {
		t.Fatal(uri)
	}

	ok(srvA, 4, "logging/setLevel", `{"level":"debug"}`)
	call := openTap(t, srvB, "POST", h, withID(5, callOf("report")))
	if got := call.next(); !strings.Contains(got, `"level":"debug"`) {
		t.Errorf("at the node that has the stream: %s", got)
	}
	other := open(t, srvA, "alice", "2025-11-25", `{}`)
	h = other
	ok(srvA, 1, "logging/setLevel", `{"level":"error"}`)
	if status, body := post(t, srvB, other, withID(2, callOf("report"))); status != http.StatusOK || strings.Contains(body, "notifications/message") {
		t.Errorf("at a node that holds nothing of the session: %s", body)
	}
}
