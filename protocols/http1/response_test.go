package http1_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/protocols/http1"
)

const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

func TestResponses(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		status     int
		body       string
		kept       bool
	}{
		{"with a length", head + "Content-Length: 5\r\n\r\nhello", 200, "hello", true},
		{"empty", head + "Content-Length: 0\r\n\r\n", 200, "", true},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", true},
		{"not modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, "", true},
		{"no reason", "HTTP/1.1 202\r\nContent-Length: 0\r\n\r\n", 202, "", true},
		{"chunked", head + "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", 200, "hello", true},
		{"chunk extensions and trailers", head + "transfer-encoding: Chunked\r\n\r\n5;a=b ;c\r\nhello\r\n00\r\nX-Sum: 1\r\n\r\n", 200, "hello", true},
		{"hex in both cases", head + "Transfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n", 200, "01234567890123456789a", true},
		{"to the end", head + "\r\nhello", 200, "hello", false},
		{"closing", head + "Content-Length: 5\r\nConnection: keep-alive, Close\r\n\r\nhello", 200, "hello", false},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", false},
		{"after early hints", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + head + "Content-Length: 5\r\n\r\nhello", 200, "hello", true},
		{"the same length twice", head + "Content-Length: 5\r\ncontent-length: 5\r\n\r\nhello", 200, "hello", true},
		{"a redirect", "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://elsewhere.example/\r\nContent-Length: 4\r\n\r\ngone", 307, "gone", true},
		{"an error", "HTTP/1.1 503 Unavailable\r\nRetry-After: 3\r\nContent-Length: 4\r\n\r\nbusy", 503, "busy", true},
		{"more than it says", head + "Content-Length: 5\r\n\r\nhello" + head + "Content-Length: 4\r\n\r\nevil", 200, "hello", false},
		{"more after the last chunk", head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n5\r\nevil!\r\n", 200, "hello", false},
		{"more after no content", "HTTP/1.1 204 No Content\r\n\r\nevil", 204, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			handle := always(tt.text)
			if !tt.kept {
				handle = once(tt.text)
			}
			s := serve(t, handle)
			c := client(t, s)
			for range 3 {
				status, body, err := call(t.Context(), c, post(s, "ask"))
				if err != nil || status != tt.status || body != tt.body {
					t.Fatalf("%d %q, %v, want %d %q", status, body, err, tt.status, tt.body)
				}
			}
			if n := s.conns.Load(); n != 1 && tt.kept || n != 3 && !tt.kept {
				t.Errorf("%d connections for three requests", n)
			}
		})
	}
}

// TestMalformed has responses that are not HTTP/1.1, or too large to be read.
// None of them is taken for one, and each fails for that reason.
func TestMalformed(t *testing.T) {
	chunked := head + "Transfer-Encoding: chunked\r\n\r\n"
	for _, tt := range []struct{ name, text string }{
		{"another protocol", "SSH-2.0-OpenSSH_9.9\r\n"},
		{"HTTP/2", "HTTP/2 200 OK\r\n\r\n"},
		{"HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n"},
		{"no status", "HTTP/1.1 \r\n\r\n"},
		{"a word for a status", "HTTP/1.1 abc OK\r\n\r\n"},
		{"a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"},
		{"a status that is none", "HTTP/1.1 099 OK\r\n\r\n"},
		{"a status out of range", "HTTP/1.1 600 OK\r\n\r\n"},
		{"switching protocols", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"},
		{"bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"},
		{"a folded field", head + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n"},
		{"space before the colon", head + "Content-Length : 0\r\n\r\n"},
		{"no colon", head + "Content-Length\r\n\r\n"},
		{"no name", head + ": 1\r\n\r\n"},
		{"NUL in a value", head + "X: a\x00b\r\n\r\n"},
		{"a carriage return in a value", head + "X: a\rContent-Length: 1\r\n\r\n"},
		{"two lengths", head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"},
		{"a list of lengths", head + "Content-Length: 5, 5\r\n\r\nhello"},
		{"a negative length", head + "Content-Length: -1\r\n\r\n"},
		{"a signed length", head + "Content-Length: +5\r\n\r\nhello"},
		{"an empty length", head + "Content-Length: \r\n\r\nhello"},
		{"a huge length", head + "Content-Length: 99999999999999999999\r\n\r\n"},
		{"a length in hex", head + "Content-Length: 0x5\r\n\r\nhello"},
		{"a length and chunks", head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"chunks and a length", head + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"},
		{"another coding", head + "Transfer-Encoding: gzip\r\n\r\n"},
		{"codings before chunked", head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
		{"chunked twice", head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"chunked with control", head + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"},
		{"chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"an endless line", "HTTP/1.1 200 " + strings.Repeat("O", 1<<20)},
		{"an endless field", head + "X: " + strings.Repeat("x", 1<<20)},
		{"endless fields", head + strings.Repeat("X: y\r\n", 1<<18)},
		{"endless hints", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 1<<15)},
		{"a chunk without a size", chunked + "\r\nhello\r\n0\r\n\r\n"},
		{"a negative chunk", chunked + "-5\r\nhello\r\n0\r\n\r\n"},
		{"a chunk's size with a prefix", chunked + "0x5\r\nhello\r\n0\r\n\r\n"},
		{"a chunk's size that overflows", chunked + "10000000000000005\r\nhello\r\n0\r\n\r\n"},
		{"a chunk's line with a bare line feed", chunked + "5\nhello\r\n0\r\n\r\n"},
		{"a chunk that is longer", chunked + "4\r\nhello\r\n0\r\n\r\n"},
		{"a chunk that is much longer", chunked + "1\r\nhello hello\r\n0\r\n\r\n"},
		{"an endless extension", chunked + "5;" + strings.Repeat("x", 1<<20)},
		{"chunks that are mostly extensions", chunked + strings.Repeat("1;"+strings.Repeat("x", 1000)+"\r\ny\r\n", 1<<10)},
		{"endless trailers", chunked + "0\r\n" + strings.Repeat("X: y\r\n", 1<<18)},
		{"a trailer that is none", chunked + "0\r\nGET / HTTP/1.1\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, func(s *script, c net.Conn, n int) {
				once(tt.text)(s, c, n)
				_, _ = io.Copy(io.Discard, c) // Until the client has closed it: what it had not read would be reset.
			})
			status, body, err := call(t.Context(), client(t, s), post(s, "ask"))
			if _, ok := errors.AsType[*http1.ProtocolError](err); !ok {
				t.Fatalf("%d %.80q, %v, want a protocol error", status, body, err)
			}
			if s.conns.Load() != 1 || s.asked.Load() != 1 {
				t.Error("the request was sent again")
			}
		})
	}
}

// TestCutOff cuts responses off at every byte. Nothing but the whole is ever
// taken for one.
func TestCutOff(t *testing.T) {
	for name, whole := range map[string]string{
		"length":  "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" + head + "Content-Length: 5\r\n\r\nhello",
		"chunked": head + "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nX-Sum: 1\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			// Every call has a connection of its own, as the one before was cut off.
			s := serve(t, func(s *script, c net.Conn, n int) { once(whole[:n-1])(s, c, n) })
			c := client(t, s)
			for cut := range len(whole) {
				_, body, err := call(t.Context(), c, post(s, "ask"))
				if !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatalf("cut at %d: %q, %v, want an unexpected end", cut, body, err)
				}
			}
			if _, body, err := call(t.Context(), c, post(s, "ask")); body != "hello" || err != nil {
				t.Fatalf("whole: %q, %v", body, err)
			}
			if asked := int(s.asked.Load()); asked != len(whole)+1 {
				t.Errorf("%d requests for %d calls", asked, len(whole)+1)
			}
		})
	}
}

