package graphql

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator"

	"github.com/trilith-gateway/trilith/schema"
)

const (
	scalarJSON    = "JSON"
	scalarSafeInt = "SafeInt"
)

// variables returns the values of an operation's variables as the generated code wants them: decoded, but JSON as
// the text that the client sent.
//
// Those of types that only typed fields have are not among them: the preparation gets them, and everything else that
// a typed field may refer to, in the terms of the tools.
func (f *Frontend) variables(p *preparation, op *ast.OperationDefinition, given map[string]json.RawMessage) (map[string]any, *gqlerror.Error) {
	op, err := f.typedVariables(p, op, given)
	if err != nil {
		return nil, err
	}
	lit := literals{given: given, budget: f.o.Bounds.Bytes}
	in := make(map[string]any, len(op.VariableDefinitions))
	for _, def := range op.VariableDefinitions {
		raw, ok := given[def.Variable]
		switch {
		case ok:
			v, err := decode(def, raw)
			if err != nil {
				return nil, err
			}
			in[def.Variable] = v
		case def.Type.NamedType == scalarJSON && def.DefaultValue != nil && def.DefaultValue.Kind != ast.NullValue:
			text, err := lit.value(def.DefaultValue, f.o.Bounds)
			if err != nil {
				return nil, err
			}
			in[def.Variable] = text
		}
	}
	out, wrong := validator.VariableValues(p.document.schema, op, in)
	if wrong != nil {
		return nil, withCode(wrong, codeValidation)
	}
	for i, v := range p.document.lifted {
		text, err := lit.value(v, f.o.Bounds)
		if err != nil {
			return nil, err
		}
		out[strconv.Itoa(i)] = text
	}
	return out, nil
}

// decode decodes a variable as far as its type asks for.
func decode(def *ast.VariableDefinition, raw json.RawMessage) (any, *gqlerror.Error) {
	switch {
	case jsontext.Value(raw).Kind() == jsontext.KindNull:
		return nil, nil
	case def.Type.NamedType == scalarJSON:
		return raw, nil
	case def.Type.NamedType == "Int":
		n, err := strconv.ParseInt(string(bytes.TrimSpace(raw)), 10, 32)
		if err != nil {
			return nil, fault(codeValidation, "variable $"+def.Variable+" is not an Int, a number of 32 bits")
		}
		return n, nil
	case def.Type.NamedType == scalarSafeInt:
		n, ok := safeInt(string(bytes.TrimSpace(raw)))
		if !ok {
			return nil, fault(codeValidation, "variable $"+def.Variable+" is not a SafeInt, a number that JavaScript holds exactly")
		}
		return n, nil
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, fault(codeValidation, "variable $"+def.Variable+" holds a number that is too large")
	}
	return v, nil
}

// safeInt reads an integer that a 64-bit floating-point number holds exactly.
func safeInt(text string) (int64, bool) {
	const most = 1<<53 - 1
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && -most <= n && n <= most
}

// literals writes literals of type JSON as text: digit for digit, with the client's own text in the place of
// variables. The zero budget is exhausted: a document that repeats a long variable must not grow without end.
type literals struct {
	given  map[string]json.RawMessage
	budget int // bytes that may still be written
	over   bool
}

// value returns one literal as text.
func (l *literals) value(v *ast.Value, b schema.Bounds) (json.RawMessage, *gqlerror.Error) {
	text := l.append(nil, v)
	if l.budget -= len(text); l.budget < 0 || l.over {
		return nil, fault(codeLimit, "the document's JSON values, with variables in place, are too long")
	}
	if err := schema.Check(text, b); err != nil {
		return nil, invalidValue(v, "a value of type JSON is not acceptable: "+err.Error())
	}
	return text, nil
}

// append adds a literal to b. A variable without a value leaves out the member that it stands for (GraphQL,
// section 3.10, input coercion).
func (l *literals) append(b []byte, v *ast.Value) []byte {
	if l.over = l.over || len(b) > l.budget; l.over {
		return b
	}
	switch v.Kind {
	case ast.Variable:
		if raw, ok := l.given[v.Raw]; ok {
			return append(b, raw...)
		}
		if v.VariableDefinition != nil && v.VariableDefinition.DefaultValue != nil {
			return l.append(b, v.VariableDefinition.DefaultValue)
		}
		return append(b, "null"...)
	case ast.StringValue, ast.BlockValue:
		b, _ = jsontext.AppendQuote(b, v.Raw) // The error reports invalid UTF-8, already replaced.
		return b
	case ast.ListValue:
		b = append(b, '[')
		for i, c := range v.Children {
			if i > 0 {
				b = append(b, ',')
			}
			b = l.append(b, c.Value)
		}
		return append(b, ']')
	case ast.ObjectValue:
		return l.object(b, v.Children)
	case ast.IntValue, ast.FloatValue, ast.BooleanValue, ast.NullValue:
		return append(b, v.Raw...) // Their grammar is that of JSON.
	case ast.EnumValue: // Refused by fitting.
	}
	return append(b, "null"...)
}

func (l *literals) object(b []byte, members ast.ChildValueList) []byte {
	b = append(b, '{')
	comma := false
	for _, c := range members {
		if l.unset(c.Value) {
			continue
		}
		if comma {
			b = append(b, ',')
		}
		comma = true
		b = append(append(append(b, '"'), c.Name...), `":`...) // A name of GraphQL needs no escape.
		b = l.append(b, c.Value)
	}
	return append(b, '}')
}

func (l *literals) unset(v *ast.Value) bool {
	if v.Kind != ast.Variable {
		return false
	}
	_, ok := l.given[v.Raw]
	return !ok && (v.VariableDefinition == nil || v.VariableDefinition.DefaultValue == nil)
}
