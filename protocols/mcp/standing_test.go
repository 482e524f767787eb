package mcp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// serveTLS starts a server for the fixture over TLS, with or without HTTP/2.
func (f *fixture) serveTLS(t testing.TB, http2 bool) *httptest.Server {
	srv := httptest.NewUnstartedServer(f)
	srv.EnableHTTP2 = http2
	srv.StartTLS()
	t.Cleanup(func() {
		f.frontend.Close()
		srv.Close()
	})
	return srv
}

// TestStandingStreams tells, keeps open and ends every kind of stream over every
// kind of connection, parked or not.
func TestStandingStreams(t *testing.T) {
	for name, serve := range map[string]func(*fixture) *httptest.Server{
		"plain":  func(f *fixture) *httptest.Server { return f.serve(t) },
		"TLS":    func(f *fixture) *httptest.Server { return f.serveTLS(t, false) },
		"HTTP/2": func(f *fixture) *httptest.Server { return f.serveTLS(t, true) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, mcp.FrontendOptions{KeepAlive: 100 * time.Millisecond})
			srv := serve(f)
			modern := listen(t, srv, "bob", `{"toolsListChanged":true}`)
			modern.want(ackOf(`{"toolsListChanged":true}`))
			legacy := openTap(t, srv, "GET", begin(t, srv, "bob"), "")
			if major := modern.res.ProtoMajor; (major == 2) != (name == "HTTP/2") || modern.res.Close != (major == 1) {
				t.Errorf("%s, close %v", modern.res.Proto, modern.res.Close)
			}
			receive(t, modern.beat)
			receive(t, legacy.beat)
			for i := range 3 {
				f.addTool(t, "secret."+strings.Repeat("x", i+1))
				f.addTool(t, "open."+strings.Repeat("x", i+1))
				modern.want(changed("tools", tagged))
				legacy.want(changed("tools", ""))
			}
			carol := listen(t, srv, "carol", `{}`) // Her credential ends soon.
			carol.want(ackOf(`{}`))
			carol.want(endOfL)
			carol.want("end of stream")
			f.frontend.Close()
			modern.want(endOfL)
			modern.want("end of stream")
			legacy.want("end of stream")
		})
	}
}

// narrow is a listener whose connections have next to no room.
type narrow struct{ net.Listener }

func (n narrow) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	if err == nil {
		err = c.(*net.TCPConn).SetWriteBuffer(4096)
	}
	return c, err
}

