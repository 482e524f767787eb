package schema

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Bounds limits one JSON text. A field that is zero or negative takes its value from [DefaultBounds].
type Bounds struct {
	Bytes  int // length of the text
	Depth  int // nesting of arrays and objects; a scalar has depth 0, [] has depth 1
	Tokens int // scalars, member names, and opening and closing brackets

	// Halves lets escapes of half a surrogate pair pass, which are JSON but no
	// Unicode: programs that cut a string between two UTF-16 units write them, and
	// what they answer is theirs.
	Halves bool
}

// DefaultBounds returns the bounds that hold where none are given. Four MiB is what the common protocols
// carry in one message, 64 levels is far beyond what arguments written by people or models need and keeps
// every recursive reader off deep stacks, and 200,000 tokens bounds the memory that a decoder needs for a
// text of four MiB to a small multiple of its length.
func DefaultBounds() Bounds {
	return Bounds{Bytes: 4 << 20, Depth: 64, Tokens: 200_000}
}

func (b Bounds) withDefaults() Bounds {
	d := DefaultBounds()
	if b.Bytes <= 0 {
		b.Bytes = d.Bytes
	}
	if b.Depth <= 0 {
		b.Depth = d.Depth
	}
	if b.Tokens <= 0 {
		b.Tokens = d.Tokens
	}
	return b
}

func (b Bounds) options() jsontext.Options { return jsontext.AllowInvalidUTF8(b.Halves) }

// Malformed says why a text is not acceptable JSON. Both fields are safe to show to whoever sent it: they
// hold nothing of the text.
type Malformed struct {
	Reason string // plain words
	Offset int64  // bytes from the start of the text, at or just before the fault
}

// Error returns the reason and the offset.
func (m *Malformed) Error() string {
	return fmt.Sprintf("malformed JSON at byte %d: %s", m.Offset, m.Reason)
}

// Check reports whether data is exactly one JSON value (RFC 8259) that every reader understands in the same
// way: valid UTF-8, valid escapes, no member name twice in one object (RFC 7493, section 2.3), nothing but
// white space around it, within bounds. It returns nil or a *[Malformed], keeps nothing of data, and is safe
// for concurrent use.
//
// Names that differ in case are different names, so {"method":1,"Method":2} passes. Whoever reads the value
// afterwards must match names exactly; encoding/json does not, and would let the second overrule the first.
func Check(data []byte, b Bounds) error {
	b = b.withDefaults()
	if len(data) > b.Bytes {
		return &Malformed{Reason: fmt.Sprintf("longer than %d bytes", b.Bytes), Offset: int64(b.Bytes)}
	}
	if err := scan(data, b); err != nil {
		return err
	}
	if jsontext.Value(data).IsValid() || b.Halves && jsontext.Value(data).IsValid(b.options()) && utf8.Valid(data) {
		return nil
	}
	return explain(data, b)
}

// scan counts tokens and nesting in one pass, without judging the grammar. A text that is well formed is
// counted exactly; one that is not is refused afterwards. It comes first so that no recursive reader ever
// meets a text that is too deep.
func scan(data []byte, b Bounds) error {
	depth, tokens, inScalar := 0, 0, false
	for i := 0; i < len(data); i++ {
		c := data[i]
		switch c {
		case ' ', '\t', '\n', '\r', ',', ':':
			inScalar = false
			continue
		case '{', '[':
			if depth++; depth > b.Depth {
				return &Malformed{Reason: fmt.Sprintf("nested deeper than %d levels", b.Depth), Offset: int64(i)}
			}
			inScalar = false
			tokens++
		case '}', ']':
			depth--
			inScalar = false
			tokens++
		case '"':
			inScalar = false
			tokens++
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		default:
			if !inScalar {
				tokens++
			}
			inScalar = true
		}
		if tokens > b.Tokens {
			return &Malformed{Reason: fmt.Sprintf("more than %d tokens", b.Tokens), Offset: int64(i)}
		}
	}
	return nil
}

// explain finds out why data is not valid. Only faulty texts come here, so it may be slow.
func explain(data []byte, b Bounds) error {
	d := jsontext.NewDecoder(bytes.NewReader(data), b.options())
	_, err := d.ReadValue()
	if err == nil && !utf8.Valid(data) {
		return &Malformed{Reason: "not valid JSON", Offset: d.InputOffset()}
	}
	if err == nil {
		return &Malformed{Reason: "data after the value", Offset: d.InputOffset()}
	}
	m := &Malformed{Reason: "not valid JSON", Offset: d.InputOffset()}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		m.Offset = syntax.ByteOffset
	}
	switch {
	case errors.Is(err, io.EOF):
		m.Reason = "no value"
	case errors.Is(err, io.ErrUnexpectedEOF):
		m.Reason = "ends too early"
	case errors.Is(err, jsontext.ErrDuplicateName):
		m.Reason = "a member name occurs twice in one object"
	}
	return m
}
