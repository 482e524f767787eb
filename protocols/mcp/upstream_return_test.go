package mcp_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/gatewaytest"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// TestUpstreamReturns takes a server behind HTTP away and gives it back. Watch
// notices both by itself.
func TestUpstreamReturns(t *testing.T) {
	for _, era := range []string{"modern", "legacy"} {
		t.Run(era, func(t *testing.T) {
			f, err := fixtureFrontend(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var away atomic.Bool
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if away.Load() {
					panic(http.ErrAbortHandler)
				}
				f.ServeHTTP(w, r.WithContext(auth.With(r.Context(), gatewaytest.Caller())))
			}))
			conns := &remembered{Listener: s.Listener}
			s.Listener = conns
			s.Start()
			defer s.Close()
			defer f.Close()
			u := openUpstream(t, mcp.UpstreamOptions{URL: s.URL, Era: era, MaxBackoff: 5 * time.Millisecond})
			events, stop := watched(t, u)
			defer stop()
			if err := receive(t, events); err != nil {
				t.Fatal(err)
			}
			away.Store(true)
			conns.closeAll()
			if err := receive(t, events); err == nil {
				t.Fatal("a catalog of a server that is away")
			}
			if e := errorOf(t, u); e.Code != gateway.Unavailable {
				t.Errorf("a call meanwhile: %v", e)
			}
			away.Store(false)
			for receive(t, events) != nil { // Attempts that failed before.
			}
			if got := textFrom(t, u, gatewaytest.ToolGrow); got != "grown" {
				t.Errorf("a call afterwards: %q", got)
			}
		})
	}
}

// remembered is a listener that can close the connections it accepted, those of
// parked streams too.
type remembered struct {
	net.Listener
	mu  sync.Mutex
	all []net.Conn
}

func (l *remembered) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.all = append(l.all, c)
	}
	return c, err
}

func (l *remembered) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.all {
		c.Close()
	}
}

// watched follows an upstream: nil for each catalog, and each error. The caller
// stops it.
func watched(t *testing.T, u *mcp.Upstream) (events <-chan error, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ch := make(chan error, 4096)
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, err := range u.Watch(ctx) {
			select {
			case ch <- err:
			case <-ctx.Done():
			}
		}
	})
	return ch, func() {
		cancel()
		wg.Wait()
	}
}

// TestUpstreamStream checks that a legacy server whose own stream fails in
// every way is used nonetheless, and that what it says there is heard.
func TestUpstreamStream(t *testing.T) {
	for name, get := range map[string]func(r *received, n int32){
		"none":    func(r *received, _ int32) { r.answer.WriteHeader(405) },
		"failing": func(r *received, _ int32) { r.answer.WriteHeader(500) },
		"closing": func(r *received, _ int32) { r.event(": bye") },
		"garbage": func(r *received, _ int32) { r.event("data: not JSON"); <-r.http.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			var gets, sessions atomic.Int32
			u := openUpstream(t, mcp.UpstreamOptions{Era: "legacy", URL: serve(t, fake(t, func(r *received) {
				switch {
				case r.http.Method == http.MethodGet:
					get(r, gets.Add(1))
				case r.http.Method == http.MethodDelete:
				case r.Method == "initialize":
					sessions.Add(1)
					r.answer.Header().Set("Mcp-Session-Id", "s")
					r.result(legacyServer)
				case r.Method == "tools/list":
					r.result(`{"tools":[{"name":"x"}]}`)
				case len(r.ID) == 0:
					r.answer.WriteHeader(202)
				default:
					r.result(`{"content":[]}`)
				}
			}))})
			events, stop := watched(t, u)
			defer stop()
			if err := receive(t, events); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if _, err := u.Do(t.Context(), toolCall("x", `{}`)); err != nil {
					t.Fatal(err)
				}
			}
			if gets.Load() == 0 || sessions.Load() != 1 {
				t.Errorf("%d streams opened, %d sessions begun", gets.Load(), sessions.Load())
			}
			select {
			case err := <-events:
				t.Errorf("Watch yields once more: %v", err)
			default:
			}
		})
	}
}

// TestUpstreamListChanged checks that a list is asked for again when a legacy
// server says on its own stream that it has changed.
func TestUpstreamListChanged(t *testing.T) {
	var lists atomic.Int32
	u := openUpstream(t, mcp.UpstreamOptions{Era: "legacy", URL: serve(t, fake(t, func(r *received) {
		switch {
		case r.http.Method == http.MethodGet:
			r.event(`data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
			<-r.http.Context().Done()
		case r.Method == "initialize":
			r.result(legacyServer)
		case r.Method == "tools/list" && lists.Add(1) == 1:
			r.result(`{"tools":[{"name":"x"}]}`)
		case r.Method == "tools/list":
			r.result(`{"tools":[{"name":"y"}]}`)
		default:
			r.answer.WriteHeader(202)
		}
	}))})
	events, stop := watched(t, u)
	defer stop()
	for range 2 {
		if err := receive(t, events); err != nil {
			t.Fatal(err)
		}
	}
}