// TestStandingSlowReader gives up a stream that nobody reads, and frees what it
// held; one that is read is told of everything meanwhile.
func TestStandingSlowReader(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{WriteTimeout: 300 * time.Millisecond})
	srv := httptest.NewUnstartedServer(f)
	srv.Listener = narrow{srv.Listener}
	srv.Start()
	t.Cleanup(func() {
		f.frontend.Close()
		srv.Close()
	})
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	body := `{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["test://item/1"]},` + modernMeta + `}}`
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAccept: text/event-stream, application/json\r\n"+
		"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if got := receive(t, f.followed); got != "test://item/1" {
		t.Fatal(got)
	}
	quick := listen(t, srv, "bob", `{"resourceSubscriptions":["test://item/2"]}`)
	quick.want(ackOf(`{"resourceSubscriptions":["test://item/2"]}`))
	receive(t, f.followed)
	begun := time.Now()
	for deadline := begun.Add(patience); ; {
		f.funcs.Updated("test://item/1")
		f.funcs.Updated("test://item/2")
		quick.want(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{` + tagged + `,"uri":"test://item/2"}}`)
		select {
		case got := <-f.released:
			if got != "test://item/1" {
				t.Errorf("released %q", got)
			}
			return
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("the stream that nobody reads goes on")
		}
	}
}

// TestStandingFraming reads the bytes of a parked answer while many things
// happen at once: every chunk is one event, and the last one ends the answer.
func TestStandingFraming(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{KeepAlive: time.Millisecond})
	srv := f.serve(t)
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	body := `{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["test://item/1","test://text"]},` + modernMeta + `}}`
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAccept: text/event-stream, application/json\r\n"+
		"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	receive(t, f.followed)
	receive(t, f.followed)
	read, told := make(chan []byte, 1), make(chan struct{})
	go func() {
		all, err := readUntil(c, told, ": keep-alive", "list_changed", `"uri":"test://item/1"`, `"uri":"test://text"`)
		if err != nil {
			t.Errorf("read: %v", err)
		}
		read <- all
	}()
	for i := range 100 {
		f.funcs.Updated("test://item/1")
		f.funcs.Updated("test://text")
		if i%10 == 0 {
			f.addTool(t, fmt.Sprint("more.", i))
		}
	}
	select {
	case <-told:
	case <-time.After(patience):
		t.Error("not all of it is told")
	}
	f.frontend.Close()
	head, rest, _ := bytes.Cut(receive(t, read), []byte("\r\n\r\n"))
	if !bytes.Contains(head, []byte("Transfer-Encoding: chunked")) || !bytes.Contains(head, []byte("Connection: close")) {
		t.Errorf("head: %s", head)
	}
	var last []byte
	events := map[string]int{}
	for {
		var n int
		if _, err := fmt.Sscanf(string(rest), "%x\r\n", &n); err != nil {
			t.Fatalf("%v at %.200q", err, rest)
		}
		_, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		if n == 0 {
			break
		}
		chunk := rest[:n]
		if !bytes.HasSuffix(chunk, []byte("\n\n")) || bytes.Count(chunk, []byte("\n")) != 2 || !bytes.HasPrefix(rest[n:], []byte("\r\n")) {
			t.Fatalf("chunk %q", chunk)
		}
		events[string(chunk)]++
		last, rest = chunk, rest[n+2:]
	}
	if string(rest) != "\r\n" || string(last) != "data: "+endOfL+"\n\n" {
		t.Errorf("the end is %q %q", last, rest)
	}
	if len(events) != 6 || events[": keep-alive\n\n"] == 0 { // The acknowledgement and the result, two updates, a list and comments.
		t.Errorf("events: %v", events)
	}
}

// readUntil is [io.ReadAll] that closes told once it has read all the texts.
func readUntil(r io.Reader, told chan<- struct{}, texts ...string) (all []byte, err error) {
	for b := make([]byte, 4096); err == nil; {
		var n int
		n, err = r.Read(b)
		all = append(all, b[:n]...)
		missing := func(text string) bool { return !bytes.Contains(all, []byte(text)) }
		if told != nil && !slices.ContainsFunc(texts, missing) {
			close(told)
			told = nil
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return all, err
}

// TestStandingCost holds what an idle stream costs, with all that its session
// holds: no goroutine, and a bounded part of the heap.
func TestStandingCost(t *testing.T) {
	const n = 200
	open := func(t *testing.T, srv *httptest.Server, method, path string, h http.Header, body string) {
		t.Helper()
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		through := c
		if srv.TLS != nil { // What the client keeps of TLS is freed.
			through = tls.Client(struct{ net.Conn }{c}, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
		}
		var req bytes.Buffer
		fmt.Fprintf(&req, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAccept: text/event-stream, application/json\r\n", method, path)
		if body != "" {
			fmt.Fprintf(&req, "Content-Length: %d\r\n", len(body))
		}
		h.Write(&req)
		through.Write([]byte(req.String() + "\r\n" + body))
		var got []byte
		for b := make([]byte, 1024); !bytes.HasSuffix(got, []byte("\n\n\r\n")); {
			n, err := through.Read(b)
			if err != nil {
				t.Fatalf("%v after %q", err, got)
			}
			got = append(got, b[:n]...)
		}
	}
	legacy := func(t *testing.T, srv *httptest.Server) {
		res, err := srv.Client().Post(srv.URL, "application/json", strings.NewReader( // Without a tap, which is held until the end.
			`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		open(t, srv, "GET", "/", http.Header{"Mcp-Session-Id": {res.Header.Get("Mcp-Session-Id")}, "Mcp-Protocol-Version": {"2025-11-25"}}, "")
	}
	modern := func(t *testing.T, srv *httptest.Server) {
		open(t, srv, "POST", "/", modern("subscriptions/listen", "", "alice"),
			`{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},`+modernMeta+`}}`)
	}
	for _, tt := range []struct {
		name  string
		serve func(*fixture, testing.TB) *httptest.Server
		open  func(*testing.T, *httptest.Server)
		most  int // bytes each, the socket of the test's own end among them
	}{
		{"session", func(f *fixture, t testing.TB) *httptest.Server { return f.serve(t) }, legacy, 5 << 10},
		{"session, TLS", func(f *fixture, t testing.TB) *httptest.Server { return f.serveTLS(t, false) }, legacy, 12 << 10},
		{"listen", func(f *fixture, t testing.TB) *httptest.Server { return f.serve(t) }, modern, 4 << 10},
		{"HTTP+SSE", func(f *fixture, t testing.TB) *httptest.Server { return f.serveSSE(t) }, func(t *testing.T, srv *httptest.Server) {
			open(t, srv, "GET", "/sse", http.Header{"Test-Principal": {"alice"}}, "")
		}, 6 << 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, mcp.FrontendOptions{StreamsPerPrincipal: 2 * n, SessionsPerPrincipal: 2 * n, Sessions: new(gateway.Sessions)})
			srv := tt.serve(f, t)
			for range 20 { // What is there once.
				tt.open(t, srv)
			}
			goroutines, memory := settled(t, srv)
			for range n {
				tt.open(t, srv)
			}
			g, m := settled(t, srv)
			each := (m - memory) / n
			t.Logf("%d bytes and %d/%d goroutines each", each, g-goroutines, n)
			if g > goroutines+2 { // One of the runtime's own may be there now.
				t.Errorf("%d idle streams have %d goroutines", n, g-goroutines)
			}
			if each > tt.most {
				t.Errorf("an idle stream takes %d bytes, at most %d", each, tt.most)
			}
		})
	}
}

