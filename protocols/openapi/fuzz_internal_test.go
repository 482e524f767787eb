package openapi

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/schema"
)

// FuzzDocument reads anything as a document: whatever it is, it ends in an error
// or in definitions that are whole, and never breaks the reader.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		`{"openapi":"3.0.3","paths":{"/a/{b}":{"get":{"operationId":"x","parameters":[{"name":"b","in":"path","schema":{"type":"string","nullable":true}}]}}}}`,
		`{"openapi":"3.1.0","paths":{"/a":{"post":{"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/A"}}}}}}},` +
			`"components":{"schemas":{"A":{"properties":{"$ref":{"$ref":"#/components/schemas/A"}},"required":["a"],"oneOf":[{},{}]}}}}`,
		"openapi: 3.1.0\na: &a {x: [1, 0x2, .inf, ~]}\nb: {<<: *a, y: *a}\npaths: {/x: {get: {security: [{}], responses: {200: {}}}}}\n",
		`{"openapi":"3.0.0","servers":[{"url":"https://{a}.x","variables":{"a":{"default":"b"}}}],"paths":{"/{":{"get":{}},"/?a={b}&c#d":{"put":{"servers":[{"url":"/"}]}}}}`,
		`{"openapi":"3.1.0","components":{"securitySchemes":{"k":{"type":"apiKey","in":"query","name":"k"}}},"security":[{"k":[]}],"paths":{"/":{"get":{"tags":["t"]}}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o := Options{Name: "x", URL: "https://api.example", Outputs: true, Resources: []string{"**"}, MaxDocument: 1 << 20}
		o.setDefaults()
		im, err := load(t.Context(), data, &o, nil)
		if err != nil {
			return
		}
		for _, tool := range im.catalog.Tools {
			if err := schema.Check(tool.Definition, schema.Bounds{}); err != nil {
				t.Fatalf("the definition of %s: %v", tool.Name, err)
			}
			if len(tool.Name) > maxName || cleanName(tool.Name) != tool.Name || im.plans[tool.Name] == nil {
				t.Fatalf("the name %q", tool.Name)
			}
		}
	})
}

// FuzzArguments writes any text in every place of a request: it stays where it
// is put.
func FuzzArguments(f *testing.F) {
	for _, seed := range []string{"a", "..", "a/b", "%2e%2e%2f", "é\r\nX: y", "a&b=c#d", `";\`, "\x00", "a;b,c"} {
		f.Add(seed, seed)
	}
	const document = `{"openapi":"3.1.0","paths":{"/p/{a}/{b}/end":{"post":{"operationId":"x","parameters":[
		{"name":"a","in":"path","schema":{}},{"name":"b","in":"path","style":"matrix","explode":true,"schema":{}},
		{"name":"q","in":"query","allowReserved":true,"schema":{}},{"name":"d","in":"query","style":"deepObject","schema":{}},
		{"name":"X-H","in":"header","schema":{}},{"name":"c","in":"cookie","schema":{}}],
		"requestBody":{"content":{"application/x-www-form-urlencoded":{}}}}}}}`
	p := only(f, document)
	f.Fuzz(func(t *testing.T, text, other string) {
		text, other = strings.ToValidUTF8(text, "�"), strings.ToValidUTF8(other, "�")
		args, err := json.Marshal(map[string]any{
			"a": text, "b": []string{other, "x"}, "q": text, "d": map[string]any{other: text, "x": []string{text}}, "X-H": text, "c": []string{text, other},
			"body": map[string]string{text: other},
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.request(args)
		if err != nil {
			return
		}
		u, err := url.Parse(r.url)
		if err != nil {
			t.Fatalf("%q: %v", r.url, err)
		}
		if u.Host != "api.example" || u.Scheme != "https" || u.Fragment != "" || !strings.HasPrefix(u.EscapedPath(), "/v1/p/") ||
			!strings.HasSuffix(u.EscapedPath(), "/end") || strings.Count(u.EscapedPath(), "/") != 5 || hasDotSegment(u.EscapedPath()) {
			t.Fatalf("the URL %q", r.url)
		}
		query, err := url.ParseQuery(u.RawQuery)
		if err != nil || query.Get("q") != text || query.Get("d["+other+"]") != text && other != "x" {
			t.Fatalf("the query %q: %v", u.RawQuery, err)
		}
		for name, values := range r.header {
			for _, v := range values {
				if strings.ContainsAny(v, "\r\n\x00") {
					t.Fatalf("the header %s: %q", name, v)
				}
			}
		}
		form, err := url.ParseQuery(string(r.body))
		if err != nil || form.Get(text) != other {
			t.Fatalf("the body %q: %v", r.body, err)
		}
	})
}
