package transcode

import (
	"errors"
	"math"
	"unicode/utf16"
	"unicode/utf8"
)

var (
	errEnd       = errors.New("the JSON ends too early")
	errSyntax    = errors.New("malformed JSON")
	errSurrogate = errors.New("half of a surrogate pair in a string")
)

// scanner reads JSON (RFC 8259), strictly.
type scanner struct {
	in      []byte
	at      int
	lone    bool   // half a surrogate pair becomes U+FFFD instead of an error
	scratch []byte // of the last string that had escapes
}

// peek returns the next byte that is no white space, or 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.in) {
		switch c := s.in[s.at]; c {
		case ' ', '\n', '\r', '\t':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// fail returns why the byte at hand is wrong.
func (s *scanner) fail() error {
	if s.at >= len(s.in) {
		return errEnd
	}
	return errSyntax
}

func (s *scanner) expect(c byte) error {
	if s.peek() != c {
		return s.fail()
	}
	s.at++
	return nil
}

// more is called after an element: it reports whether another one follows, or takes the closing bracket.
func (s *scanner) more(end byte) (bool, error) {
	if s.peek() == ',' {
		s.at++
		return true, nil
	}
	return false, s.expect(end)
}

// begin takes an opening bracket and reports whether the list or object is not empty; if it is, all of it is taken.
func (s *scanner) begin(open byte) (bool, error) {
	if err := s.expect(open); err != nil {
		return false, err
	}
	if s.peek() == open+2 { // the closing bracket
		s.at++
		return false, nil
	}
	return true, nil
}

// name takes the name of a member with its colon. It is good until the next string is read.
func (s *scanner) name() ([]byte, error) {
	name, err := s.text()
	if err != nil {
		return nil, err
	}
	return name, s.expect(':')
}

// text takes a string and returns what it says, which is good until the next string is read.
func (s *scanner) text() ([]byte, error) {
	if err := s.expect('"'); err != nil {
		return nil, err
	}
	from := s.at
	ascii := true
	for s.at < len(s.in) {
		c := s.in[s.at]
		switch {
		case c == '"':
			v := s.in[from:s.at]
			s.at++
			if !ascii && !utf8.Valid(v) {
				return nil, errUTF8
			}
			return v, nil
		case c == '\\':
			return s.escaped(from)
		case c < 0x20:
			return nil, errSyntax
		case c >= utf8.RuneSelf:
			ascii = false
		}
		s.at++
	}
	return nil, errEnd
}

// escaped goes on with a string at its first escape.
func (s *scanner) escaped(from int) ([]byte, error) {
	out := append(s.scratch[:0], s.in[from:s.at]...)
	for s.at < len(s.in) {
		c := s.in[s.at]
		switch {
		case c == '"':
			s.at++
			s.scratch = out
			if !utf8.Valid(out) {
				return nil, errUTF8
			}
			return out, nil
		case c < 0x20:
			return nil, errSyntax
		case c != '\\':
			out = append(out, c)
			s.at++
			continue
		}
		if s.at+1 >= len(s.in) {
			return nil, errEnd
		}
		if s.in[s.at+1] != 'u' {
			plain := unescape(s.in[s.at+1])
			if plain == 0 {
				return nil, errSyntax
			}
			out = append(out, plain)
			s.at += 2
			continue
		}
		r, err := s.unicode()
		if err != nil {
			return nil, err
		}
		out = utf8.AppendRune(out, r)
	}
	return nil, errEnd
}

func unescape(c byte) byte {
	switch c {
	case '"', '\\', '/':
		return c
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return 0
}

// unicode takes a \u escape, with the second one of a surrogate pair.
func (s *scanner) unicode() (rune, error) {
	r, err := s.hex()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	if s.at+1 < len(s.in) && s.in[s.at] == '\\' && s.in[s.at+1] == 'u' {
		back := s.at
		low, err := s.hex()
		if err != nil {
			return 0, err
		}
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, nil
		}
		s.at = back
	}
	if !s.lone {
		return 0, errSurrogate
	}
	return utf8.RuneError, nil
}

// hex takes \u and four digits.
func (s *scanner) hex() (rune, error) {
	if s.at+6 > len(s.in) {
		return 0, errEnd
	}
	var r rune
	for _, c := range s.in[s.at+2 : s.at+6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, errSyntax
		}
		r = r<<4 | rune(c)
	}
	s.at += 6
	return r, nil
}

