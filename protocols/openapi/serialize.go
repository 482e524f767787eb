package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An escape writes a text so that it can stand somewhere.
type escape func(b []byte, s string) []byte

// unreserved reports whether a character means itself anywhere in a URL (RFC
// 3986, section 2.3).
func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

const hexDigits = "0123456789ABCDEF"

func escapeBut(b []byte, s string, keep func(byte) bool) []byte {
	for i := range len(s) {
		if c := s[i]; keep(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return b
}

func escapeAll(b []byte, s string) []byte { return escapeBut(b, s, unreserved) }

// escapeReserved keeps reserved characters, but for those that would end the
// value or begin another one, with some servers or with all.
func escapeReserved(b []byte, s string) []byte {
	return escapeBut(b, s, func(c byte) bool { return unreserved(c) || strings.IndexByte(":/?@!$'()*,=", c) >= 0 })
}

// escapeSegments keeps the slashes of a path.
func escapeSegments(b []byte, s string) []byte {
	return escapeBut(b, s, func(c byte) bool { return unreserved(c) || c == '/' })
}

func escapeNothing(b []byte, s string) []byte { return append(b, s...) }

// A value is an argument on its way into a text.
type value struct {
	kind  byte // '[' for items, '{' for pairs, else 0 for one text
	text  string
	items []string
	pairs [][2]string
}

// maxItems bounds the elements and members of an argument outside a body.
const maxItems = 10_000

// valueOf takes an argument apart. What stands in an array or object and is
// itself one is written as JSON, for which the standard has no rule.
func valueOf(raw json.RawMessage) (value, error) {
	switch v := (value{kind: kindOf(raw)}); v.kind {
	case '[':
		for e := range elements(raw) {
			if v.items = append(v.items, textOf(e)); len(v.items) > maxItems {
				return v, fmt.Errorf("more than %d elements", maxItems)
			}
		}
		return v, nil
	case '{':
		for name, e := range members(raw) {
			if v.pairs = append(v.pairs, [2]string{name, textOf(e)}); len(v.pairs) > maxItems {
				return v, fmt.Errorf("more than %d members", maxItems)
			}
		}
		return v, nil
	default:
		return value{text: textOf(raw)}, nil
	}
}

// textOf returns a scalar as text: a string's own, a number as it was written,
// "" for null; and anything else as JSON.
func textOf(raw json.RawMessage) string {
	switch kindOf(raw) {
	case '"':
		return stringOf(raw)
	case 'n':
		return ""
	}
	return compact(raw)
}

// compact returns JSON without white space.
func compact(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return ""
	}
	return b.String()
}

// A shape is how the parts of a value stand beside each other (RFC 6570, section
// 3.2.1 and appendix A).
type shape struct {
	first     string // before everything
	separator string // between two parts
	named     bool   // the parameter's name stands before the value
	exploded  bool   // each part stands for itself
}

func (p *parameter) shape() shape {
	s := shape{separator: ",", exploded: p.explode}
	joint := ","
	switch p.style { //nolint:exhaustive // The others are written as they are.
	case styleLabel:
		s.first, joint = ".", "."
	case styleMatrix:
		s.first, s.named, joint = ";", true, ";"
	case styleForm:
		if s.named, joint = true, "&"; p.in == inCookie {
			joint = "; "
		}
	case styleSpace:
		s.named, s.separator, joint = true, "%20", "&"
	case stylePipe:
		s.named, s.separator, joint = true, "%7C", "&"
	}
	if p.explode {
		s.separator = joint
	}
	return s
}

// appendValue writes a value as a parameter of a path, a header or a cookie has
// it, or one of a query that is no deepObject.
func (p *parameter) appendValue(b []byte, v value, esc escape) []byte {
	s := p.shape()
	name := esc(nil, p.name)
	b = append(b, s.first...)
	if s.named && (v.kind == 0 || !s.exploded) {
		b = append(b, name...)
		if p.style != styleMatrix || v.kind != 0 || v.text != "" {
			b = append(b, '=')
		}
	}
	switch v.kind {
	case '[':
		for i, item := range v.items {
			if i > 0 {
				b = append(b, s.separator...)
			}
			if s.named && s.exploded {
				b = append(append(b, name...), '=')
			}
			b = esc(b, item)
		}
	case '{':
		b = s.appendPairs(b, v.pairs, esc)
	default:
		b = esc(b, v.text)
	}
	return b
}

func (s *shape) appendPairs(b []byte, pairs [][2]string, esc escape) []byte {
	between := s.separator
	if s.exploded {
		between = "="
	}
	for i, pair := range pairs {
		if i > 0 {
			b = append(b, s.separator...)
		}
		b = esc(append(esc(b, pair[0]), between...), pair[1])
	}
	return b
}

// appendQuery adds a parameter to a query, or to a body that is written like
// one.
func (p *parameter) appendQuery(b []byte, raw json.RawMessage) ([]byte, error) {
	esc := escapeAll
	if p.reserved {
		esc = escapeReserved
	}
	if p.style == styleJSON || p.style == styleSimple {
		text := textOf(raw)
		if p.style == styleJSON {
			text = compact(raw)
		}
		b = append(escapeAll(then(b, "&"), p.name), '=')
		return esc(b, text), nil
	}
	if p.style == styleDeep {
		n := 0
		return p.appendDeep(b, p.name, raw, esc, &n)
	}
	v, err := valueOf(raw)
	if err != nil {
		return b, fmt.Errorf("%s: %w", p.arg, err)
	}
	if v.kind == '[' && len(v.items) == 0 || v.kind == '{' && len(v.pairs) == 0 {
		return b, nil
	}
	return p.appendValue(then(b, "&"), v, esc), nil
}

// appendDeep writes an object as name[member]=value. What is deeper, for which
// the standard has no rule, goes on in the same way, and the elements of arrays
// count from 0: name[member][0]=value.
func (p *parameter) appendDeep(b []byte, name string, raw json.RawMessage, esc escape, n *int) ([]byte, error) {
	if *n++; *n > maxItems || len(name) > maxConverted {
		return b, fmt.Errorf("%s: more than %d members", p.arg, maxItems)
	}
	var err error
	switch kindOf(raw) {
	case '{':
		for key, v := range members(raw) {
			if b, err = p.appendDeep(b, name+"["+key+"]", v, esc, n); err != nil {
				return b, err
			}
		}
	case '[':
		i := 0
		for v := range elements(raw) {
			if b, err = p.appendDeep(b, name+"["+strconv.Itoa(i)+"]", v, esc, n); err != nil {
				return b, err
			}
			i++
		}
	default:
		b = esc(append(escapeAll(then(b, "&"), name), '='), textOf(raw))
	}
	return b, nil
}

// appendPath writes a parameter into a path. What would lead out of its place is
// refused: dot segments, control characters, and slashes where the document does
// not provide for several segments; so is a value without any character, which
// would make it another path.
func (p *parameter) appendPath(b []byte, raw json.RawMessage) ([]byte, error) {
	var v value
	var err error
	if p.style == styleJSON {
		v.text = compact(raw)
	} else if v, err = valueOf(raw); err != nil {
		return b, fmt.Errorf("%s: %w", p.arg, err)
	}
	texts := append(slices.Clip(v.items), v.text)
	for _, pair := range v.pairs {
		texts = append(texts, pair[0], pair[1])
	}
	if !slices.ContainsFunc(texts, func(s string) bool { return s != "" }) { // An array of one empty text has none either.
		return b, fmt.Errorf("%s must not be empty, because it stands in the path", p.arg)
	}
	for _, s := range texts {
		if err := p.admitInPath(s); err != nil {
			return b, err
		}
	}
	esc := escapeAll
	if p.reserved {
		esc = escapeSegments
	}
	return p.appendValue(b, v, esc), nil
}

// admitInPath judges a text by what servers may make of it that decode a path
// more than once.
func (p *parameter) admitInPath(s string) error {
	plain := s
	for range 3 {
		plain = percent(plain)
	}
	for i := range len(plain) {
		switch c := plain[i]; {
		case c < ' ' || c == 0x7f:
			return fmt.Errorf("%s must not have control characters, because it stands in the path", p.arg)
		case c == '\\' || c == '/' && !p.reserved:
			return fmt.Errorf("%s must not have slashes, because it stands in the path", p.arg)
		}
	}
	if strings.Count(plain, "/") != strings.Count(s, "/") {
		return fmt.Errorf("%s must not have encoded slashes, because it stands in the path", p.arg)
	}
	return nil
}

// percent decodes what is percent-encoded, and leaves the rest.
func percent(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(c))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// hasDotSegment reports whether a path as it will be sent has a segment that
// leads up or nowhere, for servers of every kind: decoded, and without what some
// cut off after a semicolon.
func hasDotSegment(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		for range 3 {
			segment = percent(segment)
		}
		segment, _, _ = strings.Cut(segment, ";")
		if s := strings.TrimSpace(segment); s == "." || s == ".." {
			return true
		}
	}
	return false
}

// checkHeaderValue refuses what cannot stand in a field of a header.
func checkHeaderValue(arg string, b []byte) error {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("%s must not have control characters, because it is a header", arg)
		}
	}
	return nil
}
