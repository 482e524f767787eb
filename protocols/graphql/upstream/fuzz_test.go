package upstream

import (
	"encoding/json"
	"testing"

	"github.com/trilith-gateway/trilith/schema"
)

func FuzzIntrospection(f *testing.F) {
	f.Add([]byte(introspectionOf(`{"kind":"OBJECT","name":"Query","fields":[{"name":"a","args":[{"name":"x","defaultValue":"[1,{b:\"c\"}]",` + aString + `}],` + aString + `}]}`)))
	f.Add([]byte(introspectionOf(`{"kind":"OBJECT","name":"Query","fields":[{"name":"i","args":[],"type":{"kind":"INTERFACE","name":"I"}},{"name":"u","args":[],"type":{"kind":"UNION","name":"U"}}]},` +
		`{"kind":"INTERFACE","name":"I","fields":[{"name":"x","args":[],` + aString + `}],"possibleTypes":[{"name":"Query"},{"name":"I"}]},{"kind":"UNION","name":"U","possibleTypes":[{"name":"Query"}]}`)))
	f.Add([]byte(introspectionOf(`{"kind":"OBJECT","name":"Query","interfaces":[{"name":"Query"}],"fields":[{"name":"e","args":[{"name":"o","type":{"kind":"INPUT_OBJECT","name":"O"}}],"type":{"kind":"ENUM","name":"E"}}]},` +
		`{"kind":"ENUM","name":"E","enumValues":[{"name":"A"}]},{"kind":"INPUT_OBJECT","name":"O","isOneOf":true,"inputFields":[{"name":"o","type":{"kind":"INPUT_OBJECT","name":"O"}}]}`)))
	u := offline(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		n := &notes{}
		s, err := parseIntrospection(data, n)
		if err != nil {
			return
		}
		for name, o := range u.fromFields(s, n) {
			if !validName.MatchString(name) || !json.Valid(o.request(nil)) {
				t.Errorf("operation %q: %s", name, o.request(nil))
			}
			if _, err := schema.Compile(o.tool.Input.JSON()); err != nil {
				t.Error(err)
			}
		}
	})
}

func FuzzDocuments(f *testing.F) {
	f.Add("query A($x: Int = 1, $w: By!) { find(by: $w) { ...F } } fragment F on Item { __typename ... on Book { title author { ...U } } } fragment U on User { id }")
	f.Add("# Says nothing.\nmutation B { a: rename(id: 1) { id @include(if: true) } }")
	f.Add("subscription C { ticks } query D { ...R } fragment R on Query { version me { ...R2 } } fragment R2 on Node { id ...R2 }")
	u := offline(f)
	s, err := parseSDL("shop.graphql", shop(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		doc, err := parseDocument("fuzz", text)
		if err != nil || checkDocument(doc) != nil {
			return
		}
		for _, o := range u.fromDocuments(s, doc, &notes{}) {
			if !json.Valid(o.request(nil)) {
				t.Errorf("request %s", o.request(nil))
			}
		}
	})
}

func FuzzLiteral(f *testing.F) {
	for _, seed := range []string{`1`, `-1.5e3`, `"a\u0041\n"`, `"""block"""`, `[A, {b: true, c: null}]`, `$x`, `1) {a} b(x: 1`, `{}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if raw := literalJSON(parseLiteral(text)); raw != nil && !json.Valid(raw) {
			t.Errorf("%q became %s", text, raw)
		}
	})
}
