package grpc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/keep"
	"github.com/trilith-gateway/trilith/schema"
)

// load reads a document as an independent library does, which follows all
// references in it and validates it.
func load(t *testing.T, raw []byte) *openapi3.T {
	t.Helper()
	if err := schema.Check(raw, schema.Bounds{Bytes: 64 << 20, Tokens: 1 << 24, Depth: 64}); err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	return doc
}

// TestDocument reads the documents of callers.
func TestDocument(t *testing.T) {
	w := typedWorld(t)
	h := frontend(t, w, Options{URL: "https://gateway.example.com", KeyHeader: "X-API-Key", Issuers: []string{"https://id.example.com/"}}).REST()
	got := call(h, "GET", "/openapi.json", "")
	if got.Code != 200 {
		t.Fatal(got.Code, got.Body)
	}
	if v := got.Header(); v.Get("Cache-Control") != "private, no-cache" || v.Get("Vary") != "Authorization, X-API-Key" || v.Get("Etag") == "" {
		t.Errorf("%v", v)
	}
	doc := load(t, got.Body.Bytes())
	if doc.OpenAPI != "3.1.0" || doc.Servers[0].URL != "https://gateway.example.com" {
		t.Errorf("%s %+v", doc.OpenAPI, doc.Servers)
	}
	if d := cmp.Diff([]string{"bearer", "issuer1", "key"}, slices.Sorted(maps.Keys(doc.Components.SecuritySchemes))); d != "" {
		t.Error(d)
	}
	add := doc.Paths.Value("/v1/call/demo.add")
	if add == nil || add.Get == nil || add.Post == nil {
		t.Fatal("demo.add is not described")
	}
	if in := add.Post.RequestBody.Value.Content["application/json"].Schema.Value; in.Properties["a"].Value.Type.Slice()[0] != "integer" {
		t.Errorf("%+v", in)
	}
	if out := add.Post.Responses.Value("200").Value.Content["application/json"].Schema.Value; out.Properties["sum"] == nil {
		t.Errorf("%+v", out)
	}
	if doc.Paths.Value("/v1/call/demo.echo").Get != nil || doc.Paths.Value("/v1/call/demo.deep").Get != nil {
		t.Error("what cannot be called by GET is described so")
	}
	if doc.Paths.Value("/v1/call/demo.a%2Fb") == nil || doc.Paths.Value("/v1/get/demo.greet") == nil || doc.Paths.Value("/v1/read") == nil || doc.Paths.Value("/v1/proto") == nil || doc.Paths.Value("/v1/proto/{source}.proto") == nil || doc.Paths.Value("/v1/tools") == nil {
		t.Error("paths are missing")
	}
	find := doc.Paths.Value("/v1/call/demo.find").Get
	if len(find.Parameters) != 6 || find.Summary != "Find things" || !find.Parameters.GetByInAndName("query", "q").Required {
		t.Errorf("%+v", find)
	}
	change := doc.Components.Schemas["demo.change.input"].Value
	node := change.Properties["to"].Value
	if node.Properties["next"].Ref != "#/components/schemas/demo.change.input.node" || node.Properties["self"].Ref != "#/components/schemas/demo.change.input" ||
		node.Properties["to"].Ref != "#/components/schemas/demo.change.input/properties/to" {
		t.Errorf("references: %+v", node.Properties)
	}
	if named := doc.Components.Schemas["demo.named.input"].Value; named.Properties["$ref"].Value == nil {
		t.Errorf("a property like a keyword: %+v", named)
	}
	if old := doc.Components.Schemas["demo.old.input.p"].Value; len(old.PrefixItems) != 1 {
		t.Errorf("a schema of draft 7: %+v", old)
	}

	again := call(h, "GET", "/openapi.json", "", "If-None-Match", `"x", W/`+got.Header().Get("Etag"))
	if again.Code != http.StatusNotModified || again.Body.Len() > 0 {
		t.Error(again.Code, again.Body)
	}
	bobs := call(h, "GET", "/openapi.json", "", "Who", "bob", "If-None-Match", got.Header().Get("Etag"))
	if bobs.Code != 200 || strings.Contains(bobs.Body.String(), "secret") || !strings.Contains(got.Body.String(), "demo.secret") {
		t.Error("bob is told of what he may not see")
	}
	load(t, bobs.Body.Bytes())
	if nobody := call(h, "GET", "/openapi.json", "", "Who", ""); nobody.Code != http.StatusUnauthorized {
		t.Error(nobody.Code)
	}
	changed := w.registry.Changed()
	w.funcs.Remove(gateway.KindTool, "add")
	<-changed
	later := call(h, "GET", "/openapi.json", "", "If-None-Match", got.Header().Get("Etag"))
	if later.Code != 200 || strings.Contains(later.Body.String(), `"/v1/call/demo.add"`) {
		t.Error("the document does not follow the registry:", later.Code)
	}
}

