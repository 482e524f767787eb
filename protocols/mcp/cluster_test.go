package mcp_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// A mesh joins frontends as nodes of one cluster. What is told is heard at once.
type mesh struct {
	mu    sync.Mutex
	nodes map[string]*mcp.Frontend
	cut   bool // no request arrives
}

// A meshNode is the cluster as one node sees it.
type meshNode struct {
	m    *mesh
	name string
}

func (n meshNode) Node() string { return n.name }

func (n meshNode) Request(ctx context.Context, node string, _ bool, data []byte) ([]byte, error) {
	n.m.mu.Lock()
	f, cut := n.m.nodes[node], n.m.cut
	n.m.mu.Unlock()
	switch {
	case cut:
		<-ctx.Done()
		return nil, ctx.Err()
	case f == nil:
		return nil, fmt.Errorf("%w: %s", mcp.ErrNodeGone, node)
	}
	return f.Answer(ctx, data)
}

func (n meshNode) Tell(_ context.Context, _ bool, data []byte) error {
	n.m.mu.Lock()
	defer n.m.mu.Unlock()
	for _, f := range n.m.nodes {
		f.Hear(data)
	}
	return nil
}

// kill ends a node for the others, which cannot reach it any more.
func (m *mesh) kill(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.nodes, name)
}

// pair returns two nodes of one cluster, "a" and "b", that share what nodes
// share, and have the tools of newAsking.
func pair(t testing.TB) (a, b *fixture, m *mesh) {
	t.Helper()
	return pairWith(t, 50*time.Millisecond)
}

// pairWith is pair with a time after which quiet streams are looked after.
func pairWith(t testing.TB, keepAlive time.Duration) (a, b *fixture, m *mesh) {
	t.Helper()
	m = &mesh{nodes: map[string]*mcp.Frontend{}}
	events := new(mcp.MemoryEvents)
	node := func(name string) *fixture {
		f, _ := newAsking(t, mcp.FrontendOptions{
			SessionKey: [32]byte{7}, Events: events, Cluster: meshNode{m, name}, KeepAlive: keepAlive,
		})
		m.mu.Lock()
		defer m.mu.Unlock()
		m.nodes[name] = f.frontend
		return f
	}
	return node("a"), node("b"), m
}

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

// questionIn returns the id of the question that an event is.
func questionIn(t testing.TB, event string) string {
	t.Helper()
	tp := &tap{t: t, data: make(chan string, 1)}
	tp.data <- event
	return tp.question("elicitation/create")
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

// TestSuspendedCallGoesOnThroughAnotherNode answers the questions of a modern
// call through either node, with the reports that it makes meanwhile.
func TestSuspendedCallGoesOnThroughAnotherNode(t *testing.T) {
	a, b, m := pair(t)
	err := a.funcs.AddTool([]byte(`{"name":"reports","description":"Asks.","inputSchema":{"type":"object"}}`),
		func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
			if _, err := call.Ask(ctx, elicitation()); err != nil {
				return nil, err
			}
			if call.Progress != nil {
				call.Progress(gateway.Progress{Progress: "1"})
			}
			return gateway.TextResult("reported"), nil
		})
	if err != nil {
		t.Fatal(err)
	}
	a.publish(t)

	got := a.ask(t.Context(), t, "alice", "ask", `{}`, ``)
	state := got.wantInput(t, "q1")
	got = b.ask(t.Context(), t, "bob", "ask", `{}`, back(state, "q1", accepted))
	got.wantError(t, "another principal", -32602)
	got = b.ask(t.Context(), t, "alice", "ask", `{}`, back(state, "q1", `{"action":"shout"}`))
	state = got.wantInput(t, "q1")
	got = b.ask(t.Context(), t, "alice", "ask", `{}`, back(state, "q1", accepted))
	second := got.wantInput(t, "q2")
	got = b.ask(t.Context(), t, "alice", "ask", `{}`, back(state, "q1", accepted))
	got.wantError(t, "an answered question", -32602)
	got = a.ask(t.Context(), t, "alice", "ask", `{}`, back(second, "q2", accepted))
	got.wantText(t, `got Ann Ann with {}`)

	got = a.ask(t.Context(), t, "alice", "ask", `{}`, ``)
	state = got.wantInput(t, "q1")
	got = b.ask(t.Context(), t, "alice", "ask", `{}`, back(state, "q1", `{"action":"decline"}`))
	second = got.wantInput(t, "q2")
	got = b.ask(t.Context(), t, "alice", "ask", `{}`, back(second, "q2", accepted))
	got.wantText(t, `got  Ann with {}`)

	srvB := b.serve(t)
	meta := strings.Replace(allMeta, `"_meta":{`, `"_meta":{"progressToken":7,`, 1)
	got = a.askRaw(t.Context(), t, "alice", "reports",
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"reports","arguments":{},`+meta+`}}`)
	state = got.wantInput(t, "q1")
	stream := openTap(t, srvB, "POST", modern("tools/call", "reports", "alice"),
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"reports","arguments":{}`+back(state, "q1", accepted)+`,`+meta+`}}`)
	stream.want(progressed("1"))
	if end := stream.next(); !strings.Contains(end, "reported") {
		t.Errorf("got %s", end)
	}

	got = a.ask(t.Context(), t, "alice", "ask", `{}`, ``)
	state = got.wantInput(t, "q1")
	m.kill("a")
	got = b.ask(t.Context(), t, "alice", "ask", `{}`, back(state, "q1", accepted))
	got.wantError(t, "a node that has ended", -32000)
	if !strings.Contains(got.body, "UNAVAILABLE") {
		t.Error(got.body)
	}
}

