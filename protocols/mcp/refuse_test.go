package mcp_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// A recorder is an observer that writes a line for every call.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *recorder) Observe(ctx context.Context, call *gateway.Call) (context.Context, func(*gateway.Result, error)) {
	return ctx, func(_ *gateway.Result, err error) {
		line := "OK"
		if e := gateway.AsError(err); e != nil {
			line = e.Code.String() + " by " + e.By
		}
		who := "nobody"
		if call.Principal != nil {
			who = call.Principal.Name
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lines = append(r.lines, fmt.Sprintf("%s %s %s %.40q", line, who, call.Op, call.Name))
	}
}

// take returns the lines since the last time.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	return lines
}

// observe makes a recorder see the fixture's calls.
func (f *fixture) observe(t testing.TB, o mcp.FrontendOptions) *recorder {
	t.Helper()
	rec := &recorder{}
	gw, err := gateway.New(f.registry, []gateway.Observer{rec}, []gateway.Gate{rights{}, gateway.ValidateArgs{}})
	if err != nil {
		t.Fatal(err)
	}
	f.gw, f.frontend = gw, mcp.NewFrontend(gw, o)
	t.Cleanup(func() { f.frontend.Close() })
	return rec
}

// TestRefusalsAreObserved: whatever the door refuses leaves one record, as what
// the road refuses does.
func TestRefusalsAreObserved(t *testing.T) {
	var o mcp.FrontendOptions
	o.Bounds.Bytes, o.StreamsPerPrincipal = 4096, 1
	f := newFixture(t, o)
	rec := f.observe(t, o)
	srv := f.serve(t)
	session := begin(t, srv, "alice").Get("Mcp-Session-Id")
	held := listen(t, srv, "bob", `{}`)
	held.next()

	legacy := func(edit ...string) http.Header {
		h := http.Header{"Mcp-Session-Id": {session}}
		for i := 0; i < len(edit); i += 2 {
			h.Set(edit[i], edit[i+1])
		}
		return h
	}
	call := func(params string) string { return request("tools/call", params) }
	for _, tt := range []struct {
		name, method string
		header       http.Header
		body, record string
	}{
		{"no principal", "POST", http.Header{"Test-Principal": {"nobody"}}, `{}`, `UNAUTHENTICATED by mcp nobody  "POST /mcp"`},
		{"malformed", "POST", nil, `{"jsonrpc":`, `INVALID_ARGUMENT by mcp alice  "POST /mcp"`},
		{"two values", "POST", nil, `{} {}`, `INVALID_ARGUMENT by mcp alice  "POST /mcp"`},
		{"duplicate key", "POST", nil, `{"id":1,"id":2}`, `INVALID_ARGUMENT by mcp alice  "POST /mcp"`},
		{"invalid UTF-8", "POST", nil, "{\"a\":\"\xff\"}", `INVALID_ARGUMENT by mcp alice  "POST /mcp"`},
		{"oversized", "POST", nil, `{"a":"` + strings.Repeat("a", 5000) + `"}`, `RESOURCE_EXHAUSTED by mcp alice  "POST /mcp"`},
		{"no message", "POST", nil, `{"jsonrpc":"2.0"}`, `INVALID_ARGUMENT by mcp alice  "POST /mcp"`},
		{"wrong JSON-RPC", "POST", nil, `{"jsonrpc":"1.0","id":1,"method":"ping"}`, `INVALID_ARGUMENT by mcp alice  "ping"`},
		{"media type", "POST", http.Header{"Content-Type": {"text/plain"}}, `{}`, `INVALID_ARGUMENT by mcp alice  "POST /mcp"`},
		{"not acceptable", "POST", http.Header{"Accept": {"image/png"}}, `{}`, `INVALID_ARGUMENT by mcp alice  "POST /mcp"`},
		{"HTTP method", "PUT", nil, ``, `UNIMPLEMENTED by mcp alice  "/mcp"`},
		{"modern GET", "GET", modern("", "", "alice"), ``, `UNIMPLEMENTED by mcp alice  "GET /mcp"`},
		{"no session", "POST", nil, request("ping", `{}`), `INVALID_ARGUMENT by mcp alice  "ping"`},
		{"forged session", "POST", http.Header{"Mcp-Session-Id": {"forged"}}, request("ping", `{}`), `NOT_FOUND by mcp alice  "ping"`},
		{"another's session", "POST", legacy("Test-Principal", "bob"), request("ping", `{}`), `NOT_FOUND by mcp bob  "ping"`},
		{"GET without a session", "GET", nil, ``, `INVALID_ARGUMENT by mcp alice  "GET /mcp"`},
		{"DELETE of another's session", "DELETE", legacy("Test-Principal", "bob"), ``, `NOT_FOUND by mcp bob  "DELETE /mcp"`},
		{"second initialize", "POST", legacy(), request("initialize", `{"protocolVersion":"2025-11-25"}`), `INVALID_ARGUMENT by mcp alice  "initialize"`},
		{"malformed initialize", "POST", nil, request("initialize", `{"protocolVersion":7}`), `INVALID_ARGUMENT by mcp alice  "initialize"`},
		{"unknown version", "POST", legacy("Mcp-Protocol-Version", "2025-01-01"), request("ping", `{}`), `INVALID_ARGUMENT by mcp alice  "ping"`},
		{"unknown method", "POST", legacy(), request(strings.Repeat("x", 999), `{}`), `UNIMPLEMENTED by mcp alice  "` + strings.Repeat("x", 40) + `"`},
		{"bad cursor", "POST", legacy(), request("tools/list", `{"cursor":"!"}`), `INVALID_ARGUMENT by mcp alice  "tools/list"`},
		{"arguments are a list", "POST", legacy(), call(`{"name":"echo","arguments":[]}`), `INVALID_ARGUMENT by mcp alice call "echo"`},
		{"no name", "POST", legacy(), call(`{"arguments":{}}`), `INVALID_ARGUMENT by mcp alice call "tools/call"`},
		{"log level", "POST", legacy(), request("logging/setLevel", `{"level":"loud"}`), `INVALID_ARGUMENT by mcp alice  "logging/setLevel"`},
		{"header mismatch", "POST", modern("tools/list", "", "alice"), request("tools/call", `{"name":"echo",`+modernMeta+`}`), `INVALID_ARGUMENT by mcp alice call "echo"`},
		{"modern unknown method", "POST", modern("ping", "", "alice"), request("ping", `{`+modernMeta+`}`), `UNIMPLEMENTED by mcp alice  "ping"`},
		{"modern response", "POST", modern("", "", "alice"), `{"jsonrpc":"2.0","id":1,"result":{}}`, `INVALID_ARGUMENT by mcp alice  "POST /mcp"`},
		{"one stream too many", "POST", modern("subscriptions/listen", "", "bob"), request("subscriptions/listen", `{"notifications":{},`+modernMeta+`}`), `RESOURCE_EXHAUSTED by mcp bob  "subscriptions/listen"`},
		{"refused on the road", "POST", legacy(), call(`{"name":"locked"}`), `PERMISSION_DENIED by policy alice call "locked"`},
		{"refused arguments", "POST", legacy(), call(`{"name":"echo"}`), `INVALID_ARGUMENT by arguments alice call "echo"`},
		{"unknown tool", "POST", legacy(), call(`{"name":"nope"}`), `NOT_FOUND by registry alice call "nope"`},
		{"unknown resource", "POST", legacy(), request("resources/subscribe", `{"uri":"test://nope"}`), `NOT_FOUND by registry alice subscribe "test://nope"`},
		{"a good call", "POST", legacy(), call(`{"name":"echo","arguments":{"text":"a"}}`), `OK alice call "echo"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec.take()
			r, err := http.NewRequestWithContext(t.Context(), tt.method, srv.URL, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
			maps.Copy(r.Header, tt.header)
			res, err := srv.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if diff := cmp.Diff([]string{tt.record}, rec.take()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPipeRefusalsAreObserved is the same on stdio.
func TestPipeRefusalsAreObserved(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	rec := f.observe(t, mcp.FrontendOptions{})
	in := strings.Join([]string{
		`{"a":`, request("ping", `{}`), request("tools/list", `{}`),
		request("initialize", `{"protocolVersion":"2025-06-18"}`), request("initialize", `{"protocolVersion":"2025-06-18"}`),
		`[` + request("ping", `{}`) + `]`, request("nope", `{}`),
	}, "\n")
	if err := f.frontend.ServeStdio(t.Context(), strings.NewReader(in), io.Discard, principal("alice")); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`INVALID_ARGUMENT by mcp alice  "stdio"`, `INVALID_ARGUMENT by mcp alice  "tools/list"`, `INVALID_ARGUMENT by mcp alice  "initialize"`,
		`INVALID_ARGUMENT by mcp alice  "stdio"`, `UNIMPLEMENTED by mcp alice  "nope"`,
	}
	if diff := cmp.Diff(want, rec.take()); diff != "" {
		t.Error(diff)
	}
}

// request is the text of a request.
func request(method, params string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + `}`
}
