package gqlschema

import "reflect"

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
