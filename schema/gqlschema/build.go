package gqlschema

import (
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A builder turns the schemas of one tool into types.
type builder struct {
	plan   *Plan
	prefix string
	used   map[string]bool // names of types
	types  int
	steps  int

	// Of the schema that is being built.
	root *node
	side string // "input" or "output"
	path []string
	refs map[string]built
}

type built struct {
	use      use
	nullable bool
	open     bool // nothing is known of it yet
}

func (b *builder) begin(side string) {
	b.side, b.path, b.refs = side, nil, map[string]built{}
}

func (b *builder) input() bool { return b.side == "input" }

// note says what was lost where the builder is now.
func (b *builder) note(reason string) {
	n := Note{At: strings.Join(append([]string{b.side}, b.path...), "."), Reason: short(reason)}
	if len(b.plan.Notes) < maxNotes && !slices.Contains(b.plan.Notes, n) {
		b.plan.Notes = append(b.plan.Notes, n)
	}
}

// loses returns JSON, with a note.
func (b *builder) loses(reason string, nullable bool) (use, bool) {
	b.note(reason + ": JSON")
	return jsonUse(), nullable
}

// build returns how a schema's values are typed, apart from whether they must be given, and whether they may be null.
// The hint names a type that is needed; ref is the reference that led here, or "".
func (b *builder) build(n *node, hint, ref string) (use, bool) {
	if n == nil || n.never {
		return jsonUse(), true
	}
	if b.steps++; b.steps > maxSteps || len(b.path) > maxDepth {
		return b.loses("the schema is too large or too deep", true)
	}
	switch {
	case n.ID != "" && n != b.root:
		return b.loses("the schema has an $id of its own, which references inside it go by", true)
	case n.DynamicRef != "":
		return b.loses("$dynamicRef", true)
	case n.Ref != "":
		return b.reference(n)
	}
	_, nullable := n.types()
	switch {
	case n.Const != nil:
		return b.constant(n.Const), nullable || n.Const.Kind() == jsontext.KindNull
	case len(n.Enum) > 0:
		u, null := b.enum(n, hint)
		return u, null || nullable
	}
	return b.combined(n, nullable, hint, ref)
}

// typed builds a schema without references and combinations.
func (b *builder) typed(n *node, nullable bool, hint, ref string) (use, bool) {
	types, _ := n.types()
	if n.plainObject() {
		return b.object(n, hint, ref), nullable
	}
	switch len(types) {
	case 0:
		return jsonUse(), len(n.Type) == 0 || nullable
	case 1:
	case 2:
		if slices.Contains(types, "integer") && slices.Contains(types, "number") {
			return use{typ: floatType}, nullable
		}
		fallthrough
	default:
		return b.loses("values of several types", nullable)
	}
	switch types[0] {
	case "string":
		if t := formats[n.Format]; t != nil {
			return use{typ: t}, nullable
		}
		return use{typ: stringType}, nullable
	case "boolean":
		return use{typ: booleanType}, nullable
	case "number":
		return use{typ: floatType}, nullable
	case "integer":
		return use{typ: integerType(n)}, nullable
	case "array":
		return b.array(n, hint), nullable
	}
	return jsonUse(), nullable // A map, or an object that may hold anything.
}

func (b *builder) array(n *node, hint string) use {
	elem := jsonUse()
	switch {
	case n.Items == nil && len(n.PrefixItems) == 0:
	case n.Items == nil || n.Items.tuple || len(n.PrefixItems) > 0:
		b.note("an array whose elements differ by position: [JSON]")
	default:
		b.path = append(b.path, "items")
		var nullable bool
		elem, nullable = b.build(n.Items.one, hint, "")
		elem.nonNull = !nullable
		b.path = b.path[:len(b.path)-1]
	}
	return use{elem: &elem}
}

// reference builds what a reference refers to, once.
func (b *builder) reference(n *node) (use, bool) {
	if r, ok := b.refs[n.Ref]; ok {
		if r.open {
			return b.loses("a schema that is nothing but itself", true)
		}
		return r.use, r.nullable
	}
	target := b.root.resolve(n.Ref)
	if target == nil {
		return b.loses("a reference that leads nowhere or to another document", true)
	}
	if len(n.Properties)+len(n.AllOf)+len(n.OneOf)+len(n.AnyOf) > 0 {
		b.note("what stands beside a $ref is checked, but has no part in the type")
	}
	b.refs[n.Ref] = built{open: true} // Until it has a type, or is done.
	u, nullable := b.build(target, refName(n.Ref), n.Ref)
	b.refs[n.Ref] = built{use: u, nullable: nullable}
	return u, nullable
}

// refName is the last part of a reference, which names the type.
func refName(ref string) string {
	if name := ref[strings.LastIndexAny(ref, "/#")+1:]; name != "" {
		return name
	}
	return "Root"
}

// name begins a type, which ref leads to from now on. It returns nil where there are too many.
func (b *builder) name(hint string, k kind, ref string) *Type {
	if b.types++; b.types > maxTypes {
		b.note("the schema needs more types than one tool may have")
		return nil
	}
	stem := b.prefix
	if hint != "" {
		stem += Pascal(hint)
	}
	suffix := ""
	if b.input() {
		suffix = "Input"
	}
	full := stem + suffix
	for length := 8; b.used[full] && length <= 64; length *= 2 {
		full = stem + "_" + hash(hint, length) + suffix
	}
	b.used[full] = true
	t := &Type{name: full, kind: k, rest: -1}
	if ref != "" {
		b.refs[ref] = built{use: use{typ: t}}
	}
	return t
}

// object types an object with properties.
func (b *builder) object(n *node, hint, ref string) use {
	if len(n.Properties) > maxFields {
		u, _ := b.loses("an object with too many properties", false)
		return u
	}
	k := kindObject
	if b.input() {
		k = kindInput
	}
	t := b.name(hint, k, ref)
	if t == nil {
		return jsonUse()
	}
	t.description = describe(n)
	t.setFields(b.fields(n, hint))
	if len(t.fields) == 0 {
		b.demote(t)
		return use{typ: t}
	}
	for _, r := range n.Required {
		if n.Properties[r] != nil {
			t.required = append(t.required, r)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(n.Properties)) {
		if values := distinctive(n.Properties[key]); values != nil {
			t.tests = append(t.tests, test{key, values})
		}
	}
	return use{typ: t}
}

func (t *Type) setFields(fields []*field) {
	t.fields = fields
	t.byName = index(fields, func(f *field) string { return f.name })
	t.byKey = map[string]int{}
	for i, f := range fields {
		if f.rest {
			t.rest = i
		} else {
			t.byKey[f.key] = i
		}
	}
}

// demote makes JSON of a type that turned out to be none, wherever it is used.
func (b *builder) demote(t *Type) {
	*t = Type{name: jsonType.name, kind: kindJSON, rest: -1}
}

// distinctive returns the values that a property must have, as JSON, or nil.
func distinctive(n *node) []string {
	var out []string
	switch {
	case n == nil:
		return nil
	case n.Const != nil:
		return []string{canonical(n.Const)}
	default:
		for _, v := range n.Enum {
			out = append(out, canonical(v))
		}
	}
	return out
}

// follow follows references to the schema behind them, or returns nil.
func (b *builder) follow(n *node) *node {
	for range maxDepth {
		if n == nil || n.Ref == "" {
			return n
		}
		n = b.root.resolve(n.Ref)
	}
	return nil
}

func describe(n *node) string {
	if n.Description != "" {
		return short(n.Description)
	}
	return short(n.Title)
}
