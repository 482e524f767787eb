package graphql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/schema"
)

// A peer is a raw client of graphql-transport-ws.
type peer struct {
	t *testing.T
	c *websocket.Conn
}

func (f *fixture) dial(t *testing.T, url string, o *websocket.DialOptions) peer {
	t.Helper()
	if o == nil {
		o = &websocket.DialOptions{Subprotocols: []string{subprotocol}}
	}
	c, resp, err := websocket.Dial(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	return peer{t, c}
}

// refusedUpgrade returns the HTTP status of an upgrade that is not granted.
func refusedUpgrade(t *testing.T, url string, o *websocket.DialOptions) int {
	t.Helper()
	_, resp, err := websocket.Dial(t.Context(), url, o)
	if err == nil || resp == nil {
		t.Fatalf("got %v, %v", resp, err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	return resp.StatusCode
}

func (p peer) send(text string) {
	p.t.Helper()
	if err := p.c.Write(p.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

// receive returns the next message, pings left out, or the close frame as "code reason".
func (p peer) receive() string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	for {
		_, b, err := p.c.Read(ctx)
		var end websocket.CloseError
		switch {
		case errors.As(err, &end):
			return fmt.Sprintf("%d %s", end.Code, end.Reason)
		case err != nil:
			return "lost: " + err.Error()
		case string(b) != `{"type":"ping"}`:
			return string(b)
		}
	}
}

func (p peer) want(messages ...string) {
	p.t.Helper()
	for _, want := range messages {
		if got := p.receive(); got != want {
			p.t.Fatalf("got %s\nwant %s", got, want)
		}
	}
}

const (
	initMessage = `{"type":"connection_init"}`
	ack         = `{"type":"connection_ack"}`
	waitCall    = `{"id":"1","type":"subscribe","payload":{"query":"subscription{toolCall(name:\"demo.wait\"){dropped}}"}}`
)

func socketTokens(_ context.Context, token string) (*gateway.Principal, error) {
	bob := &gateway.Principal{ID: "bob", Name: "Bob"}
	switch token {
	case "bob":
		return bob, nil
	case "brief":
		bob.Expiry = time.Now().Add(2 * time.Second)
		return bob, nil
	case "later":
		return nil, &gateway.Error{Code: gateway.Unavailable, By: "auth", Msg: "the issuer is away"}
	}
	return nil, &gateway.Error{Code: gateway.Unauthenticated, By: "auth", Msg: "no"}
}

// TestCloseCodes is the protocol's table of close codes.
func TestCloseCodes(t *testing.T) {
	f := newFixture(t, Options{Authenticate: socketTokens, InitTimeout: 2 * time.Second, Bounds: schema.Bounds{Bytes: 4000}})
	s := f.serve(t)
	url := strings.Replace(s.URL, "http", "ws", 1)
	for _, c := range []struct {
		name, path string
		send, want []string
	}{
		{"invalid JSON", "/graphql", []string{initMessage, `{nope`}, []string{ack, "4400 Invalid message"}},
		{"no object", "/graphql", []string{`[]`}, []string{"4400 Invalid message"}},
		{"no type", "/graphql", []string{`{}`}, []string{"4400 Invalid message"}},
		{"type twice", "/graphql", []string{`{"type":"ping","type":"connection_init"}`}, []string{"4400 Invalid message"}},
		{"unknown type", "/graphql", []string{initMessage, `{"type":"start"}`}, []string{ack, "4400 Invalid message"}},
		{"no id", "/graphql", []string{initMessage, `{"type":"subscribe","payload":{"query":"{viewer{name}}"}}`}, []string{ack, "4400 Invalid message"}},
		{"long id", "/graphql", []string{initMessage, `{"id":"` + strings.Repeat("i", 300) + `","type":"subscribe","payload":{"query":"{viewer{name}}"}}`}, []string{ack, "4400 Invalid message"}},
		{"no payload", "/graphql", []string{initMessage, `{"id":"1","type":"subscribe"}`}, []string{ack, "4400 Invalid message"}},
		{"subscribe before init", "/graphql", []string{waitCall}, []string{"4401 Unauthorized"}},
		{"no credential", "/open", []string{initMessage}, []string{"4401 Unauthorized"}},
		{"bad credential", "/open", []string{`{"type":"connection_init","payload":{"Authorization":"Bearer nobody"}}`}, []string{"4403 Forbidden"}},
		{"bad credential on a good upgrade", "/graphql", []string{`{"type":"connection_init","payload":{"Authorization":"Bearer nobody"}}`}, []string{"4403 Forbidden"}},
		{"issuer away", "/open", []string{`{"type":"connection_init","payload":{"authorization":"bearer later"}}`}, []string{"1013 Credential cannot be checked now"}},
		{"other scheme", "/open", []string{`{"type":"connection_init","payload":{"Authorization":"Basic eA=="}}`}, []string{"4400 Invalid message"}},
		{"payload is a list", "/open", []string{`{"type":"connection_init","payload":[]}`}, []string{"4400 Invalid message"}},
		{"expired", "/open", []string{`{"type":"connection_init","payload":{"Authorization":"Bearer brief"}}`}, []string{ack, "4403 Credential expired"}},
		{"init timeout", "/graphql", nil, []string{"4408 Connection initialisation timeout"}},
		{"ping does not replace init", "/graphql", []string{`{"type":"ping"}`}, []string{`{"type":"pong"}`, "4408 Connection initialisation timeout"}},
		{"duplicate", "/graphql", []string{initMessage, waitCall, waitCall}, []string{ack, "4409 Subscriber for 1 already exists"}},
		{"second init", "/graphql", []string{initMessage, initMessage}, []string{ack, "4429 Too many initialisation requests"}},
		{"message too long", "/graphql", []string{initMessage, `{"type":"ping","payload":{"a":"` + strings.Repeat("x", 4020) + `"}}`}, []string{ack, "1009 read limited at 4001 bytes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := f.dial(t, url+c.path, nil)
			for _, m := range c.send {
				p.send(m)
			}
			p.want(c.want...)
		})
	}
	t.Run("other subprotocol", func(t *testing.T) {
		p := f.dial(t, url+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-ws"}})
		p.want("4406 Subprotocol not acceptable")
	})
	t.Run("binary", func(t *testing.T) {
		p := f.dial(t, url+"/graphql", nil)
		if err := p.c.Write(t.Context(), websocket.MessageBinary, []byte(initMessage)); err != nil {
			t.Fatal(err)
		}
		p.want("4400 Invalid message")
	})
	t.Run("other origin", func(t *testing.T) {
		o := &websocket.DialOptions{Subprotocols: []string{subprotocol}, HTTPHeader: http.Header{"Origin": {"https://evil.example"}}}
		if got := refusedUpgrade(t, url+"/graphql", o); got != http.StatusForbidden {
			t.Errorf("got %d", got)
		}
	})
}

func TestSocketOperations(t *testing.T) {
	f := newFixture(t, Options{Operations: 2, Authenticate: socketTokens})
	s := f.serve(t)
	url := strings.Replace(s.URL, "http", "ws", 1)
	p := f.dial(t, url+"/open", nil)
	p.send(`{"type":"connection_init","payload":{"Authorization":"Bearer bob"}}`)
	p.want(ack)
	p.send(`{"type":"ping","payload":{"n": 12345678901234567890}}`)
	p.want(`{"type":"pong","payload":{"n": 12345678901234567890}}`)

	p.send(`{"id":"q\"1","type":"subscribe","payload":{"query":"{viewer{name}}"}}`)
	p.want(`{"type":"next","id":"q\"1","payload":{"data":{"viewer":{"name":"Bob"}}}}`, `{"type":"complete","id":"q\"1"}`)

	p.send(`{"id":"2","type":"subscribe","payload":{"query":"{nope}"}}`)
	p.want(`{"type":"error","id":"2","payload":[{"message":"Cannot query field \"nope\" on type \"Query\".","locations":[{"line":1,"column":2}],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`)

	p.send(`{"id":"2","type":"subscribe","payload":{"query":"subscription($a:JSON){e:toolCall(name:\"demo.steps\",arguments:$a){__typename}}","variables":{"a":{"n":1}}}}`)
	p.want(`{"type":"next","id":"2","payload":{"data":{"e":{"__typename":"ToolProgress"}}}}`, `{"type":"next","id":"2","payload":{"data":{"e":{"__typename":"ToolLog"}}}}`,
		`{"type":"next","id":"2","payload":{"data":{"e":{"__typename":"ToolFinished"}}}}`, `{"type":"complete","id":"2"}`)

	p.send(`{"id":"3","type":"subscribe","payload":{"query":"subscription{e:toolCall(name:\"demo.fail\"){dropped}}"}}`)
	p.want(`{"type":"next","id":"3","payload":{"errors":[{"message":"internal error","path":["e"],"extensions":{"code":"INTERNAL"}}]}}`, `{"type":"complete","id":"3"}`)

	// Cancelled: nothing more comes, the call ends, and the id is free again.
	p.send(waitCall)
	<-f.waiting
	p.send(`{"id":"1","type":"complete"}`)
	p.send(waitCall)
	<-f.waiting
	p.send(strings.Replace(waitCall, `"1"`, `"4"`, 1))
	<-f.waiting
	p.send(strings.Replace(waitCall, `"1"`, `"5"`, 1))
	p.want(`{"type":"error","id":"5","payload":[{"message":"too many operations on this connection","extensions":{"code":"RESOURCE_EXHAUSTED"}}]}`)
	f.release <- struct{}{}
	if got := p.receive(); !strings.HasPrefix(got, `{"type":"next","id":"`) {
		t.Errorf("got %s", got)
	}
}

// TestWithdrawnToken: a token that is no longer good starts nothing more.
func TestWithdrawnToken(t *testing.T) {
	var withdrawn atomic.Bool
	f := newFixture(t, Options{Authenticate: func(ctx context.Context, token string) (*gateway.Principal, error) {
		if withdrawn.Load() {
			return nil, &gateway.Error{Code: gateway.Unauthenticated, By: "auth", Msg: "withdrawn"}
		}
		return socketTokens(ctx, token)
	}})
	p := f.dial(t, strings.Replace(f.serve(t).URL, "http", "ws", 1)+"/open", nil)
	p.send(`{"type":"connection_init","payload":{"Authorization":"Bearer bob"}}`)
	p.want(ack)
	withdrawn.Store(true)
	p.send(`{"id":"1","type":"subscribe","payload":{"query":"{viewer{name}}"}}`)
	p.want("4403 Forbidden")
}

// TestSocketLimits: sockets count like event streams, and Close ends them all.
func TestSocketLimits(t *testing.T) {
	f := newFixture(t, Options{Connections: 1, TotalConnections: 2})
	s := f.serve(t)
	url := strings.Replace(s.URL, "http", "ws", 1) + "/graphql"
	first := f.dial(t, url, nil)
	first.send(initMessage)
	first.want(ack)
	first.send(waitCall)
	<-f.waiting
	second := f.dial(t, url, nil)
	second.send(initMessage)
	second.want("1013 Too many connections")

	closed := make(chan error)
	go func() { closed <- f.Close() }()
	first.want("1001 Shutting down")
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if got := refusedUpgrade(t, url, nil); got != http.StatusServiceUnavailable {
		t.Errorf("after Close: got %d", got)
	}
}

// TestDeadPeer: a peer that answers no ping loses the connection, and its calls end.
func TestDeadPeer(t *testing.T) {
	f := newFixture(t, Options{KeepAlive: 50 * time.Millisecond})
	p := f.dial(t, strings.Replace(f.serve(t).URL, "http", "ws", 1)+"/graphql", nil)
	p.send(initMessage)
	p.want(ack)
	p.send(waitCall)
	<-f.waiting
	if got := p.receive(); !strings.HasPrefix(got, "lost: ") {
		t.Errorf("got %s", got)
	}
	f.work.Wait()
}

// TestStuckPeer: a peer that reads nothing loses the connection when a message waits too long, and its calls end.
func TestStuckPeer(t *testing.T) {
	f := newFixture(t, Options{WriteTimeout: 200 * time.Millisecond})
	if err := f.funcs.AddTool(json.RawMessage(`{"name":"flood"}`), func(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
		line, _ := json.Marshal(strings.Repeat("x", 1<<20))
		for ctx.Err() == nil {
			c.Log(gateway.LogMessage{Level: "info", Data: line})
		}
		return nil, ctx.Err()
	}); err != nil {
		t.Fatal(err)
	}
	if err := f.attach(); err != nil {
		t.Fatal(err)
	}
	s := f.serve(t)
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /graphql HTTP/1.1\r\nHost: "+s.Listener.Addr().String()+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: "+subprotocol+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{initMessage, `{"id":"1","type":"subscribe","payload":{"query":"subscription{toolCall(name:\"demo.flood\"){dropped ...on ToolLog{data}}}"}}`} {
		// A masked text frame with the mask zero.
		frame := append([]byte{0x81, 0x80 | 126, byte(len(m) >> 8), byte(len(m)), 0, 0, 0, 0}, m...)
		if _, err := c.Write(frame); err != nil {
			t.Fatal(err)
		}
	}
	// The connection and the call end without the peer's help.
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for seen := false; ; {
		f.conns.mu.Lock()
		open := len(f.conns.open)
		f.conns.mu.Unlock()
		if seen && open == 0 {
			break
		}
		seen = seen || open > 0
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the connection is still open")
		}
	}
	f.work.Wait()
}
