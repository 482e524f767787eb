package mcp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// A tap reads an answer event by event.
type tap struct {
	t    testing.TB
	res  *http.Response
	data chan string   // closed at the end of the stream
	beat chan struct{} // receives when a comment has kept the stream open
}

// openTap sends a request and reads its answer as a stream.
func openTap(t testing.TB, srv *httptest.Server, method string, header http.Header, body string) *tap {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, srv.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header.Clone()
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	res, err := srv.Client().Do(r) // The tap closes it.
	if err != nil {
		t.Fatal(err)
	}
	tp := &tap{t, res, make(chan string, 100), make(chan struct{}, 1)}
	go func() {
		defer close(tp.data)
		lines := bufio.NewScanner(res.Body)
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				tp.data <- data
			} else if lines.Text() == ": keep-alive" {
				select {
				case tp.beat <- struct{}{}:
				default:
				}
			} else if c, ok := strings.CutPrefix(lines.Text(), ": "); ok {
				tp.data <- c
			}
		}
	}()
	t.Cleanup(tp.close)
	return tp
}

func (tp *tap) close() { tp.res.Body.Close() }

// next returns the next event, or a comment that does not just keep the stream
// open.
func (tp *tap) next() string {
	tp.t.Helper()
	select {
	case d, ok := <-tp.data:
		if !ok {
			return "end of stream"
		}
		return d
	case <-time.After(patience):
		tp.t.Fatal("nothing came")
		return ""
	}
}

// want checks the next event.
func (tp *tap) want(event string) {
	tp.t.Helper()
	if got := tp.next(); got != event {
		tp.t.Fatalf("got  %s\nwant %s", got, event)
	}
}

func receive[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func modern(method, name, who string) http.Header {
	h := http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {method}, "Test-Principal": {who}}
	if name != "" {
		h.Set("Mcp-Name", name)
	}
	return h
}

func listen(t testing.TB, srv *httptest.Server, who, filter string) *tap {
	t.Helper()
	return openTap(t, srv, "POST", modern("subscriptions/listen", "", who),
		`{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":`+filter+`,`+modernMeta+`}}`)
}

const (
	tagged = `"_meta":{"io.modelcontextprotocol/subscriptionId":"L"}`
	endOfL = `{"jsonrpc":"2.0","id":"L","result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":"L","io.modelcontextprotocol/serverInfo":{"name":"trilith","version":"0"}}}}`
)

func ackOf(filter string) string {
	return `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{` + tagged + `,"notifications":` + filter + `}}`
}

func changed(list, tag string) string {
	return `{"jsonrpc":"2.0","method":"notifications/` + list + `/list_changed","params":{` + tag + `}}`
}

func TestListen(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	srv := f.serve(t)
	alice := listen(t, srv, "alice", `{"toolsListChanged":true,"promptsListChanged":true}`)
	alice.want(ackOf(`{"toolsListChanged":true,"promptsListChanged":true}`))
	bob := listen(t, srv, "bob", `{"toolsListChanged":true,"promptsListChanged":false,"resourcesListChanged":true}`)
	bob.want(ackOf(`{"toolsListChanged":true,"resourcesListChanged":true}`))
	prompts := listen(t, srv, "alice", `{"promptsListChanged":true}`)
	prompts.want(ackOf(`{"promptsListChanged":true}`))

	f.addTool(t, "secret.more") // Bob must not hear of it.
	alice.want(changed("tools", tagged))
	f.addTool(t, "more")
	alice.want(changed("tools", tagged))
	bob.want(changed("tools", tagged))
	err := f.funcs.AddPrompt(json.RawMessage(`{"name":"another","description":"Another."}`), func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return nil, errors.New("not asked")
	})
	if err != nil {
		t.Fatal(err)
	}
	f.publish(t)
	alice.want(changed("prompts", tagged))
	prompts.want(changed("prompts", tagged)) // and nothing about tools before

	if got := alice.res.Header.Get("X-Accel-Buffering"); got != "no" {
		t.Errorf("X-Accel-Buffering: %q", got)
	}
	f.frontend.Close()
	for _, s := range []*tap{alice, bob, prompts} {
		s.want(endOfL)
		s.want("end of stream")
	}
	late := listen(t, srv, "alice", `{}`)
	if late.res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a stream was opened after the end: %s", late.res.Status)
	}
}

