package graphql

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
	"github.com/trilith-gateway/trilith/schema/gqlschema"
)

// maxIntrospection bounds what one field of introspection writes, in bytes. A schema of ten thousand tools has a third of
// it.
const maxIntrospection = 128 << 20

// introspect answers __schema or __type from the view of the operation. One view is written by one caller at a time.
func (f *Frontend) introspect(ctx context.Context) (*generated.Typed, error) {
	op, field := graphql.GetOperationContext(ctx), graphql.GetFieldContext(ctx).Field
	v := preparationOf(op).view
	if err := v.introspection.enter(ctx); err != nil {
		return nil, err
	}
	defer v.introspection.leave()
	w := &introspector{ctx: ctx, schema: v.types.Whole(), op: op, memo: map[*ast.Selection][]asked{}}
	if field.Definition.Name == "__type" {
		name, _ := field.ArgumentMap(op.Variables)["name"].(string)
		w.named(field.Selections, w.schema.Types[name])
	} else {
		w.whole(field.Selections)
	}
	if w.stopped() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return nil, &gateway.Error{Code: gateway.ResourceExhausted, By: door, Msg: "the introspection is too long: ask for less"}
	}
	return ready(w.out), ledgerOf(ctx).describe(len(w.out))
}

// An introspector writes parts of a schema as JSON (GraphQL, section 4.2).
type introspector struct {
	ctx    context.Context
	schema *ast.Schema
	op     *graphql.OperationContext
	out    []byte
	memo   map[*ast.Selection][]asked
}

// asked is a field that is selected.
type asked struct {
	key        string // its response name, quoted, with a colon
	name       string
	below      ast.SelectionSet
	deprecated bool // whether what is deprecated is wanted too
}

func (w *introspector) stopped() bool { return len(w.out) > maxIntrospection || w.ctx.Err() != nil }

func (w *introspector) selected(set ast.SelectionSet) []asked {
	if len(set) == 0 {
		return nil
	}
	if fields, ok := w.memo[&set[0]]; ok {
		return fields
	}
	var out []asked
	for _, f := range graphql.CollectFields(w.op, set, nil) {
		a := asked{key: `"` + f.Alias + `":`, name: f.Name, below: f.Selections}
		if len(f.Arguments) > 0 {
			a.deprecated, _ = f.ArgumentMap(w.op.Variables)["includeDeprecated"].(bool)
		}
		out = append(out, a)
	}
	w.memo[&set[0]] = out
	return out
}

func (w *introspector) string(s string) { w.out = gqlschema.AppendString(w.out, s) }

func (w *introspector) optional(s string) {
	if s == "" {
		w.null()
		return
	}
	w.string(s)
}

func (w *introspector) null() { w.out = append(w.out, "null"...) }

func (w *introspector) bool(v bool) { w.out = strconv.AppendBool(w.out, v) }

// object writes an object of the named type, whose fields f writes.
func (w *introspector) object(set ast.SelectionSet, typ string, f func(a *asked)) {
	w.out = append(w.out, '{')
	fields := w.selected(set)
	for i := range fields {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.out = append(w.out, fields[i].key...)
		if fields[i].name == "__typename" {
			w.string(typ)
			continue
		}
		f(&fields[i])
	}
	w.out = append(w.out, '}')
}

func each[T any](w *introspector, items []T, f func(T)) {
	w.out = append(w.out, '[')
	for i, item := range items {
		if w.stopped() {
			return
		}
		if i > 0 {
			w.out = append(w.out, ',')
		}
		f(item)
	}
	w.out = append(w.out, ']')
}

// some writes the items that are wanted: those that are deprecated only where they are asked for.
func some[T any](w *introspector, a *asked, items []T, directives func(T) ast.DirectiveList, f func(T)) {
	gone := func(item T) bool { return directives(item).ForName("deprecated") != nil }
	if !a.deprecated && slices.ContainsFunc(items, gone) {
		items = slices.DeleteFunc(slices.Clone(items), gone)
	}
	each(w, items, f)
}

