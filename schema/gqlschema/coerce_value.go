package gqlschema

import "strconv"

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
			err = &InputError{"", "no field " + strconv.Quote(short(name))}
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
			err = &InputError{"", "no field " + strconv.Quote(short(name))}
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
