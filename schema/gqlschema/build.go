package gqlschema

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"strconv"
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
	n := Note{At: strings.Join(append([]string{b.side}, b.path...), "."), Reason: clip(reason)}
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

// combined builds a schema that is no reference and no list of values.
func (b *builder) combined(n *node, nullable bool, hint, ref string) (use, bool) {
	if n.Not != nil || n.If != nil || len(n.Patterns) > 0 && len(n.Properties) > 0 {
		b.note("conditions (not, if, patternProperties) are checked, but have no part in the type")
	}
	alts, null := alternatives(n)
	if nullable = nullable || null; len(alts) > 0 {
		u, inner := b.choice(n, alts, hint, ref)
		return u, inner || nullable
	}
	n = b.unconditional(n)
	if len(n.AllOf) > 0 {
		u, inner := b.all(n, hint, ref)
		return u, inner && len(n.Type) == 0 || nullable
	}
	return b.typed(n, nullable, hint, ref)
}

// unconditional returns a schema without the alternatives that only narrow what it says.
func (b *builder) unconditional(n *node) *node {
	if len(n.OneOf)+len(n.AnyOf) == 0 {
		return n
	}
	b.note("alternatives that only add conditions are checked, but have no part in the type")
	return n.withoutChoice()
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

// integerType returns Int where all values fit it, as far as the schema says.
func integerType(n *node) *Type {
	switch n.Format {
	case "int64", "uint32", "uint64":
		return longType
	}
	for _, bound := range []jsontext.Value{n.Minimum, n.Maximum} {
		if f, err := strconv.ParseFloat(string(bound), 64); err == nil && (f < -1<<31 || f > 1<<31-1) {
			return longType
		}
	}
	return intType
}

// constant returns the scalar of a value.
func (b *builder) constant(v jsontext.Value) use {
	switch v.Kind() { //nolint:exhaustive // Everything else is JSON.
	case jsontext.KindString:
		return use{typ: stringType}
	case jsontext.KindTrue, jsontext.KindFalse:
		return use{typ: booleanType}
	case jsontext.KindNumber:
		return use{typ: numberType(v)}
	}
	return jsonUse()
}

func numberType(v jsontext.Value) *Type {
	if _, err := strconv.ParseInt(string(v), 10, 32); err == nil {
		return intType
	}
	if _, err := strconv.ParseInt(string(v), 10, 64); err == nil {
		return longType
	}
	return floatType
}

// enum types a list of values: names, where all of them are strings, and otherwise the scalar that they have in common.
func (b *builder) enum(n *node, hint string) (u use, nullable bool) {
	var values []string
	var common *Type
	mixed := false
	for _, v := range n.Enum {
		if v.Kind() == jsontext.KindNull {
			nullable = true
			continue
		}
		t := b.constant(v).typ
		if s, ok := decodeString(v); ok && !slices.Contains(values, s) {
			values = append(values, s)
		}
		mixed = mixed || common != nil && wider(common, t) == nil
		if !mixed {
			common = wider(common, t)
		}
	}
	switch {
	case mixed || common == nil || common.kind == kindJSON:
		return b.loses("an enum of values of several types", nullable)
	case common.kind != kindString:
		return use{typ: common}, nullable
	case len(values) > maxValues:
		b.note("an enum of more values than a type may have: String")
		return use{typ: stringType}, nullable
	}
	t := b.name(hint, kindEnum, "")
	if t == nil {
		return use{typ: stringType}, nullable
	}
	t.description = describe(n)
	slices.Sort(values)
	names := unique(values, enumName)
	t.toName = names
	t.toJSON = make(map[string]jsonRaw, len(values))
	for _, v := range values {
		text, _ := jsontext.AppendQuote(nil, v) // Decoded text is valid UTF-8.
		t.toJSON[names[v]] = text
		t.values = append(t.values, enumValue{names[v], v})
	}
	return use{typ: t}, nullable
}

func enumName(v string) string {
	n := Name(v)
	if n == "true" || n == "false" || n == "null" {
		n += "_"
	}
	return n
}

// wider returns the scalar that holds values of both, or nil. Nil holds none.
func wider(a, b *Type) *Type {
	number := func(t *Type) bool { return t.kind == kindInt || t.kind == kindLong || t.kind == kindFloat }
	switch {
	case a == nil || a == b:
		return b
	case number(a) && number(b):
		if a.kind > b.kind { // Int, Long, Float.
			return a
		}
		return b
	}
	return nil
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

// canonical returns a JSON value in the form in which equal scalars have equal texts.
func canonical(v []byte) string {
	out := jsontext.Value(bytes.Clone(v))
	if err := out.Canonicalize(); err != nil {
		return string(v)
	}
	return string(out)
}

// merged returns one schema for an object of several parts, or nil where they do not fit together.
func (b *builder) merged(n *node) *node {
	m := &node{keywords: keywords{Type: typeNames{"object"}, Title: n.Title, Description: n.Description, Properties: map[string]*node{}}}
	if !b.mergeInto(m, n, 0) {
		return nil
	}
	return m
}

func (b *builder) mergeInto(m, n *node, depth int) bool {
	n = b.follow(n)
	if b.steps++; depth > maxDepth || b.steps > maxSteps || !b.mergeable(n) || depth > 0 && len(n.OneOf)+len(n.AnyOf) > 0 {
		return false
	}
	for key, p := range n.Properties {
		if have, ok := m.Properties[key]; ok && !reflect.DeepEqual(have, p) {
			return false
		}
		m.Properties[key] = p
	}
	m.Required = append(m.Required, n.Required...)
	if m.Additional == nil {
		m.Additional = n.Additional
	}
	for _, part := range n.AllOf {
		if !b.mergeInto(m, part, depth+1) {
			return false
		}
	}
	return true
}

// mergeable reports whether a schema can be a part of an object.
func (b *builder) mergeable(n *node) bool {
	if n == nil || n.never || n.Const != nil || len(n.Enum) > 0 || n.ID != "" && n != b.root {
		return false
	}
	types, _ := n.types()
	return len(types) == 0 || len(types) == 1 && types[0] == "object"
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

// all types a schema that must satisfy several.
func (b *builder) all(n *node, hint, ref string) (use, bool) {
	if m := b.merged(n); m != nil && len(m.Properties) > 0 {
		return b.object(m, hint, ref), false
	}
	var shape *node
	for _, part := range append([]*node{{keywords: n.withoutAll()}}, n.AllOf...) {
		if part != nil && part.shapeless() {
			continue
		}
		if shape != nil {
			return b.loses("parts of allOf that do not fit together", true)
		}
		shape = part
	}
	if shape == nil {
		return jsonUse(), true
	}
	return b.build(shape, hint, ref)
}

func (n *node) withoutAll() keywords {
	k := n.keywords
	k.AllOf = nil
	return k
}

// shapeless reports whether the schema only narrows what another one types.
func (n *node) shapeless() bool {
	return !n.never && len(n.Type)+len(n.Enum)+len(n.Properties)+len(n.OneOf)+len(n.AnyOf)+len(n.AllOf)+len(n.PrefixItems) == 0 &&
		n.Ref == "" && n.DynamicRef == "" && n.Const == nil && n.Items == nil && n.Additional == nil
}

func describe(n *node) string {
	if n.Description != "" {
		return clip(n.Description)
	}
	return clip(n.Title)
}
