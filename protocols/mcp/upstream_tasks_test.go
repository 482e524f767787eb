package mcp_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

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
