package openapi

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/trilith-gateway/trilith/internal/clip"
	"github.com/trilith-gateway/trilith/schema"
)

// assertions appends what refuses values by themselves.
func (w *writer) assertions(s schemaParts) {
	w.types(s)
	w.values(s)
	for _, name := range []string{
		"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains",
	} {
		if isCount(s[name]) {
			w.keep(name, s[name])
		}
	}
	w.limits(s)
	if v := s["multipleOf"]; kindOf(v) == '0' && v[0] != '-' && strings.Trim(string(v), "0.eE+-") != "" {
		w.keep("multipleOf", v)
	}
	if isTrue(s["uniqueItems"]) {
		w.out = append(w.out, `"uniqueItems":true,`...)
	}
	if p := s["pattern"]; kindOf(p) == '"' {
		if w.doc.matches(p) {
			w.keep("pattern", p)
		} else {
			w.lack("a pattern is not held, because it is not a regular expression of linear time")
		}
	}
	if v := s["dependentRequired"]; kindOf(v) == '{' {
		w.name("dependentRequired")
		w.out = append(w.out, '{')
		for name, list := range members(v) {
			w.name(name)
			w.strings(list, nil)
			w.out = append(w.out, ',')
		}
		w.end('}')
		w.out = append(w.out, ',')
	}
}

// matches reports whether a regular expression, a JSON string, is one that values
// can be held against in linear time.
func (d *document) matches(pattern json.RawMessage) bool {
	if len(pattern) > maxPattern {
		return false
	}
	known, ok := d.patterns[string(pattern)]
	if !ok {
		_, err := schema.Compile(slices.Concat([]byte(`{"pattern":`), pattern, []byte("}")))
		known = err == nil
		d.patterns[string(pattern)] = known
	}
	return known
}

// isCount reports whether a value is an integer that is not negative, of a size
// that can matter.
func isCount(v json.RawMessage) bool {
	n, err := strconv.ParseUint(string(v), 10, 53)
	return err == nil && strconv.FormatUint(n, 10) == string(v)
}

// limits appends minimum and maximum; in 3.0 exclusive ones are a boolean beside
// them.
func (w *writer) limits(s schemaParts) {
	for _, side := range [][2]string{{"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}} {
		limit, strict := s[side[0]], s[side[1]]
		switch {
		case kindOf(limit) == '0' && isTrue(strict):
			w.keep(side[1], limit)
		case kindOf(limit) == '0':
			w.keep(side[0], limit)
		}
		if kindOf(strict) == '0' {
			w.keep(side[1], strict)
		}
	}
}

// types appends type. What is none of JSON's is taken for the one that is meant.
func (w *writer) types(s schemaParts) {
	var types []string
	add := func(raw json.RawMessage) {
		t, known := typeNamed(stringOf(raw))
		if !known {
			w.lack("the type %s is not one of JSON's", clip.Text(string(raw), 40))
		}
		if t != "" && !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	switch v := s["type"]; kindOf(v) {
	case '"':
		add(v)
	case '[':
		for e := range elements(v) {
			add(e)
		}
	}
	if len(types) > 0 && w.doc.nullable(s) && !slices.Contains(types, "null") {
		types = append(types, "null")
	}
	switch len(types) {
	case 0:
		return
	case 1:
		w.name("type")
		w.out = quote(w.out, types[0])
	default:
		w.name("type")
		w.out = append(w.out, '[')
		for _, t := range types {
			w.out = append(quote(w.out, t), ',')
		}
		w.end(']')
	}
	w.out = append(w.out, ',')
}

// typeNamed returns the type that is meant by a name, "" for any, and whether it
// is a name that the standard has.
func typeNamed(name string) (string, bool) {
	switch name {
	case "string", "number", "integer", "boolean", "object", "array", "null":
		return name, true
	case "file", "date", "datetime", "date-time", "uuid", "byte", "binary", "enum", "text", "String":
		return "string", false
	case "int", "int32", "int64", "long", "Integer":
		return "integer", false
	case "float", "double", "decimal", "Number":
		return "number", false
	case "bool", "Boolean":
		return "boolean", false
	}
	return "", false
}

// values appends enum and const.
func (w *writer) values(s schemaParts) {
	if v := s["const"]; v != nil {
		w.keep("const", v)
	}
	v := s["enum"]
	if kindOf(v) != '[' || len(v) > maxConverted {
		return
	}
	n, null := 0, false
	for e := range elements(v) {
		n++
		null = null || kindOf(e) == 'n'
	}
	switch {
	case n == 0:
	case w.doc.nullable(s) && !null:
		w.name("enum")
		w.out = append(append(w.out, v[:len(v)-1]...), ",null],"...)
	default:
		w.keep("enum", v)
	}
}
