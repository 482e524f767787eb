package mcp_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// A tap reads an answer event by event.
type tap struct {
	t    testing.TB
	res  *http.Response
	data chan string   // closed at the end of the stream
	beat chan struct{} // receives when a comment has kept the stream open
}

// openTap sends a request and reads its answer as a stream.
func openTap(t testing.TB, srv *httptest.Server, method string, header http.Header, body string) *tap {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, srv.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header.Clone()
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	res, err := srv.Client().Do(r) // The tap closes it.
	if err != nil {
		t.Fatal(err)
	}
	tp := &tap{t, res, make(chan string, 100), make(chan struct{}, 1)}
	go func() {
		defer close(tp.data)
		lines := bufio.NewScanner(res.Body)
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				tp.data <- data
			} else if lines.Text() == ": keep-alive" {
				select {
				case tp.beat <- struct{}{}:
				default:
				}
			} else if c, ok := strings.CutPrefix(lines.Text(), ": "); ok {
				tp.data <- c
			}
		}
	}()
	t.Cleanup(tp.close)
	return tp
}

func (tp *tap) close() { tp.res.Body.Close() }

// next returns the next event, or a comment that does not just keep the stream
// open.
func (tp *tap) next() string {
	tp.t.Helper()
	select {
	case d, ok := <-tp.data:
		if !ok {
			return "end of stream"
		}
		return d
	case <-time.After(patience):
		tp.t.Fatal("nothing came")
		return ""
	}
}

// want checks the next event.
func (tp *tap) want(event string) {
	tp.t.Helper()
	if got := tp.next(); got != event {
		tp.t.Fatalf("got  %s\nwant %s", got, event)
	}
}

func receive[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func modern(method, name, who string) http.Header {
	h := http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {method}, "Test-Principal": {who}}
	if name != "" {
		h.Set("Mcp-Name", name)
	}
	return h
}

const (
	tagged = `"_meta":{"io.modelcontextprotocol/subscriptionId":"L"}`
	endOfL = `{"jsonrpc":"2.0","id":"L","result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":"L","io.modelcontextprotocol/serverInfo":{"name":"trilith","version":"0"}}}}`
)

// begin starts a legacy session and returns its headers.
func begin(t testing.TB, srv *httptest.Server, who string) http.Header {
	t.Helper()
	h := http.Header{"Test-Principal": {who}}
	s := openTap(t, srv, "POST", h, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
	h.Set("Mcp-Session-Id", s.res.Header.Get("Mcp-Session-Id"))
	h.Set("Mcp-Protocol-Version", "2025-11-25")
	return h
}

// post sends one message and returns the status and the body.
func post(t testing.TB, srv *httptest.Server, h http.Header, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = h.Clone()
	r.Header.Set("Content-Type", "application/json")
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}
