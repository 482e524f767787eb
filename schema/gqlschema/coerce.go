package gqlschema

import (
	"encoding/json"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/vektah/gqlparser/v2/ast"
)

// An InputError says what is wrong with a value that a caller wrote.
type InputError struct {
	Path    string // of the argument or variable, such as "at.lat"; "" for the value itself
	Message string
}

// Error returns the path and the message, which the caller may see.
func (e *InputError) Error() string {
	if e.Path == "" {
		return e.Message
	}
	return e.Path + ": " + e.Message
}

// Variables returns the value of a variable, as [Type.Variable] has made it, and false where it has none.
type Variables func(name string) (json.RawMessage, bool)

// Variable returns the value of a variable of that declared type, whose named type is t, in the terms of the tool. The raw
// value must be valid JSON. The error is an *[InputError].
func (t *Type) Variable(declared *ast.Type, raw json.RawMessage, limit int) (json.RawMessage, error) {
	c := coercer{limit: limit}
	if err := c.value(useOf(declared, t), raw); err != nil {
		return nil, err
	}
	return c.out, c.tooLong()
}

// Default is Variable for the default of a variable, a literal without variables.
func (t *Type) Default(declared *ast.Type, v *ast.Value, limit int) (json.RawMessage, error) {
	c := coercer{limit: limit, vars: func(string) (json.RawMessage, bool) { return nil, false }}
	if _, err := c.literal(useOf(declared, t), v); err != nil {
		return nil, err
	}
	return c.out, c.tooLong()
}

// A coercer writes values in the terms of the tool.
type coercer struct {
	vars  Variables
	out   []byte
	limit int
}

func (c *coercer) tooLong() error {
	if len(c.out) > c.limit {
		return &InputError{"", "the values are too long, with variables and defaults in place"}
	}
	return nil
}

func (c *coercer) under(name string, err error) error {
	in, ok := err.(*InputError) //nolint:errorlint // Made here and never wrapped.
	if !ok {
		return err
	}
	path := name
	if in.Path != "" {
		path += "." + in.Path
	}
	return &InputError{path, in.Message}
}

// member writes what write writes as a member of the object that is open, unless it writes nothing.
func (c *coercer) member(f *field, write func() (bool, error)) (bool, error) {
	start := len(c.out)
	if c.out[start-1] != '{' {
		c.out = append(c.out, ',')
	}
	c.out, _ = jsontext.AppendQuote(c.out, f.key) // A key of valid JSON.
	c.out = append(c.out, ':')
	from := len(c.out)
	set, err := write()
	if err != nil {
		return false, c.under(f.name, err)
	}
	if !set || string(c.out[from:]) == "null" && !f.nullable && !f.use.nonNull && !f.use.isJSON() {
		c.out = c.out[:start]
		return set, nil // Null is given, but the tool does not know it: nothing is written and nothing filled in.
	}
	return true, c.tooLong()
}

// spread writes the members of an object into the object that is open.
func (c *coercer) spread(fields []*field, f *field, write func() (bool, error)) (bool, error) {
	start := len(c.out)
	set, err := write()
	if err != nil || !set {
		c.out = c.out[:start]
		return set, c.underIf(f.name, err)
	}
	value := append([]byte(nil), c.out[start:]...)
	c.out = c.out[:start]
	if string(value) == "null" {
		return true, nil
	}
	s := scan{text: value}
	clash := ""
	ok := s.members(func(key []byte, from, to int) bool {
		name := string(unquote(key))
		for _, other := range fields {
			if !other.rest && other.key == name {
				clash = name
				return false
			}
		}
		if c.out[len(c.out)-1] != '{' {
			c.out = append(c.out, ',')
		}
		c.out = append(append(append(c.out, key...), ':'), value[from:to]...)
		return true
	})
	switch {
	case clash != "":
		return false, &InputError{f.name, strconv.Quote(clash) + " has a field of its own"}
	case !ok:
		return false, &InputError{f.name, "must be an object"}
	}
	return true, c.tooLong()
}

func (c *coercer) underIf(name string, err error) error {
	if err == nil {
		return nil
	}
	return c.under(name, err)
}

// fill writes what was left out and has a default, and finds what must not be left out.
func (c *coercer) fill(fields []*field, given []bool) error {
	for i, f := range fields {
		switch {
		case given[i]:
		case f.fill != nil:
			if _, err := c.member(f, func() (bool, error) { c.out = append(c.out, f.fill...); return true, nil }); err != nil {
				return err
			}
		case f.use.nonNull:
			return &InputError{f.name, "is required"}
		}
	}
	return nil
}

var errNull = &InputError{"", "must not be null"}

func (t *Type) notOne() error {
	return &InputError{"", "exactly one field of " + t.name + " must be given, and not as null"}
}
