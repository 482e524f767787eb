package mcp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// TestUpstreamEras checks what makes a server legacy, and what does not.
func TestUpstreamEras(t *testing.T) {
	for _, tt := range []struct {
		name     string
		discover func(*received)
		legacy   bool
	}{
		{"unsupported version", func(r *received) { r.fails(400, noVersion) }, true},
		{"unknown method", func(r *received) { r.fails(200, `{"code":-32601,"message":"no"}`) }, true},
		{"not found", func(r *received) { r.answer.WriteHeader(404) }, true},
		{"bad request", func(r *received) { r.answer.WriteHeader(400) }, true},
		{"legacy versions only", func(r *received) { r.result(`{"supportedVersions":["2025-11-25"],"capabilities":{}}`) }, true},
		{"header mismatch", func(r *received) { r.fails(400, `{"code":-32020,"message":"no"}`) }, false},
		{"no common version", func(r *received) { r.fails(400, `{"code":-32022,"message":"no","data":{"supported":["2099-01-01"]}}`) }, false},
		{"unauthorized", func(r *received) { r.answer.WriteHeader(401) }, false},
		{"unavailable", func(r *received) { r.answer.WriteHeader(503) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var version atomic.Value
			u := openUpstream(t, mcp.UpstreamOptions{URL: serve(t, fake(t, func(r *received) {
				switch r.Method {
				case "server/discover":
					tt.discover(r)
				case "initialize":
					r.result(legacyServer)
				case "notifications/initialized":
					r.answer.WriteHeader(202)
				default:
					version.Store(r.http.Header.Get("Mcp-Protocol-Version"))
					r.result(`{"content":[]}`)
				}
			}))})
			_, err := u.Do(t.Context(), toolCall("x", `{}`))
			if legacy := err == nil && version.Load() == "2025-06-18"; legacy != tt.legacy {
				t.Errorf("legacy: %v, want %v (%v)", legacy, tt.legacy, err)
			}
		})
	}
}

// TestUpstreamSession checks that a session the server has forgotten is begun
// again, and the call with it, once.
func TestUpstreamSession(t *testing.T) {
	var sessions, deleted atomic.Int32
	u := openUpstream(t, mcp.UpstreamOptions{Era: "legacy", URL: serve(t, fake(t, func(r *received) {
		switch {
		case r.http.Method == http.MethodDelete:
			deleted.Add(1)
		case r.Method == "initialize":
			r.answer.Header().Set("Mcp-Session-Id", fmt.Sprintf("s%d", sessions.Add(1)))
			r.result(legacyServer)
		case r.Method == "notifications/initialized":
			r.answer.WriteHeader(202)
		case r.http.Header.Get("Mcp-Session-Id") == "s1":
			r.answer.WriteHeader(404)
		default:
			r.result(`{"content":[]}`)
		}
	}))})
	if _, err := u.Do(t.Context(), toolCall("x", `{}`)); err != nil {
		t.Fatal(err)
	}
	u.Close()
	if sessions.Load() != 2 || deleted.Load() != 1 {
		t.Errorf("%d sessions begun, want 2; %d ended, want 1", sessions.Load(), deleted.Load())
	}
}

// TestUpstreamSessionUnderWay checks that a call is not made twice because its
// session ends while the server works on it: found out by another call, or when
// its own answer is taken up again.
func TestUpstreamSessionUnderWay(t *testing.T) {
	for _, how := range []string{"another call", "another call, events", "its own"} {
		t.Run(how, func(t *testing.T) {
			var sessions, made atomic.Int32
			begun, over := make(chan struct{}, 8), make(chan struct{})
			defer close(over)
			u := openUpstream(t, mcp.UpstreamOptions{Era: "legacy", URL: serve(t, fake(t, func(r *received) {
				switch {
				case r.http.Method == http.MethodDelete:
				case r.http.Method == http.MethodGet:
					r.answer.WriteHeader(404)
				case r.Method == "initialize":
					r.answer.Header().Set("Mcp-Session-Id", fmt.Sprintf("s%d", sessions.Add(1)))
					r.result(legacyServer)
				case strings.HasPrefix(r.Method, "notifications/"):
					r.answer.WriteHeader(202)
				case r.Params.Name == "x":
					made.Add(1)
					if how != "another call" {
						r.event("id: 1", "retry: 1", "data:")
					}
					begun <- struct{}{}
					if how != "its own" {
						select {
						case <-over:
						case <-r.http.Context().Done():
						}
					}
				case r.http.Header.Get("Mcp-Session-Id") == "s1":
					r.answer.WriteHeader(404)
				default:
					r.result(`{"content":[]}`)
				}
			}))})
			ended := make(chan error, 1)
			go func() {
				_, err := u.Do(t.Context(), toolCall("x", `{}`))
				ended <- err
			}()
			receive(t, begun)
			if how != "its own" {
				if _, err := u.Do(t.Context(), toolCall("y", `{}`)); err != nil {
					t.Errorf("the call that was refused: %v", err)
				}
			}
			if err := receive(t, ended); gateway.AsError(err) == nil || gateway.AsError(err).Code != gateway.Unavailable {
				t.Errorf("the call under way: %v", err)
			}
			if n := made.Load(); n != 1 {
				t.Errorf("it was made %d times", n)
			}
		})
	}
}

// TestUpstreamResume checks that a legacy answer whose stream breaks off is
// taken up where it was, and that progress comes from both parts.
func TestUpstreamResume(t *testing.T) {
	var id json.RawMessage
	var mu sync.Mutex
	u := openUpstream(t, mcp.UpstreamOptions{Era: "legacy", URL: serve(t, fake(t, func(r *received) {
		mu.Lock()
		defer mu.Unlock()
		progress := func(n string) string {
			return `data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":` + string(id) + `,"progress":` + n + `}}`
		}
		switch {
		case r.Method == "initialize":
			r.result(legacyServer)
		case r.Method == "tools/call":
			id = r.ID
			r.event("id: 1", "data:")
			r.event("id: 2", "retry: 1", progress("1"))
		case r.http.Method == http.MethodGet && r.http.Header.Get("Last-Event-Id") == "2":
			r.event("id: 3", progress("2"))
			r.event("id: 4", `data: {"jsonrpc":"2.0","id":`+string(id)+`,"result":{"content":[]}}`)
		default:
			r.answer.WriteHeader(202)
		}
	}))})
	call := toolCall("x", `{}`)
	var steps []string
	call.Progress = func(p gateway.Progress) { steps = append(steps, p.Progress.String()) }
	if _, err := u.Do(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(steps, " "); got != "1 2" {
		t.Errorf("progress %q", got)
	}
}
