package openapi

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

// read reads a document and returns what it is imported as.
func imports(t testing.TB, document string, edit ...func(*Options)) *imported {
	t.Helper()
	o := Options{Name: "test", URL: "https://api.example"}
	o.setDefaults()
	for _, e := range edit {
		e(&o)
	}
	im, err := load(t.Context(), []byte(document), &o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// schemaOf writes a schema of a document's components, {"S": …}, and what it
// refers to.
func schemaOf(t *testing.T, version, components string, dir direction) (string, []string) {
	t.Helper()
	d, err := open([]byte(`{"openapi":"`+version+`","components":{"schemas":`+components+`}}`), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := d.at("/components/schemas/S")
	if err != nil {
		t.Fatal(err)
	}
	w := writer{doc: d, dir: dir}
	if w.schema(raw, nil); !json.Valid(w.out) {
		t.Fatalf("not JSON: %s", w.out)
	}
	return string(w.out), w.lacks
}

// TestConvert writes schemas of 3.0 and 3.1 as JSON Schema 2020-12.
func TestConvert(t *testing.T) {
	for _, tt := range []struct{ name, version, schema, in, out string }{
		{"nullable", "3.0.3", `{"type":"string","nullable":true}`, `{"type":["string","null"]}`, ""},
		{"nullable enum", "3.0.3", `{"type":"string","nullable":true,"enum":["a"]}`, `{"type":["string","null"],"enum":["a",null]}`, ""},
		{
			"nullable reference", "3.0.3", `{"nullable":true,"allOf":[{"$ref":"#/components/schemas/T"}]}`,
			`{"anyOf":[{"allOf":[{"$ref":"#/$defs/T"}]},{"type":"null"}]}`, "",
		},
		{"nullable is nothing in 3.1", "3.1.0", `{"type":"string","nullable":true}`, `{"type":"string"}`, ""},
		{"exclusive", "3.0.3", `{"minimum":1,"exclusiveMinimum":true,"maximum":9,"exclusiveMaximum":false}`, `{"exclusiveMinimum":1,"maximum":9}`, ""},
		{"exclusive in 3.1", "3.1.0", `{"exclusiveMinimum":1,"exclusiveMaximum":9.5}`, `{"exclusiveMinimum":1,"exclusiveMaximum":9.5}`, ""},
		{"example", "3.0.3", `{"type":"integer","example":7}`, `{"examples":[7],"type":"integer"}`, ""},
		{
			"beside a reference", "3.0.3", `{"$ref":"#/components/schemas/T","type":"string","description":"d"}`,
			`{"$ref":"#/$defs/T","description":"d"}`, "",
		},
		{
			"beside a reference in 3.1", "3.1.0", `{"$ref":"#/components/schemas/T","type":"string"}`,
			`{"$ref":"#/$defs/T","type":"string"}`, "",
		},
		{
			"readOnly and writeOnly", "3.0.3",
			`{"type":"object","required":["id","name","key"],"properties":{"id":{"readOnly":true},"name":{"type":"string"},"key":{"writeOnly":true}}}`,
			`{"type":"object","properties":{"name":{"type":"string"},"key":{}},"required":["name","key"]}`,
			`{"type":"object","properties":{"id":{},"name":{"type":"string"}},"required":["id","name"]}`,
		},
		{
			"readOnly within allOf", "3.0.3",
			`{"required":["id"],"allOf":[{"$ref":"#/components/schemas/R"},{"required":["id","n"],"properties":{"n":{}}}]}`,
			`{"allOf":[{"$ref":"#/$defs/R"},{"properties":{"n":{}},"required":["n"]}]}`,
			`{"required":["id"],"allOf":[{"$ref":"#/$defs/R"},{"properties":{"n":{}},"required":["id","n"]}]}`,
		},
		{
			"properties that are called like keywords", "3.1.0",
			`{"properties":{"$ref":{"type":"string"},"example":{"type":"integer"},"default":{"$ref":"#/components/schemas/T"},"nullable":true}}`,
			`{"properties":{"$ref":{"type":"string"},"example":{"type":"integer"},"default":{"$ref":"#/$defs/T"},"nullable":{}}}`, "",
		},
		{
			"values that look like schemas", "3.1.0", `{"enum":[{"$ref":"#/nowhere"}],"default":{"$ref":"#/nowhere"},"const":{"example":1}}`,
			`{"default":{"$ref":"#/nowhere"},"const":{"example":1},"enum":[{"$ref":"#/nowhere"}]}`, "",
		},
		{"alternatives", "3.1.0", `{"oneOf":[{"type":"string"},{"type":"integer"}]}`, `{"anyOf":[{"type":"string"},{"type":"integer"}]}`, `{"oneOf":[{"type":"string"},{"type":"integer"}]}`},
		{
			"discriminator", "3.0.3", `{"oneOf":[{"$ref":"#/components/schemas/T"}],"discriminator":{"propertyName":"kind","mapping":{"t":"T"}}}`,
			`{"description":"Which schema it is, kind tells: t.","anyOf":[{"$ref":"#/$defs/T"}]}`, "-",
		},
		{"types of nobody", "3.0.3", `{"type":"file"}`, `{"type":"string"}`, ""},
		{"ill formed", "3.0.3", `{"type":7,"required":true,"enum":{},"minLength":-1,"maxLength":"9","properties":[],"items":1,"pattern":"(","allOf":[]}`, `{}`, ""},
		{"booleans", "3.1.0", `{"items":false,"additionalProperties":true,"properties":{"a":true,"b":false}}`, `{"properties":{"a":{},"b":{"not":{}}},"items":{"not":{}}}`, ""},
		{"bytes", "3.0.3", `{"type":"string","format":"byte"}`, `{"format":"byte","contentEncoding":"base64","type":"string"}`, ""},
		{"dangling", "3.1.0", `{"$ref":"#/components/schemas/None"}`, `{}`, ""},
		{"external", "3.1.0", `{"$ref":"https://evil.example/schema.json"}`, `{}`, ""},
		{"percent and tilde", "3.1.0", `{"$ref":"#/components/schemas/a~1%62"}`, `{"$ref":"#/$defs/a_1b"}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			components := `{"S":` + tt.schema + `,"T":{"type":"string"},"a/b":{},"R":{"properties":{"id":{"readOnly":true}},"required":["id"]}}`
			for dir, want := range map[direction]string{input: tt.in, output: tt.out} {
				if want == "" {
					want = tt.in
				}
				got, _ := schemaOf(t, tt.version, components, dir)
				if want != "-" && got != want {
					t.Errorf("%v:\n got %s\nwant %s", dir, got, want)
				}
			}
		})
	}
}

// TestDefs refers to definitions rather than writing them out, and leaves open
// what is too much.
func TestDefs(t *testing.T) {
	tree := `{"openapi":"3.1.0","components":{"schemas":{
		"Node":{"type":"object","properties":{"next":{"$ref":"#/components/schemas/Node"},"leaf":{"$ref":"#/components/schemas/Leaf"}}},
		"Leaf":{"type":"string"}}},
		"paths":{"/n":{"post":{"operationId":"n","requestBody":{"required":true,"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Node"}}}}}}}}`
	im := imports(t, tree)
	want := `{"type":"object","properties":{"body":{"$ref":"#/$defs/Node"}},"required":["body"],"additionalProperties":false,` +
		`"$defs":{"Node":{"type":"object","properties":{"next":{"$ref":"#/$defs/Node"},"leaf":{"$ref":"#/$defs/Leaf"}}},"Leaf":{"type":"string"}}}`
	if got := string(im.catalog.Tools[0].Input.JSON()); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}

	var many strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&many, `"S%d":{"description":%q,"properties":{"a":{"$ref":"#/components/schemas/S%d"},"b":{"$ref":"#/components/schemas/S%d"}}},`,
			i, strings.Repeat("x", 500), (2*i+1)%3000, (2*i+2)%3000)
	}
	im = imports(t, `{"openapi":"3.1.0","components":{"schemas":{`+strings.TrimSuffix(many.String(), ",")+`}},
		"paths":{"/n":{"post":{"operationId":"n","requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/S0"}}}}}}}}`)
	tool := im.catalog.Tools[0]
	if n := len(tool.Definition); n > 2*maxSchema {
		t.Errorf("a definition of %d bytes", n)
	}
	if len(im.catalog.Notes) != 1 || im.catalog.Notes[0].Change != gateway.NoteApproximated {
		t.Errorf("notes: %v", im.catalog.Notes)
	}
	if err := tool.Input.Validate(json.RawMessage(`{"body":{"a":{"description":1}}}`)); err != nil {
		t.Error(err)
	}
}

// TestNames has names that every client accepts, and that do not change places.
func TestNames(t *testing.T) {
	long := strings.Repeat("a", 80)
	im := imports(t, `{"openapi":"3.1.0","paths":{
		"/pets/{id}":{"get":{"responses":{}},"put":{"operationId":"twice"}},
		"/more":{"get":{"operationId":"twice"},"post":{"operationId":"`+long+`"},"put":{"operationId":"pets/list all"}},
		"/clash/{id}":{"post":{"operationId":"clash","parameters":[
			{"name":"id","in":"path","required":true,"schema":{}},{"name":"id","in":"query","schema":{}},{"name":"body","in":"query","schema":{}},
			{"name":"filter[name]","in":"query","schema":{}},{"name":"Accept","in":"header","schema":{}},{"name":"X-Trace","in":"header","schema":{}}],
			"requestBody":{"content":{"application/json":{}}}}}}}`)
	var names []string
	for _, tool := range im.catalog.Tools {
		names = append(names, tool.Name)
	}
	want := []string{
		"get_pets_id", "twice_" + shortHash("PUT /pets/{id}"), "twice_" + shortHash("GET /more"),
		strings.Repeat("a", 55) + "_" + shortHash("POST /more"), "pets_list_all", "clash",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	var args []string
	for _, p := range im.plans["clash"].params {
		args = append(args, p.arg)
	}
	if diff := cmp.Diff([]string{"id", "id_query", "body_query", "filter_name", "X-Trace"}, args); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	renamed := 0
	for _, n := range im.catalog.Notes {
		if n.Change == gateway.NoteRenamed {
			renamed++
		}
	}
	if renamed != 4+3 {
		t.Errorf("notes: %v", im.catalog.Notes)
	}
}
