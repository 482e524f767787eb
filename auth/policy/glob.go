package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// maxAlternatives bounds how many globs the braces of one pattern make.
const maxAlternatives = 64

// A glob is one pattern for objects, without braces.
type glob struct {
	text    string
	literal bool   // whether only an object equal to text matches
	prefix  string // what every object that matches begins with
}

// parseGlobs reads a rule's pattern: `*` for anything but slashes, `**` for
// any number of whole segments, `?` for one character, {a,b} for alternatives,
// and `\` before a character that is meant as it is.
func parseGlobs(pattern string) ([]glob, error) {
	texts, err := expand(pattern)
	if err != nil {
		return nil, err
	}
	out := make([]glob, 0, len(texts))
	for _, text := range texts {
		if err := checkStars(text); err != nil {
			return nil, err
		}
		if !doublestar.ValidatePattern(text) {
			return nil, errors.New("the pattern is malformed")
		}
		g := glob{text: text, prefix: text}
		if i := strings.IndexAny(text, `*?\`); i >= 0 {
			// What comes before /** matches also without the slash.
			g.prefix = strings.TrimSuffix(text[:i], "/")
		} else {
			g.literal = true
		}
		out = append(out, g)
	}
	return out, nil
}

// expand returns the pattern once for each choice in its braces.
func expand(pattern string) ([]string, error) {
	done := []string{""}
	var choices []string // of the open brace; nil outside
	var part strings.Builder
	put := func(with ...string) error {
		if len(done)*len(with) > maxAlternatives {
			return fmt.Errorf("the braces stand for more than %d patterns", maxAlternatives)
		}
		var next []string
		for _, d := range done {
			for _, w := range with {
				next = append(next, d+w)
			}
		}
		done = next
		return nil
	}
	flush := func() string { defer part.Reset(); return part.String() }
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c == '\\':
			if i+1 == len(pattern) {
				return nil, errors.New(`the pattern ends in a \`)
			}
			part.WriteString(pattern[i : i+2])
			i++
		case c == '[' || c == ']':
			return nil, errors.New(`character classes are not supported: write {a,b} for a choice, \[ and \] for brackets`)
		case c == '{' && choices != nil:
			return nil, errors.New("braces within braces are not supported")
		case c == '{':
			if err := put(flush()); err != nil {
				return nil, err
			}
			choices = []string{}
		case c == ',' && choices != nil:
			choices = append(choices, flush())
		case c == '}' && choices != nil:
			if err := put(append(choices, flush())...); err != nil {
				return nil, err
			}
			choices = nil
		case c == '}':
			return nil, errors.New(`} without {: write \} for the character itself`)
		default:
			part.WriteByte(c)
		}
	}
	if choices != nil {
		return nil, errors.New(`{ without }: write \{ for the character itself`)
	}
	return done, put(flush())
}

// checkStars refuses ** where it would mean no more than *.
func checkStars(text string) error {
	for segment := range strings.SplitSeq(text, "/") {
		if segment != "**" && strings.Contains(strings.ReplaceAll(segment, `\*`, ""), "**") {
			return errors.New("** must stand alone between slashes")
		}
	}
	return nil
}

// match reports whether an object matches. The object is data: nothing in it
// is special.
func (g *glob) match(object string) bool {
	if g.literal {
		return object == g.text
	}
	return strings.HasPrefix(object, g.prefix) && doublestar.MatchUnvalidated(g.text, object)
}

// matches reports whether the rule is about the object. An object that is not
// in normal form has other names, which wildcards of an allowing rule could
// not tell from harmless ones; only deny rules and literal rules match it.
func (r *rule) matches(object string, normal bool) bool {
	for i := range r.objects {
		g := &r.objects[i]
		if (normal || r.deny || g.literal) && g.match(object) {
			return true
		}
	}
	return false
}

// isNormal reports whether an object can be matched by wildcards: whether its
// URI is in the normal form of RFC 3986, section 6.2.2. There, no other way of
// writing the path leads to the same resource.
//
// Without this, a caller of a resource template could walk out of
// file:///public/** with file:///public/../secret, or around a deny rule with
// file:///%73ecret.
func isNormal(object string) bool {
	rest, ok := strings.CutPrefix(object, "resource/")
	if !ok {
		return true
	}
	_, uri, _ := strings.Cut(rest, "/")
	if !encodedAsNeeded(uri) {
		return false
	}
	path := uri
	if scheme, after, ok := strings.Cut(uri, "://"); ok {
		authority, p, _ := strings.Cut(after, "/")
		if hasUpper(scheme) || hasUpper(authority) {
			return false
		}
		path = p
	}
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	if strings.Contains(path, "//") || strings.HasPrefix(path, "/") && path != uri {
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// encodedAsNeeded reports whether a URI has no backslash, no control character
// and no %XX but for characters that must be written so, in upper case.
func encodedAsNeeded(uri string) bool {
	for i := 0; i < len(uri); i++ {
		switch c := uri[i]; {
		case c == '\\' || c < 0x20 || c == 0x7f:
			return false
		case c == '%':
			if i+2 >= len(uri) {
				return false
			}
			hi, lo := unhex(uri[i+1]), unhex(uri[i+2])
			if hi < 0 || lo < 0 {
				return false
			}
			if d := byte(hi<<4 | lo); d == '/' || d == '\\' || d < 0x20 || d == 0x7f || isUnreserved(d) {
				return false
			}
			i += 2
		}
	}
	return true
}

// unhex returns the value of an upper-case hex digit, or -1.
func unhex(c byte) int { return strings.IndexByte("0123456789ABCDEF", c) }

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

func hasUpper(s string) bool {
	return slices.ContainsFunc([]byte(s), func(c byte) bool { return 'A' <= c && c <= 'Z' })
}
