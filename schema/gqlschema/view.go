package gqlschema

import (
	"maps"
	"strings"
	"sync"

	"github.com/vektah/gqlparser/v2/ast"
)

// A Root is where the field of a plan stands besides Subscription.
type Root uint8

// The roots. A prompt stands on Query.
const (
	Query Root = iota
	Mutation
)

// A Part is a plan in a view.
type Part struct {
	Plan *Plan
	Root Root
}

// Base returns the static schema as views begin: without the fields and scalars that are hidden from callers, and with
// the scalars of typed tools. What is hidden begins with one "_", or is named.
func Base(static *ast.Schema, hiddenTypes ...string) *ast.Schema {
	s := *static
	s.Types, s.PossibleTypes = maps.Clone(static.Types), maps.Clone(static.PossibleTypes)
	for _, root := range []**ast.Definition{&s.Query, &s.Mutation, &s.Subscription} {
		d := **root
		d.Fields = nil
		for _, f := range (*root).Fields {
			if strings.HasPrefix(f.Name, "__") || !strings.HasPrefix(f.Name, "_") {
				d.Fields = append(d.Fields, f)
			}
		}
		*root = &d
		s.Types[d.Name], s.PossibleTypes[d.Name] = &d, []*ast.Definition{&d}
	}
	for _, name := range hiddenTypes {
		delete(s.Types, name)
		delete(s.PossibleTypes, name)
	}
	for _, d := range Scalars() {
		s.Types[d.Name] = d
	}
	return &s
}

// A View is the schema of those who may use some plans. It is safe for concurrent use.
//
// Only introspection needs all types of all plans at once. A document needs those of the fields that it names, so a view
// of very many plans is made quickly and makes small schemas.
type View struct {
	base  *ast.Schema
	parts []Part
	index map[string]int32 // into parts, by the name of the field
	types int
	whole func() *ast.Schema
}

// NewView returns the view of some plans beside a base. No two of them have a name in common; see [Library].
func NewView(base *ast.Schema, parts []Part) *View {
	v := &View{base: base, parts: parts, index: make(map[string]int32, len(parts)), types: len(base.Types)}
	for i, p := range parts {
		v.index[p.Plan.Names.Field] = int32(i)
		v.types += len(p.Plan.Types)
	}
	v.whole = sync.OnceValue(func() *ast.Schema { return join(base, parts) })
	return v
}

// Len returns the number of types.
func (v *View) Len() int { return v.types }

// Whole returns the schema of all plans. It is made once. Definitions are shared between views and must not be changed.
func (v *View) Whole() *ast.Schema { return v.whole() }

// For returns a schema in which a document means what it means in the whole one. It has the plans whose fields the
// document names, and is the whole one for a document that names a type beyond theirs, which no valid one does.
func (v *View) For(doc *ast.QueryDocument) *ast.Schema {
	n := naming{view: v, found: map[int32]bool{}, types: map[string]bool{}}
	for _, op := range doc.Operations {
		for _, def := range op.VariableDefinitions {
			n.types[def.Type.Name()] = true
		}
		n.set(op.SelectionSet, true)
	}
	for _, f := range doc.Fragments {
		n.types[f.TypeCondition] = true
		n.set(f.SelectionSet, true)
	}
	s := v.base
	if len(n.parts) > 0 {
		s = join(v.base, n.parts)
	}
	for name := range n.types {
		if s.Types[name] == nil {
			return v.Whole()
		}
	}
	return s
}

// naming is what a document names.
type naming struct {
	view  *View
	parts []Part
	found map[int32]bool // the indexes of parts
	types map[string]bool
}

// set looks at a selection set. Only fields at the top of an operation or fragment can be those of plans.
func (n *naming) set(set ast.SelectionSet, top bool) {
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			if i, ok := n.view.index[s.Name]; ok && top && !n.found[i] {
				n.found[i] = true
				n.parts = append(n.parts, n.view.parts[i])
			}
			n.set(s.SelectionSet, false)
		case *ast.InlineFragment:
			if s.TypeCondition != "" {
				n.types[s.TypeCondition] = true
			}
			n.set(s.SelectionSet, top)
		}
	}
}

// join returns the schema of a base with some plans.
func join(base *ast.Schema, parts []Part) *ast.Schema {
	types, objects := 0, 0
	for _, p := range parts {
		types += len(p.Plan.Types)
		objects += len(p.Plan.possible)
	}
	v := *base
	v.Types = make(map[string]*ast.Definition, len(base.Types)+types)
	maps.Copy(v.Types, base.Types)
	v.PossibleTypes = make(map[string][]*ast.Definition, len(base.PossibleTypes)+objects)
	maps.Copy(v.PossibleTypes, base.PossibleTypes)
	for _, root := range []**ast.Definition{&v.Query, &v.Mutation, &v.Subscription} {
		d := **root
		d.Fields = append(make(ast.FieldList, 0, len(d.Fields)+len(parts)), d.Fields...)
		*root = &d
		v.Types[d.Name], v.PossibleTypes[d.Name] = &d, []*ast.Definition{&d}
	}
	for _, p := range parts {
		root := v.Query
		if p.Root == Mutation {
			root = v.Mutation
		}
		root.Fields = append(root.Fields, p.Plan.Field)
		if p.Plan.Event != nil {
			v.Subscription.Fields = append(v.Subscription.Fields, p.Plan.Event)
		}
		for _, t := range p.Plan.Types {
			v.Types[t.Name] = t
		}
		for _, poss := range p.Plan.possible {
			v.PossibleTypes[poss.of.Name] = poss.members
		}
	}
	return &v
}
