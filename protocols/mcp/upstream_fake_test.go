package mcp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// A received is a request as a fake server sees it.
type received struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name      string                     `json:"name"`
		URI       string                     `json:"uri"`
		Cursor    string                     `json:"cursor"`
		RequestID json.RawMessage            `json:"requestId"`
		Meta      map[string]json.RawMessage `json:"_meta"`
	} `json:"params"`
	http   *http.Request
	answer http.ResponseWriter
}

// result answers with a result, raw.
func (r *received) result(raw string) {
	r.answer.Header().Set("Content-Type", "application/json")
	io.WriteString(r.answer, `{"jsonrpc":"2.0","id":`+string(r.ID)+`,"result":`+raw+`}`)
}

// fails answers with an error, raw, and a status.
func (r *received) fails(status int, raw string) {
	r.answer.Header().Set("Content-Type", "application/json")
	r.answer.WriteHeader(status)
	io.WriteString(r.answer, `{"jsonrpc":"2.0","id":`+string(r.ID)+`,"error":`+raw+`}`)
}

// event writes a server-sent event.
func (r *received) event(lines ...string) {
	if r.answer.Header().Get("Content-Type") == "" {
		r.answer.Header().Set("Content-Type", "text/event-stream")
	}
	io.WriteString(r.answer, strings.Join(lines, "\n")+"\n\n")
	http.NewResponseController(r.answer).Flush()
}

const (
	modernDiscover = `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{},"resources":{}},"ttlMs":0,"cacheScope":"private"}`
	noVersion      = `{"code":-32022,"message":"no","data":{"supported":["2025-11-25"],"requested":"2026-07-28"}}`
	legacyServer   = `{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"fake","version":"1"}}`
)

// modernServer serves discovery by itself and leaves the rest to the test.
func modernServer(t *testing.T, serveRest func(*received)) string {
	return serve(t, fake(t, func(r *received) {
		if r.Method == "server/discover" {
			r.result(modernDiscover)
			return
		}
		serveRest(r)
	}))
}

func fake(t *testing.T, f func(*received)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r := &received{http: req, answer: w}
		if req.Method == http.MethodPost {
			if err := json.NewDecoder(req.Body).Decode(r); err != nil {
				t.Errorf("the request's body: %v", err)
				return
			}
		}
		f(r)
	})
}

// errorOf calls the tool "x" and returns how that fails.
func errorOf(t *testing.T, u *mcp.Upstream) *gateway.Error {
	t.Helper()
	res, err := u.Do(t.Context(), toolCall("x", `{}`))
	if err == nil {
		t.Fatalf("the call succeeded: %s", res.Raw)
	}
	e, ok := errors.AsType[*gateway.Error](err)
	if !ok {
		t.Fatalf("the error has no code: %v", err)
	}
	return e
}

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

