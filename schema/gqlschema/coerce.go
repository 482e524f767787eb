package gqlschema

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

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

// Arguments returns the arguments of a call, a JSON object in the terms of the tool, of those that stand in a valid
// document: variables are put in place, enum values and names are the tool's own, what is left out has its default. Null
// for a property that the tool does not let be null counts as left out.
//
// The object is at most limit bytes long. The error is an *[InputError]. Whether the tool's schema accepts the arguments is
// for the schema to say.
func (p *Plan) Arguments(args ast.ArgumentList, vars Variables, limit int) (json.RawMessage, error) {
	c := coercer{vars: vars, limit: limit}
	if p.whole {
		return p.wholeArguments(&c, args)
	}
	c.out = append(c.out, '{')
	given := make([]bool, len(p.arguments))
	for _, a := range args {
		i, ok := p.byName[a.Name]
		if !ok {
			return nil, &InputError{a.Name, "no such argument"}
		}
		var err error
		if given[i], err = c.memberLiteral(p.arguments, p.arguments[i], a.Value); err != nil {
			return nil, err
		}
	}
	if err := c.fill(p.arguments, given); err != nil {
		return nil, err
	}
	c.out = append(c.out, '}')
	return c.out, c.tooLong()
}

func (p *Plan) wholeArguments(c *coercer, args ast.ArgumentList) (json.RawMessage, error) {
	a := args.ForName("input")
	if a == nil {
		return json.RawMessage("{}"), nil
	}
	set, err := c.literal(p.arguments[0].use, a.Value)
	switch {
	case err != nil:
		return nil, c.under("input", err)
	case !set || string(c.out) == "null":
		return json.RawMessage("{}"), nil
	case jsontext.Value(c.out).Kind() != jsontext.KindBeginObject:
		return nil, &InputError{"input", "the arguments of a tool are an object"}
	}
	return c.out, c.tooLong()
}

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

