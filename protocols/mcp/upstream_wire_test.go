package mcp_test

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

const benchRawResult = `{"content":[{"type":"text","text":"The quick brown fox jumps over the lazy dog."}],"resultType":"complete"}`

// rawServer is a modern server below HTTP: it gives answer the id and the body
// of each request but discovery, on the connection that it came on. It returns
// its URL.
func rawServer(t *testing.T, answer func(c net.Conn, id, body []byte)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				buf := make([]byte, 64<<10)
				for {
					id, body, ok := rawRequest(c, buf)
					if !ok {
						return
					}
					if bytes.Contains(body, []byte(`"server/discover"`)) {
						c.Write(appendRaw(nil, id, modernDiscover))
						continue
					}
					answer(c, id, body)
				}
			})
		}
	})
	t.Cleanup(func() { // After the upstream has been closed, and with it its connections.
		l.Close()
		all.Wait()
	})
	return "http://" + l.Addr().String()
}

// rawRequest reads one request into buf.
func rawRequest(c net.Conn, buf []byte) (id, body []byte, ok bool) {
	for n := 0; ; {
		got, err := c.Read(buf[n:])
		if err != nil {
			return nil, nil, false
		}
		n += got
		head, body, whole := bytes.Cut(buf[:n], []byte("\r\n\r\n"))
		_, length, _ := bytes.Cut(head, []byte("Content-Length: "))
		length, _, _ = bytes.Cut(length, []byte("\r\n"))
		if want, err := strconv.Atoi(string(length)); !whole || err != nil || len(body) < want {
			continue
		}
		_, id, _ := bytes.Cut(body, []byte(`"id":`))
		id, _, _ = bytes.Cut(id, []byte(","))
		return id, body, true
	}
}

// appendRaw appends a whole HTTP response that answers a request.
func appendRaw(b, id []byte, result string) []byte {
	const open, middle = `{"jsonrpc":"2.0","id":`, `,"result":`
	b = append(b, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(open)+len(id)+len(middle)+len(result)+1), 10)
	b = append(append(append(b, "\r\n\r\n"+open...), id...), middle...)
	return append(append(b, result...), '}')
}

// TestUpstreamDesync has a server that answers more than it was asked, right
// behind a proper answer, with the id that the next request will have: one
// caller's answer never reaches another, nor does what nobody asked for.
func TestUpstreamDesync(t *testing.T) {
	mine := func(body []byte) string {
		_, text, _ := bytes.Cut(body, []byte(`"text":"`))
		text, _, _ = bytes.Cut(text, []byte(`"`))
		return `{"content":[{"type":"text","text":"` + string(text) + `"}],"resultType":"complete"}`
	}
	said := make(chan struct{}, 1)
	for _, tt := range []struct {
		name    string
		callers int
		answer  func(c net.Conn, id, body []byte)
	}{
		{"with the answer", 8, func(c net.Conn, id, body []byte) {
			n, _ := strconv.Atoi(string(id))
			out := appendRaw(nil, id, mine(body))
			for next := range 4 {
				out = appendRaw(out, strconv.AppendInt(nil, int64(n+1+next), 10), `{"content":[{"type":"text","text":"stolen"}],"resultType":"complete"}`)
			}
			c.Write(out)
		}},
		{"after the answer", 1, func(c net.Conn, id, body []byte) { // And before the next request: later, nobody can tell.
			n, _ := strconv.Atoi(string(id))
			c.Write(appendRaw(nil, id, mine(body)))
			c.Write(appendRaw(nil, strconv.AppendInt(nil, int64(n+1), 10), `{"content":[{"type":"text","text":"stolen"}],"resultType":"complete"}`))
			said <- struct{}{}
		}},
		{"in a body that is shorter than it says", 8, func(c net.Conn, id, body []byte) {
			out := appendRaw(nil, id, mine(body))
			c.Write(bytes.Replace(out, []byte("Content-Length: "), []byte("Content-Length: 1"), 1))
			c.Close()
		}},
		{"of two lengths", 8, func(c net.Conn, id, body []byte) {
			out := appendRaw(nil, id, mine(body))
			c.Write(bytes.Replace(out, []byte("Content-Length: "), []byte("Content-Length: 5\r\nContent-Length: "), 1))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := openUpstream(t, mcp.UpstreamOptions{URL: rawServer(t, tt.answer)})
			var all sync.WaitGroup
			for who := range tt.callers {
				all.Go(func() {
					for i := range 25 {
						want := fmt.Sprintf("caller %d call %d", who, i)
						call := toolCall("echo", `{"text":"`+want+`"}`)
						call.Principal = &gateway.Principal{ID: "test|user|" + strconv.Itoa(who)}
						res, err := u.Do(t.Context(), call)
						if err == nil && !strings.Contains(string(res.Raw), `"`+want+`"`) {
							t.Errorf("%q was answered %s", want, res.Raw)
						}
						if tt.callers == 1 {
							receive(t, said)
						}
					}
				})
			}
			all.Wait()
		})
	}
}
