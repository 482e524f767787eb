package grpc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

// typedWorld is a world with tools whose schemas are of every kind.
func typedWorld(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	changed := w.registry.Changed()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	echo := func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
		return gateway.StructuredResult(c.Args), nil
	}
	for _, def := range []string{
		`{"name":"find","title":"Find things","annotations":{"readOnlyHint":true},"inputSchema":{"type":"object","required":["q"],"properties":{
			"q":{"type":"string","description":"What to look for."},"limit":{"type":["integer","null"]},"exact":{"type":"boolean"},
			"tags":{"type":"array","items":{"type":"string"}},"near":{"type":"number"},"a b/c~":{"type":"string"}}},"outputSchema":{"type":"object"}}`,
		`{"name":"deep","annotations":{"readOnlyHint":true},"inputSchema":{"type":"object","properties":{"o":{"type":"object"}}}}`,
		`{"name":"change","inputSchema":{"type":"object","properties":{"to":{"$ref":"#/$defs/node"}},
			"$defs":{"node":{"type":"object","properties":{"next":{"$ref":"#/$defs/node"},"self":{"$ref":"#"},"to":{"$ref":"#/properties/to"}}}}}}`,
		`{"name":"named","inputSchema":{"type":"object","properties":{"$ref":{"type":"string","const":"#/$defs/x"}}}}`,
		`{"name":"old","inputSchema":{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","definitions":{"p":{"type":"array","items":[{"type":"string"}],"additionalItems":false}},
			"properties":{"p":{"$ref":"#/definitions/p"}},"dependencies":{"p":["q"],"r":{"required":["p"]}}}}`,
		`{"name":"anchored","inputSchema":{"type":"object","properties":{"a":{"$ref":"#here"}},"$defs":{"h":{"$anchor":"here","type":"string"}}}}`,
		`{"name":"promises","inputSchema":{"type":"object"},"outputSchema":{"type":"object"}}`,
	} {
		run := gateway.Func(echo)
		if strings.Contains(def, "promises") {
			run = func(context.Context, *gateway.Call) (*gateway.Result, error) { return gateway.TextResult("none"), nil }
		}
		check(w.funcs.AddTool(json.RawMessage(def), run))
	}
	read := func(contents string) gateway.Func {
		return func(context.Context, *gateway.Call) (*gateway.Result, error) {
			return gateway.NewResult(json.RawMessage(`{"contents":[` + contents + `]}`))
		}
	}
	check(w.funcs.AddResource(json.RawMessage(`{"uri":"demo://logo","name":"logo"}`),
		read(`{"uri":"demo://logo","mimeType":"image/png","blob":"`+base64.StdEncoding.EncodeToString([]byte("\x89PNG\x00\xff"))+`"}`)))
	check(w.funcs.AddResource(json.RawMessage(`{"uri":"demo://page","name":"page"}`), read(`{"uri":"demo://page","mimeType":"text/html","text":"<script>"}`)))
	check(w.funcs.AddResource(json.RawMessage(`{"uri":"demo://odd","name":"odd"}`), read(`{"uri":"demo://odd","mimeType":"a\r\nb: c","blob":"AA=="}`)))
	check(w.funcs.AddResource(json.RawMessage(`{"uri":"demo://two","name":"two"}`), read(`{"uri":"demo://one","text":"1"},{"uri":"demo://two","text":"2"}`)))
	check(w.funcs.AddResource(json.RawMessage(`{"uri":"demo://none","name":"none"}`), read(``)))
	check(w.funcs.AddResource(json.RawMessage(`{"uri":"demo://broken","name":"broken"}`), read(`{"uri":"demo://broken","blob":"!"}`)))
	for w.gw.View(principal("alice")).Resource("demo://broken") == nil {
		<-changed
		changed = w.registry.Changed()
	}
	return w
}

