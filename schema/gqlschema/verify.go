package gqlschema

import (
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// verify looks whether the plan's part of a schema is valid by itself (GraphQL, section 3), and returns what is not, or
// "". Together with names that are unique over all plans, the whole schema then is.
func (p *Plan) verify(static *ast.Schema) string {
	own := make(map[string]*ast.Definition, len(p.Types))
	for _, t := range p.Types {
		if own[t.Name] != nil {
			return t.Name + " is defined twice"
		}
		own[t.Name] = t
	}
	for _, s := range Scalars() {
		own[s.Name] = s
	}
	v := verifier{own: own, static: static}
	v.field(p.Field, true)
	v.field(p.Event, true)
	for _, t := range p.Types {
		v.definition(t)
	}
	return v.problem
}

type verifier struct {
	own     map[string]*ast.Definition
	static  *ast.Schema
	problem string
}

func (v *verifier) require(ok bool, problem string) {
	if !ok && v.problem == "" {
		v.problem = problem
	}
}

func (v *verifier) find(name string) *ast.Definition {
	if d := v.own[name]; d != nil {
		return d
	}
	return v.static.Types[name]
}

func (v *verifier) name(n string) {
	v.require(n != "" && Name(n) == n && !strings.HasPrefix(n, "__"), n+" is no name")
}

func (v *verifier) typ(t *ast.Type, input bool) {
	d := v.find(t.Name())
	v.require(d != nil && (input && d.IsInputType() || !input && (d.IsCompositeType() || d.IsLeafType())), t.Name()+" is no type here")
}

func (v *verifier) field(f *ast.FieldDefinition, output bool) {
	v.name(f.Name)
	v.typ(f.Type, !output)
	seen := map[string]bool{}
	for _, a := range f.Arguments {
		v.name(a.Name)
		v.typ(a.Type, true)
		v.require(!seen[a.Name], a.Name+" is defined twice")
		seen[a.Name] = true
	}
}

func (v *verifier) definition(d *ast.Definition) {
	v.name(d.Name)
	seen := map[string]bool{}
	once := func(n string) {
		v.name(n)
		v.require(!seen[n], d.Name+"."+n+" is defined twice")
		seen[n] = true
	}
	switch d.Kind {
	case ast.Object, ast.InputObject:
		v.require(len(d.Fields) > 0, d.Name+" has no fields")
		oneOf := d.Directives.ForName("oneOf") != nil
		for _, f := range d.Fields {
			once(f.Name)
			v.field(f, d.Kind == ast.Object)
			v.require(!oneOf || !f.Type.NonNull && f.DefaultValue == nil, f.Name+" must be nullable and without a default")
		}
	case ast.Enum:
		v.require(len(d.EnumValues) > 0, d.Name+" has no values")
		for _, e := range d.EnumValues {
			once(e.Name)
			v.require(e.Name != "true" && e.Name != "false" && e.Name != "null", e.Name+" is no value of an enum")
		}
	case ast.Union:
		v.require(len(d.Types) > 0, d.Name+" has no members")
		for _, m := range d.Types {
			v.require(!seen[m], m+" is twice in "+d.Name)
			seen[m] = true
			member := v.find(m)
			v.require(member != nil && member.Kind == ast.Object, m+" is no object")
		}
	case ast.Scalar, ast.Interface:
		v.require(false, d.Name+" is of a kind that tools do not make")
	}
}
