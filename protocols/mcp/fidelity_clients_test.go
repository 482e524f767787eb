package mcp_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// A rawClient speaks one revision over one transport, in text.
type rawClient struct {
	name   string
	modern bool
	dial   func(t *testing.T, f *mcp.Frontend, srv *httptest.Server) asker
}

func rawClients() []rawClient {
	return []rawClient{
		{"http 2026-07-28", true, httpClient("2026-07-28", "")},
		{"http 2026-07-28 with progress", true, httpClient("2026-07-28", `"progressToken":1`)},
		{"http 2025-11-25", false, httpClient("2025-11-25", "")},
		{"http 2025-11-25 with progress", false, httpClient("2025-11-25", `"progressToken":1`)},
		{"http 2025-06-18", false, httpClient("2025-06-18", "")},
		{"http 2025-03-26", false, httpClient("2025-03-26", "")},
		{"http+sse 2024-11-05", false, sseClient},
		{"websocket 2026-07-28", true, socketClient("2026-07-28")},
		{"websocket 2025-11-25", false, socketClient("2025-11-25")},
		{"pipe 2026-07-28", true, pipeClient("2026-07-28")},
		{"pipe 2025-11-25", false, pipeClient("2025-11-25")},
	}
}

// requestIn returns a request of a revision, which has an id of its own.
func requestIn(rev string, id int, method, params, meta string) string {
	if rev == "2026-07-28" {
		more := strings.TrimSuffix(strings.TrimPrefix(modernMeta, `"_meta":{`), "}")
		if meta != "" {
			more += "," + meta
		}
		meta = more
	}
	if meta != "" {
		if params != "" {
			params += ","
		}
		params += `"_meta":{` + meta + `}`
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{%s}}`, id, method, params)
}

func initializeIn(rev string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + rev + `","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`
}

const initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`

func httpClient(rev, meta string) func(*testing.T, *mcp.Frontend, *httptest.Server) asker {
	return func(t *testing.T, _ *mcp.Frontend, srv *httptest.Server) asker {
		session := ""
		post := func(method, body string) []byte {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
			if session != "" {
				r.Header.Set("Mcp-Session-Id", session)
			}
			if rev == "2026-07-28" {
				var a asking
				if err := json.Unmarshal([]byte(body), &a); err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Mcp-Method", method)
				if name := a.Params.Name + a.Params.URI; name != "" {
					r.Header.Set("Mcp-Name", name)
				}
			}
			if method != "initialize" {
				r.Header.Set("Mcp-Protocol-Version", rev)
			}
			res, err := srv.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if id := res.Header.Get("Mcp-Session-Id"); id != "" {
				session = id
			}
			if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
				return responseAmong(t, dataLines(res.Body))
			}
			b, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		if rev != "2026-07-28" {
			post("initialize", initializeIn(rev))
			post("notifications/initialized", initialized)
		}
		id := 1
		return func(method, params string) []byte {
			id++
			return post(method, requestIn(rev, id, method, params, meta))
		}
	}
}

// dataLines yields the data of events, of one line each.
func dataLines(r io.Reader) func() ([]byte, bool) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 8<<20)
	return func() ([]byte, bool) {
		for lines.Scan() {
			if data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: ")); ok {
				return data, true
			}
		}
		return nil, false
	}
}

// responseAmong returns the next message that is a response.
func responseAmong(t *testing.T, next func() ([]byte, bool)) []byte {
	t.Helper()
	for {
		text, ok := next()
		if !ok {
			t.Fatal("the stream ended without an answer")
		}
		var m struct{ ID json.RawMessage }
		if json.Unmarshal(text, &m) == nil && m.ID != nil {
			return text
		}
	}
}

func sseClient(t *testing.T, _ *mcp.Frontend, srv *httptest.Server) asker {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/sse", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	next := dataLines(res.Body)
	endpoint, _ := next()
	where := srv.URL + string(endpoint)
	say := func(body string) {
		res, err := srv.Client().Post(where, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	say(initializeIn("2024-11-05"))
	responseAmong(t, next)
	say(initialized)
	id := 1
	return func(method, params string) []byte {
		id++
		say(requestIn("2024-11-05", id, method, params, `"progressToken":"p"`))
		return responseAmong(t, next)
	}
}

func socketClient(rev string) func(*testing.T, *mcp.Frontend, *httptest.Server) asker {
	return func(t *testing.T, _ *mcp.Frontend, srv *httptest.Server) asker {
		p := plugIn(t, srv, "alice")
		return talkIn(t, rev, p.say, func() ([]byte, bool) {
			kind, text, err := p.conn.Read(p.ctx)
			return text, err == nil && kind == websocket.MessageText
		})
	}
}

func pipeClient(rev string) func(*testing.T, *mcp.Frontend, *httptest.Server) asker {
	return func(t *testing.T, f *mcp.Frontend, _ *httptest.Server) asker {
		in, toServer := io.Pipe()
		fromServer, out := io.Pipe()
		done := make(chan error, 1)
		go func() {
			done <- f.ServeStdio(context.WithoutCancel(t.Context()), in, out, principal("alice")) // The end of its input ends it.
			out.Close()
		}()
		t.Cleanup(func() {
			toServer.Close()
			if err := <-done; err != nil {
				t.Errorf("ServeStdio: %v", err)
			}
		})
		lines := bufio.NewScanner(fromServer)
		lines.Buffer(nil, 8<<20)
		say := func(text string) { io.WriteString(toServer, text+"\n") }
		return talkIn(t, rev, say, func() ([]byte, bool) {
			ok := lines.Scan()
			return lines.Bytes(), ok
		})
	}
}

// talkIn speaks a revision over what carries texts both ways.
func talkIn(t *testing.T, rev string, say func(string), next func() ([]byte, bool)) asker {
	if rev != "2026-07-28" {
		say(initializeIn(rev))
		responseAmong(t, next)
		say(initialized)
	}
	id := 1
	return func(method, params string) []byte {
		id++
		say(requestIn(rev, id, method, params, `"progressToken":"p"`))
		return responseAmong(t, next)
	}
}
