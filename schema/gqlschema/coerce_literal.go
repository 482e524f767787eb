package gqlschema

import (
	"encoding/json"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/vektah/gqlparser/v2/ast"
)

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

func (c *coercer) memberLiteral(fields []*field, f *field, v *ast.Value) (bool, error) {
	write := func() (bool, error) { return c.literal(f.use, v) }
	if f.rest {
		return c.spread(fields, f, write)
	}
	return c.member(f, write)
}

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