// TestEndless has a body that never ends: the reader decides when it has had
// enough, and closing says so to the server.
func TestEndless(t *testing.T) {
	for name, begin := range map[string]string{
		"chunked":    head + "Transfer-Encoding: chunked\r\n\r\n",
		"to the end": head + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			gone := make(chan struct{})
			s := serve(t, func(s *script, c net.Conn, n int) {
				once(begin)(s, c, n)
				for {
					if _, err := io.WriteString(c, "5\r\nhello\r\n"); err != nil {
						close(gone)
						return
					}
				}
			})
			res, err := client(t, s).Do(t.Context(), post(s, "ask"))
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.CopyN(io.Discard, res, 1<<20); err != nil {
				t.Fatalf("%d bytes, %v", n, err)
			}
			res.Close()
			if n, err := res.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("a closed response was read: %d, %v", n, err)
			}
			select {
			case <-gone:
			case <-time.After(10 * time.Second):
				t.Error("the server was not told")
			}
		})
	}
}

func TestFields(t *testing.T) {
	s := serve(t, always("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer a=\"b\"\r\nwww-authenticate: Basic\r\nX-Empty:\r\nContent-Length: 2\r\n\r\nno"))
	res, err := client(t, s).Do(t.Context(), post(s, "ask"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Www-Authenticate": `Bearer a="b"`, "x-empty": "", "X-Absent": "", "content-LENGTH": "2"} {
		if got := string(res.Field(name)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	std := res.HTTP()
	body, err := io.ReadAll(std.Body)
	if std.StatusCode != 401 || len(std.Header["Www-Authenticate"]) != 2 || std.ContentLength != 2 || string(body) != "no" || err != nil {
		t.Errorf("for net/http: %+v, %q, %v", std, body, err)
	}
	res.Close()
	if got := res.Field("Www-Authenticate"); got != nil {
		t.Errorf("a closed response has %q", got)
	}
}

// TestAppendField refuses what would make two fields, or two requests, of one.
func TestAppendField(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		ok          bool
	}{
		{"X-A", "b c\td", true},
		{"X-A", "", true},
		{"X-A", "grün", true},
		{"X-A", "b\r\nX-C: d", false},
		{"X-A", "b\nX-C: d", false},
		{"X-A", "b\x00", false},
		{"X-A", "b\x7f", false},
		{"", "b", false},
		{"X A", "b", false},
		{"X:A", "b", false},
		{"X\r\nB", "b", false},
	} {
		b, err := http1.AppendField([]byte("A: b\r\n"), tt.name, tt.value)
		want := "A: b\r\n"
		if tt.ok {
			want += tt.name + ": " + tt.value + "\r\n"
		}
		if string(b) != want || (err == nil) != tt.ok {
			t.Errorf("%q: %q: %q, %v", tt.name, tt.value, b, err)
		}
	}
}
