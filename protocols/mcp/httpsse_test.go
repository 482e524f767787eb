package mcp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// serveSSE starts a server for the two endpoints of HTTP+SSE.
func (f *fixture) serveSSE(t testing.TB) *httptest.Server {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name := r.Header.Get("Test-Principal"); name != "nobody" {
			if name == "" {
				name = "alice"
			}
			r = r.WithContext(auth.With(r.Context(), principal(name)))
		}
		f.frontend.SSE().ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		f.frontend.Close()
		srv.Close()
	})
	return srv
}

// dialSSE opens a session and returns its stream and where to post.
func dialSSE(t testing.TB, srv *httptest.Server, who string) (*http.Response, chan sse, string) {
	t.Helper()
	res, events := openEvents(t, srv, "GET", "/at/sse", http.Header{"Test-Principal": {who}}, "")
	e := receive(t, events)
	if e.event != "endpoint" || !strings.HasPrefix(e.data, "/at/messages?sessionId=") {
		t.Fatalf("%+v is not the first event", e)
	}
	return res, events, e.data
}

// postTo posts a message and returns the status.
func postTo(t testing.TB, srv *httptest.Server, endpoint, who, body string) int {
	t.Helper()
	res, _ := openEvents(t, srv, "POST", endpoint, http.Header{"Test-Principal": {who}}, body)
	return res.StatusCode
}

func TestSSE(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	rec := f.observe(t, mcp.FrontendOptions{})
	srv := f.serveSSE(t)
	_, events, endpoint := dialSSE(t, srv, "bob")
	_, alices, hers := dialSSE(t, srv, "alice")
	want := func(data string) {
		t.Helper()
		if e := receive(t, events); e.event != "message" || !strings.Contains(e.data, data) {
			t.Fatalf("%+v, want %s", e, data)
		}
	}
	say := func(body string) {
		t.Helper()
		if status := postTo(t, srv, endpoint, "bob", body); status != 202 {
			t.Fatal(status)
		}
	}
	say(request("initialize", `{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"t","version":"1"}}`))
	want(`"protocolVersion":"2024-11-05"`)
	say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	say(request("tools/call", `{"name":"echo","arguments":{"text":"hello"}}`))
	want(`{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"hello"}]}}`)
	say(request("tools/call", `{"name":"secret"}`))
	want(`"code":-32602`)
	f.addTool(t, "new")
	want(`notifications/tools/list_changed`)
	rec.take()

	say(request("tools/call", `{"name":"echo",`+modernMeta+`}`))
	want(`"code":-32022`)
	forged := endpoint[:len(endpoint)-4] + "AAAA"
	for _, tt := range []struct {
		name, endpoint, who, body string
		status                    int
		record                    string
	}{
		{"another principal's session", hers, "bob", request("ping", `{}`), 404, `NOT_FOUND by mcp bob  "POST /messages"`},
		{"mine, by another principal", endpoint, "alice", request("ping", `{}`), 404, `NOT_FOUND by mcp alice  "POST /messages"`},
		{"forged", forged, "bob", request("ping", `{}`), 404, `NOT_FOUND by mcp bob  "POST /messages"`},
		{"endless", endpoint + strings.Repeat("a", 9999), "bob", request("ping", `{}`), 404, `NOT_FOUND by mcp bob  "POST /messages"`},
		{"none", "/at/messages", "bob", request("ping", `{}`), 400, `INVALID_ARGUMENT by mcp bob  "POST /messages"`},
		{"two", endpoint + "&sessionId=a", "bob", request("ping", `{}`), 400, `INVALID_ARGUMENT by mcp bob  "POST /messages"`},
		{"nobody", endpoint, "nobody", request("ping", `{}`), 401, `UNAUTHENTICATED by mcp nobody  "POST /messages"`},
		{"malformed", endpoint, "bob", `{"a":1,"a":2}`, 400, `INVALID_ARGUMENT by mcp bob  "POST /messages"`},
		{"batch", endpoint, "bob", `[` + request("ping", `{}`) + `]`, 400, `INVALID_ARGUMENT by mcp bob  "POST /messages"`},
	} {
		rec.take()
		if status := postTo(t, srv, tt.endpoint, tt.who, tt.body); status != tt.status {
			t.Errorf("%s: %d", tt.name, status)
		}
		if diff := cmp.Diff([]string{tt.record}, rec.take()); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	if res, _ := openEvents(t, srv, "POST", "/at/sse", http.Header{}, "{}"); res.StatusCode != 405 {
		t.Error(res.Status)
	}
	select {
	case e := <-alices:
		t.Errorf("alice was told %+v", e)
	default:
	}
}

// TestSSEEnds: a session ends with its stream, and what it ran is cancelled.
func TestSSEEnds(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	srv := f.serveSSE(t)
	res, events, endpoint := dialSSE(t, srv, "bob")
	postTo(t, srv, endpoint, "bob", request("initialize", `{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"t","version":"1"}}`))
	receive(t, events)
	postTo(t, srv, endpoint, "bob", requestAs(2, "tools/call", `{"name":"hang"}`))
	receive(t, f.started)
	res.Body.Close()
	if err := receive(t, f.ended); err == nil {
		t.Error("the call has no cause to end")
	}
	waitFor(t, func() bool { return postTo(t, srv, endpoint, "bob", request("ping", `{}`)) == 404 })

	_, events, endpoint = dialSSE(t, srv, "carol") // Her credential ends soon.
	for range events {                             // Until it has.
	}
	waitFor(t, func() bool { return postTo(t, srv, endpoint, "carol", request("ping", `{}`)) == 404 })
	_, events, _ = dialSSE(t, srv, "bob")
	f.frontend.Close()
	for range events { // Until the frontend has closed it.
	}
	if res, _ := openEvents(t, srv, "GET", "/at/sse", http.Header{}, ""); res.StatusCode != 503 {
		t.Error(res.Status)
	}
}

// waitFor waits until ok.
func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(patience); !ok(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it did not happen")
		}
	}
}

