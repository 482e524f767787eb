package mcp_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

const (
	tasksDiscover = `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}}`
	tasksLegacy   = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}},"serverInfo":{"name":"fake","version":"1"}}`
)

// A taskServer is a fake server with one task, in one of the two forms. The test
// says what becomes of it.
type taskServer struct {
	t      *testing.T
	legacy bool
	tools  string // of tools/list

	mu        sync.Mutex
	status    string
	message   string
	more      string // further members of the modern tasks/get
	away      bool   // answers nothing about tasks but 503
	forgotten bool
	result    string // of legacy tasks/result, or of the modern task
	asks      string // legacy: a question on the stream of tasks/result
	calls     []string
	answers   []string
	changed   chan struct{}
}

func newTaskServer(t *testing.T, legacy bool) *taskServer {
	return &taskServer{
		t: t, legacy: legacy, status: "working", result: exact, changed: make(chan struct{}),
		tools: `{"tools":[{"name":"x","description":"Takes long.","inputSchema":{"type":"object"},"execution":{"taskSupport":"required"}}]}`,
	}
}

// set changes the task.
func (s *taskServer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

// seen returns which requests about the task there were.
func (s *taskServer) seen(method string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c == method {
			n++
		}
	}
	return n
}

func (s *taskServer) url() string { return serve(s.t, http.HandlerFunc(s.ServeHTTP)) }

func (s *taskServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // The client has gone.
	}
	r := &received{http: req, answer: w}
	var params struct {
		Result json.RawMessage
		Params struct {
			TaskID    string
			Task      json.RawMessage
			Responses json.RawMessage `json:"inputResponses"`
			Meta      map[string]struct {
				Extensions map[string]json.RawMessage
			} `json:"_meta"`
		}
	}
	if json.Unmarshal(body, r) != nil || json.Unmarshal(body, &params) != nil {
		_ = json.Unmarshal(body, r) // _meta of legacy requests has other members.
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, r.Method)
	if strings.HasPrefix(r.Method, "tasks/") && (params.Params.TaskID != "theirs" || !s.legacy && r.http.Header.Get("Mcp-Name") != "theirs") {
		s.t.Errorf("%s names no task: %s", r.Method, body)
	}
	extension := strings.Contains(string(body), `"io.modelcontextprotocol/clientCapabilities":{`) && strings.Contains(string(body), `"extensions":{"io.modelcontextprotocol/tasks":{}}`)
	task := `"taskId":"theirs","status":"` + s.status + `","statusMessage":"` + s.message + `","createdAt":"2026-01-01T00:00:00Z","lastUpdatedAt":"2026-01-01T00:00:00Z"`
	if s.legacy {
		task += `,"ttl":60000,"pollInterval":10`
	} else {
		task += `,"ttlMs":60000,"pollIntervalMs":10`
	}
	about := strings.HasPrefix(r.Method, "tasks/")
	switch {
	case about && s.away:
		w.WriteHeader(http.StatusServiceUnavailable)
	case about && s.forgotten:
		r.fails(200, `{"code":-32602,"message":"Task not found"}`)
	case r.Method == "server/discover" && s.legacy:
		r.fails(400, noVersion)
	case r.Method == "server/discover":
		r.result(tasksDiscover)
	case r.Method == "initialize":
		r.result(tasksLegacy)
	case r.Method == "tools/list":
		r.result(s.tools)
	case r.Method == "tools/call" && s.legacy:
		if params.Params.Task == nil {
			r.fails(200, `{"code":-32601,"message":"task required"}`)
			return
		}
		r.result(`{"task":{` + task + `}}`)
	case r.Method == "tools/call":
		if !extension {
			r.fails(400, `{"code":-32021,"message":"no tasks","data":{"requiredCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}}`)
			return
		}
		r.result(`{"resultType":"task",` + task + `}`)
	case r.Method == "tasks/get" && !s.legacy && !extension:
		s.t.Errorf("no extension in %s", body)
	case r.Method == "tasks/get" && s.legacy:
		r.result(`{` + task + `}`)
	case r.Method == "tasks/get":
		more := s.more
		if s.status == "completed" {
			more = `,"result":` + s.result
		}
		r.result(`{"resultType":"complete",` + task + more + `}`)
	case r.Method == "tasks/update":
		s.answers = append(s.answers, string(params.Params.Responses))
		s.status, s.more = "working", ""
		r.result(`{"resultType":"complete"}`)
	case r.Method == "tasks/cancel":
		s.status = "cancelled"
		r.result(`{"resultType":"complete",` + task + `}`)
	case r.Method == "tasks/result":
		s.serveResult(r)
	case r.Method == "" && params.Result != nil:
		s.answers = append(s.answers, string(params.Result))
		close(s.changed)
		s.changed = make(chan struct{})
		w.WriteHeader(http.StatusAccepted)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

// serveResult answers tasks/result, once the task has ended, and asks before
// that. s.mu is held.
func (s *taskServer) serveResult(r *received) {
	if s.asks != "" {
		r.event(`data: ` + s.asks)
		s.asks = ""
	}
	for s.status == "working" || s.status == "input_required" {
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-r.http.Context().Done():
		}
		s.mu.Lock()
		if r.http.Context().Err() != nil {
			return
		}
	}
	answer := `{"jsonrpc":"2.0","id":` + string(r.ID) + `,"result":` + s.result + `}`
	if r.answer.Header().Get("Content-Type") != "" {
		r.event(`data: ` + answer)
		return
	}
	r.result(s.result)
}

// eras runs a test against a server of each form of tasks.
func eras(t *testing.T, run func(t *testing.T, s *taskServer, u *mcp.Upstream)) {
	for name, legacy := range map[string]bool{"2025-11-25": true, "2026-07-28": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // They wait most of the time.
			s := newTaskServer(t, legacy)
			run(t, s, openUpstream(t, mcp.UpstreamOptions{URL: s.url(), Timeout: 5 * time.Second}))
		})
	}
}

