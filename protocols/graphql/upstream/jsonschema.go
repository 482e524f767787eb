package upstream

import (
	"encoding/json"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/trilith-gateway/trilith/internal/clip"
)

// A node is a JSON Schema of the forms that GraphQL types become. The zero node
// accepts anything.
type node struct {
	Ref         string           `json:"$ref,omitempty"`
	Description string           `json:"description,omitempty"`
	Type        any              `json:"type,omitempty"` // a name, or two
	Format      string           `json:"format,omitempty"`
	Const       string           `json:"const,omitempty"`
	Enum        []string         `json:"enum,omitempty"`
	Minimum     *int64           `json:"minimum,omitempty"`
	Maximum     *int64           `json:"maximum,omitempty"`
	Items       *node            `json:"items,omitempty"`
	Properties  map[string]*node `json:"properties,omitempty"`
	Required    []string         `json:"required,omitempty"`
	Closed      *bool            `json:"additionalProperties,omitempty"` // false
	Least       *int             `json:"minProperties,omitempty"`
	Most        *int             `json:"maxProperties,omitempty"`
	MaxItems    *int             `json:"maxItems,omitempty"`
	AnyOf       []*node          `json:"anyOf,omitempty"`
	Default     json.RawMessage  `json:"default,omitempty"`
	Defs        map[string]*node `json:"$defs,omitempty"`
}

func (n *node) marshal() (json.RawMessage, error) { return json.Marshal(n) }

// nullable returns the schema with null besides.
func (n *node) nullable() *node {
	if t, ok := n.Type.(string); ok && n.Ref == "" && n.Enum == nil && n.Const == "" {
		n.Type = []string{t, "null"}
		return n
	}
	if n.Ref == "" && n.Type == nil && n.AnyOf == nil {
		return n // It accepts anything.
	}
	if n.AnyOf != nil {
		n.AnyOf = append(n.AnyOf, &node{Type: "null"})
		return n
	}
	return &node{AnyOf: []*node{n, {Type: "null"}}}
}

// The range of Int (specification, 3.5.1).
const (
	minInt = -1 << 31
	maxInt = 1<<31 - 1
)

// formats are what well-known scalars are in JSON Schema, by the names that
// they usually have.
func formatOf(name string) string {
	switch name {
	case "DateTime", "Timestamp", "ISO8601DateTime":
		return "date-time"
	case "Date", "ISO8601Date", "LocalDate":
		return "date"
	case "Time", "LocalTime":
		return "time"
	case "Duration":
		return "duration"
	case "UUID", "GUID":
		return "uuid"
	case "URI", "URL", "Url":
		return "uri"
	case "Email", "EmailAddress":
		return "email"
	}
	return ""
}

// formatBy returns the format that a scalar is specified to have, by the URL of
// its specification, or "".
func formatBy(url string) string {
	switch url {
	case "https://scalars.graphql.org/andimarek/date-time", "https://scalars.graphql.org/andimarek/date-time.html",
		"https://datatracker.ietf.org/doc/html/rfc3339", "https://tools.ietf.org/html/rfc3339", "https://www.rfc-editor.org/rfc/rfc3339":
		return "date-time"
	case "https://scalars.graphql.org/andimarek/local-date", "https://scalars.graphql.org/andimarek/local-date.html":
		return "date"
	case "https://tools.ietf.org/html/rfc4122", "https://datatracker.ietf.org/doc/html/rfc4122", "https://www.rfc-editor.org/rfc/rfc4122",
		"https://datatracker.ietf.org/doc/html/rfc9562", "https://www.rfc-editor.org/rfc/rfc9562":
		return "uuid"
	case "https://tools.ietf.org/html/rfc3986", "https://datatracker.ietf.org/doc/html/rfc3986", "https://www.rfc-editor.org/rfc/rfc3986",
		"https://url.spec.whatwg.org", "https://url.spec.whatwg.org/":
		return "uri"
	}
	return ""
}

// scalar returns the schema of a scalar. A custom one may be anything: its
// usual format is an annotation, and only where the server says which
// specification it follows is it known to be a string.
func scalar(def *ast.Definition) *node {
	switch def.Name {
	case "Int":
		lo, hi := int64(minInt), int64(maxInt)
		return &node{Type: "integer", Minimum: &lo, Maximum: &hi}
	case "Float":
		return &node{Type: "number"}
	case "Boolean":
		return &node{Type: "boolean"}
	case "String", "ID":
		return &node{Type: "string"}
	}
	if d := def.Directives.ForName("specifiedBy"); d != nil {
		if url := d.Arguments.ForName("url"); url != nil {
			if f := formatBy(url.Value.Raw); f != "" {
				return &node{Type: "string", Format: f}
			}
		}
	}
	return &node{Format: formatOf(def.Name)}
}

// enumOf returns the schema of an enum: of all its values for what is answered,
// of those that are not deprecated for what is asked.
func enumOf(def *ast.Definition, deprecated bool) *node {
	n := &node{Type: "string", Description: clip.Text(def.Description, maxMemberText)}
	for _, v := range def.EnumValues {
		if deprecated || !isDeprecated(v.Directives) {
			n.Enum = append(n.Enum, v.Name)
		}
	}
	return n
}

func isDeprecated(d ast.DirectiveList) bool { return d.ForName("deprecated") != nil }

// Bounds on what is taken over of descriptions, in bytes.
const (
	maxToolText   = 4 << 10
	maxMemberText = 1 << 10
)

// literalJSON returns a constant as JSON, or nil where it is none.
func literalJSON(v *ast.Value) json.RawMessage {
	if v == nil || !constant(v) {
		return nil
	}
	var buf jsonBuffer
	buf.literal(v)
	if !jsontext.Value(buf).IsValid() {
		return nil
	}
	return json.RawMessage(buf)
}

type jsonBuffer []byte

func (b *jsonBuffer) literal(v *ast.Value) {
	switch v.Kind {
	case ast.IntValue, ast.FloatValue, ast.BooleanValue:
		*b = append(*b, v.Raw...)
	case ast.NullValue:
		*b = append(*b, "null"...)
	case ast.ListValue:
		*b = append(*b, '[')
		for i, c := range v.Children {
			b.comma(i)
			b.literal(c.Value)
		}
		*b = append(*b, ']')
	case ast.ObjectValue:
		*b = append(*b, '{')
		for i, c := range v.Children {
			b.comma(i)
			b.quote(c.Name)
			*b = append(*b, ':')
			b.literal(c.Value)
		}
		*b = append(*b, '}')
	case ast.StringValue, ast.BlockValue, ast.EnumValue, ast.Variable:
		b.quote(v.Raw)
	}
}

func (b *jsonBuffer) comma(i int) {
	if i > 0 {
		*b = append(*b, ',')
	}
}

func (b *jsonBuffer) quote(s string) {
	q, _ := jsontext.AppendQuote([]byte(*b), s) // The error reports invalid UTF-8, already replaced.
	*b = q
}

// appendJSON appends a value that always marshals.
func appendJSON(b []byte, v any) []byte {
	raw, _ := jsonv2.Marshal(v, jsontext.AllowInvalidUTF8(true))
	return append(b, raw...)
}
