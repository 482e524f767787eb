package protoschema

import (
	"strconv"
	"strings"
)

// maxName bounds the names that are made of a source's, in bytes.
const maxName = 64

// pascal returns a name in UpperCamelCase, made of the ASCII letters and digits
// of s.
func pascal(s, otherwise string) string {
	var b strings.Builder
	up := true
	for i := 0; i < len(s) && b.Len() < maxName; i++ {
		c := s[i]
		switch {
		case !isLetter(c) && !isDigit(c):
			up = true
			continue
		case up && 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		}
		up = false
		b.WriteByte(c)
	}
	name := b.String()
	if name == "" || isDigit(name[0]) {
		return otherwise + name
	}
	return name
}

// snake returns a name in lower_snake_case, made of the ASCII letters and digits
// of s. It never has two underscores in a row.
func snake(s, otherwise string) string {
	var b strings.Builder
	gap := false
	for i := 0; i < len(s) && b.Len() < maxName; i++ {
		c := s[i]
		if !isLetter(c) && !isDigit(c) {
			gap = true
			continue
		}
		if (gap || beginsWord(s, i)) && b.Len() > 0 {
			b.WriteByte('_')
		}
		gap = false
		b.WriteByte(lower(c))
	}
	name := b.String()
	switch {
	case name == "":
		return otherwise
	case isDigit(name[0]):
		return otherwise + "_" + name
	}
	return name
}

// beginsWord reports whether the letter is the first of a word that nothing
// separates from the one before: the B of fooBar, the S of HTTPServer.
func beginsWord(s string, i int) bool {
	if i == 0 || !isUpper(s[i]) {
		return false
	}
	if !isUpper(s[i-1]) {
		return isLetter(s[i-1]) || isDigit(s[i-1])
	}
	return i+1 < len(s) && isLetter(s[i+1]) && !isUpper(s[i+1])
}

func isUpper(c byte) bool  { return 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return isUpper(c) || 'a' <= c && c <= 'z' }

func lower(c byte) byte {
	if isUpper(c) {
		return c + 'a' - 'A'
	}
	return c
}

// vacant returns the first of base, base2, base3, … that is free. Tried
// remembers how far it has come with each base, so that many equal names do not
// cost a search each.
func vacant(base, separator string, tried map[string]int, free func(string) bool) string {
	name, i := base, max(tried[base], 1)
	if i > 1 {
		name = base + separator + strconv.Itoa(i)
	}
	for !free(name) {
		i++
		name = base + separator + strconv.Itoa(i)
	}
	tried[base] = i
	return name
}

// folded is what two names of fields must not have in common: their names in
// JSON and in generated code differ by less than that.
func folded(field string) string { return strings.ReplaceAll(field, "_", "") }
