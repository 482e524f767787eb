package openapi

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// TestHostilePaths sends values that would lead out of their place in the path.
func TestHostilePaths(t *testing.T) {
	plain := only(t, `{"openapi":"3.1.0","paths":{"/users/{id}/files/{name}.{ext}":{"get":{"operationId":"get"}}}}`)
	deep := only(t, `{"openapi":"3.1.0","paths":{"/contents/{id}/{name}{ext}":{"get":{"operationId":"get","parameters":[
		{"name":"id","in":"path","x-multi-segment":true,"schema":{"type":"string"}}]}}}}`)
	for _, value := range []string{
		"..", ".", "../admin", "a/../b", "..%2fadmin", "%2e%2e", "%252e%252e%252fadmin", `..\admin`, "%5c..", "..;", "..;x=1", "%2e%2e%3b", "", "a\r\nb", "a\x00b",
		"a%0d%0aX: y", "%2f", "%252f", ".%2e", "\u007f",
	} {
		args, err := json.Marshal(map[string]string{"id": value, "name": "n", "ext": "e"})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []*plan{plain, deep} {
			r, err := p.request(args)
			if _, ok := errors.AsType[*badArgument](err); !ok {
				t.Errorf("%q: %v, %+v", value, err, r)
			}
		}
	}
	if _, err := plain.request(json.RawMessage(`{"id":"a/b","name":"n","ext":"e"}`)); err == nil {
		t.Error("a slash passes where the document has one segment")
	}
	r, err := deep.request(json.RawMessage(`{"id":"src/main/größe.go","name":"n","ext":"e"}`))
	if err != nil || r.url != "https://api.example/v1/contents/src/main/gr%C3%B6%C3%9Fe.go/ne" {
		t.Errorf("%v, %+v", err, r)
	}
	if _, err := deep.request(json.RawMessage(`{"id":"x","name":".","ext":"."}`)); err == nil {
		t.Error("two parameters make a dot segment together")
	}
	list := only(t, `{"openapi":"3.1.0","paths":{"/users/{ids}":{"delete":{"operationId":"delete","parameters":[
		{"name":"ids","in":"path","required":true,"schema":{"type":"array"}}]}}}}`)
	for _, ids := range []string{`[]`, `[""]`, `[null]`, `["",""]`, `{}`, `{"":""}`} {
		if r, err := list.request(json.RawMessage(`{"ids":` + ids + `}`)); err == nil {
			t.Errorf("%s makes another path: %s", ids, r.url)
		}
	}
	if r, err := list.request(json.RawMessage(`{"ids":["a",""]}`)); err != nil || r.url != "https://api.example/v1/users/a," {
		t.Errorf("%v, %+v", err, r)
	}
	// Whatever it is, the path stays below the server's.
	for _, value := range []string{"//evil.example", "?x=1", "#x", "@evil.example", "a:b", "%", "%zz", "é", "a b", ";x", "a,b"} {
		args, _ := json.Marshal(map[string]string{"id": value, "name": "n", "ext": "e"})
		r, err := plain.request(args)
		if err != nil {
			continue
		}
		u, err := url.Parse(r.url)
		if err != nil || u.Host != "api.example" || !strings.HasPrefix(u.EscapedPath(), "/v1/users/") || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("%q: %v %s", value, err, r.url)
		}
		if strings.Count(u.EscapedPath(), "/") != 5 {
			t.Errorf("%q: %s", value, r.url)
		}
	}
}

