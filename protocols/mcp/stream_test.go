package mcp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

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
