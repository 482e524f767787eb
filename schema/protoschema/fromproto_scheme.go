package protoschema

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// scheme is a JSON Schema in the making.
type scheme struct {
	Ref              string    `json:"$ref,omitempty"`
	Type             any       `json:"type,omitempty"`
	AnyOf            []*scheme `json:"anyOf,omitempty"`
	Format           string    `json:"format,omitempty"`
	Pattern          string    `json:"pattern,omitempty"`
	ContentEncoding  string    `json:"contentEncoding,omitempty"`
	Const            any       `json:"const,omitempty"`
	Enum             []any     `json:"enum,omitempty"`
	MinLength        *uint64   `json:"minLength,omitempty"`
	MaxLength        *uint64   `json:"maxLength,omitempty"`
	Minimum          any       `json:"minimum,omitempty"`
	Maximum          any       `json:"maximum,omitempty"`
	ExclusiveMinimum any       `json:"exclusiveMinimum,omitempty"`
	ExclusiveMaximum any       `json:"exclusiveMaximum,omitempty"`
	MinItems         *uint64   `json:"minItems,omitempty"`
	MaxItems         *uint64   `json:"maxItems,omitempty"`
	UniqueItems      bool      `json:"uniqueItems,omitempty"`
	MinProperties    *uint64   `json:"minProperties,omitempty"`
	MaxProperties    *uint64   `json:"maxProperties,omitempty"`
	PropertyNames    *scheme   `json:"propertyNames,omitempty"`
	Items            *scheme   `json:"items,omitempty"`
	Properties       members   `json:"properties,omitempty"`
	Additional       any       `json:"additionalProperties,omitempty"` // a *scheme or a bool
	Required         []string  `json:"required,omitempty"`
	Default          any       `json:"default,omitempty"`
	Deprecated       bool      `json:"deprecated,omitempty"`
	ReadOnly         bool      `json:"readOnly,omitempty"`
	WriteOnly        bool      `json:"writeOnly,omitempty"`
	Description      string    `json:"description,omitempty"`
	Defs             members   `json:"$defs,omitempty"`
}

// say adds a sentence to the description.
func (s *scheme) say(format string, args ...any) {
	if s.Description != "" {
		s.Description += "\n"
	}
	s.Description += fmt.Sprintf(format, args...)
}

// members are the members of an object in their own order.
type members []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes the object.
func (m members) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, x := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(x.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(x.value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// nullable returns the schema with null, which means that there is no value.
func nullable(s *scheme) *scheme {
	switch t := s.Type.(type) {
	case string:
		if len(s.Enum) > 0 || s.Const != nil || t == "null" {
			break
		}
		s.Type = []string{t, "null"}
		return s
	case []string:
		if t[len(t)-1] != "null" {
			s.Type = append(t, "null")
		}
		return s
	case nil:
		if s.Ref == "" && s.AnyOf == nil && len(s.Enum) == 0 {
			return s // anything
		}
	}
	return &scheme{AnyOf: []*scheme{s, {Type: "null"}}}
}