// aCall is a call of the tool "x", which needs a task.
func aCall(t testing.TB) *gateway.Call {
	t.Helper()
	call := toolCall("x", `{}`)
	tool, err := gateway.ParseTool(json.RawMessage(`{"name":"x","inputSchema":{"type":"object"},"execution":{"taskSupport":"required"}}`))
	if err != nil {
		t.Fatal(err)
	}
	call.Tool = tool
	return call
}

// outcome is how a call ended.
type outcome struct {
	res *gateway.Result
	err error
}

func doing(ctx context.Context, u *mcp.Upstream, call *gateway.Call) <-chan outcome {
	ch := make(chan outcome, 1)
	go func() {
		res, err := u.Do(ctx, call)
		ch <- outcome{res, err}
	}()
	return ch
}

func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("what the test waits for has not happened")
		}
	}
}

// TestUpstreamTask: a caller that knows nothing of tasks gets the result of the
// server's, byte for byte, and hears how far it is.
func TestUpstreamTask(t *testing.T) {
	eras(t, func(t *testing.T, s *taskServer, u *mcp.Upstream) {
		wantWaits(t, u)
		call := aCall(t)
		said := make(chan gateway.Progress, 16)
		call.Progress = func(p gateway.Progress) { said <- p }
		call.Task = s.legacy // Otherwise such a server's messages are not progress.
		done := doing(t.Context(), u, call)
		eventually(t, func() bool { return s.seen("tasks/get") > 1 })
		s.set(func() { s.message = "half way" })
		if p := receive(t, said); p.Message != "half way" {
			t.Errorf("%+v", p)
		}
		s.set(func() { s.status = "completed" })
		if o := receive(t, done); o.err != nil || string(o.res.Raw) != exact {
			t.Errorf("%+v", o)
		}
		if s.seen("tasks/cancel") > 0 {
			t.Error("the ended task was cancelled")
		}
	})
}

// wantWaits checks that the catalog says that the source waits for its tasks.
func wantWaits(t *testing.T, u *mcp.Upstream) {
	t.Helper()
	if c := firstCatalog(t, u); len(c.Tools) != 1 || !c.Tools[0].Waits {
		t.Fatalf("%+v", c.Tools)
	}
}

// TestUpstreamTaskEnds is how tasks end that do not complete.
func TestUpstreamTaskEnds(t *testing.T) {
	eras(t, func(t *testing.T, s *taskServer, u *mcp.Upstream) {
		for _, tt := range []struct {
			name   string
			change func()
			code   gateway.Code
		}{
			{"cancelled there", func() { s.status = "cancelled" }, gateway.Aborted},
			{"forgotten", func() { s.forgotten = true }, gateway.Aborted},
			{"no such status", func() { s.status = "resting" }, gateway.Internal},
			{"a nested task", func() { s.status, s.result = "completed", `{"resultType":"input_required","requestState":"s"}` }, gateway.Internal},
			{"no result", func() { s.status, s.result = "completed", `[]` }, gateway.Internal},
		} {
			if s.legacy && tt.name == "a nested task" {
				continue // There is none in that era.
			}
			s.set(func() { s.status, s.forgotten, s.result = "working", false, exact })
			before := s.seen("tasks/get")
			done := doing(t.Context(), u, aCall(t))
			eventually(t, func() bool { return s.seen("tasks/get") > before })
			s.set(tt.change)
			if o := receive(t, done); o.err == nil || gateway.AsError(o.err).Code != tt.code {
				t.Errorf("%s: %+v", tt.name, o)
			}
		}
	})
	s := newTaskServer(t, false)
	u := openUpstream(t, mcp.UpstreamOptions{URL: s.url()})
	s.status, s.more = "failed", `,"error":{"code":-32603,"message":"it broke"}`
	if _, err := u.Do(t.Context(), aCall(t)); err == nil || gateway.AsError(err).Msg != "it broke" {
		t.Errorf("%v", err)
	}
}

