package grpc

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/schema"
)

// FuzzPageToken has any token refused or opened, never mistaken, and walks the
// list on from it.
func FuzzPageToken(f *testing.F) {
	f.Add("", int32(0))
	f.Add(pageToken(gateway.KindTool, "b"), int32(1))
	f.Add(pageToken(gateway.KindPrompt, "b"), int32(2))
	f.Add("AQ==", int32(-1))
	f.Add("AWI\r", int32(1))
	f.Add(strings.Repeat("A", tokenMost+1), int32(1<<30))
	var all []*gateway.Tool
	for _, name := range []string{"a", "b", "c", "d"} {
		all = append(all, &gateway.Tool{Capability: gateway.Capability{Name: name}})
	}
	f.Fuzz(func(t *testing.T, token string, size int32) {
		if last, err := openToken(gateway.KindTool, token); err == nil && pageToken(gateway.KindTool, last) != token {
			t.Errorf("%q and %q are one token", token, pageToken(gateway.KindTool, last))
		}
		shown := 0
		for {
			part, next, err := page(gateway.KindTool, all, toolName, toTool, &gatewayv1.ListToolsRequest{PageSize: size, PageToken: token})
			if err != nil {
				return
			}
			if shown += len(part); shown > len(all) {
				t.Fatalf("%d entries of %d", shown, len(all))
			}
			if next == "" {
				return
			}
			if len(part) == 0 {
				t.Fatal("an empty page that is not the last")
			}
			token = next
		}
	})
}

// FuzzREST has any request answered with JSON that says what its status says.
func FuzzREST(f *testing.F) {
	for _, seed := range []struct{ method, target, kind, body string }{
		{"POST", "/v1/tools/demo.add:call", "application/json", `{"a":1,"b":2}`},
		{"POST", "/v1/tools/demo.a%2Fb:call", "application/json; charset=utf-8", ""},
		{"GET", "/v1/tools?pageSize=1&pageToken=AWI", "", ""},
		{"POST", "/v1:complete", "application/json", `{"prompt":"p","context":{"a":"b"}}`},
		{"POST", "/v1/prompts/demo.greet:get", "application/json", `{"who":"you"}`},
		{"GET", "/v1/resources:read?uri=demo%3A%2F%2Fmotd", "", ""},
		{"HEAD", "/openapi.json", "", ""},
		{"POST", "/v1/call/demo.add", "application/json", `{"a":1,"b":2}`},
		{"GET", "/v1/call/demo.add?a=1&b=2", "", ""},
		{"GET", "/v1/read?uri=demo%3A%2F%2Fmotd", "", ""},
		{"GET", "/v1/get/demo.greet?who=you", "", ""},
		{"PUT", "/v1/tools/%2e%2e/..//:call", "text/plain", "{"},
	} {
		f.Add(seed.method, seed.target, seed.kind, seed.body)
	}
	w := newWorld(f)
	w.funcs.Remove(gateway.KindTool, "wait")
	w.funcs.Remove(gateway.KindTool, "big")
	h := withPrincipal(frontend(f, w, Options{}).REST())
	f.Fuzz(func(t *testing.T, method, target, kind, body string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Path == "" || strings.HasSuffix(u.Path, ":watch") || strings.HasSuffix(u.Path, "wait:call") {
			return
		}
		r := httptest.NewRequest(http.MethodGet, "/", strings.NewReader(body))
		r.Method, r.URL = method, u
		r.Header.Set("Who", "bob")
		r.Header.Set("Content-Type", kind)
		got := httptest.NewRecorder()
		h.ServeHTTP(got, r)
		if got.Code == http.StatusInternalServerError && !strings.Contains(u.Path, "panic") && !strings.Contains(u.Path, "broken") {
			t.Errorf("%d %s", got.Code, got.Body)
		}
		if asItIs := u.Path == readPath && got.Code == http.StatusOK; !asItIs && !json.Valid(got.Body.Bytes()) {
			t.Errorf("%s %s: %d %q is not JSON", method, target, got.Code, got.Body)
		}
		if strings.Contains(got.Body.String(), "hunter2") || strings.Contains(got.Body.String(), "demo.secret\",") {
			t.Errorf("leaks: %s", got.Body)
		}
		if (got.Code >= 400) != (got.Header().Get("Content-Type") == "application/problem+json") {
			t.Errorf("%d with %s", got.Code, got.Header().Get("Content-Type"))
		}
	})
}

// FuzzMember finds in any object what encoding/json finds.
func FuzzMember(f *testing.F) {
	for _, s := range []string{
		`{"a":1}`, ` { "b" : {"a":[2]} , "a" : "x\\\"}" } `, `{"a":[{"a":1},"]"],"c":null}`, `{}`, `{"\u0061":1}`, `{"a"`, `{"b":"`, `[`, `{"a":1e5}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := member(raw, "a")
		if schema.Check(raw, schema.Bounds{}) != nil {
			return // It has not panicked.
		}
		var want map[string]json.RawMessage
		if json.Unmarshal(raw, &want) != nil || strings.Contains(string(raw), `\u00`) {
			return
		}
		if string(got) != string(want["a"]) {
			t.Errorf("%q, want %q", got, want["a"])
		}
	})
}
