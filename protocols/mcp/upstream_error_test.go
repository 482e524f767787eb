package mcp_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

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