// word takes true, false or null.
func (s *scanner) word(w string) error {
	if s.at+len(w) > len(s.in) || string(s.in[s.at:s.at+len(w)]) != w {
		return s.fail()
	}
	s.at += len(w)
	return nil
}

// number takes a number and returns its text.
func (s *scanner) number() ([]byte, error) {
	s.peek()
	n := numberLen(s.in[s.at:])
	if n == 0 {
		return nil, s.fail()
	}
	v := s.in[s.at : s.at+n]
	s.at += n
	return v, nil
}

// numberLen returns the length of the JSON number that b begins with, or 0.
func numberLen(b []byte) int {
	i := 0
	if i < len(b) && b[i] == '-' {
		i++
	}
	switch {
	case i < len(b) && b[i] == '0':
		i++
	default:
		n := digits(b[i:])
		if n == 0 {
			return 0
		}
		i += n
	}
	if i < len(b) && b[i] == '.' {
		n := digits(b[i+1:])
		if n == 0 {
			return 0
		}
		i += 1 + n
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		n := digits(b[i:])
		if n == 0 {
			return 0
		}
		i += n
	}
	return i
}

func digits(b []byte) int {
	for i, c := range b {
		if c < '0' || c > '9' {
			return i
		}
	}
	return len(b)
}

// skip takes any value.
func (s *scanner) skip(depth int) error {
	if depth > maxDepth {
		return ErrDepth
	}
	switch c := s.peek(); c {
	case '{', '[':
		more, err := s.begin(c)
		for more && err == nil {
			if c == '{' {
				if _, err = s.name(); err != nil {
					return err
				}
			}
			if err = s.skip(depth + 1); err != nil {
				return err
			}
			more, err = s.more(c + 2)
		}
		return err
	case '"':
		_, err := s.text()
		return err
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		_, err := s.number()
		return err
	}
}

// whole returns the integer that a JSON number is, however it is written: 100, 1e2 and 100.0 are the same.
func whole(b []byte) (negative bool, magnitude uint64, ok bool) {
	if len(b) > 0 && b[0] == '-' {
		negative, b = true, b[1:]
	}
	if n := digits(b); n == len(b) && n > 0 && n < 20 { // it fits
		for _, c := range b {
			magnitude = magnitude*10 + uint64(c-'0')
		}
		return negative, magnitude, true
	}
	magnitude, ok = scaled(b)
	return negative, magnitude, ok
}

// scaled is whole for numbers with a fraction, an exponent or many digits.
func scaled(b []byte) (uint64, bool) {
	var magnitude uint64
	exponent, zeros, point := 0, 0, false
	for i, c := range b {
		switch {
		case c == '.':
			point = true
			continue
		case c|0x20 == 'e':
			e, ok := smallInt(b[i+1:])
			if !ok && magnitude != 0 {
				return 0, false
			}
			return shift(magnitude, exponent+zeros+e)
		}
		if point {
			exponent--
		}
		if c == '0' { // counts only when another digit follows
			zeros++
			continue
		}
		for ; magnitude != 0 && zeros > 0; zeros-- {
			if magnitude > math.MaxUint64/10 {
				return 0, false
			}
			magnitude *= 10
		}
		zeros = 0
		d := uint64(c - '0')
		if magnitude > (math.MaxUint64-d)/10 {
			return 0, false
		}
		magnitude = magnitude*10 + d
	}
	return shift(magnitude, exponent+zeros)
}

// shift returns m times ten to the power of e, where that is an integer that fits. M does not end in zero.
func shift(m uint64, e int) (uint64, bool) {
	if m == 0 {
		return 0, true
	}
	if e < 0 || e > 20 {
		return 0, false
	}
	for ; e > 0; e-- {
		if m > math.MaxUint64/10 {
			return 0, false
		}
		m *= 10
	}
	return m, true
}

// smallInt reads an exponent; those beyond a million are not ok.
func smallInt(b []byte) (int, bool) {
	negative := false
	if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
		negative, b = b[0] == '-', b[1:]
	}
	n := 0
	for _, c := range b {
		if n = n*10 + int(c-'0'); n > 1_000_000 {
			return 0, false
		}
	}
	if negative {
		n = -n
	}
	return n, true
}
