package gqlschema

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// TestViewFor: in the schema that a view makes for a document it means what it means in the schema of everything.
func TestViewFor(t *testing.T) {
	const in, out = `{"type":"object","properties":{"at":{"type":"object","properties":{"lat":{"type":"number"}}}}}`,
		`{"type":"object","properties":{"id":{"type":"string"},"in":{"anyOf":[{"type":"object","title":"X","required":["x"],"properties":{"x":{"type":"string"}}},{"type":"object","title":"Y","required":["y"],"properties":{"y":{"type":"string"}}}]}}}`
	s := static(t)
	es := entries("a", in, out, "b", in, out, "c", in, out, "plain", "", "")
	set := NewLibrary(s).Update(es)
	var parts []Part
	for i, e := range es {
		parts = append(parts, Part{Plan: set.Plan(e.Key), Root: Root(i % 2)}) // "a" and "c" are on Query.
	}
	base := Base(s, "Typed")
	for _, c := range []struct {
		query string
		valid bool
		types int // beyond the base; -1 for all
	}{
		{`{hello tools{name}}`, true, 0},
		{`{a{id}}`, true, len(parts[0].Plan.Types)},
		{`query($at:AAtInput){x:a(at:$at){in{__typename ... on AResultInX{x}}} a{id}}`, true, len(parts[0].Plan.Types)},
		{`{...F} fragment F on Query{... on Query{a{id}} ...{c{...G}}} fragment G on CResult{id}`, true, 2 * len(parts[0].Plan.Types)},
		{`mutation{b{id} plain{isError}}`, true, len(parts[1].Plan.Types)},
		{`subscription{c{__typename ... on CFinished{result{id}} ... on ToolProgress{progress}}}`, true, len(parts[2].Plan.Types)},
		{`{b{id}}`, false, len(parts[1].Plan.Types)}, // It is on Mutation.
		{`{tools{a}}`, false, 0},
		{`{a{...F}} fragment F on CResult{id}`, false, -1},
		{`query($at:BAtInput){a(at:$at){id}}`, false, -1},
		{`{a{... on Nothing{id}}}`, false, -1},
		{`{nothing}`, false, 0},
	} {
		t.Run(c.query, func(t *testing.T) {
			v := NewView(base, parts)
			check := func(schema func(*ast.QueryDocument) *ast.Schema) (*ast.Schema, []string) {
				doc, err := parser.ParseQuery(&ast.Source{Input: c.query})
				if err != nil {
					t.Fatal(err)
				}
				in, messages := schema(doc), []string{}
				for _, e := range validator.ValidateWithRules(in, doc, rules.NewDefaultRules()) {
					messages = append(messages, e.Rule)
				}
				return in, messages
			}
			small, got := check(v.For)
			whole, want := check(func(*ast.QueryDocument) *ast.Schema { return v.Whole() })
			if diff := cmp.Diff(want, got); diff != "" || (len(got) == 0) != c.valid {
				t.Error(got, diff)
			}
			if n := len(small.Types) - len(base.Types); c.types >= 0 && n != c.types || c.types < 0 && small != whole {
				t.Errorf("%d types beyond the base", n)
			}
			if v.Len() != len(whole.Types) {
				t.Errorf("%d types, want %d", v.Len(), len(whole.Types))
			}
		})
	}
}
