package gqlschema

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A node is a JSON Schema, as far as it shapes types.
type node struct {
	keywords
	never bool // the schema false
}

type keywords struct {
	ID          string           `json:"$id"`
	Ref         string           `json:"$ref"`
	DynamicRef  string           `json:"$dynamicRef"`
	Anchor      string           `json:"$anchor"`
	Defs        map[string]*node `json:"$defs"`
	Definitions map[string]*node `json:"definitions"`
	Title       string           `json:"title"`
	Description string           `json:"description"`
	Type        typeNames        `json:"type"`
	Format      string           `json:"format"`
	Enum        []jsontext.Value `json:"enum"`
	Const       jsontext.Value   `json:"const"`
	Default     jsontext.Value   `json:"default"`
	Deprecated  bool             `json:"deprecated"`
	Properties  map[string]*node `json:"properties"`
	Required    []string         `json:"required"`
	Additional  *node            `json:"additionalProperties"`
	Patterns    map[string]*node `json:"patternProperties"`
	Items       *itemsNode       `json:"items"`
	PrefixItems []*node          `json:"prefixItems"`
	OneOf       []*node          `json:"oneOf"`
	AnyOf       []*node          `json:"anyOf"`
	AllOf       []*node          `json:"allOf"`
	Not         *node            `json:"not"`
	If          *node            `json:"if"`
	Minimum     jsontext.Value   `json:"minimum"`
	Maximum     jsontext.Value   `json:"maximum"`
	Name        jsontext.Value   `json:"x-graphql-name"`
}

// parse reads a schema. One that package schema has compiled cannot fail for its form.
func parse(raw json.RawMessage) (*node, error) {
	n := &node{}
	err := jsonv2.Unmarshal(raw, n, jsontext.AllowInvalidUTF8(true))
	return n, err
}

// UnmarshalJSONFrom reads an object or a boolean.
func (n *node) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	switch dec.PeekKind() { //nolint:exhaustive // Nothing else is a schema.
	case jsontext.KindBeginObject:
		return jsonv2.UnmarshalDecode(dec, &n.keywords)
	case jsontext.KindTrue, jsontext.KindFalse:
		tok, err := dec.ReadToken()
		n.never = err == nil && !tok.Bool()
		return err
	}
	return errors.New("a schema is an object or a boolean")
}

// typeNames is the keyword type: one name or several.
type typeNames []string

// UnmarshalJSONFrom reads a string or an array of strings.
func (t *typeNames) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == jsontext.KindString {
		*t = make(typeNames, 1)
		return jsonv2.UnmarshalDecode(dec, &(*t)[0])
	}
	return jsonv2.UnmarshalDecode(dec, (*[]string)(t))
}

// itemsNode is the keyword items: a schema, or before draft 2020-12 an array of them.
type itemsNode struct {
	one   *node
	tuple bool
}

// UnmarshalJSONFrom reads a schema or skips an array.
func (i *itemsNode) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == jsontext.KindBeginArray {
		i.tuple = true
		return dec.SkipValue()
	}
	i.one = &node{}
	return jsonv2.UnmarshalDecode(dec, i.one)
}

// types returns the types besides null, and whether null is among them.
func (n *node) types() (types []string, nullable bool) {
	for _, t := range n.Type {
		if t == "null" {
			nullable = true
		} else if !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	return types, nullable
}

// plainObject reports whether the schema lists the properties of an object, and no alternatives.
func (n *node) plainObject() bool {
	types, _ := n.types()
	return (len(types) == 0 || len(types) == 1 && types[0] == "object") && len(n.Properties) > 0 &&
		len(n.OneOf)+len(n.AnyOf)+len(n.AllOf) == 0 && n.Ref == "" && n.Const == nil && len(n.Enum) == 0
}

// graphQLName returns the name that the schema asks for, or "".
func (n *node) graphQLName() string {
	var name string
	if n == nil || n.Name.Kind() != jsontext.KindString || jsonv2.Unmarshal(n.Name, &name) != nil {
		return ""
	}
	if name != Name(name) {
		return ""
	}
	return name
}

// requires returns the set of required properties.
func (n *node) requires() map[string]bool {
	set := make(map[string]bool, len(n.Required))
	for _, r := range n.Required {
		set[r] = true
	}
	return set
}

// resolve follows a reference inside the document to its schema, or returns nil.
func (n *node) resolve(ref string) *node {
	if ref == "#" {
		return n
	}
	path, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		if anchor, ok := strings.CutPrefix(ref, "#"); ok {
			return n.anchored(anchor)
		}
		return nil
	}
	at := n
	parts := strings.Split(path, "/")
	for len(parts) > 0 && at != nil {
		at, parts = at.child(parts)
	}
	return at
}

// anchored finds an anchor where schemas are meant to have one: among the definitions.
func (n *node) anchored(name string) *node {
	for _, defs := range []map[string]*node{n.Defs, n.Definitions} {
		for _, d := range defs {
			if d != nil && d.Anchor == name {
				return d
			}
		}
	}
	return nil
}

// child follows one step of a JSON Pointer (RFC 6901), of one or two parts, and returns what is left of it.
func (n *node) child(parts []string) (next *node, rest []string) {
	switch parts[0] {
	case "items":
		if n.Items != nil {
			next = n.Items.one
		}
		return next, parts[1:]
	case "additionalProperties":
		return n.Additional, parts[1:]
	case "not":
		return n.Not, parts[1:]
	}
	if len(parts) < 2 {
		return nil, nil
	}
	key := strings.NewReplacer("~1", "/", "~0", "~").Replace(parts[1])
	if text, err := url.PathUnescape(key); err == nil {
		key = text
	}
	if named := n.named(parts[0]); named != nil {
		return named[key], parts[2:]
	}
	list := n.listed(parts[0])
	i, err := strconv.Atoi(key)
	if err != nil || i < 0 || i >= len(list) {
		return nil, nil
	}
	return list[i], parts[2:]
}

func (n *node) named(keyword string) map[string]*node {
	switch keyword {
	case "$defs":
		return n.Defs
	case "definitions":
		return n.Definitions
	case "properties":
		return n.Properties
	case "patternProperties":
		return n.Patterns
	}
	return nil
}

func (n *node) listed(keyword string) []*node {
	switch keyword {
	case "oneOf":
		return n.OneOf
	case "anyOf":
		return n.AnyOf
	case "allOf":
		return n.AllOf
	case "prefixItems":
		return n.PrefixItems
	}
	return nil
}
