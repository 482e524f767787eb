package grpc

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A rebased schema is one that stood alone and now stands in a document, as a
// component: its references lead to where its parts are there, and the
// definitions at its root are components of their own. So readers that know
// neither $defs nor $id find everything.
//
// The document of OpenAPI 3.1 has the dialect 2020-12; schemas of draft 6 and 7
// are put into its words. What cannot be moved is refused: schemas of other
// drafts, and those that refer to their parts by other means than their place.
type rebaser struct {
	root string            // the component of the schema itself
	old  bool              // it is of draft 6 or 7
	defs map[string]string // definitions at the root, such as "$defs/x" → component
	out  func(component string, schema []byte)
}

var errFixed = errors.New("it is of another draft, or refers to its parts by name")

// members returns the members of an object in their order. It is known to be
// valid JSON; the values are parts of it.
func members(v jsontext.Value) ([]jsonMember, error) {
	var all []jsonMember
	for i := blank(v, 0) + 1; ; i++ { // Behind the brace, and then behind each comma.
		if i = blank(v, i); i >= len(v) || v[i] != '"' {
			return all, nil
		}
		end := endOfString(v, i)
		name, _ := jsontext.AppendUnquote(nil, v[i:end]) // The error reports invalid UTF-8, already replaced.
		start := blank(v, blank(v, end)+1)               // Behind the colon.
		i = endOfValue(v, start)
		if start >= i {
			return nil, errFixed
		}
		all = append(all, jsonMember{string(name), v[start:i]})
		i = blank(v, i)
	}
}

type jsonMember struct {
	name  string
	value jsontext.Value
}

// rebase adds the schema to a document as the component root. Name returns a
// component's name that is still free.
func rebase(raw jsontext.Value, root string, name func(string) string, out func(component string, schema []byte)) error {
	r := &rebaser{root: root, defs: map[string]string{}, out: out}
	if raw.Kind() == '{' {
		all, err := members(raw)
		if err != nil {
			return err
		}
		for _, m := range all {
			if err := r.learn(m, name); err != nil {
				return err
			}
		}
	}
	schema, err := r.schema(nil, raw, true)
	if err != nil {
		return err
	}
	out(root, schema)
	return nil
}

// learn notes what a member at the root says of the whole.
func (r *rebaser) learn(m jsonMember, name func(string) string) error {
	switch {
	case m.name == "$schema":
		dialect, err := stringOf(m.value)
		switch strings.TrimSuffix(dialect, "#") {
		case "http://json-schema.org/draft-07/schema", "http://json-schema.org/draft-06/schema":
			r.old = true
		case "https://json-schema.org/draft/2020-12/schema":
		default:
			err = errFixed
		}
		return err
	case isDefs(m):
		defs, err := members(m.value)
		if err != nil {
			return err
		}
		for _, d := range defs {
			r.defs[m.name+"/"+escapePointer(d.name)] = name(r.root + "." + d.name)
		}
	}
	return nil
}

// isDefs reports whether a member has definitions.
func isDefs(m jsonMember) bool {
	return (m.name == "$defs" || m.name == "definitions") && m.value.Kind() == '{'
}

