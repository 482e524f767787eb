package gqlschema

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// alternatives returns what oneOf and anyOf choose from, without those that are null, and whether there was such a one.
// Those that only narrow what the schema itself says are none.
func alternatives(n *node) (alts []*node, nullable bool) {
	for _, a := range slices.Concat(n.OneOf, n.AnyOf) {
		switch {
		case a == nil || a.never:
		case isNull(a):
			nullable = true
		default:
			alts = append(alts, a)
		}
	}
	if !n.withoutChoice().shapeless() && !slices.ContainsFunc(alts, func(a *node) bool { return !a.shapeless() }) {
		return nil, nullable
	}
	return alts, nullable
}

func (n *node) withoutChoice() *node {
	k := n.keywords
	k.OneOf, k.AnyOf = nil, nil
	return &node{keywords: k}
}

// isNull reports whether null is the only value.
func isNull(n *node) bool {
	types, nullable := n.types()
	return nullable && len(types) == 0 || string(n.Const) == "null" || len(n.Enum) == 1 && string(n.Enum[0]) == "null"
}

// choice types a value that is one of several.
func (b *builder) choice(n *node, alts []*node, hint, ref string) (use, bool) {
	base := n.withoutChoice()
	if len(base.Properties)+len(base.AllOf) > 0 { // The alternatives share these.
		for i, a := range alts {
			m := b.merged(&node{keywords: keywords{AllOf: []*node{base, a}, Title: title(a)}})
			if m == nil {
				return b.loses("alternatives that do not fit what they share", true)
			}
			m.Ref = ""
			alts[i] = m
		}
	}
	if len(alts) == 1 {
		return b.build(alts[0], hint, ref)
	}
	if t := b.commonScalar(alts); t != nil {
		return use{typ: t}, false
	}
	if len(alts) > maxMembers || !b.allObjects(alts) {
		return b.loses("a choice between values that are not all objects with properties", false)
	}
	if b.input() {
		return b.oneOf(alts, hint, ref), false
	}
	return b.union(alts, hint, ref), false
}

func title(n *node) string {
	if n.Title == "" && n.Ref != "" {
		return refName(n.Ref)
	}
	return n.Title
}

// commonScalar returns the scalar that all alternatives are written as, or nil. Formats and enums of strings are String
// to one another.
func (b *builder) commonScalar(alts []*node) *Type {
	var common *Type
	for _, a := range alts {
		t := b.scalarOf(b.follow(a))
		if t == nil || t.kind == kindJSON || common != nil && wider(common, t) == nil {
			return nil
		}
		common = wider(common, t)
	}
	return common
}

// scalarOf returns the scalar of a schema that has one type, or nil.
func (b *builder) scalarOf(n *node) *Type {
	if n == nil || len(n.OneOf)+len(n.AnyOf)+len(n.AllOf) > 0 {
		return nil
	}
	types, _ := n.types()
	switch {
	case len(types) == 0 && n.Const != nil:
		return b.constant(n.Const).typ
	case len(types) != 1:
		return nil
	}
	switch types[0] {
	case "string":
		return stringType
	case "boolean":
		return booleanType
	case "integer":
		return integerType(n)
	case "number":
		return floatType
	}
	return nil
}

// allObjects reports whether every alternative is an object with properties.
func (b *builder) allObjects(alts []*node) bool {
	for _, a := range alts {
		a = b.follow(a)
		if a == nil || len(a.OneOf)+len(a.AnyOf) > 0 || !a.plainObject() && len(a.AllOf) == 0 {
			return false
		}
		if _, nullable := a.types(); nullable {
			return false
		}
	}
	return true
}

// altName names an alternative: by its title, its reference, the constant that tells it from others, or its place.
func altName(a *node, i int) string {
	if t := title(a); t != "" {
		return t
	}
	for _, key := range sortedKeys(a.Properties) {
		if values := distinctive(a.Properties[key]); len(values) == 1 {
			if s, ok := decodeString([]byte(values[0])); ok && s != "" {
				return s
			}
		}
	}
	return "Option" + strconv.Itoa(i+1)
}

// oneOf types alternatives of an argument: an input object of which exactly one field is given.
func (b *builder) oneOf(alts []*node, hint, ref string) use {
	t := b.name(hint+"_OneOf", kindOneOf, ref)
	if t == nil {
		return jsonUse()
	}
	keys := make([]string, len(alts))
	byKey := map[string]*node{}
	for i, a := range alts {
		keys[i] = altName(a, i)
		for byKey[keys[i]] != nil {
			keys[i] += "_" + strconv.Itoa(i+1)
		}
		byKey[keys[i]] = a
	}
	names := unique(keys, func(k string) string { p := Pascal(k); return strings.ToLower(p[:1]) + p[1:] })
	var fields []*field
	for _, k := range keys {
		b.path = append(b.path, k)
		u, _ := b.build(byKey[k], hint+"_"+names[k], "")
		b.path = b.path[:len(b.path)-1]
		fields = append(fields, &field{name: names[k], key: k, use: u, description: describe(byKey[k])})
	}
	t.setFields(fields)
	return use{typ: t}
}

// union types alternatives of a result.
func (b *builder) union(alts []*node, hint, ref string) use {
	t := b.name(hint+"_Union", kindUnion, ref)
	if t == nil {
		return jsonUse()
	}
	for i, a := range alts {
		name := altName(a, i)
		b.path = append(b.path, name)
		u, _ := b.build(a, hint+"_"+name, "")
		b.path = b.path[:len(b.path)-1]
		if u.elem != nil || u.typ.kind != kindObject {
			b.note("a choice between values that are not all objects with properties: JSON")
			b.demote(t)
			return use{typ: t}
		}
		if !slices.Contains(t.members, u.typ) {
			t.members = append(t.members, u.typ)
		}
	}
	// The most particular first: one that asks for nothing would take everything.
	slices.SortStableFunc(t.members, func(x, y *Type) int {
		return cmp.Or(cmp.Compare(len(y.tests), len(x.tests)), cmp.Compare(len(y.required), len(x.required)))
	})
	return use{typ: t}
}
