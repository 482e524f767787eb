package mcp_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// taskNode is a frontend over a server with a task, one of those that share a
// store.
func taskNode(t *testing.T, s *taskServer, store *testStore, name string) *taskRig {
	t.Helper()
	r := newTaskRigWith(t, mcp.FrontendOptions{
		SessionKey: [32]byte{9}, Tasks: mcp.TaskOptions{Store: store, Node: name, After: 50 * time.Millisecond},
	})
	u := openUpstream(t, mcp.UpstreamOptions{URL: s.url()})
	if err := r.registry.Attach("up", u, firstCatalog(t, u), gateway.Options{}); err != nil {
		t.Fatal(err)
	}
	return r
}

// wantTask waits until a task has a status and returns it.
func wantTask(t *testing.T, r *taskRig, id, status string) (got taskReply) {
	t.Helper()
	eventually(t, func() bool {
		got = r.about(t, "alice", "get", id, "")
		return got.Result.Status == status
	})
	return got
}

// TestTaskOfUpstream: a client with the extension gets a task of the gateway's
// own that stands for the server's: its status, its questions, its result, its
// end.
func TestTaskOfUpstream(t *testing.T) {
	for name, legacy := range map[string]bool{"2025-11-25": true, "2026-07-28": false} {
		t.Run(name, func(t *testing.T) {
			s := newTaskServer(t, legacy)
			r := taskNode(t, s, &testStore{records: map[string][]byte{}}, "a")
			id := r.begin(t, "x")
			if id == "theirs" {
				t.Error("the client got the server's id")
			}
			s.set(func() { s.message = "half way" })
			eventually(t, func() bool { return r.about(t, "alice", "get", id, "").Result.Message == "half way" })
			s.set(func() {
				s.status = "input_required"
				s.more = `,"inputRequests":{"who":{"method":"elicitation/create","params":{"message":"Who?"}}}`
				s.asks = `{"jsonrpc":"2.0","id":"s1","method":"elicitation/create","params":{"message":"Who?"}}`
			})
			wantTask(t, r, id, "input_required")
			r.about(t, "alice", "update", id, `,"inputResponses":{"q1":`+accepted+`}`)
			eventually(t, func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return len(s.answers) == 1
			})
			s.set(func() { s.status = "completed" })
			if got := wantTask(t, r, id, "completed"); string(got.Result.Result) != exact {
				t.Errorf("%s", got.body)
			}

			s.set(func() { s.status, s.message, s.more = "working", "", "" })
			id = r.begin(t, "x")
			r.about(t, "alice", "cancel", id, "")
			wantTask(t, r, id, "cancelled")
			eventually(t, func() bool { return s.seen("tasks/cancel") == 1 })
		})
	}
}

// TestTaskOfUpstreamSurvives: a task goes on at the server while the gateway is
// restarted, and then for its own principal alone, whether the gateway had time
// to say goodbye or not.
func TestTaskOfUpstreamSurvives(t *testing.T) {
	for name, legacy := range map[string]bool{"2025-11-25": true, "2026-07-28": false} {
		t.Run(name, func(t *testing.T) {
			s := newTaskServer(t, legacy)
			store := &testStore{records: map[string][]byte{}}
			dying := &testStore{next: store}
			one := taskNode(t, s, dying, "a")
			id := one.begin(t, "x")
			for _, record := range store.all() {
				if strings.Contains(record, "theirs") {
					t.Errorf("the store tells the server's id: %s", record)
				}
			}
			one.frontend.Close()
			if s.seen("tasks/cancel") > 0 {
				t.Fatal("the server's task was cancelled")
			}
			again := taskNode(t, s, store, "a")
			wantTask(t, again, id, "working")
			again.frontend.Close() // Once more.
			if s.seen("tasks/cancel") > 0 {
				t.Fatal("the server's task was cancelled")
			}
			two := taskNode(t, s, store, "a")
			if got := two.about(t, "bob", "get", id, ""); got.Error.Code != -32602 {
				t.Errorf("another principal: %s", got.body)
			}
			wantTask(t, two, id, "working")
			s.set(func() { s.status = "completed" })
			if got := wantTask(t, two, id, "completed"); string(got.Result.Result) != exact {
				t.Errorf("%s", got.body)
			}
			if n := s.seen("tools/call"); n != 1 {
				t.Errorf("%d calls", n)
			}

			s.set(func() { s.status = "working" })
			id = two.begin(t, "x")
			crash := &testStore{records: store.copied()} // What a start after a crash finds.
			three := taskNode(t, s, crash, "a")
			wantTask(t, three, id, "working")
			three.about(t, "alice", "cancel", id, "")
			wantTask(t, three, id, "cancelled")
			eventually(t, func() bool { return s.seen("tasks/cancel") > 0 })
		})
	}
}

// TestTaskOfUpstreamRequired: a tool that its server calls "required" is refused
// to a client of 2026-07-28 without the extension, and one of an older client
// waits for its result.
func TestTaskOfUpstreamRequired(t *testing.T) {
	s := newTaskServer(t, false)
	s.status = "completed"
	r := taskNode(t, s, &testStore{records: map[string][]byte{}}, "a")
	srv := r.serve(t)
	h := modern("tools/call", "x", "alice")
	if status, body := post(t, srv, h, request("tools/call", `{"name":"x",`+modernMeta+`}`)); status != http.StatusBadRequest || !strings.Contains(body, `-32021`) {
		t.Errorf("without the extension: %d %s", status, body)
	}
	if n := s.seen("tools/call"); n != 0 {
		t.Errorf("the server was called %d times", n)
	}
	if status, body := post(t, srv, open(t, srv, "alice", "2025-11-25", `{}`), request("tools/call", `{"name":"x"}`)); status != http.StatusOK || !strings.Contains(body, exact) {
		t.Errorf("of an older client: %d %s", status, body)
	}
}