func TestListenToResources(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	srv := f.serve(t)
	const filter = `{"resourceSubscriptions":["test://text","test://secret","test://nothing","test://item/7"]}`
	bob := listen(t, srv, "bob", filter)
	bob.want(ackOf(`{"resourceSubscriptions":["test://text","test://item/7"]}`))
	f.funcs.Updated("test://secret")
	f.funcs.Updated("test://text")
	bob.want(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{` + tagged + `,"uri":"test://text"}}`)
	f.funcs.Updated("test://item/7")
	bob.want(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{` + tagged + `,"uri":"test://item/7"}}`)

	// What may no longer be seen is no longer told.
	f.funcs.Remove(gateway.KindResource, "test://text")
	f.publish(t)
	f.funcs.Updated("test://text")
	if got := receive(t, f.followed) + receive(t, f.followed); got == "" {
		t.Error("nothing was followed")
	}
	if got := receive(t, f.released); got != "test://text" {
		t.Errorf("released %q", got)
	}
	bob.close()
	if got := receive(t, f.released); got != "test://item/7" {
		t.Errorf("released %q", got)
	}
}

func TestListenEndsWithItsCredential(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	s := listen(t, f.serve(t), "carol", `{"toolsListChanged":true}`)
	s.want(ackOf(`{"toolsListChanged":true}`))
	s.want(endOfL)
	s.want("end of stream")
}

func TestTooManyStreams(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{StreamsPerPrincipal: 1})
	srv := f.serve(t)
	first := listen(t, srv, "alice", `{}`)
	first.want(ackOf(`{}`))
	if s := listen(t, srv, "alice", `{}`); s.res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("second stream: %s", s.res.Status)
	}
	listen(t, srv, "bob", `{}`).want(ackOf(`{}`))
	first.close()
	deadline := time.Now().Add(patience)
	for listen(t, srv, "alice", `{}`).res.StatusCode != http.StatusOK {
		if time.Now().After(deadline) {
			t.Fatal("the place of a closed stream was not freed")
		}
	}
}

func TestKeepAlive(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{KeepAlive: 5 * time.Millisecond})
	s := listen(t, f.serve(t), "alice", `{}`)
	s.want(ackOf(`{}`))
	receive(t, s.beat)
	receive(t, s.beat)
}

