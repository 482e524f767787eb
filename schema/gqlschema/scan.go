package gqlschema

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// A scan walks over JSON text without decoding it. The text is valid JSON, which others have made sure of; a scan of
// anything else ends early and never panics.
type scan struct {
	text []byte
	pos  int
}

func (s *scan) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func (s *scan) at(c byte) bool { return s.pos < len(s.text) && s.text[s.pos] == c }

// string moves behind the string that begins here.
func (s *scan) string() {
	for s.pos++; s.pos < len(s.text); s.pos++ {
		switch s.text[s.pos] {
		case '\\':
			s.pos++
		case '"':
			s.pos++
			return
		}
	}
	s.pos = len(s.text) // An escape may have led past the end.
}

// value moves behind the value that begins here.
func (s *scan) value() {
	depth := 0
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case '"':
			s.string()
		case '{', '[':
			depth++
			s.pos++
			continue
		case '}', ']':
			depth--
			s.pos++
		case ',', ':', ' ', '\t', '\n', '\r':
			s.pos++
			continue
		default:
			s.scalar()
		}
		if depth <= 0 {
			return
		}
	}
}

// scalar moves behind a number or a literal.
func (s *scan) scalar() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ',', ':', '{', '}', '[', ']', ' ', '\t', '\n', '\r', '"':
			return
		}
		s.pos++
	}
}

// members calls f for each member of the object that the text is, with its name as it is written and the place of its
// value, until f returns false. It reports whether the text is an object and f always returned true.
func (s *scan) members(f func(key []byte, from, to int) bool) bool {
	return s.each('{', '}', func() bool {
		if !s.at('"') {
			return false
		}
		start := s.pos
		s.string()
		key := s.text[start:s.pos]
		s.space()
		if !s.at(':') {
			return false
		}
		s.pos++
		s.space()
		from := s.pos
		s.value()
		return s.pos > from && f(key, from, s.pos)
	})
}

// elements calls f for each element of the array that the text is, like members.
func (s *scan) elements(f func(from, to int) bool) bool {
	return s.each('[', ']', func() bool {
		from := s.pos
		s.value()
		return s.pos > from && f(from, s.pos)
	})
}

func (s *scan) each(begin, end byte, item func() bool) bool {
	s.space()
	if !s.at(begin) {
		return false
	}
	s.pos++
	for s.space(); s.pos < len(s.text); s.space() {
		switch {
		case s.at(end):
			s.pos++
			return true
		case s.at(','):
			s.pos++
		case !item():
			return false
		}
	}
	return false
}

// unquote returns the text of a JSON string. Without escapes it is part of the argument.
func unquote(quoted []byte) []byte {
	if len(quoted) < 2 {
		return nil
	}
	if slices.Contains(quoted, '\\') {
		text, _ := jsontext.AppendUnquote(nil, quoted) // What is not valid UTF-8 is replaced.
		return text
	}
	return quoted[1 : len(quoted)-1]
}
