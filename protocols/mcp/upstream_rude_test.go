package mcp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// A rude server asks as it likes. What it is answered goes to replies.
type rude struct {
	url     string
	replies chan string
	unasked chan string // what to say on the session's own stream
}

// serveRude serves a legacy server whose tools do what call does.
func serveRude(t *testing.T, call func(s *rude, r *received)) *rude {
	s := &rude{replies: make(chan string, 1024), unasked: make(chan string)}
	s.url = serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r := &received{http: req, answer: w}
		json.Unmarshal(body, r)
		switch {
		case req.Method == http.MethodGet:
			r.event(": open")
			for {
				select {
				case line := <-s.unasked:
					r.event("data: " + line)
				case <-req.Context().Done():
					return
				}
			}
		case r.Method == "initialize":
			r.result(legacyServer)
		case r.Method == "tools/call":
			call(s, r)
		case r.Method == "" && len(r.ID) > 0:
			s.replies <- string(body)
			w.WriteHeader(http.StatusAccepted)
		default:
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	return s
}

func (s *rude) end(r *received) {
	r.event(`data: {"jsonrpc":"2.0","id":` + string(r.ID) + `,"result":{"content":[]}}`)
}

const rootsQuestion = `{"jsonrpc":"2.0","id":%s,"method":"roots/list"}`

// asks is a call that may be asked, and counts how often it is.
func asks(ask func(context.Context) (json.RawMessage, error)) (*gateway.Call, *atomic.Int32) {
	n := new(atomic.Int32)
	call := toolCall("x", `{}`)
	call.Capabilities = json.RawMessage(everything)
	call.Ask = func(ctx context.Context, _ gateway.Question) (json.RawMessage, error) {
		n.Add(1)
		return ask(ctx)
	}
	return call, n
}

func noRoots(context.Context) (json.RawMessage, error) { return json.RawMessage(`{"roots":[]}`), nil }

// TestRudeQuestions checks that a server that asks garbage, the same twice, or
// without end gets no more than it should.
func TestRudeQuestions(t *testing.T) {
	const many = 200
	s := serveRude(t, func(s *rude, r *received) {
		for _, garbage := range []string{
			`{"jsonrpc":"2.0","id":"g","method":"roots/list","params":[]}`, `{"jsonrpc":"2.0","id":{},"method":"roots/list"}`, `{"id":1}`, `roots`,
		} {
			r.event("data: " + garbage)
		}
		r.event("data: " + fmt.Sprintf(rootsQuestion, `"same"`))
		r.event("data: " + `{"jsonrpc":"2.0","id":"new","method":"roots/burn"}`)
		for range 2 {
			<-s.replies
		}
		for n := range many {
			r.event("data: " + fmt.Sprintf(rootsQuestion, fmt.Sprint(n)))
			<-s.replies
		}
		s.end(r)
	})
	u := openUpstream(t, mcp.UpstreamOptions{Era: "legacy", URL: s.url})
	call, asked := asks(noRoots)
	if _, err := u.Do(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	if n := asked.Load(); n != 64 {
		t.Errorf("the caller was asked %d times, want 64", n)
	}
}

// TestRudeSame checks that a question whose id is open is not asked again, and
// that not too many are asked at once.
func TestRudeSame(t *testing.T) {
	asking, answer := make(chan struct{}, 64), make(chan struct{})
	s := serveRude(t, func(s *rude, r *received) {
		for range 3 {
			r.event("data: " + fmt.Sprintf(rootsQuestion, `"same"`))
		}
		for n := range 20 { // Seven find room beside it.
			r.event("data: " + fmt.Sprintf(rootsQuestion, fmt.Sprint(n)))
		}
		for range 13 {
			if got := <-s.replies; !strings.Contains(got, "too many questions") {
				t.Errorf("one question too many is answered %s", got)
			}
		}
		close(answer)
		for range 8 {
			if got := <-s.replies; !strings.Contains(got, `"result":{"roots":[]}`) {
				t.Errorf("a question is answered %s", got)
			}
		}
		s.end(r)
	})
	u := openUpstream(t, mcp.UpstreamOptions{Era: "legacy", URL: s.url})
	call, asked := asks(func(ctx context.Context) (json.RawMessage, error) {
		asking <- struct{}{}
		<-answer
		return noRoots(ctx)
	})
	if _, err := u.Do(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	if n := asked.Load(); n != 8 {
		t.Errorf("the caller was asked %d times, want 8", n)
	}
}

// TestRudeEnd checks that nobody is asked once a call has ended: not by a server
// that answers without waiting, nor by one that asks afterwards.
func TestRudeEnd(t *testing.T) {
	asking := make(chan struct{})
	s := serveRude(t, func(s *rude, r *received) {
		r.event("data: " + fmt.Sprintf(rootsQuestion, "1"))
		<-asking
		s.end(r)
		r.event("data: " + fmt.Sprintf(rootsQuestion, "2"))
	})
	u := openUpstream(t, mcp.UpstreamOptions{Era: "legacy", URL: s.url})
	var ended atomic.Bool
	call, asked := asks(func(ctx context.Context) (json.RawMessage, error) {
		close(asking)
		<-ctx.Done()
		ended.Store(true)
		return nil, ctx.Err()
	})
	if _, err := u.Do(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	if !ended.Load() {
		t.Error("Do returned before the question had ended")
	}
	if got := receive(t, s.replies); !strings.Contains(got, `"id":1,"error"`) {
		t.Errorf("the open question is answered %s", got)
	}
	s.unasked <- fmt.Sprintf(rootsQuestion, "3")
	if got := receive(t, s.replies); !strings.Contains(got, `"id":3,"error"`) {
		t.Errorf("a question without a call is answered %s", got)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the caller was asked %d times", n)
	}
}

// TestQuestionWithdrawn checks that a server can take a question back, and that
// the client's own error reaches it.
func TestQuestionWithdrawn(t *testing.T) {
	asking := make(chan struct{}, 1)
	s := serveRude(t, func(s *rude, r *received) {
		r.event("data: " + fmt.Sprintf(rootsQuestion, "1"))
		<-asking
		r.event(`data: {"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
		<-s.replies
		s.end(r)
	})
	u := openUpstream(t, mcp.UpstreamOptions{Era: "legacy", URL: s.url})
	call, _ := asks(func(ctx context.Context) (json.RawMessage, error) {
		asking <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	if _, err := u.Do(t.Context(), call); err != nil {
		t.Fatal(err)
	}
}

// TestQuestionPatience checks that the time that a caller takes for an answer is
// not the server's.
func TestQuestionPatience(t *testing.T) {
	t.Parallel() // It waits most of the time.
	const most = 200 * time.Millisecond
	s := serveRude(t, func(s *rude, r *received) {
		r.event("data: " + fmt.Sprintf(rootsQuestion, "1"))
		<-s.replies
		if r.Params.Name == "x" {
			s.end(r)
		}
		<-r.http.Context().Done()
	})
	u := openUpstream(t, mcp.UpstreamOptions{Era: "legacy", URL: s.url, Timeout: most})
	call, _ := asks(func(ctx context.Context) (json.RawMessage, error) {
		select {
		case <-time.After(2 * most):
			return noRoots(ctx)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	if _, err := u.Do(t.Context(), call); err != nil {
		t.Errorf("a slow answer: %v", err)
	}
	call.Target.Origin = "silent"
	if _, err := u.Do(t.Context(), call); err == nil || gateway.AsError(err).Code != gateway.DeadlineExceeded {
		t.Errorf("a server that is silent after the answer: %v", err)
	}
}