// TestUpstreamErrors is the table from what servers say to the gateway's codes.
func TestUpstreamErrors(t *testing.T) {
	rpc := func(status int, raw string) func(*received) { return func(r *received) { r.fails(status, raw) } }
	status := func(code int, header ...string) func(*received) {
		return func(r *received) {
			for i := 0; i < len(header); i += 2 {
				r.answer.Header().Set(header[i], header[i+1])
			}
			r.answer.WriteHeader(code)
			io.WriteString(r.answer, "secret of the operator")
		}
	}
	raw := func(body string) func(*received) {
		return func(r *received) {
			r.answer.Header().Set("Content-Type", "application/json")
			io.WriteString(r.answer, strings.ReplaceAll(body, "$ID", string(r.ID)))
		}
	}
	for _, tt := range []struct {
		name  string
		serve func(*received)
		code  gateway.Code
		msg   string
		retry time.Duration
	}{
		{"invalid params", rpc(200, `{"code":-32602,"message":"bad\nargument"}`), gateway.InvalidArgument, "bad argument", 0},
		{"method not found", rpc(404, `{"code":-32601,"message":"none"}`), gateway.Unimplemented, "none", 0},
		{"internal", rpc(200, `{"code":-32603,"message":"oops"}`), gateway.Internal, "oops", 0},
		{"unknown", rpc(200, `{"code":7,"message":"seven"}`), gateway.Unknown, "seven", 0},
		{"no code", rpc(200, `{"code":"x"}`), gateway.Unknown, "the upstream refused the call", 0},
		{"capability", rpc(400, `{"code":-32021,"message":"needs sampling"}`), gateway.Unimplemented, "needs sampling", 0},
		{"header mismatch", rpc(400, `{"code":-32020,"message":"Mcp-Param-X"}`), gateway.Unavailable, "the upstream is not available now", 0},
		{"a gateway's code", rpc(200, `{"code":-32000,"message":"slow down","data":{"code":"RESOURCE_EXHAUSTED","retryAfterMs":1500}}`), gateway.ResourceExhausted, "slow down", 1500 * time.Millisecond},
		{"a code that is ours to say", rpc(200, `{"code":-32603,"message":"m","data":{"code":"UNAUTHENTICATED"}}`), gateway.Internal, "m", 0},
		{"unauthorized", status(401), gateway.Unavailable, "the gateway may not use the upstream", 0},
		{"forbidden", status(403), gateway.Unavailable, "the gateway may not use the upstream", 0},
		{"too many", status(429, "Retry-After", "3"), gateway.ResourceExhausted, "the upstream takes no more calls now", 3 * time.Second},
		{"unavailable", status(503, "Retry-After", "2"), gateway.Unavailable, "the upstream is not available now", 2 * time.Second},
		{"server error", status(500), gateway.Unavailable, "the upstream is not available now", 0},
		{"redirect", status(307, "Location", "http://127.0.0.1:1/"), gateway.Unavailable, "the upstream is not available now", 0},
		{"not JSON", raw(`{"jsonrpc":`), gateway.Internal, "the upstream's answer is not valid", 0},
		{"twice the same member", raw(`{"jsonrpc":"2.0","id":$ID,"result":{"a":1,"a":2}}`), gateway.Internal, "the upstream's answer is not valid", 0},
		{"another id", raw(`{"jsonrpc":"2.0","id":4711,"result":{}}`), gateway.Internal, "the upstream's answer is not valid", 0},
		{"no object", raw(`{"jsonrpc":"2.0","id":$ID,"result":[]}`), gateway.Internal, "the upstream's answer is not valid", 0},
		{"isError is no boolean", raw(`{"jsonrpc":"2.0","id":$ID,"result":{"isError":"yes"}}`), gateway.Internal, "the upstream's answer is not valid", 0},
		{"too large", raw(`{"jsonrpc":"2.0","id":$ID,"result":{"x":"` + strings.Repeat("x", 1<<17) + `"}}`), gateway.ResourceExhausted, "the upstream's answer is too large", 0},
		{"input required", raw(`{"jsonrpc":"2.0","id":$ID,"result":{"resultType":"input_required","inputRequests":{"k":{"method":"roots/list"}}}}`), gateway.FailedPrecondition, "this call needs a client that can answer questions (roots)", 0},
		{"state to bring back", raw(`{"jsonrpc":"2.0","id":$ID,"result":{"resultType":"input_required","requestState":"s"}}`), gateway.Unimplemented, "the upstream wants the call to be made again, which this client cannot do", 0},
		{"no input required", raw(`{"jsonrpc":"2.0","id":$ID,"result":{"resultType":"input_required"}}`), gateway.Internal, "the upstream's answer is not valid", 0},
		{"an unknown question", raw(`{"jsonrpc":"2.0","id":$ID,"result":{"resultType":"input_required","inputRequests":{"k":{"method":"tools/list"}}}}`), gateway.Internal, "the upstream's answer is not valid", 0},
		{"a visit first", rpc(200, `{"code":-32042,"message":"visit","data":{"elicitations":[]}}`), gateway.FailedPrecondition, "visit", 0},
		{"task", raw(`{"jsonrpc":"2.0","id":$ID,"result":{"resultType":"task","taskId":"t"}}`), gateway.Unimplemented, "the upstream answers with a task that it was not asked for", 0},
		{"events without an answer", func(r *received) { r.event("data: {}") }, gateway.Unavailable, "the upstream is not available now", 0},
		{"an event too large", func(r *received) { r.event("data: " + strings.Repeat("x", 1<<17)) }, gateway.ResourceExhausted, "the upstream's answer is too large", 0},
		{"silence", func(r *received) { <-r.http.Context().Done() }, gateway.DeadlineExceeded, "the upstream did not answer in time", 0},
		{"endless comments", func(r *received) {
			for r.http.Context().Err() == nil {
				r.event(": still there")
			}
		}, gateway.DeadlineExceeded, "the upstream did not answer in time", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u := openUpstream(t, mcp.UpstreamOptions{URL: modernServer(t, tt.serve), MaxMessage: 1 << 16, Timeout: time.Second})
			e := errorOf(t, u)
			if e.Code != tt.code || e.Msg != tt.msg || e.Retry != tt.retry || e.By != "upstream/up" && e.Needs == nil {
				t.Errorf("%v by %s: %q, retry %v; want %v: %q, retry %v (%v)", e.Code, e.By, e.Msg, e.Retry, tt.code, tt.msg, tt.retry, e.Err)
			}
		})
	}
}