// TestUpstreamTaskLeft: the server is told when the caller leaves, and not when
// the gateway stops and keeps the task.
func TestUpstreamTaskLeft(t *testing.T) {
	eras(t, func(t *testing.T, s *taskServer, u *mcp.Upstream) {
		ctx, leave := context.WithCancel(t.Context())
		done := doing(ctx, u, aCall(t))
		eventually(t, func() bool { return s.seen("tasks/get") > 0 })
		leave()
		if o := receive(t, done); o.err == nil {
			t.Errorf("%+v", o)
		}
		eventually(t, func() bool { return s.seen("tasks/cancel") == 1 })
	})
}

// TestUpstreamTaskAway: a server that is away for a while does not lose the call.
func TestUpstreamTaskAway(t *testing.T) {
	eras(t, func(t *testing.T, s *taskServer, u *mcp.Upstream) {
		done := doing(t.Context(), u, aCall(t))
		eventually(t, func() bool { return s.seen("tasks/get") > 0 })
		s.set(func() { s.away = true })
		before := s.seen("tasks/get")
		eventually(t, func() bool { return s.seen("tasks/get") > before+1 })
		s.set(func() { s.away, s.status = false, "completed" })
		if o := receive(t, done); o.err != nil || string(o.res.Raw) != exact {
			t.Errorf("%+v", o)
		}
	})
}

// TestUpstreamTaskAsks: what a task asks reaches the caller, once, and the answer
// the server.
func TestUpstreamTaskAsks(t *testing.T) {
	eras(t, func(t *testing.T, s *taskServer, u *mcp.Upstream) {
		const form = `{"method":"elicitation/create","params":{"message":"Who?","requestedSchema":{"type":"object","properties":{}}}}`
		call := aCall(t)
		call.Capabilities = json.RawMessage(`{"elicitation":{}}`)
		asked := make(chan gateway.Question, 8)
		call.Ask = func(_ context.Context, q gateway.Question) (json.RawMessage, error) {
			asked <- q
			return json.RawMessage(accepted), nil
		}
		done := doing(t.Context(), u, call)
		eventually(t, func() bool { return s.seen("tasks/get") > 0 })
		s.set(func() {
			s.status, s.more = "input_required", `,"inputRequests":{"who":`+form+`}`
			s.asks = `{"jsonrpc":"2.0","id":"s1",` + strings.Replace(form[1:], `"message"`, `"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"theirs"}},"message"`, 1)
		})
		if q := receive(t, asked); q.Method != "elicitation/create" || !strings.Contains(string(q.Params), "Who?") {
			t.Errorf("%+v", q)
		}
		eventually(t, func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.answers) == 1
		})
		want := accepted
		if !s.legacy {
			want = `{"who":` + accepted + `}`
		}
		s.set(func() {
			if s.answers[0] != want {
				t.Errorf("the server got %s", s.answers[0])
			}
			s.status = "completed"
		})
		if o := receive(t, done); o.err != nil || string(o.res.Raw) != exact {
			t.Errorf("%+v", o)
		}
		select {
		case q := <-asked:
			t.Errorf("asked again: %+v", q)
		default:
		}
	})
}

// TestUpstreamTaskCannotAsk: a caller that cannot answer is told so, and the task
// is cancelled.
func TestUpstreamTaskCannotAsk(t *testing.T) {
	s := newTaskServer(t, false)
	u := openUpstream(t, mcp.UpstreamOptions{URL: s.url()})
	s.status, s.more = "input_required", `,"inputRequests":{"r":{"method":"roots/list"}}`
	_, err := u.Do(t.Context(), aCall(t))
	if e := gateway.AsError(err); e == nil || e.Code != gateway.FailedPrecondition || string(e.Needs) != `{"roots":{}}` {
		t.Errorf("%v", err)
	}
	if s.seen("tasks/cancel") != 1 {
		t.Error("the task goes on")
	}
}

// TestUpstreamTaskRejoin goes on with a task over another connection.
func TestUpstreamTaskRejoin(t *testing.T) {
	eras(t, func(t *testing.T, s *taskServer, u *mcp.Upstream) {
		handle := make(chan json.RawMessage, 1)
		call := aCall(t)
		call.Task = true
		call.Began = func(h json.RawMessage) { handle <- h }
		ctx, leave := context.WithCancel(t.Context())
		done := doing(ctx, u, call)
		kept := receive(t, handle)
		s.set(func() { s.status = "completed" })
		receive(t, done)
		leave()
		again := openUpstream(t, mcp.UpstreamOptions{URL: s.url()})
		call = aCall(t)
		call.Task, call.Rejoin = true, kept
		if res, err := again.Do(t.Context(), call); err != nil || string(res.Raw) != exact {
			t.Errorf("%v %v", res, err)
		}
		if n := s.seen("tools/call"); n != 1 {
			t.Errorf("%d calls", n)
		}
		call.Rejoin = json.RawMessage(`"garbage"`)
		if _, err := again.Do(t.Context(), call); gateway.AsError(err).Code != gateway.InvalidArgument {
			t.Errorf("%v", err)
		}
	})
}

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
