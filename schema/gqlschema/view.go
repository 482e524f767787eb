package gqlschema

import (
	"maps"
	"strings"

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

// View returns the schema of a base with some plans. Definitions are shared between views and must not be changed.
func View(base *ast.Schema, parts []Part) *ast.Schema {
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