// TestLeavingCancelsAtAnotherNode: a client that goes away from one node ends
// its call on the other; and so does a node that falls silent.
func TestLeavingCancelsAtAnotherNode(t *testing.T) {
	for _, how := range []string{"the client leaves", "the node falls silent"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b, m := pairWith(t, time.Hour)
				got := a.ask(t.Context(), t, "alice", "waits", `{}`, ``)
				state := got.wantInput(t, "q1")
				ctx, leave := context.WithCancel(t.Context())
				answered := make(chan struct{})
				go func() {
					defer close(answered)
					b.ask(ctx, t, "alice", "waits", `{}`, back(state, "q1", accepted))
				}()
				<-a.started
				<-time.After(25 * time.Second) // It goes on for as long as it is asked for.
				select {
				case err := <-a.ended:
					t.Fatalf("the call ended with %v", err)
				default:
				}
				if how == "the node falls silent" {
					m.mu.Lock()
					m.cut = true
					m.mu.Unlock()
				}
				if how == "the client leaves" {
					leave()
				}
				if err := <-a.ended; err == nil {
					t.Error("the call ended by itself")
				}
				leave()
				<-answered
			})
		})
	}
}

// TestMessagesThroughAnotherNode posts messages of an HTTP+SSE session to the
// node that does not have its stream.
func TestMessagesThroughAnotherNode(t *testing.T) {
	a, b, m := pair(t)
	srvA, srvB := a.serveSSE(t), b.serveSSE(t)
	_, events, endpoint := dialSSE(t, srvA, "bob")
	if status := postTo(t, srvB, endpoint, "bob", request("initialize", `{"protocolVersion":"2024-11-05","capabilities":{}}`)); status != 202 {
		t.Fatal(status)
	}
	if e := receive(t, events); !strings.Contains(e.data, `"protocolVersion":"2024-11-05"`) {
		t.Fatalf("%+v", e)
	}
	node := endpoint[strings.Index(endpoint, "&node="):]
	for name, tt := range map[string]struct{ endpoint, who string }{
		"another principal": {endpoint, "alice"},
		"no node":           {strings.TrimSuffix(endpoint, node), "bob"},
		"a forged node":     {endpoint[:len(endpoint)-4] + "AAAA", "bob"},
		"an endless node":   {endpoint + strings.Repeat("A", 4096), "bob"},
	} {
		if status := postTo(t, srvB, tt.endpoint, tt.who, request("ping", `{}`)); status != 404 {
			t.Errorf("%s: %d", name, status)
		}
	}
	m.kill("a")
	if status := postTo(t, srvB, endpoint, "bob", request("ping", `{}`)); status != 404 {
		t.Errorf("a node that has ended: %d", status)
	}
}

// TestTaskOfNodeThatDied: who cancels or answers a task whose node has gone
// learns at once that it has failed. Who looks does when the node has been silent
// for longer than it ever is: one that still writes runs the task.
func TestTaskOfNodeThatDied(t *testing.T) {
	for _, verb := range []string{"cancel", "update", "get"} {
		t.Run(verb, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &mesh{nodes: map[string]*mcp.Frontend{}}
				store := &testStore{records: map[string][]byte{}}
				node := func(name string) *taskRig {
					r := newTaskRigWith(t, mcp.FrontendOptions{
						Cluster: meshNode{m, name}, Tasks: mcp.TaskOptions{Store: store, Node: name},
					})
					m.nodes[name] = r.frontend
					return r
				}
				a, b := node("a"), node("b")
				id := a.begin(t, "job")
				b.wantStatus(t, id, "working")
				m.kill("a")
				if verb == "get" {
					<-time.After(5 * time.Second)
					b.wantStatus(t, id, "working")
				} else if got := b.about(t, "alice", verb, id, `,"inputResponses":{}`); got.Result.Type != "complete" {
					t.Error(got.body)
				} else {
					b.wantStatus(t, id, "failed")
				}
				a.release <- struct{}{}
			})
		})
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
