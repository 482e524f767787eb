package http1_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trilith-gateway/trilith/protocols/http1"
)

const hello = head + "Content-Length: 5\r\n\r\nhello"

// TestStale has connections that fail under a second request. It is sent again
// only where that cannot run anything twice.
func TestStale(t *testing.T) {
	closeAfter := func(partial string, reset bool) func(*script, net.Conn, int) {
		return func(s *script, c net.Conn, n int) {
			r := bufio.NewReader(c)
			for i := 1; ; i++ {
				if _, ok := s.request(r); !ok {
					return
				}
				if n == 1 && i == 2 {
					if reset {
						_ = c.(*net.TCPConn).SetLinger(0)
					}
					_, _ = io.WriteString(c, partial)
					return
				}
				_, _ = io.WriteString(c, hello)
			}
		}
	}
	for _, tt := range []struct {
		name       string
		handle     func(*script, net.Conn, int)
		idempotent bool
		ok         bool
		asked      int32
	}{
		{"read, then closed", closeAfter("", false), false, false, 2},
		{"read, then closed, repeatable", closeAfter("", false), true, true, 3},
		{"read, then reset", closeAfter("", true), false, false, 2},
		{"read, then reset, repeatable", closeAfter("", true), true, true, 3},
		{"a byte, then closed, repeatable", closeAfter("H", false), true, false, 2},
		{"never well, repeatable", func(s *script, c net.Conn, n int) {
			r := bufio.NewReader(c)
			if _, ok := s.request(r); !ok || n > 1 {
				return
			}
			_, _ = io.WriteString(c, hello)
			s.request(r)
		}, true, false, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, tt.handle)
			c := client(t, s)
			if _, body, err := call(t.Context(), c, post(s, "first")); err != nil || body != "hello" {
				t.Fatalf("first: %q, %v", body, err)
			}
			r := post(s, "second")
			r.Idempotent = tt.idempotent
			_, body, err := call(t.Context(), c, r)
			if (err == nil) != tt.ok || tt.ok && body != "hello" {
				t.Errorf("second: %q, %v", body, err)
			}
			if got := s.asked.Load(); got != tt.asked {
				t.Errorf("the server read %d requests, want %d", got, tt.asked)
			}
		})
	}
}

// TestIdle has servers that do something with an idle connection: none of them
// is used again, and no request is lost.
func TestIdle(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(net.Conn)
	}{
		{"closed", func(c net.Conn) { c.Close() }},
		{"half closed", func(c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() }},
		{"reset", func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); c.Close() }},
		{"a response that nobody asked for", func(c net.Conn) { _, _ = io.WriteString(c, head+"Content-Length: 4\r\n\r\nevil") }},
		{"a byte", func(c net.Conn) { _, _ = io.WriteString(c, "\n") }},
		{"a timeout notice", func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			idle := make(chan net.Conn, 8)
			s := serve(t, func(s *script, c net.Conn, _ int) {
				r := bufio.NewReader(c)
				for {
					if _, ok := s.request(r); !ok {
						return
					}
					_, _ = io.WriteString(c, hello)
					idle <- c
				}
			})
			c := client(t, s)
			for i := range 3 {
				if _, body, err := call(t.Context(), c, post(s, "ask")); err != nil || body != "hello" {
					t.Fatalf("call %d: %q, %v", i, body, err)
				}
				tt.do(<-idle)
				settle(t)
			}
			if got := s.conns.Load(); got != 3 {
				t.Errorf("%d connections for three calls", got)
			}
		})
	}
}