// TestUpstreamAnswered tells apart what a server says about a request, which a
// caller can bring about, and what it says about itself.
func TestUpstreamAnswered(t *testing.T) {
	for name, tt := range map[string]struct {
		status   int
		body     string // of the error; "" for one that is no JSON-RPC
		answered bool
	}{
		"parse error":           {200, `{"code":-32700,"message":"m"}`, true},
		"invalid request":       {200, `{"code":-32600,"message":"m"}`, true},
		"header mismatch":       {400, `{"code":-32020,"message":"m"}`, true},
		"internal":              {200, `{"code":-32603,"message":"m"}`, false},
		"unsupported version":   {400, `{"code":-32022,"message":"m"}`, false},
		"bad request":           {400, "", true},
		"headers too large":     {431, "", true},
		"unauthorized":          {401, "", true},
		"forbidden":             {403, "", true},
		"gone":                  {404, "", false},
		"internal server error": {500, "", false},
		"away":                  {503, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := openUpstream(t, mcp.UpstreamOptions{URL: modernServer(t, func(r *received) {
				if tt.body != "" {
					r.fails(tt.status, tt.body)
					return
				}
				r.answer.WriteHeader(tt.status)
			})})
			if e := errorOf(t, u); e.Answered != tt.answered {
				t.Errorf("answered: %v (%v)", e.Answered, e)
			}
		})
	}
}

