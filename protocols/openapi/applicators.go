package openapi

import (
	"encoding/json"
	"slices"
)

// applicators appends what holds parts of values against other schemas.
func (w *writer) applicators(s schemaParts, hidden []string) {
	w.properties(s)
	for _, name := range []string{"patternProperties", "dependentSchemas"} {
		w.schemas(name, s[name])
	}
	if v := s["required"]; kindOf(v) == '[' {
		w.name("required")
		at := len(w.out)
		if w.strings(v, hidden); string(w.out[at:]) == "[]" {
			w.out = w.out[:at-len(`"required":`)]
		} else {
			w.out = append(w.out, ',')
		}
	}
	for _, name := range []string{"additionalProperties", "unevaluatedProperties", "unevaluatedItems"} {
		switch v := s[name]; kindOf(v) {
		case 'f':
			w.keep(name, v)
		case '{':
			w.one(name, v)
		}
	}
	for _, name := range []string{"propertyNames", "contains", "not", "if", "then", "else"} {
		if v := s[name]; kindOf(v) == '{' || kindOf(v) == 'f' {
			w.one(name, v)
		}
	}
	switch v := s["items"]; kindOf(v) {
	case '{', 'f':
		w.one("items", v)
	case '[':
		w.list("prefixItems", v, nil)
	}
	w.list("prefixItems", s["prefixItems"], nil)
	w.list("allOf", s["allOf"], hidden)
	if w.dir == output {
		w.list("anyOf", s["anyOf"], hidden)
		w.list("oneOf", s["oneOf"], hidden)
		return
	}
	// Without what is readOnly alternatives look more alike: the service decides
	// which one it is.
	switch any, one := s["anyOf"], s["oneOf"]; {
	case any == nil || kindOf(one) != '[':
		w.list("anyOf", any, hidden)
		w.list("anyOf", one, hidden)
	default:
		w.list("anyOf", any, hidden)
		w.list("oneOf", one, hidden)
	}
}

func (w *writer) one(name string, raw json.RawMessage) {
	w.name(name)
	w.schema(raw, nil)
	w.out = append(w.out, ',')
}

func (w *writer) list(name string, raw json.RawMessage, hidden []string) {
	if !hasElements(raw) {
		return
	}
	w.name(name)
	w.out = append(w.out, '[')
	for e := range elements(raw) {
		w.schema(e, hidden)
		w.out = append(w.out, ',')
	}
	w.end(']')
	w.out = append(w.out, ',')
}

func (w *writer) properties(s schemaParts) {
	if kindOf(s["properties"]) != '{' {
		return
	}
	w.name("properties")
	w.out = append(w.out, '{')
	for name, property := range members(s["properties"]) {
		if w.hides(property) {
			continue
		}
		w.name(name)
		w.schema(property, nil)
		w.out = append(w.out, ',')
	}
	w.end('}')
	w.out = append(w.out, ',')
}

func (w *writer) schemas(keyword string, raw json.RawMessage) {
	if kindOf(raw) != '{' {
		return
	}
	w.name(keyword)
	w.out = append(w.out, '{')
	for name, value := range members(raw) {
		if keyword == "patternProperties" {
			if !w.doc.matches(quote(nil, name)) {
				w.lack("a pattern of properties is not held, because it is not a regular expression of linear time")
				continue
			}
		}
		w.name(name)
		w.schema(value, nil)
		w.out = append(w.out, ',')
	}
	w.end('}')
	w.out = append(w.out, ',')
}

// strings appends the strings of an array, each once, without those that are
// left out.
func (w *writer) strings(raw json.RawMessage, without []string) {
	var has []string
	w.out = append(w.out, '[')
	for e := range elements(raw) {
		s := stringOf(e)
		if kindOf(e) != '"' || slices.Contains(has, s) || slices.Contains(without, s) {
			continue
		}
		has = append(has, s)
		w.out = append(quote(w.out, s), ',')
	}
	w.end(']')
}
