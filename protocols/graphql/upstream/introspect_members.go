package upstream

import (
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// named reports whether a member of a type has a valid name that no other has.
func (r *schemaReader) named(in, name string, seen map[string]bool) bool {
	r.members++
	switch {
	case strings.HasPrefix(name, "__"), !validName.MatchString(name):
		r.notes.skipped(in+"."+quote(name), "its name is not valid in GraphQL")
	case seen[name]:
		r.notes.skipped(in+"."+name, "the type has another member of that name")
	default:
		seen[name] = true
		return true
	}
	return false
}

func (r *schemaReader) fields(t *introspectionType) (out ast.FieldList) {
	seen := map[string]bool{}
	for _, f := range t.Fields {
		if r.members > maxMembers {
			break // The whole schema is refused.
		}
		typ := f.Type.resolve(0)
		if !r.named(t.Name, f.Name, seen) {
			continue
		}
		if typ == nil {
			r.notes.skipped(t.Name+"."+f.Name, "its type cannot be read")
			continue
		}
		def := &ast.FieldDefinition{Name: f.Name, Description: f.Description, Type: typ, Directives: deprecation(f.Deprecated), Position: nowhere()}
		args := map[string]bool{}
		for _, a := range f.Args {
			typ, value := a.Type.resolve(0), r.literal(t.Name+"."+f.Name, a.Default)
			if typ == nil || !r.named(t.Name+"."+f.Name, a.Name, args) {
				def = nil // Without one of its arguments the field may not be called.
				break
			}
			def.Arguments = append(def.Arguments, &ast.ArgumentDefinition{
				Name: a.Name, Description: a.Description, Type: typ, DefaultValue: value, Directives: deprecation(a.Deprecated), Position: nowhere(),
			})
		}
		if def == nil {
			r.notes.skipped(t.Name+"."+f.Name, "one of its arguments cannot be read")
			continue
		}
		out = append(out, def)
	}
	return out
}

func (r *schemaReader) inputFields(t *introspectionType) (out ast.FieldList) {
	seen := map[string]bool{}
	for _, f := range t.InputFields {
		if r.members > maxMembers {
			break // The whole schema is refused.
		}
		typ := f.Type.resolve(0)
		if !r.named(t.Name, f.Name, seen) || typ == nil {
			continue
		}
		out = append(out, &ast.FieldDefinition{
			Name: f.Name, Description: f.Description, Type: typ, DefaultValue: r.literal(t.Name, f.Default),
			Directives: deprecation(f.Deprecated), Position: nowhere(),
		})
	}
	return out
}

func (r *schemaReader) enumValues(t *introspectionType) (out ast.EnumValueList) {
	seen := map[string]bool{}
	for _, v := range t.EnumValues {
		if r.members > maxMembers {
			break // The whole schema is refused.
		}
		if r.named(t.Name, v.Name, seen) {
			out = append(out, &ast.EnumValueDefinition{Name: v.Name, Description: v.Description, Directives: deprecation(v.Deprecated), Position: nowhere()})
		}
	}
	return out
}

// resolve returns the type that a reference means, or nil where it means none.
func (t *introspectionRef) resolve(depth int) *ast.Type {
	if t == nil || depth > maxWrapping {
		return nil
	}
	switch t.Kind {
	case "NON_NULL":
		of := t.OfType.resolve(depth + 1)
		if of == nil || of.NonNull {
			return nil
		}
		of.NonNull = true
		return of
	case "LIST":
		if of := t.OfType.resolve(depth + 1); of != nil {
			return ast.ListType(of, nowhere())
		}
		return nil
	}
	if !validName.MatchString(t.Name) {
		return nil
	}
	return ast.NamedType(t.Name, nowhere())
}

// literal reads a default value, which introspection tells as GraphQL text. One
// that is too long or none at all counts as a default that is not known.
func (r *schemaReader) literal(of string, text *string) *ast.Value {
	if text == nil {
		return nil
	}
	v := parseLiteral(*text)
	if v == nil {
		r.notes.approximated(of, "a default value cannot be read: "+quote(*text))
		return &ast.Value{Kind: ast.Variable, Position: nowhere()} // Something: the argument can be left out.
	}
	return v
}

// parseLiteral returns the constant that the text is, or nil.
func parseLiteral(text string) *ast.Value {
	if len(text) > maxLiteral {
		return nil
	}
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Name: "default", Input: "{a(b:" + text + "\n)}"}, maxLiteral)
	if err != nil || len(doc.Operations) != 1 || len(doc.Fragments) != 0 || len(doc.Operations[0].SelectionSet) != 1 {
		return nil
	}
	f, ok := doc.Operations[0].SelectionSet[0].(*ast.Field)
	if !ok || len(f.Arguments) != 1 || len(f.Directives) != 0 || len(f.SelectionSet) != 0 || f.Alias != "a" || !constant(f.Arguments[0].Value) {
		return nil
	}
	return f.Arguments[0].Value
}

func constant(v *ast.Value) bool {
	if v.Kind == ast.Variable {
		return false
	}
	for _, c := range v.Children {
		if !constant(c.Value) {
			return false
		}
	}
	return true
}