// TestSSESlowReader: who does not read the stream cannot post for ever, and
// loses the session.
func TestSSESlowReader(t *testing.T) {
	var o mcp.FrontendOptions
	o.WriteTimeout, o.QueueLength = 100*time.Millisecond, 1
	f := newFixture(t, o)
	srv := f.serveSSE(t)
	r, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL+"/sse", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b := make([]byte, 1024) // The endpoint, and nothing more.
	n, err := res.Body.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	_, endpoint, _ := strings.Cut(string(b[:n]), "data: ")
	endpoint = strings.TrimSpace(endpoint)
	postTo(t, srv, endpoint, "alice", request("initialize", `{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"t","version":"1"}}`))
	big := request("tools/call", `{"name":"echo","arguments":{"text":"`+strings.Repeat("a", 1<<20)+`"}}`)
	waitFor(t, func() bool {
		status := postTo(t, srv, endpoint, "alice", big)
		if status != 202 && status != 404 && status != 429 {
			t.Fatal(status)
		}
		return status == 404
	})
}

// TestPeersSSE lets the Go SDK's client use the transport.
func TestPeersSSE(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	srv := f.serveSSE(t)
	client := sdk.NewClient(&sdk.Implementation{Name: "peer", Version: "1"}, nil)
	s, err := client.Connect(t.Context(), &sdk.SSEClientTransport{Endpoint: srv.URL + "/sse", HTTPClient: &http.Client{Transport: as("bob")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	res, err := s.CallTool(t.Context(), &sdk.CallToolParams{Name: "echo", Arguments: map[string]any{"text": "over SSE"}})
	if err != nil || len(res.Content) != 1 || res.Content[0].(*sdk.TextContent).Text != "over SSE" {
		t.Errorf("%+v %v", res, err)
	}
	if _, err := s.CallTool(t.Context(), &sdk.CallToolParams{Name: "secret"}); err == nil {
		t.Error("bob may use the secret")
	}
}

// TestPeersResume lets the Go SDK's client come back for an answer.
func TestPeersResume(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	answer := patient(t, f, true)
	srv := f.serve(t)
	client := sdk.NewClient(&sdk.Implementation{Name: "peer", Version: "1"}, nil)
	s, err := client.Connect(t.Context(), &sdk.StreamableClientTransport{Endpoint: srv.URL, HTTPClient: srv.Client()}, &sdk.ClientSessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	go func() {
		select {
		case answer <- "done":
		case <-t.Context().Done():
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	res, err := s.CallTool(ctx, &sdk.CallToolParams{Name: "patient"})
	if errors.Is(err, context.DeadlineExceeded) {
		t.Fatal("the client never came back")
	}
	if err != nil || res.Content[0].(*sdk.TextContent).Text != "done" {
		t.Errorf("%+v %v", res, err)
	}
}

// TestSSEDroppedIsTold calls a tool that reports faster than anybody can be
// told: the client learns how much it missed, and gets the answer.
func TestSSEDroppedIsTold(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{QueueLength: 4})
	err := f.funcs.AddTool(json.RawMessage(`{"name":"flood","description":"Floods.","inputSchema":{"type":"object"}}`), func(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
		for range 10000 {
			call.Log(gateway.LogMessage{Level: "error", Data: json.RawMessage(`1`)})
		}
		return gateway.TextResult("done"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f.publish(t)
	srv := f.serveSSE(t)
	r, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL+"/sse", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var endpoint string
	told, done := false, false
	for lines := bufio.NewScanner(res.Body); (!told || !done) && lines.Scan(); {
		data, _ := strings.CutPrefix(lines.Text(), "data: ")
		switch {
		case endpoint == "" && data != lines.Text():
			endpoint = data
			postTo(t, srv, endpoint, "alice", request("initialize", `{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"t","version":"1"}}`))
		case strings.Contains(data, "serverInfo"):
			postTo(t, srv, endpoint, "alice", requestAs(2, "tools/call", `{"name":"flood"}`))
		case strings.Contains(data, `"text":"done"`):
			done = true
		}
		told = told || strings.HasSuffix(lines.Text(), "notifications were dropped: they were not read fast enough")
	}
	if !told || !done {
		t.Errorf("told %v, done %v", told, done)
	}
}
