package schema

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// typeSet is a set of JSON types.
type typeSet = uint8

const (
	typeNull = 1 << iota
	typeBoolean
	typeInteger
	typeNumber
	typeString
	typeArray
	typeObject
)

// typeName returns the name of a single type.
func typeName(t typeSet) string {
	switch t {
	case typeNull:
		return "null"
	case typeBoolean:
		return "boolean"
	case typeInteger:
		return "integer"
	case typeNumber:
		return "number"
	case typeString:
		return "string"
	case typeArray:
		return "array"
	default:
		return "object"
	}
}

// item is one value or member name of a text. The items of a text stand in the order of the text, so the
// children of an array or object follow it, and next is where its sibling stands.
type item struct {
	kind       typeSet // typeNumber also for integers
	escaped    bool    // a string with escape sequences
	start, end int32   // its place in the text; without the quotes for strings
	next       int32
	size       int32 // elements of an array, members of an object
}

// tape is a JSON text taken apart without copying it.
type tape struct {
	text  []byte
	items []item
}

// reset takes text apart. The text must have passed [Check] and be no longer than maxValueBytes, so that every
// position fits into an int32.
func (t *tape) reset(text []byte) {
	t.text, t.items = text, t.items[:0]
	t.value(0)
}

// value appends the items of the value at pos and returns the position behind it.
func (t *tape) value(pos int32) int32 {
	pos = t.space(pos)
	at := len(t.items)
	it := item{start: pos}
	t.items = append(t.items, it)
	switch c := t.text[pos]; c {
	case '{', '[':
		it.kind = typeArray
		if c == '{' {
			it.kind = typeObject
		}
		it.size, pos = t.children(pos)
		it.end = pos
	case '"':
		it.kind = typeString
		it.start++
		for pos++; t.text[pos] != '"'; pos++ {
			if t.text[pos] == '\\' {
				it.escaped = true
				pos++
			}
		}
		it.end = pos
		pos++
	case 'n':
		it.kind = typeNull
		pos += int32(len("null"))
		it.end = pos
	case 't', 'f':
		it.kind = typeBoolean
		pos += int32(len("true"))
		if c == 'f' {
			pos++
		}
		it.end = pos
	default:
		it.kind = typeNumber
		for int(pos) < len(t.text) && isNumberByte(t.text[pos]) {
			pos++
		}
		it.end = pos
	}
	it.next = int32(len(t.items)) //nolint:gosec // there are no more items than bytes
	t.items[at] = it
	return pos
}

// children appends the items within the array or object at pos and returns how many elements or members there
// are, and the position behind the closing bracket.
func (t *tape) children(pos int32) (size, end int32) {
	open := t.text[pos]
	pos = t.space(pos + 1)
	for t.text[pos] != open+2 { // ']' and '}' stand two after '[' and '{' in ASCII
		if open == '{' {
			pos = t.space(t.value(pos)) + 1 // behind the colon
		}
		size++
		if pos = t.space(t.value(pos)); t.text[pos] == ',' {
			pos = t.space(pos + 1)
		}
	}
	return size, pos + 1
}

func isNumberByte(c byte) bool {
	return '0' <= c && c <= '9' || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E'
}

// space returns the position of the first byte from pos on that is not white space.
func (t *tape) space(pos int32) int32 {
	for int(pos) < len(t.text) {
		switch t.text[pos] {
		case ' ', '\t', '\n', '\r':
			pos++
		default:
			return pos
		}
	}
	return pos
}

// raw returns the text of item i, without the quotes of a string and with its escapes.
func (t *tape) raw(i int32) []byte {
	return t.text[t.items[i].start:t.items[i].end]
}

// str returns the content of string i. It copies only what has escapes.
func (t *tape) str(i int32) []byte {
	it := t.items[i]
	if !it.escaped {
		return t.text[it.start:it.end]
	}
	s, err := jsontext.AppendUnquote(nil, t.text[it.start-1:it.end+1])
	if err != nil {
		return t.text[it.start:it.end] // cannot happen: the text has been checked
	}
	return s
}

// appendCanonical appends a form of item i that is the same for two values exactly if JSON Schema calls them
// equal: numbers by value, objects whatever the order of their members.
func (t *tape) appendCanonical(dst []byte, i int32) []byte {
	it := t.items[i]
	switch it.kind {
	case typeNull:
		return append(dst, 'n')
	case typeBoolean:
		return append(dst, t.text[it.start])
	case typeNumber:
		return parseDecimal(t.raw(i)).append(dst)
	case typeString:
		return appendString(dst, t.str(i))
	case typeArray:
		dst = append(dst, '[')
		for n, c := int32(0), i+1; n < it.size; n, c = n+1, t.items[c].next {
			dst = t.appendCanonical(dst, c)
		}
		return append(dst, ']')
	default:
		names := make([]int32, 0, it.size)
		for n, c := int32(0), i+1; n < it.size; n, c = n+1, t.items[c+1].next {
			names = append(names, c)
		}
		slices.SortFunc(names, func(a, b int32) int { return bytes.Compare(t.str(a), t.str(b)) })
		dst = append(dst, '{')
		for _, name := range names {
			dst = appendString(dst, t.str(name))
			dst = t.appendCanonical(dst, name+1)
		}
		return append(dst, '}')
	}
}

// appendString puts the length first, so that no string can look like the end of itself.
func appendString(dst, s []byte) []byte {
	dst = append(dst, '"')
	dst = strconv.AppendInt(dst, int64(len(s)), 10)
	dst = append(dst, ':')
	return append(dst, s...)
}

// canonical returns the canonical form of a decoded value whose numbers are json.Number.
func canonical(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	if len(text) > math.MaxInt32 {
		return "", errTooLarge
	}
	var t tape
	t.reset(text)
	return string(t.appendCanonical(nil, 0)), nil
}