// settle waits until what was sent on loopback has arrived: a message sent later
// on another connection has.
func settle(t *testing.T) {
	t.Helper()
	s := serve(t, always(hello))
	for range 3 {
		if _, _, err := call(t.Context(), client(t, s), post(s, "ask")); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFinish uses a connection again whose body ends while it is idle, and only
// then.
func TestFinish(t *testing.T) {
	for _, tt := range []struct {
		name, rest string
		kept       bool
	}{
		{"ended", "\r\n0\r\n\r\n", true},
		{"ended after another event", "\r\n3\r\n:\n\n\r\n0\r\n\r\n", true},
		{"not ended", "", false},
		{"not quite ended", "\r\n0\r\n", false},
		{"malformed", "\r\nzz\r\n\r\n", false},
		{"more behind it", "\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n", false},
		{"endless", "\r\n" + strings.Repeat("5\r\nhello\r\n", 1000), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			more, said := make(chan struct{}), make(chan struct{})
			s := serve(t, func(s *script, c net.Conn, n int) {
				r := bufio.NewReader(c)
				for {
					if _, ok := s.request(r); !ok {
						return
					}
					_, _ = io.WriteString(c, head+"Transfer-Encoding: chunked\r\n\r\n5\r\nhello")
					<-more
					_, _ = io.WriteString(c, tt.rest)
					said <- struct{}{}
				}
			})
			c := client(t, s)
			for range 2 {
				res, err := c.Do(t.Context(), post(s, "ask"))
				if err != nil {
					t.Fatal(err)
				}
				var b [5]byte
				if _, err := io.ReadFull(res, b[:]); err != nil || string(b[:]) != "hello" {
					t.Fatalf("%q, %v", b, err)
				}
				res.Finish()
				more <- struct{}{}
				<-said
				settle(t)
			}
			if kept := s.conns.Load() == 1; kept != tt.kept {
				t.Errorf("%d connections", s.conns.Load())
			}
		})
	}
}

// TestCancel ends contexts at every point of an exchange. The cause is the
// error, and the server sees the connection end.
func TestCancel(t *testing.T) {
	wish := errors.New("nobody waits any more")
	for _, tt := range []struct{ name, said string }{
		{"before the response", ""},
		{"in the head", "HTTP/1.1 200 OK\r\nContent-"},
		{"in the body", head + "Content-Length: 5\r\n\r\nhel"},
		{"in a chunk", head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhel"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			waits, gone := make(chan struct{}), make(chan struct{})
			s := serve(t, func(s *script, c net.Conn, n int) {
				once(tt.said)(s, c, n)
				close(waits)
				_, _ = io.Copy(io.Discard, c)
				close(gone)
			})
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				<-waits
				cancel(wish)
			}()
			if _, body, err := call(ctx, client(t, s), post(s, "ask")); !errors.Is(err, wish) {
				t.Errorf("%q, %v", body, err)
			}
			<-gone
		})
	}
	t.Run("before", func(t *testing.T) {
		s := serve(t, always(hello))
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(wish)
		if _, _, err := call(ctx, client(t, s), post(s, "ask")); !errors.Is(err, wish) || s.conns.Load() != 0 {
			t.Errorf("%v, %d connections", err, s.conns.Load())
		}
	})
	t.Run("after", func(t *testing.T) { // It must not close what is another's by now.
		s := serve(t, always(hello))
		c := client(t, s)
		for range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			if _, _, err := call(ctx, c, post(s, "ask")); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
		if s.conns.Load() != 1 {
			t.Errorf("%d connections", s.conns.Load())
		}
	})
}

// TestEarlyResponse has a server that answers a large request without reading
// it.
func TestEarlyResponse(t *testing.T) {
	large := strings.Repeat("x", 16<<20)
	t.Run("and reads nothing more", func(t *testing.T) {
		answered := make(chan struct{})
		s := serve(t, func(_ *script, c net.Conn, _ int) {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!")
			}
			<-answered
		})
		status, body, err := call(t.Context(), client(t, s), post(s, large))
		close(answered)
		if status != 413 || body != "no!" || err != nil {
			t.Errorf("%d %q, %v", status, body, err)
		}
	})
	t.Run("whole", func(t *testing.T) {
		got := make(chan int, 1)
		s := serve(t, func(s *script, c net.Conn, _ int) {
			body, _ := s.request(bufio.NewReader(c))
			got <- len(body)
			_, _ = io.WriteString(c, hello)
		})
		if _, body, err := call(t.Context(), client(t, s), post(s, large)); body != "hello" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
		if n := <-got; n != len(large) {
			t.Errorf("the server read %d bytes", n)
		}
	})
}

