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

// wantWaits checks that the catalog says that the source waits for its tasks.
func wantWaits(t *testing.T, u *mcp.Upstream) {
	t.Helper()
	if c := firstCatalog(t, u); len(c.Tools) != 1 || !c.Tools[0].Waits {
		t.Fatalf("%+v", c.Tools)
	}
}