// TestSilentCalls: an answer of which nothing has come for long becomes a
// stream, so that nobody between cuts the connection.
func TestSilentCalls(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{KeepAlive: 20 * time.Millisecond})
	release := make(chan struct{})
	err := f.funcs.AddTool(json.RawMessage(`{"name":"slow","inputSchema":{"type":"object"}}`), func(ctx context.Context, _ *gateway.Call) (*gateway.Result, error) {
		select {
		case <-release:
			return gateway.TextResult("at last"), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	f.publish(t)
	srv := f.serve(t)
	for _, rev := range []string{"2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"} {
		t.Run(rev, func(t *testing.T) {
			h, body := modern("tools/call", "slow", "alice"), request("tools/call", `{"name":"slow",`+modernMeta+`}`)
			if rev != "2026-07-28" {
				h, body = open(t, srv, "alice", rev, `{}`), request("tools/call", `{"name":"slow"}`)
			}
			s := openTap(t, srv, "POST", h, body)
			if kind := s.res.Header.Get("Content-Type"); kind != "text/event-stream" {
				t.Fatal(kind)
			}
			receive(t, s.beat)
			receive(t, s.beat)
			release <- struct{}{}
			if said := s.next(); !strings.Contains(said, "at last") {
				t.Errorf("answered %s", said)
			}
		})
	}
	quick, _ := openEvents(t, srv, "POST", "", modern("tools/call", "echo", "alice"), request("tools/call", `{"name":"echo","arguments":{"text":"a"},`+modernMeta+`}`))
	if kind := quick.Header.Get("Content-Type"); kind != "application/json" {
		t.Error(kind)
	}
}

// begin starts a legacy session and returns its headers.
func begin(t testing.TB, srv *httptest.Server, who string) http.Header {
	t.Helper()
	h := http.Header{"Test-Principal": {who}}
	s := openTap(t, srv, "POST", h, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
	h.Set("Mcp-Session-Id", s.res.Header.Get("Mcp-Session-Id"))
	h.Set("Mcp-Protocol-Version", "2025-11-25")
	return h
}

// post sends one message and returns the status and the body.
func post(t testing.TB, srv *httptest.Server, h http.Header, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = h.Clone()
	r.Header.Set("Content-Type", "application/json")
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

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

func TestCancellation(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	srv := f.serve(t)

	t.Run("modern disconnect", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, "POST", srv.URL, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"hang",`+modernMeta+`}}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = modern("tools/call", "hang", "alice")
		r.Header.Set("Content-Type", "application/json")
		failed := make(chan error, 1)
		go func() {
			res, err := srv.Client().Do(r)
			if err == nil {
				res.Body.Close()
			}
			failed <- err
		}()
		receive(t, f.started)
		cancel()
		if err := receive(t, f.ended); !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
		if err := receive(t, failed); err == nil {
			t.Error("an answer came")
		}
	})

	t.Run("legacy by name", func(t *testing.T) {
		h, other := begin(t, srv, "alice"), begin(t, srv, "alice")
		answer := make(chan string, 1)
		go func() {
			_, body := post(t, srv, h, `{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"hang"}}`)
			answer <- body
		}()
		receive(t, f.started)
		if status, body := post(t, srv, h, `{"jsonrpc":"2.0","id":"x","method":"ping"}`); status != http.StatusBadRequest {
			t.Errorf("an id was used twice at once: %d %s", status, body)
		}
		// Neither another session nor another id cancels it.
		post(t, srv, other, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x"}}`)
		post(t, srv, h, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"y"}}`)
		select {
		case err := <-f.ended:
			t.Fatalf("cancelled by someone else: %v", err)
		default:
		}
		post(t, srv, h, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x"}}`)
		receive(t, f.ended)
		if got := receive(t, answer); !strings.Contains(got, "CANCELLED") {
			t.Errorf("answer: %s", got)
		}
	})

	t.Run("legacy disconnect is none", func(t *testing.T) {
		h := begin(t, srv, "alice")
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, "POST", srv.URL, strings.NewReader(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"hang"}}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = h.Clone()
		r.Header.Set("Content-Type", "application/json")
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			if res, err := srv.Client().Do(r); err == nil {
				res.Body.Close()
			}
		}()
		receive(t, f.started)
		cancel()
		receive(t, gone)
		post(t, srv, h, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`)
		if err := receive(t, f.ended); err == nil || !strings.Contains(err.Error(), "by the client") {
			t.Errorf("ended with %v, not by name", err)
		}
	})
}

// TestCloseEndsAbandonedCalls holds that a legacy call survives its client only
// for as long as the frontend serves.
func TestCloseEndsAbandonedCalls(t *testing.T) {
	for _, closeFirst := range []bool{true, false} {
		f := newFixture(t, mcp.FrontendOptions{})
		srv := f.serve(t)
		h := begin(t, srv, "alice")
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, "POST", srv.URL, strings.NewReader(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"hang"}}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = h.Clone()
		r.Header.Set("Content-Type", "application/json")
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			if res, err := srv.Client().Do(r); err == nil {
				res.Body.Close()
			}
		}()
		receive(t, f.started)
		if closeFirst {
			f.frontend.Close()
			select {
			case <-f.ended:
				t.Error("a call whose client waits was ended")
			default:
			}
		}
		cancel()
		receive(t, gone)
		f.frontend.Close()
		receive(t, f.ended)
	}
}

// TestSlowReader fills a connection that is not read: the call must not wait
// for its reports, and the connection is given up after the write timeout.
func TestSlowReader(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{WriteTimeout: 50 * time.Millisecond, QueueLength: 4})
	done := make(chan struct{})
	big := json.RawMessage(`"` + strings.Repeat("x", 1<<20) + `"`)
	err := f.funcs.AddTool(json.RawMessage(`{"name":"flood","description":"Floods.","inputSchema":{"type":"object"}}`), func(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
		for range 64 {
			call.Log(gateway.LogMessage{Level: "error", Data: big})
		}
		close(done)
		return gateway.TextResult("done"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f.publish(t)
	srv := f.serve(t)
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"flood","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/logLevel":"error"}}}`
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: flood\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	receive(t, done)
	srv.Close() // Waits until the connection has been given up.
}

// TestDroppedReportsAreTold reads slowly but steadily: it is told how much it
// missed, and gets the answer.
func TestDroppedReportsAreTold(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{QueueLength: 4})
	err := f.funcs.AddTool(json.RawMessage(`{"name":"flood","description":"Floods.","inputSchema":{"type":"object"}}`), func(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
		for range 1000 {
			call.Log(gateway.LogMessage{Level: "error", Data: json.RawMessage(`1`)})
		}
		return gateway.TextResult("done"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f.publish(t)
	srv := f.serve(t)
	_, body := post(t, srv, begin(t, srv, "alice"), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"flood"}}`)
	if !strings.Contains(body, "notifications were dropped") || !strings.Contains(body, `"text":"done"`) {
		t.Errorf("body: %s", body)
	}
}

// TestDroppedStreams opens many streams and drops them; TestMain sees to it
// that no goroutine is left.
func TestDroppedStreams(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{StreamsPerPrincipal: 2000})
	srv := f.serve(t)
	legacy := begin(t, srv, "alice")
	for i := range 500 {
		s := listen(t, srv, "alice", `{"toolsListChanged":true,"resourceSubscriptions":["test://text"]}`)
		if i%2 == 0 {
			s.want(ackOf(`{"toolsListChanged":true,"resourceSubscriptions":["test://text"]}`))
		}
		s.close()
		openTap(t, srv, "GET", legacy, "").close()
	}
	for range 500 {
		receive(t, f.released)
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
