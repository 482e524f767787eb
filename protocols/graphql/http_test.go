package graphql

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/schema"
)

func TestStatus(t *testing.T) {
	f := newFixture(t, Options{Bounds: schema.Bounds{Bytes: 2000, Depth: 10, Tokens: 100}})
	const ok = `{"query":"{viewer{name}}"}`
	get := func(query string) string { return "/graphql?query=" + url.QueryEscape(query) }
	for _, c := range []struct {
		name, method, url, body string
		header                  http.Header
		status                  int
		contentType, contains   string
	}{
		{"post", "POST", "/graphql", ok, nil, 200, typeJSON, `"Alice"`},
		{"post as graphql-response", "POST", "/graphql", ok, http.Header{"Accept": {typeGraphQL}}, 200, typeGraphQL, `"Alice"`},
		{"the better quality wins", "POST", "/graphql", ok, http.Header{"Accept": {typeJSON + ";q=0.5, " + typeGraphQL + ";q=0.8"}}, 200, typeGraphQL, `"Alice"`},
		{"the first of equals wins", "POST", "/graphql", ok, http.Header{"Accept": {typeJSON, typeGraphQL}}, 200, typeJSON, `"Alice"`},
		{"anything", "POST", "/graphql", ok, http.Header{"Accept": {"text/html, */*"}}, 200, typeJSON, `"Alice"`},
		{"nothing acceptable", "POST", "/graphql", ok, http.Header{"Accept": {"text/html, application/json;q=0"}}, 406, typeJSON, `BAD_REQUEST`},
		{"quality is no number", "POST", "/graphql", ok, http.Header{"Accept": {"application/json;q=x"}}, 406, typeJSON, `BAD_REQUEST`},
		{"get", "GET", get("{viewer{name}}"), "", nil, 200, typeJSON, `"Alice"`},
		{"get with variables", "GET", get("query($n:Int){tools(first:$n){nodes{name}}}") + "&variables=" + url.QueryEscape(`{"n":1}`), "", nil, 200, typeJSON, `demo.busy`},
		{"get with bad variables", "GET", get("{viewer{name}}") + "&variables=1", "", nil, 400, typeJSON, `variables must be`},
		{"get with a bad query", "GET", "/graphql?query=%zz", "", nil, 400, typeJSON, `malformed`},
		{"get too long", "GET", "/graphql?query=" + strings.Repeat("a", 3000), "", nil, 414, typeJSON, `too long`},
		{"get without a query", "GET", "/graphql", "", nil, 400, typeJSON, `no query`},
		{"mutation by get", "GET", get(`mutation{callTool(name:"demo.echo"){isError}}`), "", nil, 405, typeJSON, `only queries`},
		{"subscription by get", "GET", get(`subscription{capabilitiesChanged{tools}}`), "", http.Header{"Accept": {typeEvents}}, 405, typeJSON, `only queries`},
		{"subscription by post", "POST", "/graphql", `{"query":"subscription{capabilitiesChanged{tools}}"}`, nil, 406, typeJSON, `WebSocket`},
		{"put", "PUT", "/graphql", ok, nil, 405, typeJSON, `GET or POST`},
		{"form", "POST", "/graphql", "query=%7Bviewer%7D", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, 415, typeJSON, ``},
		{"text, as a page may send to other origins", "POST", "/graphql", ok, http.Header{"Content-Type": {"text/plain"}}, 415, typeJSON, ``},
		{"other charset", "POST", "/graphql", ok, http.Header{"Content-Type": {"application/json; charset=latin1"}}, 415, typeJSON, ``},
		{"utf-8", "POST", "/graphql", ok, http.Header{"Content-Type": {"application/json; charset=UTF-8"}}, 200, typeJSON, ``},
		{"batch", "POST", "/graphql", "[" + ok + "]", nil, 400, typeJSON, `batches`},
		{"no object", "POST", "/graphql", `"{viewer{name}}"`, nil, 400, typeJSON, `not a JSON object`},
		{"no JSON", "POST", "/graphql", `{"query":`, nil, 400, typeJSON, `ends too early`},
		{"two queries", "POST", "/graphql", `{"query":"{viewer{name}}","query":"{viewer{id}}"}`, nil, 400, typeJSON, `twice`},
		{"too long", "POST", "/graphql", `{"query":"` + strings.Repeat(" ", 3000) + `"}`, nil, 413, typeJSON, `too long`},
		{"too deep", "POST", "/graphql", `{"query":"{viewer{name}}","variables":{"a":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}}`, nil, 400, typeJSON, `nested deeper`},
		{"query is no string", "POST", "/graphql", `{"query":{}}`, nil, 400, typeJSON, `must be strings`},
		{"variables are a list", "POST", "/graphql", `{"query":"{viewer{name}}","variables":[]}`, nil, 400, typeJSON, `variables must be`},
		{"extensions are text", "POST", "/graphql", `{"query":"{viewer{name}}","extensions":"x"}`, nil, 400, typeJSON, `extensions must be`},
		{"nulls", "POST", "/graphql", `{"query":"{viewer{name}}","variables":null,"extensions":null,"operationName":null,"more":1}`, nil, 200, typeJSON, `"Alice"`},
		{"invalid document", "POST", "/graphql", `{"query":"{nope}"}`, nil, 200, typeJSON, codeValidation},
		{"invalid document as graphql-response", "POST", "/graphql", `{"query":"{nope}"}`, http.Header{"Accept": {typeGraphQL}}, 400, typeGraphQL, codeValidation},
		{"which operation", "POST", "/graphql", `{"query":"query A{viewer{name}} query B{viewer{id}}"}`, nil, 200, typeJSON, `operationName`},
		{"this operation", "POST", "/graphql", `{"query":"query A{viewer{name}} query B{viewer{id}}","operationName":"B"}`, nil, 200, typeJSON, `|alice`},
		{"a failed field", "POST", "/graphql", `{"query":"mutation{callTool(name:\"demo.fail\"){isError}}"}`, http.Header{"Accept": {typeGraphQL}}, 200, typeGraphQL, `"INTERNAL"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), c.method, c.url, strings.NewReader(c.body))
			r.Header = http.Header{"Content-Type": {typeJSON}}
			maps.Copy(r.Header, c.header)
			w := httptest.NewRecorder()
			f.as(alice()).ServeHTTP(w, r)
			body := w.Body.String()
			if w.Code != c.status || !strings.HasPrefix(w.Header().Get("Content-Type"), c.contentType+";") || !strings.Contains(body, c.contains) {
				t.Errorf("got %d %s %s", w.Code, w.Header().Get("Content-Type"), body)
			}
			if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers %v", w.Header())
			}
			if strings.Contains(body, "errors") && w.Code >= 400 && strings.Contains(body, `"data"`) {
				t.Errorf("a request that did not run has data: %s", body)
			}
			if w.Code == http.StatusMethodNotAllowed && w.Header().Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
}

func TestNobody(t *testing.T) {
	f := newFixture(t, Options{})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/graphql", strings.NewReader(`{"query":"{viewer{name}}"}`))
	r.Header.Set("Content-Type", typeJSON)
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), `"UNAUTHENTICATED"`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// TestViews: what one may not call does not exist, in lists, by name, and in calls.
func TestViews(t *testing.T) {
	f := newFixture(t, Options{})
	f.hidden.hide(alice().ID, "demo.echo")
	got := f.run(t, `{tools(first:100,filter:{search:"echo"}){totalCount} tool(name:"demo.echo"){name}}`)
	if want := `{"data":{"tools":{"totalCount":0},"tool":null}}`; got != want {
		t.Errorf("got %s", got)
	}
	hidden, missing := f.run(t, `mutation{callTool(name:"demo.echo"){isError}}`), f.run(t, `mutation{callTool(name:"demo.ECHO"){isError}}`)
	if hidden != strings.ReplaceAll(missing, "ECHO", "echo") {
		t.Errorf("hidden: %s\nmissing: %s", hidden, missing)
	}
	if f.lastArgs() != "" {
		t.Error("the tool was called")
	}
}

// TestCauses: no answer tells a cause; what goes wrong in the frontend itself is logged.
func TestCauses(t *testing.T) {
	f := newFixture(t, Options{})
	if err := f.funcs.AddTool(json.RawMessage(`{"name":"broken"}`), func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return &gateway.Result{Raw: json.RawMessage(`{"content":secret`)}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := f.attach(); err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"fail", "busy", "panic", "broken"} {
		got := f.run(t, `mutation{callTool(name:"demo.`+tool+`"){isError}}`)
		if strings.Contains(got, "secret") || !strings.Contains(got, `"code"`) || !json.Valid([]byte(got)) {
			t.Errorf("%s: %s", tool, got)
		}
	}
	if log := f.log.String(); strings.Count(log, "graphql operation failed") != 1 || !strings.Contains(log, "path=callTool") {
		t.Errorf("log: %s", log)
	}
}

func TestUI(t *testing.T) {
	f := newFixture(t, Options{})
	h := f.UI()
	for path, want := range map[string]struct {
		status      int
		contentType string
	}{
		"/graphql/ui":              {301, ""},
		"/graphql/ui/":             {200, "text/html"},
		"/graphql/ui/app.js":       {200, "text/javascript"},
		"/graphql/ui/app.css":      {200, "text/css"},
		"/graphql/ui/LICENSES.txt": {200, "text/plain"},
		"/graphql/ui/other.js":     {404, "text/plain"},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != want.status || !strings.HasPrefix(w.Header().Get("Content-Type"), want.contentType) {
			t.Errorf("%s: got %d %s", path, w.Code, w.Header().Get("Content-Type"))
		}
		if csp := w.Header().Get("Content-Security-Policy"); w.Code == 200 && !strings.Contains(csp, "script-src 'self';") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if path == "/graphql/ui/" && strings.Contains(w.Body.String(), "<script>") {
			t.Error("the page has an inline script")
		}
		if tag := w.Header().Get("ETag"); w.Code == 200 {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
			r.Header.Set("If-None-Match", tag)
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code != http.StatusNotModified {
				t.Errorf("%s: got %d for its own ETag", path, w.Code)
			}
		}
	}
}