// TestConcurrent mixes callers on few connections, some of which break: every
// caller gets the answer to its own request, or an error.
func TestConcurrent(t *testing.T) {
	s := serve(t, func(s *script, c net.Conn, n int) {
		r := bufio.NewReader(c)
		for i := 0; i < 10+n%7; i++ {
			body, ok := s.request(r)
			if !ok {
				return
			}
			switch i % 3 {
			case 0:
				fmt.Fprintf(c, head+"Content-Length: %d\r\n\r\n%s", len(body), body)
			case 1:
				fmt.Fprintf(c, head+"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
			default:
				fmt.Fprintf(c, head+"Content-Length: %d\r\n\r\n%s", len(body), body[:len(body)/2])
				if n%3 == 0 {
					return
				}
				_, _ = io.WriteString(c, body[len(body)/2:])
			}
		}
	})
	c := client(t, s, func(o *http1.Options) { o.MaxIdle = 4 })
	var all sync.WaitGroup
	var answered atomic.Int32
	for i := range 16 {
		all.Go(func() {
			for j := range 100 {
				ctx, cancel := context.WithCancel(t.Context())
				if j%5 == 0 {
					go cancel()
				}
				want := fmt.Sprintf("caller %d asks %d", i, j)
				_, body, err := call(ctx, c, post(s, want))
				cancel()
				if err == nil && body != want {
					t.Errorf("%q was answered %q", want, body)
				}
				if err == nil {
					answered.Add(1)
				}
			}
		})
	}
	all.Wait()
	if answered.Load() < 400 {
		t.Errorf("only %d of 1600 were answered", answered.Load())
	}
}

// TestIdleTimeout closes connections that nobody uses, at the latest when the
// server said that it would.
func TestIdleTimeout(t *testing.T) {
	for _, tt := range []struct {
		name, field string
		after       time.Duration
	}{
		{"own", "", 90 * time.Second},
		{"the server's", "Keep-Alive: max=100, timeout=5\r\n", 4 * time.Second},
		{"the server's is longer", "Keep-Alive: timeout=1000\r\n", 90 * time.Second},
		{"the server's is none", "Keep-Alive: timeout=soon\r\n", 90 * time.Second},
		{"at once", "Keep-Alive: timeout=0\r\n", time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var closed time.Time
				dial := func(context.Context, string, string) (net.Conn, error) {
					near, far := net.Pipe()
					go func() {
						if _, err := http.ReadRequest(bufio.NewReader(far)); err == nil {
							_, _ = io.WriteString(far, "HTTP/1.1 204 No Content\r\n"+tt.field+"\r\n")
						}
						_, _ = io.Copy(io.Discard, far)
						closed = time.Now()
					}()
					return near, nil
				}
				c := http1.New(&url.URL{Scheme: "http", Host: "server.example"}, http1.Options{Dial: dial, Other: refuseOther{t}})
				defer c.Close()
				r := &http1.Request{Head: []byte("GET / HTTP/1.1\r\nHost: server.example\r\n")}
				if _, _, err := call(t.Context(), c, r); err != nil {
					t.Fatal(err)
				}
				used := time.Now()
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if got := closed.Sub(used); got != tt.after {
					t.Errorf("closed after %v, want %v", got, tt.after)
				}
			})
		})
	}
}

func TestClose(t *testing.T) {
	s := serve(t, always(hello))
	c := client(t, s)
	res, err := c.Do(t.Context(), post(s, "ask"))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if b, err := io.ReadAll(res); string(b) != "hello" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	res.Close()
	if _, body, err := call(t.Context(), c, post(s, "ask")); body != "hello" || err != nil {
		t.Errorf("after Close: %q, %v", body, err)
	}
	if s.conns.Load() != 2 {
		t.Errorf("%d connections: one was kept", s.conns.Load())
	}
}

// TestTLS speaks HTTP/1.1 inside TLS, and leaves to net/http what speaks HTTP/2
// alone.
func TestTLS(t *testing.T) {
	open := func(t *testing.T, only2 bool) (*httptest.Server, *http1.Client) {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s", r.Proto, r.Header.Get("X-A"), b)
		}))
		srv.EnableHTTP2 = true
		srv.TLS = &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
		if only2 { // Go's own lets clients of HTTP/1.1 in as if they had not said so.
			srv.TLS.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				if slices.Contains(hello.SupportedProtos, "h2") {
					return nil, nil
				}
				return &tls.Config{Certificates: srv.TLS.Certificates, NextProtos: []string{"spdy/3"}}, nil
			}
		}
		srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
		srv.StartTLS()
		t.Cleanup(srv.Close)
		u, err := url.Parse(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		other := srv.Client().Transport.(*http.Transport)
		c := http1.New(u, http1.Options{Dial: new(net.Dialer).DialContext, TLS: other.TLSClientConfig, Other: other})
		t.Cleanup(c.Close)
		return srv, c
	}
	ask := func(srv *httptest.Server) *http1.Request {
		u, _ := url.Parse(srv.URL + "/mcp?a=b")
		h, _ := http1.AppendField(http1.AppendRequestLine(nil, "POST", u), "X-A", "one")
		return &http1.Request{Head: h, Body: []byte("ask")}
	}
	t.Run("HTTP/1.1", func(t *testing.T) {
		srv, c := open(t, false)
		for range 3 {
			if status, body, err := call(t.Context(), c, ask(srv)); status != 200 || body != "HTTP/1.1 one ask" || err != nil {
				t.Fatalf("%d %q, %v", status, body, err)
			}
		}
	})
	t.Run("HTTP/2 alone", func(t *testing.T) {
		srv, c := open(t, true)
		for range 3 {
			if status, body, err := call(t.Context(), c, ask(srv)); status != 200 || body != "HTTP/2.0 one ask" || err != nil {
				t.Fatalf("%d %q, %v", status, body, err)
			}
		}
	})
	t.Run("an unknown authority", func(t *testing.T) {
		srv, _ := open(t, false)
		u, _ := url.Parse(srv.URL)
		c := http1.New(u, http1.Options{Dial: new(net.Dialer).DialContext, Other: refuseOther{t}})
		defer c.Close()
		if _, body, err := call(t.Context(), c, ask(srv)); err == nil {
			t.Errorf("it was trusted: %q", body)
		}
	})
}