// TestUpstreamMissingResource checks the one error that depends on the call.
func TestUpstreamMissingResource(t *testing.T) {
	for _, raw := range []string{
		`{"code":-32602,"message":"no such resource","data":{"uri":"x://y"}}`,
		`{"code":-32002,"message":"no such resource"}`,
	} {
		u := openUpstream(t, mcp.UpstreamOptions{URL: modernServer(t, func(r *received) { r.fails(200, raw) })})
		_, err := u.Do(t.Context(), &gateway.Call{
			Op: gateway.OpRead, Kind: gateway.KindResource, Name: "x://y", Target: &gateway.Capability{Kind: gateway.KindResource, Origin: "x://y"},
		})
		if e := gateway.AsError(err); e.Code != gateway.NotFound {
			t.Errorf("%s: %v", raw, err)
		}
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

// TestUpstreamEras checks what makes a server legacy, and what does not.
func TestUpstreamEras(t *testing.T) {
	for _, tt := range []struct {
		name     string
		discover func(*received)
		legacy   bool
	}{
		{"unsupported version", func(r *received) { r.fails(400, noVersion) }, true},
		{"unknown method", func(r *received) { r.fails(200, `{"code":-32601,"message":"no"}`) }, true},
		{"not found", func(r *received) { r.answer.WriteHeader(404) }, true},
		{"bad request", func(r *received) { r.answer.WriteHeader(400) }, true},
		{"legacy versions only", func(r *received) { r.result(`{"supportedVersions":["2025-11-25"],"capabilities":{}}`) }, true},
		{"header mismatch", func(r *received) { r.fails(400, `{"code":-32020,"message":"no"}`) }, false},
		{"no common version", func(r *received) { r.fails(400, `{"code":-32022,"message":"no","data":{"supported":["2099-01-01"]}}`) }, false},
		{"unauthorized", func(r *received) { r.answer.WriteHeader(401) }, false},
		{"unavailable", func(r *received) { r.answer.WriteHeader(503) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var version atomic.Value
			u := openUpstream(t, mcp.UpstreamOptions{URL: serve(t, fake(t, func(r *received) {
				switch r.Method {
				case "server/discover":
					tt.discover(r)
				case "initialize":
					r.result(legacyServer)
				case "notifications/initialized":
					r.answer.WriteHeader(202)
				default:
					version.Store(r.http.Header.Get("Mcp-Protocol-Version"))
					r.result(`{"content":[]}`)
				}
			}))})
			_, err := u.Do(t.Context(), toolCall("x", `{}`))
			if legacy := err == nil && version.Load() == "2025-06-18"; legacy != tt.legacy {
				t.Errorf("legacy: %v, want %v (%v)", legacy, tt.legacy, err)
			}
		})
	}
}

// TestUpstreamSession checks that a session the server has forgotten is begun
// again, and the call with it, once.
func TestUpstreamSession(t *testing.T) {
	var sessions, deleted atomic.Int32
	u := openUpstream(t, mcp.UpstreamOptions{Era: "legacy", URL: serve(t, fake(t, func(r *received) {
		switch {
		case r.http.Method == http.MethodDelete:
			deleted.Add(1)
		case r.Method == "initialize":
			r.answer.Header().Set("Mcp-Session-Id", fmt.Sprintf("s%d", sessions.Add(1)))
			r.result(legacyServer)
		case r.Method == "notifications/initialized":
			r.answer.WriteHeader(202)
		case r.http.Header.Get("Mcp-Session-Id") == "s1":
			r.answer.WriteHeader(404)
		default:
			r.result(`{"content":[]}`)
		}
	}))})
	if _, err := u.Do(t.Context(), toolCall("x", `{}`)); err != nil {
		t.Fatal(err)
	}
	u.Close()
	if sessions.Load() != 2 || deleted.Load() != 1 {
		t.Errorf("%d sessions begun, want 2; %d ended, want 1", sessions.Load(), deleted.Load())
	}
}

// TestUpstreamSessionUnderWay checks that a call is not made twice because its
// session ends while the server works on it: found out by another call, or when
// its own answer is taken up again.
func TestUpstreamSessionUnderWay(t *testing.T) {
	for _, how := range []string{"another call", "another call, events", "its own"} {
		t.Run(how, func(t *testing.T) {
			var sessions, made atomic.Int32
			begun, over := make(chan struct{}, 8), make(chan struct{})
			defer close(over)
			u := openUpstream(t, mcp.UpstreamOptions{Era: "legacy", URL: serve(t, fake(t, func(r *received) {
				switch {
				case r.http.Method == http.MethodDelete:
				case r.http.Method == http.MethodGet:
					r.answer.WriteHeader(404)
				case r.Method == "initialize":
					r.answer.Header().Set("Mcp-Session-Id", fmt.Sprintf("s%d", sessions.Add(1)))
					r.result(legacyServer)
				case strings.HasPrefix(r.Method, "notifications/"):
					r.answer.WriteHeader(202)
				case r.Params.Name == "x":
					made.Add(1)
					if how != "another call" {
						r.event("id: 1", "retry: 1", "data:")
					}
					begun <- struct{}{}
					if how != "its own" {
						select {
						case <-over:
						case <-r.http.Context().Done():
						}
					}
				case r.http.Header.Get("Mcp-Session-Id") == "s1":
					r.answer.WriteHeader(404)
				default:
					r.result(`{"content":[]}`)
				}
			}))})
			ended := make(chan error, 1)
			go func() {
				_, err := u.Do(t.Context(), toolCall("x", `{}`))
				ended <- err
			}()
			receive(t, begun)
			if how != "its own" {
				if _, err := u.Do(t.Context(), toolCall("y", `{}`)); err != nil {
					t.Errorf("the call that was refused: %v", err)
				}
			}
			if err := receive(t, ended); gateway.AsError(err) == nil || gateway.AsError(err).Code != gateway.Unavailable {
				t.Errorf("the call under way: %v", err)
			}
			if n := made.Load(); n != 1 {
				t.Errorf("it was made %d times", n)
			}
		})
	}
}

// TestUpstreamResume checks that a legacy answer whose stream breaks off is
// taken up where it was, and that progress comes from both parts.
func TestUpstreamResume(t *testing.T) {
	var id json.RawMessage
	var mu sync.Mutex
	u := openUpstream(t, mcp.UpstreamOptions{Era: "legacy", URL: serve(t, fake(t, func(r *received) {
		mu.Lock()
		defer mu.Unlock()
		progress := func(n string) string {
			return `data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":` + string(id) + `,"progress":` + n + `}}`
		}
		switch {
		case r.Method == "initialize":
			r.result(legacyServer)
		case r.Method == "tools/call":
			id = r.ID
			r.event("id: 1", "data:")
			r.event("id: 2", "retry: 1", progress("1"))
		case r.http.Method == http.MethodGet && r.http.Header.Get("Last-Event-Id") == "2":
			r.event("id: 3", progress("2"))
			r.event("id: 4", `data: {"jsonrpc":"2.0","id":`+string(id)+`,"result":{"content":[]}}`)
		default:
			r.answer.WriteHeader(202)
		}
	}))})
	call := toolCall("x", `{}`)
	var steps []string
	call.Progress = func(p gateway.Progress) { steps = append(steps, p.Progress.String()) }
	if _, err := u.Do(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(steps, " "); got != "1 2" {
		t.Errorf("progress %q", got)
	}
}

// TestUpstreamCatalog checks what a careless or hostile list does: bad
// definitions are left out, and endless ones end.
func TestUpstreamCatalog(t *testing.T) {
	watch := func(t *testing.T, url string) (gateway.Catalog, error) {
		t.Helper()
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		for c, err := range openUpstream(t, mcp.UpstreamOptions{URL: url}).Watch(ctx) {
			return c, err
		}
		return gateway.Catalog{}, ctx.Err()
	}
	t.Run("pages and bad definitions", func(t *testing.T) {
		c, err := watch(t, modernServer(t, func(r *received) {
			switch {
			case r.Method != "tools/list":
				r.result(`{}`)
			case r.Params.Cursor == "":
				r.result(`{"tools":[{"name":"a","x-new":{"n":12345678901234567890}},{"name":"bad","inputSchema":{"type":7}},{"noname":1}],"nextCursor":"2"}`)
			default:
				r.result(`{"tools":[{"name":"b"},{"name":"a"},
					{"name":"h","inputSchema":{"type":"object","properties":{"x":{"type":"array","items":{"type":"string","x-mcp-header":"X"}}}}},
					{"name":"n","inputSchema":{"type":"object","properties":{"x":{"type":"number","x-mcp-header":"X"}}}}]}`)
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, tool := range c.Tools {
			names = append(names, tool.Name)
		}
		if diff := cmp.Diff([]string{"a", "b"}, names); diff != "" {
			t.Errorf("tools (-want +got):\n%s", diff)
		}
		if got, want := string(c.Tools[0].Definition), `{"name":"a","x-new":{"n":12345678901234567890}}`; got != want {
			t.Errorf("definition %s, want %s", got, want)
		}
	})
	t.Run("circle", func(t *testing.T) {
		if _, err := watch(t, modernServer(t, func(r *received) { r.result(`{"nextCursor":"again"}`) })); err == nil {
			t.Error("no error")
		}
	})
	t.Run("endless", func(t *testing.T) {
		var n atomic.Int64
		_, err := watch(t, modernServer(t, func(r *received) {
			var list strings.Builder
			for range 500 {
				fmt.Fprintf(&list, `,{"name":"t%d"}`, n.Add(1))
			}
			r.result(fmt.Sprintf(`{"tools":[%s],"nextCursor":"%d"}`, list.String()[1:], n.Load()))
		}))
		if err == nil || n.Load() > 11_000 {
			t.Errorf("%v after %d tools", err, n.Load())
		}
	})
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
