package upstream

import (
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/trilith-gateway/trilith/internal/clip"
)

// maxNodes bounds the subschemas that are made for one schema, below what
// package schema compiles.
const maxNodes = 4000

// inputs makes the JSON Schemas of what an operation takes. Input objects and
// enums are definitions, each once, so that recursion ends.
type inputs struct {
	schema *ast.Schema
	defs   map[string]*node
	nodes  int
	cut    bool // something was too large
}

// A parameter is what an operation takes: an argument of a field, a variable of
// a document, or a field of an input object.
type parameter struct {
	name, description string
	typ               *ast.Type
	value             *ast.Value // the default, or nil
	deprecated        bool
}

// optional reports whether the parameter can be left out.
func (p *parameter) optional() bool { return !p.typ.NonNull || p.value != nil }

// object returns the schema of an object of parameters. Deprecated ones are
// left out where they can be.
func (b *inputs) object(all []parameter) *node {
	closed := false
	n := &node{Type: "object", Properties: map[string]*node{}, Closed: &closed}
	for _, p := range all {
		if p.deprecated && p.optional() {
			continue
		}
		of := b.of(p.typ)
		if p.description != "" || p.value != nil {
			if of.Ref != "" { // Annotations of a reference's own.
				c := *of
				of = &c
			}
			of.Description, of.Default = clip.Text(p.description, maxMemberText), literalJSON(p.value)
		}
		n.Properties[p.name] = of
		if !p.optional() {
			n.Required = append(n.Required, p.name)
		}
	}
	return n
}

// of returns the schema of an input type.
func (b *inputs) of(t *ast.Type) *node {
	n := b.nonNull(t)
	if !t.NonNull {
		n = n.nullable()
	}
	return n
}

func (b *inputs) nonNull(t *ast.Type) *node {
	b.nodes++
	if t.Elem != nil {
		return &node{Type: "array", Items: b.of(t.Elem)}
	}
	def := b.schema.Types[t.NamedType]
	switch {
	case def == nil || !def.IsInputType(): // The reader of the schema left none of these.
		return &node{}
	case def.Kind == ast.Scalar:
		return scalar(def)
	}
	b.define(def)
	return &node{Ref: "#/$defs/" + def.Name}
}

// define adds the definition of an enum or input object.
func (b *inputs) define(def *ast.Definition) {
	if b.defs[def.Name] != nil {
		return
	}
	if b.defs == nil {
		b.defs = map[string]*node{}
	}
	if def.Kind == ast.Enum {
		b.defs[def.Name] = enumOf(def, false)
		return
	}
	if b.nodes > maxNodes {
		b.cut = true
		b.defs[def.Name] = &node{Type: "object", Description: clip.Text(def.Description, maxMemberText)}
		return
	}
	n := &node{}
	b.defs[def.Name] = n // So that recursion finds it.
	all := make([]parameter, 0, len(def.Fields))
	for _, f := range def.Fields {
		all = append(all, parameter{f.Name, f.Description, f.Type, f.DefaultValue, isDeprecated(f.Directives)})
	}
	*n = *b.object(all)
	n.Description = clip.Text(def.Description, maxMemberText)
	if def.Directives.ForName("oneOf") != nil { // Exactly one, and not null (specification, 3.10).
		one := 1
		n.Least, n.Most = &one, &one
		for _, p := range n.Properties {
			p.notNull()
		}
	}
}

// notNull takes away what nullable has added.
func (n *node) notNull() {
	if types, ok := n.Type.([]string); ok {
		n.Type = types[0]
	}
	if last := len(n.AnyOf) - 1; last == 1 {
		of := *n.AnyOf[0]
		of.Description, of.Default = n.Description, n.Default
		*n = of
	}
}

// parameters are those of a field.
func parameters(f *ast.FieldDefinition) []parameter {
	all := make([]parameter, 0, len(f.Arguments))
	for _, a := range f.Arguments {
		all = append(all, parameter{a.Name, a.Description, a.Type, a.DefaultValue, isDeprecated(a.Directives)})
	}
	return all
}

// input returns the JSON Schema of what an operation takes, and whether some of
// it was too large to be told.
func input(s *ast.Schema, all []parameter) (*node, bool) {
	b := inputs{schema: s}
	n := b.object(all)
	n.Defs = b.defs
	return n, b.cut
}
