package upstream

import (
	"cmp"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/trilith-gateway/trilith/internal/clip"
)

// maxVisits bounds the work of one output schema: how often a selection is
// looked at, fragments followed.
const maxVisits = 200_000

// outputs makes the JSON Schemas of what a validated operation is answered with.
type outputs struct {
	schema *ast.Schema
	nodes  int
	visits int
	cut    bool // something was too large
}

// output returns the JSON Schema of the data of an operation, and whether some
// of it was too large to be told.
func output(s *ast.Schema, root *ast.Definition, set ast.SelectionSet) (*node, bool) {
	b := outputs{schema: s}
	n := b.group([]*ast.Definition{root}, []ast.SelectionSet{set})
	return n, b.cut
}

// full reports whether no more can be told.
func (b *outputs) full() bool {
	b.cut = b.cut || b.nodes > maxNodes || b.visits > maxVisits
	return b.cut
}

// of returns the schema of an output type with what is selected of it.
func (b *outputs) of(t *ast.Type, sets []ast.SelectionSet) *node {
	b.nodes++
	var n *node
	switch def := b.schema.Types[t.Name()]; {
	case b.full() || def == nil:
		return &node{}
	case t.Elem != nil:
		n = &node{Type: "array", Items: b.of(t.Elem, sets)}
	case def.Kind == ast.Enum:
		n = enumOf(def, true)
	case def.Kind == ast.Scalar:
		n = scalar(def)
	case def.Kind == ast.Object:
		n = b.group([]*ast.Definition{def}, sets)
	default:
		n = b.abstract(def, sets)
	}
	if !t.NonNull {
		n = n.nullable()
	}
	return n
}

// abstract returns the schema of an interface or union: one form for all its
// objects, or one for each group of objects of which different things are
// selected.
func (b *outputs) abstract(def *ast.Definition, sets []ast.SelectionSet) *node {
	var groups [][]*ast.Definition
	by := map[string]int{}
	for _, o := range objectsOf(b.schema, def) {
		var s []byte
		for _, set := range sets {
			s = b.signature(s, o, set)
		}
		i, ok := by[string(s)]
		if !ok {
			i = len(groups)
			by[string(s)] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], o)
	}
	if b.full() || len(groups) == 0 {
		return &node{Type: "object"}
	}
	if len(groups) == 1 {
		return b.group(groups[0], sets)
	}
	n := &node{}
	for _, g := range groups {
		n.AnyOf = append(n.AnyOf, b.group(g, sets))
	}
	return n
}

// objectsOf returns the objects that an interface or union can be, by name.
func objectsOf(s *ast.Schema, def *ast.Definition) []*ast.Definition {
	var out []*ast.Definition
	for _, o := range s.PossibleTypes[def.Name] {
		if o != nil && o.Kind == ast.Object && !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b *ast.Definition) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// signature appends which fragments of the set apply to the object.
func (b *outputs) signature(s []byte, o *ast.Definition, set ast.SelectionSet) []byte {
	for _, sel := range set {
		if b.visits++; b.full() {
			return s
		}
		condition, inner, ok := fragment(sel)
		switch {
		case !ok:
		case b.applies(condition, o):
			s = b.signature(append(s, '1'), o, inner)
		default:
			s = append(s, '0')
		}
	}
	return s
}

// fragment returns the type condition and the selections of a fragment, where
// the selection is one.
func fragment(sel ast.Selection) (condition string, inner ast.SelectionSet, ok bool) {
	switch f := sel.(type) {
	case *ast.InlineFragment:
		return f.TypeCondition, f.SelectionSet, true
	case *ast.FragmentSpread:
		if f.Definition != nil {
			return f.Definition.TypeCondition, f.Definition.SelectionSet, true
		}
	}
	return "", nil, false
}

func (b *outputs) applies(condition string, o *ast.Definition) bool {
	return condition == "" || condition == o.Name || slices.Contains(b.schema.PossibleTypes[condition], o)
}

// A selected is a member of an answer: one field, or several that are merged.
type selected struct {
	key      string
	field    *ast.FieldDefinition
	sets     []ast.SelectionSet
	optional bool // a directive may leave it out
}

// group returns the schema of objects of which the same is selected.
func (b *outputs) group(objects []*ast.Definition, sets []ast.SelectionSet) *node {
	var members []*selected
	for _, set := range sets {
		members = b.collect(members, objects[0], set, false)
	}
	n := &node{Type: "object", Properties: map[string]*node{}}
	for _, m := range members {
		n.Properties[m.key] = b.member(m, objects)
		if !m.optional {
			n.Required = append(n.Required, m.key)
		}
	}
	return n
}

func (b *outputs) member(m *selected, objects []*ast.Definition) *node {
	if m.field.Name == "__typename" {
		n := &node{Type: "string"}
		if len(objects) == 1 {
			n.Const = objects[0].Name
			return n
		}
		for _, o := range objects {
			n.Enum = append(n.Enum, o.Name)
		}
		return n
	}
	n := b.of(m.field.Type, m.sets)
	if n.Description == "" {
		n.Description = clip.Text(m.field.Description, maxMemberText)
	}
	return n
}

// collect adds what a set selects of an object (specification, 6.3.2).
func (b *outputs) collect(members []*selected, o *ast.Definition, set ast.SelectionSet, optional bool) []*selected {
	for _, sel := range set {
		if b.visits++; b.full() {
			return members
		}
		if f, ok := sel.(*ast.Field); ok {
			members = add(members, f, optional || conditional(f.Directives))
			continue
		}
		if condition, inner, ok := fragment(sel); ok && b.applies(condition, o) {
			members = b.collect(members, o, inner, optional || conditional(directivesOf(sel)))
		}
	}
	return members
}

func add(members []*selected, f *ast.Field, optional bool) []*selected {
	if f.Definition == nil {
		return members
	}
	i := slices.IndexFunc(members, func(m *selected) bool { return m.key == f.Alias })
	if i < 0 {
		members = append(members, &selected{key: f.Alias, field: f.Definition, optional: true})
		i = len(members) - 1
	}
	m := members[i]
	m.optional = m.optional && optional
	if len(f.SelectionSet) > 0 {
		m.sets = append(m.sets, f.SelectionSet)
	}
	return members
}

func directivesOf(sel ast.Selection) ast.DirectiveList {
	switch f := sel.(type) {
	case *ast.InlineFragment:
		return f.Directives
	case *ast.FragmentSpread:
		return f.Directives
	}
	return nil
}

// conditional reports whether directives may leave a selection out.
func conditional(d ast.DirectiveList) bool {
	return d.ForName("skip") != nil || d.ForName("include") != nil
}
