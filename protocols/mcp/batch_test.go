package mcp_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// beginAt starts a legacy session of a revision and returns its headers.
func beginAt(t testing.TB, srv *httptest.Server, who, rev string) http.Header {
	t.Helper()
	h := http.Header{"Test-Principal": {who}}
	s := openTap(t, srv, "POST", h, request("initialize", `{"protocolVersion":"`+rev+`","capabilities":{},"clientInfo":{"name":"t","version":"1"}}`))
	h.Set("Mcp-Session-Id", s.res.Header.Get("Mcp-Session-Id"))
	return h
}

// requestAs is the text of a request with an id.
func requestAs(id int, method, params string) string {
	return `{"jsonrpc":"2.0","id":` + strconv.Itoa(id) + `,"method":"` + method + `","params":` + params + `}`
}

func TestBatch(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	rec := f.observe(t, mcp.FrontendOptions{})
	srv := f.serve(t)
	h := beginAt(t, srv, "bob", "2025-03-26")
	echo := func(id int, text string) string {
		return requestAs(id, "tools/call", `{"name":"echo","arguments":{"text":"`+text+`"}}`)
	}
	for _, tt := range []struct {
		name, body string
		status     int
		answer     string
		records    []string
	}{
		{
			"everything", `[` + echo(1, "a") + `,{"jsonrpc":"2.0","method":"notifications/initialized"},` + requestAs(2, "nope", `{}`) + `,{"jsonrpc":"2.0","id":9,"result":{}},` +
				requestAs(3, "tools/call", `{"name":"secret"}`) + `,{"jsonrpc":"2.0"},7,` + requestAs(4, "initialize", `{"protocolVersion":"2025-03-26"}`) + `]`, 200,
			`[{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"a"}]}},{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"Method not found: nope"}},` +
				`{"jsonrpc":"2.0","id":3,"error":{"code":-32602,"message":"no tool named \"secret\"","data":{"code":"NOT_FOUND"}}},` +
				`{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid request: a message has a method, a result or an error"}},` +
				`{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid request: a message is a JSON object"}},` +
				`{"jsonrpc":"2.0","id":4,"error":{"code":-32600,"message":"Invalid request: initialize is no part of a batch"}}]`,
			[]string{
				`INVALID_ARGUMENT by mcp bob  "POST /mcp"`, `INVALID_ARGUMENT by mcp bob  "POST /mcp"`, `INVALID_ARGUMENT by mcp bob  "initialize"`,
				`NOT_FOUND by policy bob call "secret"`, `OK bob call "echo"`, `UNIMPLEMENTED by mcp bob  "nope"`,
			},
		},
		{"notifications alone", `[{"jsonrpc":"2.0","method":"notifications/initialized"}]`, 202, "", nil},
		{
			"one id twice", `[` + echo(1, "a") + `,` + echo(1, "b") + `]`, 200,
			`[{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"a"}]}},{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"Invalid request: a request with this id is running"}}]`,
			[]string{`INVALID_ARGUMENT by mcp bob call "echo"`, `OK bob call "echo"`},
		},
		{
			"empty", ` []`, 400, `{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid request: a batch must not be empty"}}`,
			[]string{`INVALID_ARGUMENT by mcp bob  "POST /mcp"`},
		},
		{
			"a bomb", `[` + strings.Repeat(echo(1, "a")+",", 10_000) + echo(1, "a") + `]`, 400,
			`{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid request: too many messages in one batch"}}`,
			[]string{`INVALID_ARGUMENT by mcp bob  "POST /mcp"`},
		},
		{
			"malformed", `[` + echo(1, "a") + `,{]`, 400, "", []string{`INVALID_ARGUMENT by mcp bob  "POST /mcp"`},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec.take()
			status, answer := post(t, srv, h, tt.body)
			if status != tt.status || tt.answer != "" && answer != tt.answer {
				t.Errorf("%d %s\nwant %s", status, answer, tt.answer)
			}
			records := rec.take()
			slices.Sort(records)
			if diff := cmp.Diff(tt.records, records); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestBatchesElsewhere: other revisions, other principals and stdio have none.
func TestBatchesElsewhere(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	srv := f.serve(t)
	batch := `[` + request("ping", `{}`) + `]`
	const refused = `Invalid request: only sessions of 2025-03-26 send batches`
	mine := beginAt(t, srv, "bob", "2025-03-26")
	foreign := mine.Clone()
	foreign.Set("Test-Principal", "alice")
	for _, tt := range []struct {
		name   string
		header http.Header
		status int
		text   string
	}{
		{"2024-11-05", beginAt(t, srv, "bob", "2024-11-05"), 400, refused},
		{"2025-06-18", beginAt(t, srv, "bob", "2025-06-18"), 400, refused},
		{"2025-11-25", begin(t, srv, "bob"), 400, refused},
		{"modern", modern("ping", "", "bob"), 400, refused},
		{"no session", http.Header{}, 400, refused},
		{"another's session", foreign, 404, "Session not found"},
		{"its own", mine, 200, `[{"jsonrpc":"2.0","id":1,"result":{}}]`},
	} {
		if status, answer := post(t, srv, tt.header, batch); status != tt.status || !strings.Contains(answer, tt.text) {
			t.Errorf("%s: %d %s", tt.name, status, answer)
		}
	}
}

// TestBatchStreams: what is reported comes as events before the one array.
func TestBatchStreams(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	srv := f.serve(t)
	h := beginAt(t, srv, "alice", "2025-03-26")
	s := openTap(t, srv, "POST", h, `[`+requestAs(1, "tools/call", `{"name":"report","_meta":{"progressToken":1}}`)+`,`+requestAs(2, "ping", `{}`)+`]`)
	for {
		var answers []struct{ ID int }
		event := s.next()
		if strings.HasPrefix(event, "[") {
			if err := json.Unmarshal([]byte(event), &answers); err != nil || len(answers) != 2 || answers[0].ID != 1 || answers[1].ID != 2 {
				t.Errorf("%s: %v", event, err)
			}
			break
		}
		if !strings.Contains(event, `"method":"notifications/`) {
			t.Fatal(event)
		}
	}
	s.want("end of stream")
}