// TestHostileValues sends values that would end a header, a query or a body.
func TestHostileValues(t *testing.T) {
	p := only(t, `{"openapi":"3.1.0","paths":{"/x":{"post":{"operationId":"x","parameters":[
		{"name":"q","in":"query","allowReserved":true,"schema":{}},{"name":"X-H","in":"header","schema":{}},{"name":"c","in":"cookie","schema":{}},
		{"name":"Host","in":"header","schema":{}},{"name":"Cookie","in":"header","schema":{}},{"name":"X-Forwarded-For","in":"header","schema":{}}],
		"requestBody":{"content":{"multipart/form-data":{}}}}}}}`)
	if len(p.params) != 3 {
		t.Errorf("%d parameters", len(p.params))
	}
	for _, value := range []string{"a\r\nEvil: 1", "a\nb", "a\x00b", "a\x7fb"} {
		args, _ := json.Marshal(map[string]any{"X-H": []string{value}})
		if r, err := p.request(args); err == nil {
			t.Errorf("the header %q", r.header["X-H"])
		}
		args, _ = json.Marshal(map[string]any{"q": value, "c": value, "body": map[string]string{value + `"; filename="x`: value}})
		r, err := p.request(args)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url, strings.NewReader(string(r.body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = r.header
		if c, err := req.Cookie("c"); err != nil || strings.ContainsAny(c.Value, "\r\n; ") || len(req.Cookies()) != 1 {
			t.Errorf("cookies %v, %v", req.Cookies(), err)
		}
		if req.URL.Query().Get("q") != value || len(req.URL.Query()) != 1 {
			t.Errorf("query %v", req.URL.Query())
		}
		if err := req.ParseMultipartForm(1 << 20); err != nil || len(req.MultipartForm.Value) != 1 || len(req.MultipartForm.File) != 0 {
			t.Errorf("form %+v, %v", req.MultipartForm, err)
		}
	}
	r, err := p.request(json.RawMessage(`{"q":"a&admin=1#x+y;/?"}`))
	if err != nil || r.url != "https://api.example/v1/x?q=a%26admin=1%23x%2By%3B/?" {
		t.Errorf("%v %+v", err, r)
	}
}

// TestServers goes nowhere that a document leads to.
func TestServers(t *testing.T) {
	from, err := url.Parse("https://docs.example/v2/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, url, servers string
		from               *url.URL
		want               string // the URL, or what the error says
	}{
		{"none", "", ``, from, "https://docs.example/"},
		{"none, of a file", "", ``, nil, "set url"},
		{"relative", "", `,"servers":[{"url":"/api"}]`, from, "https://docs.example/api"},
		{"relative to the document", "", `,"servers":[{"url":"../api"}]`, from, "https://docs.example/api"},
		{"absolute, of a file", "", `,"servers":[{"url":"https://api.example/v1"}]`, nil, "https://api.example/v1"},
		{"elsewhere", "", `,"servers":[{"url":"https://evil.example/v1"}]`, from, "set url"},
		{"the metadata of a cloud", "", `,"servers":[{"url":"http://169.254.169.254/latest"}]`, from, "set url"},
		{"another scheme", "", `,"servers":[{"url":"http://docs.example/"}]`, from, "set url"},
		{"file", "", `,"servers":[{"url":"file:///etc/passwd"}]`, from, "https://"},
		{"credentials", "", `,"servers":[{"url":"https://a:b@docs.example/"}]`, from, "nothing else"},
		{"templated", "", `,"servers":[{"url":"https://{r}.example/{v}","variables":{"r":{"default":"eu"},"v":{"default":"v1"}}}]`, nil, "https://us.example/v1"},
		{"without a value", "", `,"servers":[{"url":"https://{x}.example/"}]`, nil, `variable "x"`},
		{"configured", "https://api.example/v3", `,"servers":[{"url":"https://evil.example/v1"}]`, from, "https://api.example/v3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{Name: "x", URL: tt.url, Variables: map[string]string{"r": "us"}}
			o.setDefaults()
			im, err := load(t.Context(), []byte(`{"openapi":"3.1.0","paths":{}`+tt.servers+`}`), &o, tt.from)
			if err != nil {
				if !strings.Contains(err.Error(), tt.want) || strings.HasPrefix(tt.want, "https://") && tt.want != "https://" {
					t.Error(err)
				}
				return
			}
			if im.base.String() != tt.want {
				t.Errorf("%s, want %s", im.base, tt.want)
			}
		})
	}
	im := imports(t, `{"openapi":"3.1.0","servers":[{"url":"https://old.example/api"}],"paths":{
		"/a":{"get":{"operationId":"a"}},
		"/b":{"get":{"operationId":"b","servers":[{"url":"https://evil.example"}]}},
		"/c":{"servers":[{"url":"https://old.example/upload"}],"get":{"operationId":"c"}},
		"/d":{"servers":[{"url":"v9"}],"get":{"operationId":"d"}}}}`)
	for name, want := range map[string]string{"a": "https://api.example", "c": "https://api.example/upload", "d": "https://api.example/v9"} {
		if p := im.plans[name]; p == nil || p.prefix != want {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if im.plans["b"] != nil || len(im.catalog.Notes) != 1 {
		t.Errorf("notes: %v", im.catalog.Notes)
	}
}

// TestHostileDocuments reads documents that were made to break whoever reads
// them: each ends in an error or in operations, soon, and with little memory.
func TestHostileDocuments(t *testing.T) {
	bomb := "openapi: 3.1.0\na: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'z'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	merges := "openapi: 3.1.0\na: &a {x: 1}\n"
	for c := 'b'; c <= 'z'; c++ {
		merges += fmt.Sprintf("%c: &%c {<<: [%s]}\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	const head = `{"openapi":"3.1.0","paths":{"/x":{"post":{"operationId":"x","requestBody":{"content":{"application/json":{"schema":`
	in := func(schema, components string) string {
		return head + schema + `}}}}}},"components":{"schemas":{` + components + `}}}`
	}
	wide := func(n int, text string) string { return strings.TrimSuffix(strings.Repeat(text+",", n), ",") }
	var chain strings.Builder
	for i := range 5_000 {
		fmt.Fprintf(&chain, `"S%d":{"allOf":[%s]},`, i, wide(4, fmt.Sprintf(`{"$ref":"#/components/schemas/S%d"}`, (i+1)%5_000)))
	}
	for _, tt := range []struct {
		name, document, err string
	}{
		{"billion laughs", bomb, "written out"},
		{"billions of merges", merges, "written out"},
		{"an alias of itself", "openapi: 3.1.0\na: &a [*a]\n", "deeper"},
		{"a merge of itself", "openapi: 3.1.0\na: &a {<<: *a}\n", "deeper"},
		{"a YAML tree of commas", "openapi: 3.1.0\na: [" + strings.Repeat(",", 4_000_000) + "]", "too many values"},
		{"deep JSON", `{"openapi":"3.1.0","a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, "deeper"},
		{"deep YAML", "openapi: 3.1.0\na: " + strings.Repeat("[", 100_000), ""},
		{"half a document", head, "JSON"},
		{"a member twice", `{"openapi":"3.1.0","openapi":"3.0.0"}`, "twice"},
		{"nothing", "", "empty"},
		{"a list", "[1]", "not an OpenAPI document"},
		{"a text", "hello", "not an OpenAPI document"},
		{"Swagger", `{"swagger":"2.0","paths":{}}`, "Swagger 2.0"},
		{"OpenAPI 4", `{"openapi":"4.0.0"}`, "not 3"},
		{"bytes", "\xff\xfe\x00", "UTF-8"},
		{"everything of the wrong type", `{"openapi":"3.0.0","paths":[1],"components":7,"servers":"x","security":{"a":1}}`, "-"},
		{"a reference to itself", in(`{"$ref":"#/components/schemas/A"}`, `"A":{"$ref":"#/components/schemas/A"}`), "-"},
		{"references in a ring", in(`{"$ref":"#/components/schemas/A"}`, `"A":{"allOf":[{"$ref":"#/components/schemas/B"}]},"B":{"allOf":[{"$ref":"#/components/schemas/A"}]}`), "-"},
		{"a reference to everything", in(`{"$ref":"#"}`, ""), "-"},
		{"a reference to its own operation", in(`{"$ref":"#/paths/~1x/post"}`, ""), "-"},
		{"a web of references", in(`{"$ref":"#/components/schemas/S0"}`, strings.TrimSuffix(chain.String(), ",")), "-"},
		{"references elsewhere", in(`{"$ref":"file:///etc/passwd"}`, ""), "-"},
		{"ten megabytes of description", strings.Replace(in(`{}`, ""), `"operationId":"x"`, `"operationId":"x","description":"`+strings.Repeat("d", 10<<20)+`"`, 1), "-"},
		{"a megabyte of name", strings.Replace(in(`{}`, ""), `"operationId":"x"`, `"operationId":"`+strings.Repeat("d", 1<<20)+`"`, 1), "-"},
		{"a wide schema", in(`{"properties":{`+wide(1, `"a":{}`)+`},"anyOf":[`+wide(100_000, `{"type":"string"}`)+`]}`, ""), "-"},
		{"patterns", in(`{"allOf":[`+wide(200, `{"pattern":"(((a{1000}){1000}){1000}|(x+x+)+y)"}`)+`]}`, ""), "-"},
		{"costly patterns", in(`{"allOf":[`+wide(200, `{"pattern":"(a{500}|b{500}|(x+x+)+y)"}`)+`]}`, ""), "-"},
		{"parameters", strings.Replace(in(`{}`, ""), `"operationId":"x"`, `"operationId":"x","parameters":[`+func() string {
			var b strings.Builder
			for i := range 50_000 {
				fmt.Fprintf(&b, `{"name":"p%d","in":"query"},`, i)
			}
			return strings.TrimSuffix(b.String(), ",")
		}()+`]`, 1), "-"},
		{"path items in a ring", `{"openapi":"3.1.0","paths":{"/x":{"$ref":"#/paths/~1y"},"/y":{"$ref":"#/paths/~1x"}}}`, "-"},
		{"templates that never close", `{"openapi":"3.1.0","paths":{"/{{{{x}/{":{"get":{}},"/{":{"get":{}},"/{}":{"get":{}}}}`, "-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			began := time.Now()
			u := &Upstream{o: Options{Name: "x", URL: "https://api.example"}}
			u.o.setDefaults()
			im, err := u.load(t.Context(), []byte(tt.document))
			if took := time.Since(began); took > 2*time.Minute {
				t.Errorf("it took %v", took)
			}
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 1<<30 {
				t.Errorf("%d MiB were allocated", used>>20)
			}
			switch {
			case err != nil && strings.Contains(err.Error(), "cannot be read"):
				t.Errorf("it broke: %v", err)
			case tt.err == "-" && err != nil, tt.err != "-" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("error %v, want %q", err, tt.err)
			case err != nil && len(err.Error()) > 1000:
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			if im == nil {
				return
			}
			for _, tool := range im.catalog.Tools {
				if len(tool.Definition) > 2<<20 {
					t.Errorf("a definition of %d bytes", len(tool.Definition))
				}
			}
			for _, n := range im.catalog.Notes {
				if len(n.Subject)+len(n.Reason) > 1000 {
					t.Errorf("a note of %d bytes", len(n.Subject)+len(n.Reason))
				}
			}
		})
	}
}

// TestEventLines has ends of lines that come in two pieces.
func TestEventLines(t *testing.T) {
	const text = "data: one\r\ndata: two\r\n\r\ndata: three\rdata: four\r\rdata: five\n\n"
	for name, in := range map[string]io.Reader{"whole": strings.NewReader(text), "bytes": iotest.OneByteReader(strings.NewReader(text))} {
		r := eventReader{in: bufio.NewReader(in), left: len(text)}
		var got []string
		for {
			data, err := r.next()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Error(err)
				}
				break
			}
			got = append(got, data)
		}
		if want := []string{"one\ntwo", "three\nfour", "five"}; !slices.Equal(got, want) {
			t.Errorf("%s: %q; want %q", name, got, want)
		}
	}
}

// TestMembersUnderOtherNames puts objects into a query whose members would pass
// for another parameter, a fixed one or the gateway's credential.
func TestMembersUnderOtherNames(t *testing.T) {
	p := only(t, `{"openapi":"3.1.0","paths":{"/search?mode=safe":{"get":{"operationId":"get","parameters":[
		{"name":"filter","in":"query","schema":{"type":"object"}},{"name":"limit","in":"query","schema":{"type":"integer"}},
		{"name":"near","in":"query","style":"deepObject","explode":true,"schema":{"type":"object"}}]}}}}`)
	p.owned = func(in place, name string) bool { return in == inQuery && name == "api_key" }
	for _, name := range []string{"api_key", "mode", "limit"} {
		r, err := p.request(json.RawMessage(`{"filter":{"colour":"red","` + name + `":"mine"}}`))
		if _, ok := errors.AsType[*badArgument](err); !ok {
			t.Errorf("%s: %v, %+v", name, err, r)
		}
	}
	for args, want := range map[string]string{
		`{"filter":{"colour":"red"},"limit":3}`: "mode=safe&colour=red&limit=3",
		`{"near":{"api_key":"x"}}`:              "mode=safe&near%5Bapi_key%5D=x",
	} {
		if r, err := p.request(json.RawMessage(args)); err != nil || !strings.HasSuffix(r.url, "?"+want) {
			t.Errorf("%s: %v, %+v", args, err, r)
		}
	}
}
