package openapi

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxName bounds the names of tools and of their arguments, in bytes: what every
// known client and model accepts.
const maxName = 64

// cleanName returns a name with "_" for each run of characters that names may not
// have, and without it at the ends.
func cleanName(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-':
			b.WriteByte(c)
		case b.Len() > 0 && b.String()[b.Len()-1] != '_':
			b.WriteByte('_')
		}
	}
	return strings.Trim(b.String(), "_")
}

// fit returns a name that is short enough: the end of a longer one gives way to
// a hash of what it is the name of, which stays the same whatever else there is.
func fit(name, of string) string {
	if len(name) <= maxName {
		return name
	}
	return withHash(name, of)
}

// withHash returns a name that nothing else has.
func withHash(name, of string) string {
	tail := "_" + shortHash(of)
	return name[:min(len(name), maxName-len(tail))] + tail
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}
