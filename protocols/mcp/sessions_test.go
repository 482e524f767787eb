package mcp_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/protocols/mcp"
)

func TestLegacyStream(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	srv := f.serve(t)
	bob := begin(t, srv, "bob")
	first := openTap(t, srv, "GET", bob, "")
	post(t, srv, bob, `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"test://text"}}`)
	f.addTool(t, "secret.more")
	f.funcs.Updated("test://text")
	first.want(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"test://text"}}`)
	f.addTool(t, "more")
	first.want(changed("tools", ""))

	// A second stream takes over; each message goes to one stream. What the
	// first told may have been lost with its connection, and is told again.
	second := openTap(t, srv, "GET", bob, "")
	first.want("end of stream")
	second.want(changed("tools", ""))
	second.want(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"test://text"}}`)
	f.addTool(t, "still.more")
	second.want(changed("tools", ""))

	// What changes while there is no stream is told on the next.
	second.close()
	f.addTool(t, "yet.more")
	f.funcs.Updated("test://text")
	third := openTap(t, srv, "GET", bob, "")
	got := third.next() + third.next()
	for _, want := range []string{"tools/list_changed", "test://text"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in %s", want, got)
		}
	}
	post(t, srv, bob, `{"jsonrpc":"2.0","id":2,"method":"resources/unsubscribe","params":{"uri":"test://text"}}`)
	receive(t, f.released)

	// The end of the session is the end of its stream and subscriptions.
	post(t, srv, bob, `{"jsonrpc":"2.0","id":3,"method":"resources/subscribe","params":{"uri":"test://item/1"}}`)
	r, err := http.NewRequestWithContext(t.Context(), "DELETE", srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = bob
	res, err := srv.Client().Do(r)
	if err != nil || res.StatusCode != http.StatusNoContent {
		t.Fatal(err, res)
	}
	res.Body.Close()
	receive(t, f.released)
	third.want("end of stream")
}

func TestIdleSessionsEnd(t *testing.T) {
	t.Parallel() // It waits most of the time.
	f := newFixture(t, mcp.FrontendOptions{IdleTimeout: 2 * time.Second})
	srv := f.serve(t)
	h := begin(t, srv, "alice")
	if status, body := post(t, srv, h, `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"test://text"}}`); status != http.StatusOK {
		t.Fatal(status, body)
	}
	receive(t, f.released)
	if status, _ := post(t, srv, h, `{"jsonrpc":"2.0","id":2,"method":"ping"}`); status != http.StatusNotFound {
		t.Errorf("an idle session answers with %d", status)
	}
}

// TestSessionsWithCallsDoNotExpire: a session is no idle one while a call runs.
func TestSessionsWithCallsDoNotExpire(t *testing.T) {
	t.Parallel() // It waits most of the time.
	f := newFixture(t, mcp.FrontendOptions{IdleTimeout: 2 * time.Second})
	srv := f.serve(t)
	h := begin(t, srv, "alice")
	openTap(t, srv, "POST", h, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"hang"}}`)
	receive(t, f.started)
	if status, body := post(t, srv, h, `{"jsonrpc":"2.0","id":2,"method":"logging/setLevel","params":{"level":"error"}}`); status != http.StatusOK {
		t.Fatal(status, body)
	}
	<-time.After(5 * time.Second)
	if status, body := post(t, srv, h, `{"jsonrpc":"2.0","id":3,"method":"ping"}`); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
}

func TestSessionsPerPrincipal(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{SessionsPerPrincipal: 2})
	srv := f.serve(t)
	var all []http.Header
	for i := range 3 {
		h := begin(t, srv, "alice")
		all = append(all, h)
		if i == 1 {
			if s := openTap(t, srv, "GET", all[0], ""); s.res.StatusCode != http.StatusOK {
				t.Fatal(s.res.Status)
			}
		}
		if status, body := post(t, srv, h, `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"error"}}`); status != http.StatusOK {
			t.Fatal(status, body)
		}
	}
	// The second was the one without a stream.
	for i, want := range []int{http.StatusOK, http.StatusNotFound, http.StatusOK} {
		if status, _ := post(t, srv, all[i], `{"jsonrpc":"2.0","id":2,"method":"ping"}`); status != want {
			t.Errorf("session %d: %d, want %d", i, status, want)
		}
	}
	for _, h := range []http.Header{all[2]} {
		openTap(t, srv, "GET", h, "")
	}
	h := begin(t, srv, "alice")
	if _, body := post(t, srv, h, `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"error"}}`); !strings.Contains(body, "RESOURCE_EXHAUSTED") {
		t.Errorf("a third busy session: %s", body)
	}
	if s := openTap(t, srv, "GET", h, ""); s.res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a third stream: %s", s.res.Status)
	}
}

// TestIdentityTrap holds that a session never stands for its principal: who
// asks decides what is seen, and another's session is no session.
func TestIdentityTrap(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	srv := f.serve(t)
	alice := begin(t, srv, "alice")
	stream := openTap(t, srv, "GET", alice, "")
	post(t, srv, alice, `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"test://secret"}}`)

	mallory := alice.Clone()
	mallory.Set("Test-Principal", "bob")
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"secret"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"resources/unsubscribe","params":{"uri":"test://secret"}}`,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`,
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`,
	} {
		status, got := post(t, srv, mallory, body)
		if status != http.StatusNotFound || strings.Contains(got, "secret") {
			t.Errorf("%s: %d %s", body, status, got)
		}
	}
	for _, method := range []string{"GET", "DELETE"} {
		if s := openTap(t, srv, method, mallory, ""); s.res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", method, s.res.Status)
		}
	}
	// With a session of his own, he sees his own part.
	bob := begin(t, srv, "bob")
	if _, got := post(t, srv, bob, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); strings.Contains(got, "secret") {
		t.Errorf("bob sees %s", got)
	}
	// Alice's is untouched.
	f.funcs.Updated("test://secret")
	stream.want(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"test://secret"}}`)
}
