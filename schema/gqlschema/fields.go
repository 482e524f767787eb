package gqlschema

import (
	"encoding/json"
	"maps"
	"slices"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

type jsonRaw = json.RawMessage

// restKey stands for all members that are not declared. No member of strict JSON from a schema is mistaken for it where
// it matters: it is only looked up in maps of declared properties.
const restKey = "\x00rest"

// fields types the properties of an object, sorted by name.
func (b *builder) fields(n *node, hint string) []*field {
	keys := make([]string, 0, len(n.Properties)+1)
	for _, k := range sortedKeys(n.Properties) {
		if p := n.Properties[k]; p != nil && !p.never {
			keys = append(keys, k)
		}
	}
	open := n.Additional != nil && !n.Additional.never
	if open {
		keys = append(keys, restKey)
	}
	names := unique(keys, func(k string) string {
		if k == restKey {
			return "additionalProperties"
		}
		if name := n.Properties[k].graphQLName(); name != "" {
			return name
		}
		return Name(k)
	})
	stems := map[string]int{}
	for _, k := range keys {
		stems[Pascal(names[k])]++
	}
	required := n.requires()
	out := make([]*field, 0, len(keys))
	for _, k := range keys {
		if k == restKey {
			out = append(out, &field{name: names[k], key: k, use: jsonUse(), rest: true, description: "All members that are not declared, as one object."})
			continue
		}
		below := hint + "_" + names[k]
		if stems[Pascal(names[k])] > 1 { // Types of both would have one name.
			below += "_" + hash(k, 8)
		}
		b.path = append(b.path, k)
		out = append(out, b.field(k, names[k], n.Properties[k], below, required[k]))
		b.path = b.path[:len(b.path)-1]
	}
	return out
}

func (b *builder) field(key, name string, p *node, hint string, required bool) *field {
	u, nullable := b.build(p, hint, "")
	f := &field{name: name, key: key, use: u, nullable: nullable, required: required, description: describe(p), deprecated: p.Deprecated}
	if f.description == "" {
		if t := b.follow(p); t != nil && t != p && u.elem == nil {
			f.description = describe(t)
		}
	}
	if name != key {
		b.note(Renamed + name)
	}
	f.use.nonNull = required && !nullable
	if !b.input() {
		return f
	}
	switch {
	case p.Default != nil:
		f.fill = jsonRaw(p.Default)
	case p.Const != nil && required:
		f.fill = jsonRaw(p.Const)
	}
	if f.fill != nil {
		f.use.nonNull = false
	}
	return f
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// decodeString returns the text of a JSON string.
func decodeString(v []byte) (s string, ok bool) {
	if jsontext.Value(v).Kind() != jsontext.KindString {
		return "", false
	}
	return s, jsonv2.Unmarshal(v, &s, jsontext.AllowInvalidUTF8(true)) == nil
}