func (w *introspector) whole(set ast.SelectionSet) {
	s := w.schema
	w.object(set, "__Schema", func(a *asked) {
		switch a.name {
		case "description":
			w.optional(s.Description)
		case "queryType":
			w.named(a.below, s.Query)
		case "mutationType":
			w.named(a.below, s.Mutation)
		case "subscriptionType":
			w.named(a.below, s.Subscription)
		case "types":
			each(w, sortedNames(s.Types), func(n string) { w.named(a.below, s.Types[n]) })
		case "directives":
			each(w, sortedNames(s.Directives), func(n string) { w.directive(a.below, s.Directives[n]) })
		}
	})
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func (w *introspector) directive(set ast.SelectionSet, d *ast.DirectiveDefinition) {
	w.object(set, "__Directive", func(a *asked) {
		switch a.name {
		case "name":
			w.string(d.Name)
		case "description":
			w.optional(d.Description)
		case "isRepeatable":
			w.bool(d.IsRepeatable)
		case "locations":
			each(w, d.Locations, func(l ast.DirectiveLocation) { w.string(string(l)) })
		case "args":
			w.arguments(a, d.Arguments)
		}
	})
}

func (w *introspector) arguments(a *asked, args ast.ArgumentDefinitionList) {
	some(w, a, args, func(arg *ast.ArgumentDefinition) ast.DirectiveList { return arg.Directives }, func(arg *ast.ArgumentDefinition) {
		w.input(a.below, &ast.FieldDefinition{Name: arg.Name, Description: arg.Description, Type: arg.Type, DefaultValue: arg.DefaultValue, Directives: arg.Directives})
	})
}

func (w *introspector) input(set ast.SelectionSet, f *ast.FieldDefinition) {
	w.object(set, "__InputValue", func(a *asked) {
		switch a.name {
		case "name":
			w.string(f.Name)
		case "description":
			w.optional(f.Description)
		case "type":
			w.reference(a.below, f.Type)
		case "defaultValue":
			if f.DefaultValue == nil {
				w.null()
				return
			}
			w.string(f.DefaultValue.String())
		default:
			w.deprecation(a, f.Directives)
		}
	})
}

func (w *introspector) deprecation(a *asked, directives ast.DirectiveList) {
	d := directives.ForName("deprecated")
	switch {
	case a.name == "isDeprecated":
		w.bool(d != nil)
	case d == nil:
		w.null()
	default:
		reason := "No longer supported" // The default of the directive.
		if arg := d.Arguments.ForName("reason"); arg != nil {
			reason = arg.Value.Raw
		}
		w.string(reason)
	}
}

// reference writes the type of something, with what wraps it.
func (w *introspector) reference(set ast.SelectionSet, t *ast.Type) {
	switch {
	case t.NonNull:
		inner := *t
		inner.NonNull = false
		w.wrapper(set, "NON_NULL", &inner)
	case t.Elem != nil:
		w.wrapper(set, "LIST", t.Elem)
	default:
		w.named(set, w.schema.Types[t.NamedType])
	}
}

func (w *introspector) wrapper(set ast.SelectionSet, kind string, of *ast.Type) {
	w.object(set, "__Type", func(a *asked) {
		switch a.name {
		case "kind":
			w.string(kind)
		case "ofType":
			w.reference(a.below, of)
		default:
			w.null()
		}
	})
}

// named writes a type, or null for none.
func (w *introspector) named(set ast.SelectionSet, d *ast.Definition) {
	if d == nil {
		w.null()
		return
	}
	w.object(set, "__Type", func(a *asked) {
		switch a.name {
		case "kind":
			w.string(string(d.Kind))
		case "name":
			w.string(d.Name)
		case "description":
			w.optional(d.Description)
		case "specifiedByURL":
			if s := d.Directives.ForName("specifiedBy"); s != nil {
				w.string(s.Arguments.ForName("url").Value.Raw)
				return
			}
			w.null()
		case "isOneOf":
			w.oneOf(d)
		default:
			w.parts(a, d)
		}
	})
}

func (w *introspector) oneOf(d *ast.Definition) {
	if d.Kind != ast.InputObject {
		w.null()
		return
	}
	w.bool(d.Directives.ForName("oneOf") != nil)
}

// parts writes the lists of a type, each of which only some kinds have.
func (w *introspector) parts(a *asked, d *ast.Definition) {
	composite := d.Kind == ast.Object || d.Kind == ast.Interface
	switch {
	case a.name == "fields" && composite:
		fields := d.Fields
		if d == w.schema.Query { // __schema and __type are not listed.
			fields = slices.DeleteFunc(slices.Clone(fields), func(f *ast.FieldDefinition) bool { return strings.HasPrefix(f.Name, "__") })
		}
		some(w, a, fields, fieldDirectives, func(f *ast.FieldDefinition) { w.field(a.below, f) })
	case a.name == "inputFields" && d.Kind == ast.InputObject:
		some(w, a, d.Fields, fieldDirectives, func(f *ast.FieldDefinition) { w.input(a.below, f) })
	case a.name == "interfaces" && composite:
		each(w, d.Interfaces, func(n string) { w.named(a.below, w.schema.Types[n]) })
	case a.name == "possibleTypes" && d.IsAbstractType():
		each(w, w.schema.GetPossibleTypes(d), func(p *ast.Definition) { w.named(a.below, p) })
	case a.name == "enumValues" && d.Kind == ast.Enum:
		some(w, a, d.EnumValues, func(v *ast.EnumValueDefinition) ast.DirectiveList { return v.Directives }, func(v *ast.EnumValueDefinition) {
			w.described(a.below, "__EnumValue", v.Name, v.Description, v.Directives, nil)
		})
	default:
		w.null()
	}
}

func fieldDirectives(f *ast.FieldDefinition) ast.DirectiveList { return f.Directives }

func (w *introspector) field(set ast.SelectionSet, f *ast.FieldDefinition) {
	w.described(set, "__Field", f.Name, f.Description, f.Directives, func(a *asked) {
		if a.name == "args" {
			w.arguments(a, f.Arguments)
		} else {
			w.reference(a.below, f.Type)
		}
	})
}

// described writes what fields and values of enums have in common; more writes args and type.
func (w *introspector) described(set ast.SelectionSet, typ, name, description string, directives ast.DirectiveList, more func(*asked)) {
	w.object(set, typ, func(a *asked) {
		switch a.name {
		case "name":
			w.string(name)
		case "description":
			w.optional(description)
		case "isDeprecated", "deprecationReason":
			w.deprecation(a, directives)
		default:
			more(a)
		}
	})
}
