package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// seeds are schemas with values from the official suite: a few of each file, to keep the corpus quick.
func seeds(f *testing.F, add func(schema, value []byte)) {
	f.Helper()
	dir := moduleFile(f, "github.com/google/jsonschema-go", "jsonschema/testdata/draft2020-12")
	for _, name := range []string{
		"additionalProperties", "allOf", "anyOf", "const", "contains", "dependentSchemas", "enum", "if-then-else",
		"items", "minContains", "multipleOf", "not", "oneOf", "pattern", "prefixItems", "propertyNames", "required",
		"unevaluatedItems", "unevaluatedProperties", "uniqueItems", "dynamicRef",
	} {
		for i, group := range readSuite(f, dir+"/"+name+".json") {
			if i < 6 {
				for _, test := range group.Tests {
					add(group.Schema, test.Data)
				}
			}
		}
	}
	add([]byte(toolSchema), toolArguments(f))
}

// FuzzCompile looks for schemas that crash or mislead the compiler.
func FuzzCompile(f *testing.F) {
	seeds(f, func(schema, _ []byte) { f.Add(schema) })
	f.Add([]byte(`{"$ref":"#"}`))
	f.Add([]byte(`{"$id":"http://a/b","$ref":"b#/x","x":{}}`))
	f.Add([]byte(`{"$schema":"http://json-schema.org/draft-07/schema#","items":[true],"additionalItems":{"pattern":"\\u0041\\cA"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := Compile(raw)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
			return
		}
		if !bytes.Equal(s.JSON(), raw) {
			t.Errorf("JSON() = %q, want %q", s.JSON(), raw)
		}
		for _, value := range []string{``, `null`, `[1,"a",{}]`, `{"a":{"b":[1.0]}}`} {
			validates(t, s, []byte(value))
		}
	})
}

// FuzzValidate compares the outcome with that of the library that compiles the schemas, which validates by
// other means.
func FuzzValidate(f *testing.F) {
	seeds(f, func(schema, value []byte) { f.Add(schema, value) })
	f.Add([]byte(`{"maximum":9007199254740992}`), []byte(`9007199254740993`))
	f.Add([]byte(`{"multipleOf":0.01}`), []byte(`1.10e0`))
	f.Fuzz(func(t *testing.T, raw, value []byte) {
		if len(raw) > 4096 || len(value) > 1024 {
			return
		}
		s, err := Compile(raw)
		if err != nil {
			return
		}
		valid := validates(t, s, value)
		if Check(value, Bounds{}) != nil || !oracleCan(raw) || !oracleCan(value) {
			return
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource(location, doc); err != nil {
			t.Fatal(err)
		}
		oracle, err := c.Compile(location)
		if err != nil {
			return // it knows fewer escapes in patterns
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
		if err != nil {
			t.Fatal(err)
		}
		if err := oracle.Validate(v); (err == nil) != valid {
			t.Errorf("schema %s\nvalue %s\nvalid = %v, oracle says %v", raw, value, valid, err)
		}
	})
}

// validates reports whether value matches and fails the test if the error is not what Validate promises.
func validates(t *testing.T, s *Schema, value []byte) bool {
	t.Helper()
	err := s.Validate(value)
	if err == nil {
		return true
	}
	var invalid *Invalid
	if !errors.As(err, &invalid) || len(invalid.Violations) == 0 || len(invalid.Violations) > maxViolations {
		t.Fatalf("Validate: %#v", err)
	}
	for _, v := range invalid.Violations {
		if len(v.Pointer) > maxPointerBytes || len(v.Message) > maxMessageBytes || v.Message == "" {
			t.Fatalf("violation out of bounds: %+v", v)
		}
	}
	if strings.ContainsAny(err.Error(), "\n\r\x1b\u202e") {
		t.Fatalf("error is not one printable line: %q", err)
	}
	return false
}

var longExponent = regexp.MustCompile(`[eE][+-]?[0-9]{4,}`)

// oracleCan reports whether the oracle can deal with a text: it panics over huge exponents, takes exponential
// time where references multiply, and enforces "format" in old drafts.
func oracleCan(text []byte) bool {
	return json.Valid(text) && !longExponent.Match(text) && bytes.Count(text, []byte("ef\"")) < 6 &&
		!bytes.Contains(text, []byte(`format`)) && !bytes.Contains(text, []byte(`\u`))
}