// TestRESTTyped goes to typed paths.
func TestRESTTyped(t *testing.T) {
	h := frontend(t, typedWorld(t), Options{}).REST()
	long := strings.Repeat("x", queryMost+1)
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string // the body, or what a problem holds
	}{
		{"POST", "/v1/call/demo.add", `{"a":1,"b":2}`, 200, `{"sum":3}`},
		{"GET", "/v1/call/demo.add?a=1&b=2", "", 200, `{"sum":3}`},
		{"POST", "/v1/call/demo.echo", `{"n":12345678901234567890}`, 200, `{"content":[],"structuredContent":{"n":12345678901234567890},"vendor":1e400}`},
		{"POST", "/v1/call/demo.a%2Fb", ``, 200, `{"content":[{"type":"text","text":"slash"}]}`},
		{"POST", "/v1/call/demo.a/b", `{}`, 200, `{"content":[{"type":"text","text":"slash"}]}`},
		{
			"GET", "/v1/call/demo.find?q=%22x&limit=12345678901234567890&exact=true&tags=a&tags=b&near=-1.50&a%20b%2Fc~=z", "", 200,
			`{"a b/c~":"z","exact":true,"limit":12345678901234567890,"near":-1.50,"q":"\"x","tags":["a","b"]}`,
		},

		{"POST", "/v1/call/demo.fail", `{}`, 422, `"code":"TOOL_ERROR","detail":"it broke"`},
		{"POST", "/v1/call/demo.promises", `{}`, 500, "does not match the tool's output schema"},
		{"POST", "/v1/call/demo.limited", `{}`, 429, `"RESOURCE_EXHAUSTED"`},
		{"POST", "/v1/call/demo.broken", `{}`, 500, `"INTERNAL"`},
		{"POST", "/v1/call/demo.add", `{"a":"x"}`, 400, `"pointer":"/a"`},
		{"POST", "/v1/call/demo.add", `[]`, 400, "not a JSON object"},
		{"POST", "/v1/call/demo.add", `{"a":1,"a":2}`, 400, `"INVALID_ARGUMENT"`},
		{"POST", "/v1/call/demo.add?a=1", `{}`, 400, "not in the query"},
		{"POST", "/v1/call/nothing", `{}`, 404, `"NOT_FOUND"`},
		{"POST", "/v1/call/", `{}`, 404, `"NOT_FOUND"`},
		{"GET", "/v1/call/nothing?x=y", "", 404, `"NOT_FOUND"`},
		{"PUT", "/v1/call/demo.add", "{}", 405, `"UNIMPLEMENTED"`},
		{"GET", "/v1/call/demo.echo", "", 405, "use POST"},
		{"GET", "/v1/call/demo.deep", "", 405, "use POST"},
		{"GET", "/v1/call/demo.find?q=a&q=b", "", 400, "more than once"},
		{"GET", "/v1/call/demo.find?q=a&other=1", "", 400, "unknown query parameter"},
		{"GET", "/v1/call/demo.find?q=a&limit=x", "", 400, "not a number"},
		{"GET", "/v1/call/demo.find?q=a&limit=", "", 400, "not a number"},
		{"GET", "/v1/call/demo.find?q=a&limit=1,2", "", 400, "not a number"},
		{"GET", "/v1/call/demo.find?q=a&exact=1", "", 400, "neither true nor false"},
		{"GET", "/v1/call/demo.find?q=%ff", "", 400, "not UTF-8"},
		{"GET", "/v1/call/demo.find?q=%zz", "", 400, "malformed"},
		{"GET", "/v1/call/demo.find", "", 400, `"INVALID_ARGUMENT"`},
		{"GET", "/v1/call/demo.find?q=" + long, "", 414, `"RESOURCE_EXHAUSTED"`},

		{"POST", "/v1/get/demo.greet", `{"who":"you"}`, 200, `{"messages":[{"role":"user","content":{"type":"text","text":{"who":"you"}}}]}`},
		{"GET", "/v1/get/demo.greet?who=you", "", 200, `{"messages":[{"role":"user","content":{"type":"text","text":{"who":"you"}}}]}`},
		{"POST", "/v1/get/demo.greet", `{"who":1}`, 400, "must be strings"},
		{"GET", "/v1/get/demo.greet?who=a&who=b", "", 400, "more than once"},
		{"GET", "/v1/get/nothing", "", 404, `"NOT_FOUND"`},
		{"DELETE", "/v1/get/demo.greet", "", 405, `"UNIMPLEMENTED"`},

		{"GET", "/v1/read?uri=demo%3A%2F%2Fmotd", "", 200, "hello"},
		{"GET", "/v1/read?uri=demo%3A%2F%2Flogo", "", 200, "\x89PNG\x00\xff"},
		{"GET", "/v1/read?uri=demo%3A%2F%2Ftwo", "", 200, "2"},
		{"GET", "/v1/read?uri=demo%3A%2F%2Fusers%2F7", "", 200, "seven"},
		{"GET", "/v1/read?uri=demo%3A%2F%2Fnone", "", 400, "0 parts"},
		{"GET", "/v1/read?uri=demo%3A%2F%2Fbroken", "", 500, "malformed"},
		{"GET", "/v1/read?uri=demo%3A%2F%2Fnothing", "", 404, `"NOT_FOUND"`},
		{"GET", "/v1/read", "", 400, "has to be uri="},
		{"GET", "/v1/read?uri=a&uri=b", "", 400, "has to be uri="},
		{"GET", "/v1/read?url=a", "", 400, "has to be uri="},
		{"POST", "/v1/read?uri=a", "{}", 405, `"UNIMPLEMENTED"`},
	} {
		t.Run(tt.method+" "+clip(tt.path, 60)+" "+tt.body, func(t *testing.T) {
			w := call(h, tt.method, tt.path, tt.body)
			if w.Code != tt.status {
				t.Fatalf("%d %s, want %d", w.Code, w.Body, tt.status)
			}
			if cc := w.Header().Get("Cache-Control"); cc != "private, no-store" {
				t.Errorf("Cache-Control: %s", cc)
			}
			if tt.status == 200 {
				if diff := cmp.Diff(tt.want, w.Body.String()); diff != "" {
					t.Error(diff)
				}
				return
			}
			if !strings.Contains(w.Body.String(), tt.want) || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: %s, want %q in it", w.Header().Get("Content-Type"), w.Body, tt.want)
			}
		})
	}
}

