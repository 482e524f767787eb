package mcp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// A plug is a client on a WebSocket.
type plug struct {
	t    testing.TB
	ctx  context.Context //nolint:containedctx // that of the test.
	conn *websocket.Conn
}

func plugIn(t testing.TB, srv *httptest.Server, who string) *plug {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	conn, _, err := websocket.Dial(ctx, srv.URL, &websocket.DialOptions{ // The connection is the body.
		Subprotocols: []string{"mcp"}, HTTPHeader: http.Header{"Test-Principal": {who}}, HTTPClient: srv.Client(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	if conn.Subprotocol() != "mcp" {
		t.Error(conn.Subprotocol())
	}
	conn.SetReadLimit(8 << 20)
	return &plug{t, ctx, conn}
}

func (p *plug) say(text string) {
	p.t.Helper()
	if err := p.conn.Write(p.ctx, websocket.MessageText, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *plug) want(text string) {
	p.t.Helper()
	_, got, err := p.conn.Read(p.ctx)
	if err != nil || !strings.Contains(string(got), text) {
		p.t.Fatalf("got  %s %v\nwant %s", got, err, text)
	}
}

func (p *plug) wantClose(code websocket.StatusCode) {
	p.t.Helper()
	for {
		if _, _, err := p.conn.Read(p.ctx); err != nil {
			if got := websocket.CloseStatus(err); got != code {
				p.t.Errorf("closed with %v", err)
			}
			return
		}
	}
}

func TestWebSocket(t *testing.T) {
	var o mcp.FrontendOptions
	o.Bounds.Bytes, o.StreamsPerPrincipal = 4096, 2
	f := newFixture(t, o)
	rec := f.observe(t, o)
	srv := f.serve(t)
	p := plugIn(t, srv, "bob")
	p.say(request("tools/list", `{}`))
	p.want("the session begins with initialize")
	p.say(request("server/discover", `{`+modernMeta+`}`))
	p.want(`"supportedVersions"`)
	p.say(request("tools/call", `{"name":"named",`+modernMeta+`}`))
	p.want(`"resultType":"complete"`)
	p.say(request("initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}`))
	p.want(`"protocolVersion":"2025-11-25"`)
	p.say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	p.say(request("tools/call", `{"name":"echo","arguments":{"text":"a"}}`))
	p.want(`"text":"a"`)
	p.say(request("tools/call", `{"name":"secret"}`))
	p.want(`-32602`)
	p.say(request("subscriptions/listen", `{"notifications":{"toolsListChanged":true},`+modernMeta+`}`))
	p.want(`notifications/subscriptions/acknowledged`)
	rec.take()

	for _, tt := range []struct {
		name, record string
		send         func(*plug)
	}{
		{"malformed", `INVALID_ARGUMENT by mcp bob  "websocket"`, func(p *plug) {
			p.say(`{"a":`)
			p.want(`-32700`)
		}},
		{"batch", `INVALID_ARGUMENT by mcp bob  "websocket"`, func(p *plug) {
			p.say(`[` + request("ping", `{}`) + `]`)
			p.want(`-32600`)
		}},
		{"binary", `INVALID_ARGUMENT by mcp bob  "websocket"`, func(p *plug) {
			if err := p.conn.Write(p.ctx, websocket.MessageBinary, []byte(`{}`)); err != nil {
				t.Fatal(err)
			}
			p.wantClose(websocket.StatusUnsupportedData)
		}},
		{"oversized", `RESOURCE_EXHAUSTED by mcp bob  "websocket"`, func(p *plug) {
			p.say(`{"a":"` + strings.Repeat("a", 5000) + `"}`)
			p.wantClose(websocket.StatusMessageTooBig)
		}},
		{"one socket too many", `RESOURCE_EXHAUSTED by mcp bob  "websocket"`, func(*plug) {
			for range o.StreamsPerPrincipal + 1 {
				conn, res, err := websocket.Dial(t.Context(), srv.URL, &websocket.DialOptions{HTTPHeader: http.Header{"Test-Principal": {"bob"}}})
				if err != nil {
					if res.StatusCode != 429 {
						t.Error(res, err)
					}
					return
				}
				t.Cleanup(func() { conn.CloseNow() })
			}
		}},
		{"no handshake", `INVALID_ARGUMENT by mcp alice  "websocket"`, func(*plug) {
			res, _ := openEvents(t, srv, "GET", "", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}, "")
			if res.StatusCode/100 != 4 {
				t.Error(res.Status)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// The listen above and the socket that carries it take both places of bob.
			q := p
			if tt.name == "binary" || tt.name == "oversized" {
				p.conn.CloseNow()
				waitFor(t, func() bool {
					conn, _, err := websocket.Dial(t.Context(), srv.URL, &websocket.DialOptions{Subprotocols: []string{"mcp"}, HTTPHeader: http.Header{"Test-Principal": {"bob"}}})
					if err != nil {
						return false
					}
					q = &plug{t, p.ctx, conn}
					return true
				})
				p = q
				rec.take()
			}
			tt.send(q)
			waitFor(t, func() bool {
				rec.mu.Lock()
				defer rec.mu.Unlock()
				return len(rec.lines) > 0
			})
			if diff := cmp.Diff([]string{tt.record}, rec.take()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWebSocketEnds: with the client, whose calls are cancelled, with the
// credential, and with the frontend.
func TestWebSocketEnds(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	srv := f.serve(t)
	p := plugIn(t, srv, "bob")
	p.say(request("tools/call", `{"name":"hang",`+modernMeta+`}`))
	receive(t, f.started)
	p.conn.CloseNow()
	if receive(t, f.ended) == nil {
		t.Error("the call has no cause to end")
	}
	plugIn(t, srv, "carol").wantClose(websocket.StatusPolicyViolation)
	p = plugIn(t, srv, "bob")
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		f.frontend.Close()
	}()
	p.wantClose(websocket.StatusGoingAway)
	receive(t, closed)
}

// TestWebSocketSlowReader: who does not read is disconnected.
func TestWebSocketSlowReader(t *testing.T) {
	var o mcp.FrontendOptions
	o.WriteTimeout, o.KeepAlive, o.QueueLength = 100*time.Millisecond, 50*time.Millisecond, 1
	f := newFixture(t, o)
	srv := f.serve(t)
	p := plugIn(t, srv, "bob")
	big := request("tools/call", `{"name":"echo","arguments":{"text":"`+strings.Repeat("a", 1<<20)+`"},`+modernMeta+`}`)
	for p.conn.Write(p.ctx, websocket.MessageText, []byte(big)) == nil { // Until the server hangs up.
	}
	if p.ctx.Err() != nil {
		t.Error("the server bears a client that does not read")
	}
}
