package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// schema is the part of JSON Schema 2020-12 that the configuration needs.
type schema struct {
	Dialect     string `json:"$schema,omitempty"`
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`

	Type    string   `json:"type,omitempty"`
	Enum    []any    `json:"enum,omitempty"`
	Default any      `json:"default,omitempty"`
	AnyOf   []schema `json:"anyOf,omitempty"`

	Pattern   string `json:"pattern,omitempty"`
	Format    string `json:"format,omitempty"`
	MinLength int    `json:"minLength,omitempty"`

	Minimum json.Number `json:"minimum,omitempty"`
	Maximum json.Number `json:"maximum,omitempty"`

	Items    *schema     `json:"items,omitempty"`
	MinItems int         `json:"minItems,omitempty"`
	MaxItems json.Number `json:"maxItems,omitempty"`

	Properties           map[string]*schema  `json:"properties,omitempty"`
	Required             []string            `json:"required,omitempty"`
	OneOf                []schema            `json:"oneOf,omitempty"`
	DependentRequired    map[string][]string `json:"dependentRequired,omitempty"`
	MaxProperties        json.Number         `json:"maxProperties,omitempty"`
	AdditionalProperties any                 `json:"additionalProperties,omitempty"` // false or *schema
}

// JSONSchema returns the JSON Schema of the configuration file for editors,
// which is docs/config.schema.json. It accepts what [Parse] accepts, except keys
// whose value is missing, empty or false where Parse takes them as not set. It
// does not know ranges of sizes and durations nor the rules between distant
// keys.
func JSONSchema() ([]byte, error) {
	docs, err := descriptions()
	if err != nil {
		return nil, err
	}
	b := schemaBuilder{docs: docs}
	root := b.object(reflect.TypeFor[Config]())
	root.Dialect = "https://json-schema.org/draft/2020-12/schema"
	root.Title = "Trilith configuration"
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err = enc.Encode(root)
	return out.Bytes(), err
}

// schemaBuilder makes schemas of declarations.
type schemaBuilder struct{ docs map[string]string }

// object returns the schema of a struct type.
func (b schemaBuilder) object(t reflect.Type) *schema {
	s := &schema{Type: "object", Properties: map[string]*schema{}, AdditionalProperties: false}
	groups := map[string]bool{}
	for _, f := range fieldsOf(t, "") {
		p := b.value(f.typ, f)
		p.Description = b.docs[f.name]
		s.Properties[f.key] = p
		if f.required {
			s.Required = append(s.Required, f.key)
		}
		if f.with != "" {
			if s.DependentRequired == nil {
				s.DependentRequired = map[string][]string{}
			}
			s.DependentRequired[f.key] = []string{f.with}
		}
		if f.group != "" && !groups[f.group] {
			groups[f.group] = true
			for _, key := range group(t, f.group) {
				s.OneOf = append(s.OneOf, schema{Required: []string{key}})
			}
		}
	}
	return s
}

// value returns the schema of a type under a declaration.
func (b schemaBuilder) value(t reflect.Type, f field) *schema {
	switch s := shapeOf(t); s { //nolint:exhaustive // The rest are scalars.
	case shapeStruct:
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		return b.object(t)
	case shapeList:
		out := &schema{Type: "array", MaxItems: json.Number(f.max)}
		if f.required {
			out.MinItems = 1
		}
		if f.def != "" {
			out.Default = strings.Fields(f.def)
		}
		f.def, f.max = "", ""
		out.Items = b.value(t.Elem(), f)
		return out
	case shapeMap:
		return &schema{Type: "object", MaxProperties: json.Number(f.max), AdditionalProperties: &schema{Type: "string"}}
	default:
		return scalarSchema(s, f)
	}
}

// scalarSchema returns the schema of a plain value.
func scalarSchema(s shape, f field) *schema {
	out := &schema{Type: "string"}
	if f.def != "" {
		out.Default = f.def
	}
	for _, e := range f.enum {
		out.Enum = append(out.Enum, e)
	}
	switch s { //nolint:exhaustive // The rest are strings.
	case shapeBool:
		out.Type, out.Default = "boolean", f.def == "true"
	case shapeInt:
		out.Type, out.Minimum, out.Maximum = "integer", json.Number(f.min), json.Number(f.max)
		if f.def != "" {
			out.Default = json.Number(f.def)
		}
		for i, e := range f.enum {
			out.Enum[i] = json.Number(e)
		}
	case shapeSize:
		out.Type = ""
		out.AnyOf = []schema{{Type: "integer", Minimum: "0"}, {Type: "string", Pattern: "^[0-9]+ *([KMG]i?B|B)?$"}}
	case shapeDuration:
		out.Pattern = `^[-+]?(0|([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*)$`
	case shapeRate:
		out.Pattern = "^[1-9][0-9]*/[smhd]$"
	default:
		formatSchema(out, f.format)
		if f.required {
			out.MinLength = 1
		}
	}
	return out
}

// formatSchema adds what a format says and JSON Schema can express.
func formatSchema(s *schema, format string) {
	switch {
	case format == "name":
		s.Pattern = "^[A-Za-z0-9_-]{1,32}$"
	case format == "address":
		s.Pattern = "^(.*:[0-9]{1,5})?$"
	case format == "pattern":
		s.Pattern = `^([^\[\]{}\\]|\\.)*$`
		s.MinLength = 1
	case format == "not-empty":
		s.MinLength = 1
	case slices.Contains([]string{"origin", "base-url", "url", "secure-url", "nats-url"}, format):
		s.Format = "uri-reference"
	}
}