// TestRESTTypedHeads checks what stands in front of the answers.
func TestRESTTypedHeads(t *testing.T) {
	w := typedWorld(t)
	h := frontend(t, w, Options{}).REST()
	for path, want := range map[string]string{
		"/v1/read?uri=demo%3A%2F%2Fmotd": "text/plain; charset=utf-8", "/v1/read?uri=demo%3A%2F%2Flogo": "image/png",
		"/v1/read?uri=demo%3A%2F%2Fpage": "text/html; charset=utf-8", "/v1/read?uri=demo%3A%2F%2Fodd": "application/octet-stream",
		"/v1/call/demo.add?a=1&b=2": "application/json",
	} {
		got := call(h, "GET", path, "")
		if got.Header().Get("Content-Type") != want {
			t.Errorf("%s: %s, want %s", path, got.Header(), want)
		}
		if strings.HasPrefix(path, "/v1/read") && got.Header().Get("Content-Security-Policy") != "sandbox; default-src 'none'" {
			t.Errorf("%s may run: %s", path, got.Header())
		}
	}
	if got := call(h, "POST", "/v1/call/demo.limited", "{}"); got.Header().Get("Retry-After") != "2" {
		t.Errorf("when to try again: %s", got.Header())
	}
	if got := call(h, "POST", "/v1/call/demo.wait", "{}", "Grpc-Timeout", "20m"); got.Code != http.StatusGatewayTimeout {
		t.Errorf("the deadline: %d %s", got.Code, got.Body)
	}
	if got := call(h, "POST", "/v1/call/demo.echo", "{}", "Grpc-Timeout", "soon"); got.Code != http.StatusBadRequest {
		t.Errorf("a deadline that is none: %d %s", got.Code, got.Body)
	}
	if got := call(h, "POST", "/v1/call/demo.add", "{}", "Content-Type", "text/plain"); got.Code != http.StatusUnsupportedMediaType {
		t.Errorf("a form: %d %s", got.Code, got.Body)
	}
	for _, path := range []string{"/v1/call/demo.add?a=1&b=2", "/v1/read?uri=demo%3A%2F%2Fmotd", "/v1/get/demo.greet?who=you"} {
		for _, from := range [][2]string{{"cross-site", "navigate"}, {"same-site", "navigate"}, {"same-site", "no-cors"}} {
			if got := call(h, "GET", path, "", "Sec-Fetch-Site", from[0], "Sec-Fetch-Mode", from[1]); got.Code != http.StatusForbidden {
				t.Errorf("%s from elsewhere, %v: %d %s", path, from, got.Code, got.Body)
			}
		}
		if got := call(h, "GET", path, "", "Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors", "Origin", "https://app.example"); got.Code != http.StatusOK {
			t.Errorf("%s from a page that the Door lets ask: %d %s", path, got.Code, got.Body)
		}
		if got := call(h, "GET", path, "", "Who", ""); got.Code != http.StatusUnauthorized {
			t.Errorf("%s for nobody: %d %s", path, got.Code, got.Body)
		}
	}
	if got := call(h, "POST", "/v1/call/demo.secret", "{}", "Who", "bob"); got.Code != http.StatusNotFound {
		t.Errorf("bob: %d %s", got.Code, got.Body)
	}
}

// TestRESTTypedEvents follows calls as streams.
func TestRESTTypedEvents(t *testing.T) {
	h := frontend(t, typedWorld(t), Options{}).REST()
	for _, tt := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"POST", "/v1/call/demo.steps", 200, "event: progress\ndata: {\"progress\":1,\"total\":2,\"message\":\"half\"}\n\nevent: dropped\ndata: {\"dropped\":1}\n\n" +
			"event: log\ndata: {\"level\":\"info\",\"logger\":\"demo\",\"data\":{ \"n\":1}}\n\nevent: result\ndata: {\"content\":[{\"type\":\"text\",\"text\":\"done\"}]}\n\n"},
		{"GET", "/v1/call/demo.add?a=1&b=2", 200, "event: result\ndata: {\"sum\":3}\n\n"},
		{"POST", "/v1/call/demo.fail", 422, `"TOOL_ERROR"`},
		{"POST", "/v1/call/demo.nothing", 404, `"NOT_FOUND"`},
	} {
		got := call(h, tt.method, tt.path, map[string]string{"POST": "{}"}[tt.method], "Accept", "text/event-stream")
		if got.Code != tt.status || tt.status == 200 && got.Body.String() != tt.want || !strings.Contains(got.Body.String(), tt.want) {
			t.Errorf("%s %s: %d %q\nwant %d %q", tt.method, tt.path, got.Code, got.Body, tt.status, tt.want)
		}
	}
}
