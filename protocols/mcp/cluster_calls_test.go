package mcp_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

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