func (c *coercer) memberLiteral(fields []*field, f *field, v *ast.Value) (bool, error) {
	write := func() (bool, error) { return c.literal(f.use, v) }
	if f.rest {
		return c.spread(fields, f, write)
	}
	return c.member(f, write)
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

// literal writes a literal. It returns false, and writes nothing, for a variable without a value.
func (c *coercer) literal(u use, v *ast.Value) (bool, error) {
	if err := c.tooLong(); err != nil {
		return false, err
	}
	switch {
	case v.Kind == ast.Variable:
		return c.variable(u, v.Raw)
	case v.Kind == ast.NullValue:
		if u.nonNull {
			return false, errNull
		}
		c.out = append(c.out, "null"...)
		return true, nil
	case u.elem != nil:
		return true, c.listLiteral(*u.elem, v)
	}
	switch t := u.typ; t.kind {
	case kindJSON:
		return true, c.free(v)
	case kindInput, kindOneOf:
		return true, c.objectLiteral(t, v)
	case kindEnum:
		raw, ok := t.toJSON[v.Raw]
		if v.Kind != ast.EnumValue || !ok {
			return false, &InputError{"", "is not a value of " + t.name}
		}
		c.out = append(c.out, raw...)
		return true, nil
	default:
		text, err := t.scalar(literalText(v))
		c.out = append(c.out, text...)
		return true, err
	}
}

func (c *coercer) variable(u use, name string) (bool, error) {
	raw, ok := c.vars(name)
	switch {
	case !ok:
		return false, nil
	case u.nonNull && string(raw) == "null":
		return false, errNull
	case u.wraps(raw):
		c.out = append(append(append(c.out, '['), raw...), ']')
	default:
		c.out = append(c.out, raw...)
	}
	return true, nil
}

// wraps reports whether a value that is no list stands where a list is wanted, of which it then is the only element.
func (u use) wraps(raw []byte) bool {
	return u.elem != nil && string(raw) != "null" && jsontext.Value(raw).Kind() != jsontext.KindBeginArray
}

func literalText(v *ast.Value) []byte {
	switch v.Kind { //nolint:exhaustive // All others have no text.
	case ast.StringValue, ast.BlockValue:
		text, _ := jsontext.AppendQuote(nil, v.Raw) // What is not valid UTF-8 is replaced.
		return text
	case ast.IntValue, ast.FloatValue, ast.BooleanValue:
		return []byte(v.Raw)
	}
	return nil
}

func (c *coercer) listLiteral(elem use, v *ast.Value) error {
	c.out = append(c.out, '[')
	items := v.Children
	if v.Kind != ast.ListValue {
		items = ast.ChildValueList{{Value: v}}
	}
	for i, item := range items {
		if i > 0 {
			c.out = append(c.out, ',')
		}
		set, err := c.literal(elem, item.Value)
		if err == nil && !set {
			if elem.nonNull {
				err = errNull
			}
			c.out = append(c.out, "null"...)
		}
		if err != nil {
			return c.under(strconv.Itoa(i), err)
		}
	}
	c.out = append(c.out, ']')
	return nil
}

func (c *coercer) objectLiteral(t *Type, v *ast.Value) error {
	if v.Kind != ast.ObjectValue {
		return &InputError{"", "must be a " + t.name}
	}
	if t.kind == kindOneOf {
		return c.oneOfLiteral(t, v)
	}
	c.out = append(c.out, '{')
	given := make([]bool, len(t.fields))
	for _, child := range v.Children {
		i, ok := t.byName[child.Name]
		if !ok {
			return &InputError{child.Name, "no such field"}
		}
		var err error
		if given[i], err = c.memberLiteral(t.fields, t.fields[i], child.Value); err != nil {
			return err
		}
	}
	err := c.fill(t.fields, given)
	c.out = append(c.out, '}')
	return err
}

func (t *Type) notOne() error {
	return &InputError{"", "exactly one field of " + t.name + " must be given, and not as null"}
}

// oneOfLiteral writes the one alternative that is given (GraphQL, section 3.10.1).
func (c *coercer) oneOfLiteral(t *Type, v *ast.Value) error {
	if len(v.Children) != 1 {
		return t.notOne()
	}
	child := v.Children[0]
	i, ok := t.byName[child.Name]
	if !ok {
		return &InputError{child.Name, "no such field"}
	}
	u := t.fields[i].use
	u.nonNull = true
	set, err := c.literal(u, child.Value)
	switch {
	case err == errNull || err == nil && !set: //nolint:errorlint // The value itself.
		return t.notOne()
	case err != nil:
		return c.under(child.Name, err)
	}
	return nil
}

// free writes a literal of any form.
func (c *coercer) free(v *ast.Value) error {
	if err := c.tooLong(); err != nil {
		return err
	}
	switch v.Kind { //nolint:exhaustive // All others are scalars.
	case ast.Variable:
		if raw, ok := c.vars(v.Raw); ok {
			c.out = append(c.out, raw...)
			return nil
		}
	case ast.ListValue:
		c.out = append(c.out, '[')
		for i, item := range v.Children {
			if i > 0 {
				c.out = append(c.out, ',')
			}
			if err := c.free(item.Value); err != nil {
				return c.under(strconv.Itoa(i), err)
			}
		}
		c.out = append(c.out, ']')
		return nil
	case ast.ObjectValue:
		return c.freeObject(v)
	case ast.EnumValue:
		return &InputError{"", "JSON has no enum values: write a string"}
	default:
		if text := literalText(v); text != nil {
			c.out = append(c.out, text...)
			return nil
		}
	}
	c.out = append(c.out, "null"...)
	return nil
}

func (c *coercer) freeObject(v *ast.Value) error {
	c.out = append(c.out, '{')
	for _, child := range v.Children {
		if child.Value.Kind == ast.Variable {
			if _, ok := c.vars(child.Value.Raw); !ok {
				continue
			}
		}
		if c.out[len(c.out)-1] != '{' {
			c.out = append(c.out, ',')
		}
		c.out = append(append(append(c.out, '"'), child.Name...), `":`...) // A name needs no escape.
		if err := c.free(child.Value); err != nil {
			return c.under(child.Name, err)
		}
	}
	c.out = append(c.out, '}')
	return nil
}

// value writes a JSON value.
func (c *coercer) value(u use, raw []byte) error {
	if err := c.tooLong(); err != nil {
		return err
	}
	s := scan{text: raw}
	s.space()
	start := s.pos
	s.value()
	raw = raw[start:s.pos]
	switch {
	case string(raw) == "null":
		if u.nonNull {
			return errNull
		}
		c.out = append(c.out, raw...)
		return nil
	case u.elem != nil:
		return c.listValue(*u.elem, raw)
	}
	switch t := u.typ; t.kind {
	case kindJSON:
		c.out = append(c.out, raw...)
		return nil
	case kindInput:
		return c.objectValue(t, raw)
	case kindOneOf:
		return c.oneOfValue(t, raw)
	case kindEnum:
		name, _ := decodeString(raw)
		value, ok := t.toJSON[name]
		if !ok {
			return &InputError{"", "is not a value of " + t.name}
		}
		c.out = append(c.out, value...)
		return nil
	default:
		text, err := t.scalar(raw)
		c.out = append(c.out, text...)
		return err
	}
}

func (c *coercer) listValue(elem use, raw []byte) error {
	c.out = append(c.out, '[')
	if len(raw) == 0 || raw[0] != '[' {
		err := c.value(elem, raw)
		c.out = append(c.out, ']')
		return err
	}
	n := 0
	var err error
	s := scan{text: raw}
	s.elements(func(from, to int) bool {
		if n > 0 {
			c.out = append(c.out, ',')
		}
		if err = c.value(elem, raw[from:to]); err != nil {
			err = c.under(strconv.Itoa(n), err)
		}
		n++
		return err == nil
	})
	c.out = append(c.out, ']')
	return err
}

func (c *coercer) objectValue(t *Type, raw []byte) error {
	if len(raw) == 0 || raw[0] != '{' {
		return &InputError{"", "must be a " + t.name}
	}
	c.out = append(c.out, '{')
	given := make([]bool, len(t.fields))
	var err error
	s := scan{text: raw}
	s.members(func(key []byte, from, to int) bool {
		name := string(unquote(key))
		i, ok := t.byName[name]
		if !ok {
			err = &InputError{"", "no field " + strconv.Quote(clip(name))}
			return false
		}
		f := t.fields[i]
		write := func() (bool, error) { return true, c.value(f.use, raw[from:to]) }
		if f.rest {
			given[i], err = c.spread(t.fields, f, write)
		} else {
			given[i], err = c.member(f, write)
		}
		return err == nil
	})
	if err == nil {
		err = c.fill(t.fields, given)
	}
	c.out = append(c.out, '}')
	return err
}

func (c *coercer) oneOfValue(t *Type, raw []byte) error {
	if len(raw) == 0 || raw[0] != '{' {
		return &InputError{"", "must be a " + t.name}
	}
	n := 0
	var err error
	s := scan{text: raw}
	s.members(func(key []byte, from, to int) bool {
		n++
		name := string(unquote(key))
		i, ok := t.byName[name]
		if !ok {
			err = &InputError{"", "no field " + strconv.Quote(clip(name))}
			return false
		}
		u := t.fields[i].use
		u.nonNull = true
		if n == 1 {
			if err = c.value(u, raw[from:to]); err != nil {
				err = c.under(name, err)
			}
		}
		return err == nil
	})
	if err == nil && n != 1 {
		err = t.notOne()
	}
	return err
}

// scalar returns a JSON scalar as the tool gets it, or an *[InputError].
func (t *Type) scalar(raw []byte) ([]byte, error) {
	wrong := &InputError{"", "is no " + t.name}
	switch k := jsontext.Value(raw).Kind(); t.kind {
	case kindString:
		if k == jsontext.KindString {
			return raw, nil
		}
	case kindBoolean:
		if k == jsontext.KindTrue || k == jsontext.KindFalse {
			return raw, nil
		}
	case kindFloat:
		if k == jsontext.KindNumber {
			return raw, nil
		}
	case kindInt, kindLong:
		if t.kind == kindLong && k == jsontext.KindString {
			raw = unquote(raw)
			k = jsontext.KindNumber
		}
		if k == jsontext.KindNumber {
			if text, ok := whole(raw, t.kind); ok {
				return text, nil
			}
		}
	}
	return nil, wrong
}

// whole returns a number without a fraction that fits 32 or 64 bits, in digits.
func whole(raw []byte, k kind) ([]byte, bool) {
	text := strings.TrimSpace(string(raw))
	if strings.ContainsAny(text, ".eE") {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return nil, false
		}
		text = strconv.FormatInt(int64(f), 10)
	}
	bits := 64
	if k == kindInt {
		bits = 32
	}
	if _, err := strconv.ParseInt(text, 10, bits); err == nil && text[0] != '+' {
		return []byte(text), true
	}
	if _, err := strconv.ParseUint(text, 10, 64); err == nil && k == kindLong {
		return []byte(text), true
	}
	return nil, false
}
