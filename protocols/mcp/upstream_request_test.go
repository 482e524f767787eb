package mcp_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// TestUpstreamBytes checks that results arrive as they were sent.
func TestUpstreamBytes(t *testing.T) {
	for name, raw := range map[string]string{
		"big numbers":     `{"content":[],"structuredContent":{"n":9007199254740993,"f":1.10,"e":1E400}}`,
		"unknown content": `{"content":[{"type":"x-hologram","v":[1,2]}],"x-vendor":{"z":1,"a":2},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"}},"resultType":"complete"}`,
		"escapes, spaces": "{ \"content\" : [ {\"type\":\"text\",\"text\":\"\\u003c&>\\/ \u2028\"} ] ,\t\"isError\" : true }",
		"a megabyte":      `{"content":[{"type":"text","text":"` + strings.Repeat("é\\n", 300_000) + `"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, how := range []string{"json", "events"} {
				u := openUpstream(t, mcp.UpstreamOptions{URL: modernServer(t, func(r *received) {
					if how == "json" {
						r.result(raw)
					} else {
						r.event(`data: {"jsonrpc":"2.0","id":`+string(r.ID)+`,`, `data: "result":`+raw+`}`)
					}
				})})
				res, err := u.Do(t.Context(), toolCall("x", `{}`))
				if err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				if string(res.Raw) != raw {
					t.Errorf("%s: the result was changed: %.200s", how, res.Raw)
				}
				if want := strings.Contains(raw, `"isError" : true`); res.IsError != want {
					t.Errorf("%s: IsError is %v", how, res.IsError)
				}
			}
		})
	}
}

// TestUpstreamRequest checks what servers are sent: the headers that mirror the
// body, _meta with ours over the caller's, and nothing of the caller's own.
func TestUpstreamRequest(t *testing.T) {
	seen := make(chan *received, 1)
	u := openUpstream(t, mcp.UpstreamOptions{
		Headers: http.Header{"Authorization": {"Bearer of-the-gateway"}}, Version: "1.2.3",
		URL: modernServer(t, func(r *received) { seen <- r; r.result(`{"content":[]}`) }),
	})
	def := `{"name":"tést","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"n":{"type":"integer","x-mcp-header":"N"},"absent":{"type":"boolean","x-mcp-header":"Absent"}}}}`
	tool, err := gateway.ParseTool(json.RawMessage(def))
	if err != nil {
		t.Fatal(err)
	}
	call := toolCall("tést", `{"region":" Zürich","n":42,"absent":null}`)
	call.Tool = tool
	call.Meta = json.RawMessage(`{"traceparent":"00-1","progressToken":"theirs","io.modelcontextprotocol/protocolVersion":"1999-01-01"}`)
	call.Progress = func(gateway.Progress) {}
	if _, err := u.Do(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	r := <-seen
	got := map[string]string{}
	for name := range r.http.Header {
		got[name] = strings.Join(r.http.Header[name], "|")
	}
	want := map[string]string{
		"Accept": "application/json, text/event-stream", "Content-Type": "application/json", "Content-Length": got["Content-Length"],
		"Authorization": "Bearer of-the-gateway", "User-Agent": "trilith/1.2.3",
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "=?base64?dMOpc3Q=?=",
		"Mcp-Param-Region": "=?base64?IFrDvHJpY2g=?=", "Mcp-Param-N": "42",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	meta := map[string]string{}
	for name, value := range r.Params.Meta {
		meta[name] = string(value)
	}
	wantMeta := map[string]string{
		"traceparent": `"00-1"`, "progressToken": string(r.ID),
		"io.modelcontextprotocol/protocolVersion":    `"2026-07-28"`,
		"io.modelcontextprotocol/clientCapabilities": `{}`,
		"io.modelcontextprotocol/clientInfo":         `{"name":"trilith","version":"1.2.3"}`,
	}
	if diff := cmp.Diff(wantMeta, meta); diff != "" {
		t.Errorf("_meta (-want +got):\n%s", diff)
	}
	if r.Params.Name != "tést" {
		t.Errorf("the tool is called %q", r.Params.Name)
	}
}

// TestUpstreamGuard checks that neither a private address nor a redirect is
// followed, and that credentials stay at their origin.
func TestUpstreamGuard(t *testing.T) {
	var elsewhere atomic.Int32
	other := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	u := openUpstream(t, mcp.UpstreamOptions{URL: other, AllowPrivate: append(loopback()[:0:0], loopback()[1])})
	if e := errorOf(t, u); e.Code != gateway.Unavailable || !strings.Contains(fmt.Sprint(e.Err), "prohibited") {
		t.Errorf("a loopback address: %v", e)
	}
	redirects := serve(t, http.RedirectHandler(other, http.StatusTemporaryRedirect))
	u = openUpstream(t, mcp.UpstreamOptions{URL: redirects, Headers: http.Header{"Authorization": {"Bearer x"}}})
	if e := errorOf(t, u); e.Code != gateway.Unavailable {
		t.Errorf("a redirect: %v", e)
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d requests reached where none may go", n)
	}
}

// TestUpstreamAsked checks that a legacy server's own requests are answered:
// ping, and nothing else.
func TestUpstreamAsked(t *testing.T) {
	replies := make(chan string, 2)
	u := openUpstream(t, mcp.UpstreamOptions{Era: "legacy", URL: serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r := &received{answer: w}
		json.Unmarshal(body, r)
		switch {
		case r.Method == "initialize":
			r.result(legacyServer)
		case r.Method == "tools/call":
			r.event(`data: {"jsonrpc":"2.0","id":"p","method":"ping"}`)
			first := <-replies
			r.event(`data: {"jsonrpc":"2.0","id":"s","method":"sampling/createMessage","params":{}}`)
			r.event(`data: {"jsonrpc":"2.0","id":` + string(r.ID) + `,"result":{"ping":` + first + `,"sampling":` + <-replies + `}}`)
		case r.Method == "" && len(r.ID) > 0:
			replies <- string(body)
			w.WriteHeader(202)
		default:
			w.WriteHeader(202)
		}
	}))})
	res, err := u.Do(t.Context(), toolCall("x", `{}`))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"ping":{"jsonrpc":"2.0","id":"p","result":{}},"sampling":{"jsonrpc":"2.0","id":"s","error":{"code":-32601,"message":"the client does not support sampling"}}}`
	if string(res.Raw) != want {
		t.Errorf("the server was answered %s\nwant %s", res.Raw, want)
	}
}

// TestNewUpstream checks what options are refused.
func TestNewUpstream(t *testing.T) {
	for name, o := range map[string]mcp.UpstreamOptions{
		"no name":           {URL: "https://x.example"},
		"neither":           {Name: "a"},
		"both":              {Name: "a", URL: "https://x.example", Command: "x"},
		"era":               {Name: "a", Command: "x", Era: "old"},
		"sessions":          {Name: "a", Command: "x", Sessions: "own"},
		"scheme":            {Name: "a", URL: "file:///etc/passwd"},
		"credentials":       {Name: "a", URL: "https://u:p@x.example"},
		"host":              {Name: "a", URL: "https:///mcp"},
		"protocol header":   {Name: "a", URL: "https://x.example", Headers: http.Header{"mcp-session-id": {"x"}}},
		"header injection":  {Name: "a", URL: "https://x.example", Headers: http.Header{"X": {"a\r\nb"}}},
		"environment entry": {Name: "a", Command: "x", Env: []string{"=x"}},
		"program's tokens":  {Name: "a", Command: "x", OAuth: &egress.OAuthOptions{ClientID: "a", ClientSecret: "s"}},
		"sessions to come": {Name: "a", URL: "https://x.example", MinSessions: 1, OAuth: &egress.OAuthOptions{
			ClientID: "a", ClientSecret: "s", Issuer: "https://id.example", Exchange: &egress.TokenExchangeOptions{Issuers: []string{"https://people.example"}},
		}},
	} {
		if _, err := mcp.NewUpstream(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
