package upstream

import "github.com/vektah/gqlparser/v2/ast"

// prune leaves out what refers to types that are not there, or not of a kind
// that can stand there.
func (r *schemaReader) prune() {
	for _, def := range r.schema.Types {
		if def.BuiltIn {
			continue
		}
		kept := def.Fields[:0]
		for _, f := range def.Fields {
			ok := r.is(f.Type, def.Kind == ast.InputObject)
			for _, a := range f.Arguments {
				ok = ok && r.is(a.Type, true)
			}
			if ok {
				kept = append(kept, f)
				continue
			}
			r.notes.skipped(def.Name+"."+f.Name, "it refers to a type that the schema does not have, or not as one for this place")
		}
		def.Fields = kept
	}
}

// is reports whether the type can stand in an input, or in an output.
func (r *schemaReader) is(t *ast.Type, input bool) bool {
	def := r.schema.Types[t.Name()]
	return def != nil && (input && def.IsInputType() || !input && (def.IsLeafType() || def.IsCompositeType()))
}

// relate adds which object is which interface and union.
func (r *schemaReader) relate(types []introspectionType) {
	for i := range types {
		t := &types[i]
		def := r.schema.Types[t.Name]
		if def == nil || def.BuiltIn || !def.IsCompositeType() {
			continue
		}
		if def.Kind == ast.Object {
			r.schema.AddPossibleType(def.Name, def)
		}
		for _, name := range t.Interfaces {
			if i := r.schema.Types[name.Name]; i != nil && i.Kind == ast.Interface {
				def.Interfaces = append(def.Interfaces, i.Name)
				r.schema.AddImplements(def.Name, i)
			}
		}
		if def.Kind == ast.Object {
			continue
		}
		seen := map[string]bool{}
		for _, name := range t.PossibleTypes {
			if o := r.schema.Types[name.Name]; o != nil && o.Kind == ast.Object && !seen[o.Name] {
				seen[o.Name] = true
				r.schema.AddPossibleType(def.Name, o)
				if def.Kind == ast.Union {
					def.Types = append(def.Types, o.Name)
					r.schema.AddImplements(o.Name, def)
				}
			}
		}
	}
}
