package protoschema

import (
	"encoding/json"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A node is one JSON Schema, as far as it says something about types.
type node struct {
	ID            string                    `json:"$id"`
	Ref           string                    `json:"$ref"`
	DynamicRef    string                    `json:"$dynamicRef"`
	Types         typeNames                 `json:"type"`
	Properties    map[string]*node          `json:"properties"`
	Patterns      map[string]jsontext.Value `json:"patternProperties"`
	Additional    *node                     `json:"additionalProperties"`
	Required      []string                  `json:"required"`
	Items         *node                     `json:"items"`
	PrefixItems   []jsontext.Value          `json:"prefixItems"`
	Enum          []jsontext.Value          `json:"enum"`
	Const         jsontext.Value            `json:"const"`
	Format        string                    `json:"format"`
	Encoding      string                    `json:"contentEncoding"`
	Title         string                    `json:"title"`
	Description   string                    `json:"description"`
	Default       jsontext.Value            `json:"default"`
	Deprecated    bool                      `json:"deprecated"`
	OneOf         []*node                   `json:"oneOf"`
	AnyOf         []*node                   `json:"anyOf"`
	AllOf         []*node                   `json:"allOf"`
	Defs          map[string]*node          `json:"$defs"`
	Definitions   map[string]*node          `json:"definitions"`
	always, never bool                      // the schema is true or false
	tuple         bool                      // items is a list of schemas, as before 2020-12
}

// typeNames is the keyword type: one name or several.
type typeNames []string

// UnmarshalJSONFrom reads a name or a list of names.
func (t *typeNames) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() == jsontext.KindString {
		var one string
		if err := jsonv2.UnmarshalDecode(d, &one); err != nil {
			return err
		}
		*t = typeNames{one}
		return nil
	}
	return jsonv2.UnmarshalDecode(d, (*[]string)(t))
}

// UnmarshalJSONFrom reads a schema, which may be true or false, or the list of
// schemas that items once could be.
func (n *node) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	type plain node
	if d.PeekKind() == jsontext.KindBeginObject {
		return jsonv2.UnmarshalDecode(d, (*plain)(n))
	}
	n.tuple = d.PeekKind() == jsontext.KindBeginArray
	v, err := d.ReadValue()
	n.always, n.never = string(v) == "true", string(v) == "false"
	return err
}

// A document is one schema with its definitions.
type document struct {
	root   *node
	shapes map[string]string // hashes by reference, such as "#/$defs/User"
}

// parse reads a schema. What cannot be read is any value: the schema has
// compiled, so it only uses keywords in a way that is of no concern here.
func parse(raw json.RawMessage) *document {
	doc := &document{root: &node{}}
	if len(raw) > 0 {
		if err := jsonv2.Unmarshal(raw, doc.root, jsontext.AllowInvalidUTF8(true)); err != nil {
			doc.root = &node{always: true}
		}
	}
	return doc
}

// maxAliases is how long a chain of references may be.
const maxAliases = 16

// find returns the schema that a reference within the document stands for, or
// nil.
func (d *document) find(ref string) *node {
	if ref == "#" {
		return d.root
	}
	var in map[string]*node
	name, ok := strings.CutPrefix(ref, "#/$defs/")
	if in = d.root.Defs; !ok {
		name, ok = strings.CutPrefix(ref, "#/definitions/")
		in = d.root.Definitions
	}
	if !ok {
		return nil
	}
	n := in[unescape(name)]
	if n == nil || n.ID != "" { // One with an address of its own has other references.
		return nil
	}
	return n
}

// defName returns the name of the definition of a reference that [canonical]
// made.
func defName(ref string) string {
	return strings.TrimPrefix(strings.TrimPrefix(ref, "#/$defs/"), "#/definitions/")
}

// unescape reads a reference token of a JSON pointer (RFC 6901) in a URI
// fragment.
func unescape(s string) string {
	if !strings.ContainsAny(s, "%~") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2]); hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo)) //nolint:gosec // Two digits.
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return strings.ReplaceAll(strings.ReplaceAll(b.String(), "~1", "/"), "~0", "~")
}

func hexDigit(c byte) int { return strings.IndexByte("0123456789abcdef", lower(c)) }

// A use is a schema as it is meant at one place: with what stands around it
// taken away, such as a reference or an alternative that is null.
type use struct {
	node     *node
	ref      string // the last reference on the way there, or ""
	nullable bool
	types    []string // without null
}

// resolve follows references and alternatives of one to what a schema means. It
// returns a use without a node where that is any value.
func (d *document) resolve(n *node) use {
	u := use{node: n}
	for range maxAliases {
		n = u.node
		switch {
		case n == nil || n.always || n.never || n.tuple || n.DynamicRef != "":
			u.node = nil
			return u
		case n.Ref != "":
			if n.ID != "" {
				u.node = nil
				return u
			}
			u.ref, u.node = canonical(n.Ref), d.find(n.Ref)
			continue
		}
		next := only(n, &u)
		if next == n {
			return typed(u)
		}
		u.node = next // It is what a reference to the other one means.
	}
	u.node = nil
	return u
}

// only returns the one alternative that a schema without properties of its own
// leaves beside null, the schema itself where it says a type, or nil where the
// alternatives differ.
func only(n *node, u *use) *node {
	if len(n.Properties) > 0 {
		return n
	}
	var left []*node
	kinds, null := 0, false
	for _, all := range [][]*node{n.OneOf, n.AnyOf, n.AllOf} {
		kinds += min(len(all), 1)
		for _, a := range all {
			if a != nil && len(a.Types) == 1 && a.Types[0] == "null" {
				null = true
			} else {
				left = append(left, a)
			}
		}
	}
	switch {
	case kinds == 1 && len(left) == 1:
		u.nullable = u.nullable || null || slices.Contains(n.Types, "null")
		return left[0]
	case kinds == 0 || len(n.Types) > 0: // What its own words say holds for every alternative.
		return n
	}
	return nil
}

// typed fills in the types that a schema allows, which it may say by its values
// alone.
func typed(u use) use {
	n := u.node
	if n == nil {
		return u
	}
	for _, t := range n.Types {
		if t == "null" {
			u.nullable = true
		} else if !slices.Contains(u.types, t) {
			u.types = append(u.types, t)
		}
	}
	some, texts, null := valuesOf(n)
	switch {
	case len(n.Types) > 0:
		u.nullable = u.nullable && (!some || null)
	case some && texts:
		u.types, u.nullable = []string{"string"}, u.nullable || null
	case len(n.Properties) > 0:
		u.types = []string{"object"}
	}
	if len(u.types) == 2 && slices.Contains(u.types, "integer") && slices.Contains(u.types, "number") {
		u.types = []string{"number"}
	}
	return u
}

// valuesOf reports whether a schema names the values that it allows, whether all
// of them are texts, null aside, and whether null is one.
func valuesOf(n *node) (some, texts, null bool) {
	values := n.Enum
	if n.Const != nil {
		values = []jsontext.Value{n.Const}
	}
	texts = true
	for _, v := range values {
		null = null || v.Kind() == jsontext.KindNull
		texts = texts && (v.Kind() == jsontext.KindString || v.Kind() == jsontext.KindNull)
	}
	return len(values) > 0, texts, null
}

// is reports whether the schema allows exactly that type, null aside.
func (u use) is(t string) bool { return u.node != nil && len(u.types) == 1 && u.types[0] == t }
