package http1_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/trilith-gateway/trilith/protocols/http1"
)

// A script is a server that says what it is told to, whatever HTTP makes of it.
type script struct {
	url   *url.URL
	conns atomic.Int32 // that were opened
	asked atomic.Int32 // requests that were read whole
}

// serve runs a server: each connection is given to handle, with its number from
// 1, and closed afterwards.
func serve(t testing.TB, handle func(s *script, c net.Conn, n int)) *script {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{url: &url.URL{Scheme: "http", Host: l.Addr().String(), Path: "/mcp"}}
	var all sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]struct{}{}
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = struct{}{}
			mu.Unlock()
			n := int(s.conns.Add(1))
			all.Go(func() {
				handle(s, c, n)
				c.Close()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return s
}

// request reads one request and returns its body, and false at the end.
func (s *script) request(r *bufio.Reader) (string, bool) {
	req, err := http.ReadRequest(r)
	if err != nil {
		return "", false
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return "", false
	}
	s.asked.Add(1)
	return string(body), true
}

// always answers every request with the same text.
func always(text string) func(*script, net.Conn, int) {
	return func(s *script, c net.Conn, _ int) {
		for r := bufio.NewReader(c); ; {
			if _, ok := s.request(r); !ok {
				return
			}
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	}
}

// once answers one request with a text and ends the connection.
func once(text string) func(*script, net.Conn, int) {
	return func(s *script, c net.Conn, _ int) {
		if _, ok := s.request(bufio.NewReader(c)); ok {
			_, _ = io.WriteString(c, text) // The client may have gone.
		}
	}
}

func client(t testing.TB, s *script, change ...func(*http1.Options)) *http1.Client {
	t.Helper()
	o := http1.Options{Dial: new(net.Dialer).DialContext, Other: refuseOther{t}}
	for _, f := range change {
		f(&o)
	}
	c := http1.New(s.url, o)
	t.Cleanup(c.Close)
	return c
}

type refuseOther struct{ testing.TB }

func (r refuseOther) RoundTrip(*http.Request) (*http.Response, error) {
	r.Error("a request went to net/http")
	return nil, io.EOF
}

func post(s *script, body string) *http1.Request {
	return &http1.Request{Head: http1.AppendRequestLine(nil, "POST", s.url), Body: []byte(body)}
}

// call sends a request and reads all of its response.
func call(ctx context.Context, c *http1.Client, r *http1.Request) (status int, body string, err error) {
	res, err := c.Do(ctx, r)
	if err != nil {
		return 0, "", err
	}
	defer res.Close()
	b, err := io.ReadAll(res)
	return res.Status, string(b), err
}
