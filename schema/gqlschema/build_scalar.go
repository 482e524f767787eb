package gqlschema

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// integerType returns Int where all values fit it, as far as the schema says.
func integerType(n *node) *Type {
	switch n.Format {
	case "int64", "uint32", "uint64":
		return longType
	}
	for _, bound := range []jsontext.Value{n.Minimum, n.Maximum} {
		if f, err := strconv.ParseFloat(string(bound), 64); err == nil && (f < -1<<31 || f > 1<<31-1) {
			return longType
		}
	}
	return intType
}

// constant returns the scalar of a value.
func (b *builder) constant(v jsontext.Value) use {
	switch v.Kind() { //nolint:exhaustive // Everything else is JSON.
	case jsontext.KindString:
		return use{typ: stringType}
	case jsontext.KindTrue, jsontext.KindFalse:
		return use{typ: booleanType}
	case jsontext.KindNumber:
		return use{typ: numberType(v)}
	}
	return jsonUse()
}

func numberType(v jsontext.Value) *Type {
	if _, err := strconv.ParseInt(string(v), 10, 32); err == nil {
		return intType
	}
	if _, err := strconv.ParseInt(string(v), 10, 64); err == nil {
		return longType
	}
	return floatType
}

// enum types a list of values: names, where all of them are strings, and otherwise the scalar that they have in common.
func (b *builder) enum(n *node, hint string) (u use, nullable bool) {
	var values []string
	var common *Type
	mixed := false
	for _, v := range n.Enum {
		if v.Kind() == jsontext.KindNull {
			nullable = true
			continue
		}
		t := b.constant(v).typ
		if s, ok := decodeString(v); ok && !slices.Contains(values, s) {
			values = append(values, s)
		}
		mixed = mixed || common != nil && wider(common, t) == nil
		if !mixed {
			common = wider(common, t)
		}
	}
	switch {
	case mixed || common == nil || common.kind == kindJSON:
		return b.loses("an enum of values of several types", nullable)
	case common.kind != kindString:
		return use{typ: common}, nullable
	case len(values) > maxValues:
		b.note("an enum of more values than a type may have: String")
		return use{typ: stringType}, nullable
	}
	t := b.name(hint, kindEnum, "")
	if t == nil {
		return use{typ: stringType}, nullable
	}
	t.description = describe(n)
	slices.Sort(values)
	names := unique(values, enumName)
	t.toName = names
	t.toJSON = make(map[string]jsonRaw, len(values))
	for _, v := range values {
		text, _ := jsontext.AppendQuote(nil, v) // Decoded text is valid UTF-8.
		t.toJSON[names[v]] = text
		t.values = append(t.values, enumValue{names[v], v})
	}
	return use{typ: t}, nullable
}

func enumName(v string) string {
	n := Name(v)
	if n == "true" || n == "false" || n == "null" {
		n += "_"
	}
	return n
}

// wider returns the scalar that holds values of both, or nil. Nil holds none.
func wider(a, b *Type) *Type {
	number := func(t *Type) bool { return t.kind == kindInt || t.kind == kindLong || t.kind == kindFloat }
	switch {
	case a == nil || a == b:
		return b
	case number(a) && number(b):
		if a.kind > b.kind { // Int, Long, Float.
			return a
		}
		return b
	}
	return nil
}

// canonical returns a JSON value in the form in which equal scalars have equal texts.
func canonical(v []byte) string {
	out := jsontext.Value(bytes.Clone(v))
	if err := out.Canonicalize(); err != nil {
		return string(v)
	}
	return string(out)
}
