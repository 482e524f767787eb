package upstream

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// maxFragments bounds the objects of one interface or union whose own fields
// are selected.
const maxFragments = 16

// A selector makes the selections of generated operations: breadth first, so
// that what is near the root comes before what is far from it.
type selector struct {
	schema *ast.Schema
	depth  int // levels of fields below the root field
	fields int // that may still be selected

	queue []*selecting

	// What was left out, for the note.
	arguments, deprecated, deeper, beyond, objects int
}

// A selecting is a place whose selections are still to be made.
type selecting struct {
	def    *ast.Definition
	into   *ast.SelectionSet
	depth  int      // that is left, with this one
	within []string // the types around it, to end at circles
}

// selection returns what is selected of a root field's type, nil for a leaf.
func (s *selector) selection(t *ast.Type) ast.SelectionSet {
	def := s.schema.Types[t.Name()]
	if def == nil || def.IsLeafType() {
		return nil
	}
	root := ast.SelectionSet{}
	s.queue = []*selecting{{def: def, into: &root, depth: s.depth}}
	for len(s.queue) > 0 {
		next := s.queue[0]
		s.queue = s.queue[1:]
		s.fill(next)
	}
	root = prune(root)
	if len(root) == 0 {
		root = ast.SelectionSet{typename()}
	}
	return root
}

func typename() *ast.Field { return &ast.Field{Alias: "__typename", Name: "__typename"} }

// fill makes the selections of one place.
func (s *selector) fill(at *selecting) {
	at.within = append(slices.Clip(at.within), at.def.Name)
	if at.def.Kind == ast.Object {
		s.selectFields(at, at.into, at.def, at.def.Fields, nil)
		return
	}
	*at.into = append(*at.into, typename())
	common := map[string]bool{}
	if at.def.Kind == ast.Interface {
		for _, f := range at.def.Fields {
			common[f.Name] = true
		}
		s.selectFields(at, at.into, at.def, at.def.Fields, nil)
	}
	objects := objectsOf(s.schema, at.def)
	differ := conflicts(objects, common)
	for i, o := range objects {
		if slices.Contains(at.within, o.Name) {
			continue
		}
		if i >= maxFragments {
			s.objects += len(objects) - i
			return
		}
		f := &ast.InlineFragment{TypeCondition: o.Name}
		own := slices.DeleteFunc(slices.Clone(o.Fields), func(f *ast.FieldDefinition) bool { return common[f.Name] })
		s.selectFields(at, &f.SelectionSet, o, own, differ)
		*at.into = append(*at.into, f)
	}
}

// conflicts returns the fields that several of the objects have with different
// types, so that they cannot be asked for under one name (specification,
// 5.3.2).
func conflicts(objects []*ast.Definition, common map[string]bool) map[string]bool {
	types, differ := map[string]string{}, map[string]bool{}
	for _, o := range objects {
		for _, f := range o.Fields {
			t := f.Type.String()
			if have, ok := types[f.Name]; ok && have != t && !common[f.Name] {
				differ[f.Name] = true
			}
			types[f.Name] = t
		}
	}
	return differ
}

// selectFields selects the fields of an object or interface, leaves at once and
// the others when their turn comes. Those that differ get names of their own.
func (s *selector) selectFields(at *selecting, into *ast.SelectionSet, def *ast.Definition, fields ast.FieldList, differ map[string]bool) {
	within := append(slices.Clip(at.within), def.Name)
	for _, f := range fields {
		of := s.schema.Types[f.Type.Name()]
		if of == nil || strings.HasPrefix(f.Name, "__") || !s.selectable(f) {
			continue
		}
		leaf := of.IsLeafType()
		switch {
		case !leaf && slices.Contains(within, of.Name):
			s.deeper++ // A circle.
			continue
		case !leaf && at.depth <= 1:
			s.deeper++
			continue
		case s.fields <= 0:
			s.beyond++
			continue
		}
		field := &ast.Field{Alias: f.Name, Name: f.Name}
		if differ[f.Name] {
			field.Alias = f.Name + "_" + def.Name
		}
		*into = append(*into, field)
		s.fields--
		if !leaf {
			field.SelectionSet = ast.SelectionSet{}
			s.queue = append(s.queue, &selecting{def: of, into: &field.SelectionSet, depth: at.depth - 1, within: within})
		}
	}
}

// selectable reports whether a field can be asked for without arguments, and
// should be.
func (s *selector) selectable(f *ast.FieldDefinition) bool {
	if isDeprecated(f.Directives) {
		s.deprecated++
		return false
	}
	for _, p := range parameters(f) {
		if !p.optional() {
			s.arguments++
			return false
		}
	}
	return true
}

// prune takes out of a selection what selects nothing.
func prune(set ast.SelectionSet) ast.SelectionSet {
	return slices.DeleteFunc(set, func(sel ast.Selection) bool {
		switch f := sel.(type) {
		case *ast.Field:
			if f.SelectionSet == nil { // A leaf.
				return false
			}
			f.SelectionSet = prune(f.SelectionSet)
			return len(f.SelectionSet) == 0
		case *ast.InlineFragment:
			f.SelectionSet = prune(f.SelectionSet)
			return len(f.SelectionSet) == 0
		}
		return false
	})
}

// left says what was left out of a selection, or "".
func (s *selector) left() string {
	var all []string
	for _, l := range []struct {
		n    int
		what string
	}{
		{s.arguments, "fields that need arguments"},
		{s.deprecated, "deprecated fields"},
		{s.deeper, "fields below the depth or around a circle"},
		{s.beyond, "fields beyond the number that is selected"},
		{s.objects, "objects of an interface or union"},
	} {
		if l.n > 0 {
			all = append(all, fmt.Sprintf("%d %s", l.n, l.what))
		}
	}
	if len(all) == 0 {
		return ""
	}
	return "left out of the selection: " + strings.Join(all, ", ")
}