// TestRebase moves schemas of which each is hard in one way.
func TestRebase(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"boolean", `true`, `{"x":true}`},
		{
			"data", `{"const":{"$ref":"#/a"},"enum":[{"$ref":"b"}],"default":{"$id":"c"},"examples":[{"$anchor":"d"}]}`,
			`{"x":{"const":{"$ref":"#/a"},"enum":[{"$ref":"b"}],"default":{"$id":"c"},"examples":[{"$anchor":"d"}]}}`,
		},
		{
			"properties like keywords", `{"properties":{"$ref":{"type":"string"},"$id":{},"$defs":{"$ref":"#"}}}`,
			`{"x":{"properties":{"$ref":{"type":"string"},"$id":{},"$defs":{"$ref":"#/components/schemas/x"}}}}`,
		},
		{
			"definitions", `{"$defs":{"a/b":{"$ref":"#/$defs/a~1b"},"c d":true},"allOf":[{"$ref":"#/$defs/a~1b/not"},{"$ref":"#/$defs/c%20d"}]}`,
			`{"x.a_2fb":{"$ref":"#/components/schemas/x.a_2fb"},"x.c_20d":true,"x":{"allOf":[{"$ref":"#/components/schemas/x.a_2fb/not"},{"$ref":"#/components/schemas/x.c_20d"}]}}`,
		},
		{"deep definitions", `{"not":{"$defs":{"a":true},"$ref":"#/not/$defs/a"}}`, `{"x":{"not":{"$defs":{"a":true},"$ref":"#/components/schemas/x/not/$defs/a"}}}`},
		{"an id at the root", `{"$id":"https://a.example/b","$schema":"https://json-schema.org/draft/2020-12/schema","type":"object"}`, `{"x":{"type":"object"}}`},
		{"OpenAPI's own words", `{"xml":5,"discriminator":true,"externalDocs":[],"type":"object"}`, `{"x":{"type":"object"}}`},
		{
			"draft 7", `{"$schema":"http://json-schema.org/draft-07/schema#","items":[true],"additionalItems":{"$ref":"#/definitions/d","type":"string"},"definitions":{"d":{"unevaluatedItems":5}},"dependencies":{"a":["b"],"c":false}}`,
			`{"x.d":{},"x":{"prefixItems":[true],"items":{"$ref":"#/components/schemas/x.d"},"dependentRequired":{"a":["b"]},"dependentSchemas":{"c":false}}}`,
		},
		{"numbers", `{"maximum":12345678901234567890,"multipleOf":1e-2}`, `{"x":{"maximum":12345678901234567890,"multipleOf":1e-2}}`},
		{"by anchor", `{"$ref":"#a"}`, ""},
		{"of another document", `{"$ref":"https://a.example/b"}`, ""},
		{"an id within", `{"properties":{"a":{"$id":"b"}}}`, ""},
		{"a dynamic reference", `{"$dynamicRef":"#a"}`, ""},
		{"draft 4", `{"$schema":"http://json-schema.org/draft-04/schema#"}`, ""},
		{"nowhere", `{"$ref":"#/$defs/a"}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			taken := map[string]int{}
			err := rebase(jsontext.Value(tt.in), "x", func(n string) string { return unique(taken, componentName(n)) }, func(name string, s []byte) {
				fmt.Fprintf(&b, ",%q:%s", name, s)
			})
			got := ""
			if err == nil {
				got = "{" + b.String()[1:] + "}"
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("%v\n%s", err, d)
			}
		})
	}
}

// TestComponentNames gives tools whose names run together names of their own.
func TestComponentNames(t *testing.T) {
	w := newWorld(t)
	changed := w.registry.Changed()
	def := `{"type":"object","$defs":{"input":{"type":"string"},"output":{"type":"string"}},"properties":{"a":{"$ref":"#/$defs/input"}}}`
	names := []string{"t", "t.input", "t_input", "t.input.input", "gateway.v1.Tool", "CallTool", "read"}
	for _, name := range names {
		err := w.funcs.AddTool(json.RawMessage(`{"name":"`+name+`","inputSchema":`+def+`}`), func(context.Context, *gateway.Call) (*gateway.Result, error) {
			return gateway.TextResult(""), nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for w.gw.View(principal("alice")).Tool("demo.read") == nil {
		<-changed
		changed = w.registry.Changed()
	}
	got := call(frontend(t, w, Options{}).REST(), "GET", "/openapi.json", "")
	doc := load(t, got.Body.Bytes())
	ids := map[string]bool{}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			if ids[op.OperationID] {
				t.Errorf("two operations are %s", op.OperationID)
			}
			ids[op.OperationID] = true
		}
	}
	for _, name := range names {
		if doc.Paths.Value("/v1/call/demo."+name) == nil {
			t.Errorf("%s is not described", name)
		}
	}
}

// FuzzRebase has any schema that can be a tool's stay one that means something
// in its document, or be refused.
func FuzzRebase(f *testing.F) {
	for _, s := range []string{
		`{"$defs":{"a":{"$ref":"#"}},"properties":{"b":{"$ref":"#/$defs/a"}}}`, `{"$schema":"http://json-schema.org/draft-07/schema#","items":[{}]}`,
		`{"allOf":[true,{"not":{"$ref":"#/allOf/0"}}]}`, `{"$id":"x","$ref":"#/definitions/a","definitions":{"a":{}}}`, `{"$ref":"#/%24defs/a","$defs":{"a":true}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := schema.Compile(raw); err != nil {
			return
		}
		taken := map[string]int{}
		components := map[string]json.RawMessage{}
		err := rebase(jsontext.Value(raw), "x", func(n string) string { return unique(taken, componentName(n)) }, func(name string, s []byte) {
			if components[name] != nil {
				t.Errorf("%s twice", name)
			}
			components[name] = s
		})
		if err != nil {
			return
		}
		whole, err := json.Marshal(map[string]any{"$ref": "#/components/schemas/x", "components": map[string]any{"schemas": components}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := schema.Compile(whole); err != nil && !strings.Contains(err.Error(), "too large") {
			t.Errorf("%s becomes %s: %v", raw, whole, err)
		}
	})
}

// TestDocumentBudget: a document that was let go for another is written anew.
func TestDocumentBudget(t *testing.T) {
	f := frontend(t, typedWorld(t), Options{})
	h := &rest{Frontend: f, documents: keep.NewBudget(documentsMost)}
	var err error
	if h.common, err = newCommon(f.options); err != nil {
		t.Fatal(err)
	}
	view := f.gw.View(principal("alice"))
	v, first := h.documentOf(view)
	if _, again := h.documentOf(view); again != first || h.documents.Bytes() != int64(len(first.text)) {
		t.Errorf("it is not kept: %d bytes", h.documents.Bytes())
	}
	h.documents.Add(documentsMost, func() {}) // Somebody else's.
	if v.kept.Load() != nil {
		t.Error("it is kept beyond what may be")
	}
	if _, again := h.documentOf(view); again == first || !bytes.Equal(again.text, first.text) {
		t.Error("it is not written anew, or otherwise")
	}
}
