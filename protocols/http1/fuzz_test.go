package http1_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/protocols/http1"
)

// A recording is a connection on which everything has been said.
type recording struct{ *bytes.Reader }

func (recording) Write(b []byte) (int, error)      { return len(b), nil }
func (recording) Close() error                     { return nil }
func (recording) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (recording) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (recording) SetDeadline(time.Time) error      { return nil }
func (recording) SetReadDeadline(time.Time) error  { return nil }
func (recording) SetWriteDeadline(time.Time) error { return nil }

// FuzzResponse reads anything as a response. What is taken for one is the same
// one to net/http.
func FuzzResponse(f *testing.F) {
	for _, text := range []string{
		hello, head + "\r\nhello",
		head + "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.0 204 No Content\r\nConnection: close\r\nKeep-Alive: timeout=5\r\n\r\nmore",
		"HTTP/1.1 401 \r\nWWW-Authenticate: Bearer a=\"b\"\r\nContent-Length: 0\r\n\r\n",
	} {
		f.Add([]byte(text))
	}
	origin := &url.URL{Scheme: "http", Host: "server.example"}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := http1.New(origin, http1.Options{
			Dial: func(context.Context, string, string) (net.Conn, error) {
				return recording{bytes.NewReader(text)}, nil
			},
			Other: refuseOther{t},
		})
		defer c.Close()
		res, err := c.Do(t.Context(), &http1.Request{Head: []byte("POST / HTTP/1.1\r\nHost: server.example\r\n"), Body: []byte("ask")})
		if err != nil {
			return
		}
		defer res.Close()
		kind := string(res.Field("Content-Type"))
		body, err := io.ReadAll(res)
		if len(body) > len(text) {
			t.Fatal("more was read than was said")
		}
		if err != nil {
			return
		}
		r := bufio.NewReader(bytes.NewReader(text))
		for {
			want, err := http.ReadResponse(r, &http.Request{Method: "POST"})
			if err != nil {
				t.Fatalf("net/http does not read it: %v", err)
			}
			if want.StatusCode < 200 {
				continue
			}
			if want.StatusCode != res.Status || want.Header.Get("Content-Type") != kind {
				t.Errorf("%d %q, for net/http %d %q", res.Status, kind, want.StatusCode, want.Header.Get("Content-Type"))
			}
			if read, err := io.ReadAll(want.Body); err != nil || !bytes.Equal(read, body) {
				t.Errorf("%q, for net/http %q, %v", body, read, err)
			}
			return
		}
	})
}