// settled waits until no goroutine ends any more and returns how many there are,
// and the memory in use.
func settled(t *testing.T, srv *httptest.Server) (goroutines, memory int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for before := 1 << 30; ; before = goroutines {
		srv.Client().CloseIdleConnections()
		runtime.GC()
		if goroutines = runtime.NumGoroutine(); goroutines >= before {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("goroutines come and go")
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return goroutines, int(m.HeapAlloc + m.StackInuse)
}

// TestStandingIsNoted lists what is held open, and ends it.
func TestStandingIsNoted(t *testing.T) {
	sessions := new(gateway.Sessions)
	f := newFixture(t, mcp.FrontendOptions{Sessions: sessions})
	srv := f.serve(t)
	modern := listen(t, srv, "bob", `{}`)
	modern.want(ackOf(`{}`))
	legacy := openTap(t, srv, "GET", begin(t, srv, "bob"), "")
	_, events, _ := dialSSE(t, f.serveSSE(t), "bob")
	alice := listen(t, srv, "alice", `{"toolsListChanged":true}`)
	alice.want(ackOf(`{"toolsListChanged":true}`))
	waitFor(t, func() bool { return len(sessions.All()) == 4 })
	for _, s := range sessions.All() {
		if s.Via != "mcp" || s.Kind != "stream" {
			t.Errorf("%+v", s)
		}
	}
	revoked := &gateway.Error{Code: gateway.Unauthenticated, By: "test", Msg: "revoked"}
	if n := sessions.End(func(s *gateway.Session) *gateway.Error {
		if s.Principal.Name == "bob" {
			return revoked
		}
		return nil
	}); n != 3 {
		t.Errorf("%d ended", n)
	}
	modern.want(endOfL)
	modern.want("end of stream")
	legacy.want("end of stream")
	for range events { // Until its end.
	}
	waitFor(t, func() bool { return len(sessions.All()) == 1 })
	f.addTool(t, "more")
	alice.want(changed("tools", tagged))
}