// schema appends a schema with its references rebased.
func (r *rebaser) schema(b []byte, v jsontext.Value, root bool) ([]byte, error) {
	if k := v.Kind(); k == 't' || k == 'f' {
		return append(b, v...), nil
	} else if k != '{' {
		return nil, errFixed
	}
	all, err := members(v)
	if err == nil && r.old {
		all, err = modern(all)
	}
	if err != nil {
		return nil, err
	}
	b = append(b, '{')
	first := true
	for _, m := range all {
		if root && isDefs(m) {
			if err := r.hoist(m); err != nil {
				return nil, err
			}
			continue
		}
		if drop, err := dropped(m.name, root); err != nil {
			return nil, err
		} else if drop {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b, _ = jsontext.AppendQuote(b, m.name) // The error reports invalid UTF-8, already replaced.
		b = append(b, ':')
		if b, err = r.keyword(b, m); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// dropped reports whether a keyword is left out, or why its schema cannot be
// moved.
func dropped(name string, root bool) (bool, error) {
	switch name {
	case "$id", "$schema": // The dialect is that of the document, and so is the base.
		if !root {
			return false, errFixed
		}
		return true, nil
	case "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef", "$recursiveAnchor", "$vocabulary":
		return false, errFixed
	case "discriminator", "xml", "externalDocs": // OpenAPI has a form for them, which nobody has checked.
		return true, nil
	}
	return false, nil
}

// hoist makes components of the definitions at the root.
func (r *rebaser) hoist(m jsonMember) error {
	defs, err := members(m.value)
	if err != nil {
		return err
	}
	for _, d := range defs {
		schema, err := r.schema(nil, d.value, false)
		if err != nil {
			return err
		}
		r.out(r.defs[m.name+"/"+escapePointer(d.name)], schema)
	}
	return nil
}

// keyword appends the value of a keyword. What is no place of schemas is data,
// whatever it looks like.
func (r *rebaser) keyword(b []byte, m jsonMember) ([]byte, error) {
	switch m.name {
	case "$ref":
		to, err := stringOf(m.value)
		if err != nil {
			return nil, err
		}
		place, err := r.place(to)
		if err != nil {
			return nil, err
		}
		return jsontext.AppendQuote(b, place)
	case "properties", "patternProperties", "$defs", "definitions", "dependentSchemas":
		return r.each(b, m.value)
	case "allOf", "anyOf", "oneOf", "prefixItems":
		return r.list(b, m.value)
	case "items", "additionalProperties", "unevaluatedProperties", "unevaluatedItems", "contains", "propertyNames",
		"not", "if", "then", "else", "contentSchema":
		return r.schema(b, m.value, false)
	}
	return append(b, m.value...), nil
}

// each appends an object of schemas by name.
func (r *rebaser) each(b []byte, v jsontext.Value) ([]byte, error) {
	all, err := members(v)
	if err != nil {
		return nil, err
	}
	b = append(b, '{')
	for i, m := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b, _ = jsontext.AppendQuote(b, m.name) // As in schema.
		if b, err = r.schema(append(b, ':'), m.value, false); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// list appends an array of schemas.
func (r *rebaser) list(b []byte, v jsontext.Value) ([]byte, error) {
	var all []jsontext.Value
	if err := jsonv2.Unmarshal(v, &all, jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, err
	}
	b = append(b, '[')
	for i, s := range all {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = r.schema(b, s, false); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// place returns where what a reference leads to is in the document.
func (r *rebaser) place(to string) (string, error) {
	fragment, ok := strings.CutPrefix(to, "#")
	pointer, err := url.PathUnescape(fragment)
	if !ok || err != nil || pointer != "" && pointer[0] != '/' {
		return "", errFixed
	}
	component, rest := r.root, pointer
	if keys := strings.SplitN(pointer, "/", 4); len(keys) > 1 && (keys[1] == "$defs" || keys[1] == "definitions") {
		if len(keys) < 3 || r.defs[keys[1]+"/"+keys[2]] == "" {
			return "", errFixed
		}
		component, rest = r.defs[keys[1]+"/"+keys[2]], ""
		if len(keys) == 4 {
			rest = "/" + keys[3]
		}
	}
	return refPrefix + component + escapeFragment(rest), nil
}

// escapeFragment returns a JSON Pointer as a URI fragment (RFC 6901, section 6).
func escapeFragment(pointer string) string { return (&url.URL{Fragment: pointer}).EscapedFragment() }

func stringOf(v jsontext.Value) (s string, err error) {
	err = jsonv2.Unmarshal(v, &s, jsontext.AllowInvalidUTF8(true))
	return s, err
}

// escapePointer returns a key as it stands in a JSON Pointer (RFC 6901, section
// 3).
func escapePointer(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

// componentName returns a text as the name of a component, which OpenAPI has of
// letters, digits and "._-" alone.
func componentName(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
			b.WriteByte(c)
		default:
			b.WriteString("_" + strconv.FormatUint(uint64(c), 16))
		}
	}
	return b.String()
}
