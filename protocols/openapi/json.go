package openapi

import (
	"encoding/json"
	"iter"

	"github.com/go-json-experiment/json/jsontext"
)

// The functions of this file take JSON that has been checked (schema.Check), and
// return parts of it without copying. Of anything else they make something, but
// never read past its end.

// kindOf returns what a value is: '{', '[', '"', 't', 'f', 'n', '0', or 0 for
// nothing.
func kindOf(v json.RawMessage) byte {
	return byte(jsontext.Value(v).Kind())
}

// members returns the members of an object, in order; of anything else, none.
func members(v json.RawMessage) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		i := space(v, 0)
		if i >= len(v) || v[i] != '{' {
			return
		}
		for i = space(v, i+1); i < len(v) && v[i] == '"'; i = space(v, i) {
			end := skip(v, i)
			name := text(v[i:end])
			i = space(v, end)
			if i < len(v) && v[i] == ':' {
				i = space(v, i+1)
			}
			end = skip(v, i)
			if !yield(name, v[i:end:end]) {
				return
			}
			if i = space(v, end); i < len(v) && v[i] == ',' {
				i++
			}
		}
	}
}

// elements returns the elements of an array, in order; of anything else, none.
func elements(v json.RawMessage) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		i := space(v, 0)
		if i >= len(v) || v[i] != '[' {
			return
		}
		for i = space(v, i+1); i < len(v) && v[i] != ']'; i = space(v, i) {
			end := skip(v, i)
			if end == i || !yield(v[i:end:end]) {
				return
			}
			if i = space(v, end); i < len(v) && v[i] == ',' {
				i++
			}
		}
	}
}

// hasElements reports whether a value is an array with something in it.
func hasElements(v json.RawMessage) bool {
	for range elements(v) {
		return true
	}
	return false
}

// member returns the member of an object with that name, or nil.
func member(v json.RawMessage, name string) json.RawMessage {
	for n, value := range members(v) {
		if n == name {
			return value
		}
	}
	return nil
}

// stringOf returns a string's text, and "" for anything else.
func stringOf(v json.RawMessage) string {
	if kindOf(v) != '"' {
		return ""
	}
	return text(v[space(v, 0):])
}

// isTrue reports whether the value is true.
func isTrue(v json.RawMessage) bool { return kindOf(v) == 't' }

// text returns what a quoted string says.
func text(quoted []byte) string {
	plain := len(quoted) >= 2
	for _, c := range quoted {
		plain = plain && c != '\\'
	}
	if plain {
		return string(quoted[1 : len(quoted)-1])
	}
	b, _ := jsontext.AppendUnquote(nil, quoted) // Halves of surrogates become U+FFFD.
	return string(b)
}

func space(v []byte, i int) int {
	for i < len(v) && (v[i] == ' ' || v[i] == '\n' || v[i] == '\r' || v[i] == '\t') {
		i++
	}
	return i
}

// skip returns where the value that begins at i ends.
func skip(v []byte, i int) int {
	depth := 0
	for ; i < len(v); i++ {
		switch v[i] {
		case '"':
			for i++; i < len(v) && v[i] != '"'; i++ {
				if v[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return min(i+1, len(v))
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			} else if depth < 0 {
				return i
			}
		case ',', ':', ' ', '\n', '\r', '\t':
			if depth == 0 {
				return i
			}
		}
	}
	return min(i, len(v))
}

// quote appends a text as a JSON string.
func quote(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // The error reports invalid UTF-8, already replaced.
	return b
}
