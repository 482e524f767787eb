package policy

import (
	"encoding/hex"
	"errors"
	"fmt"
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
	x := expansion{done: []string{""}}
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '\\' {
			if err := x.add(pattern[i]); err != nil {
				return nil, err
			}
			continue
		}
		if i+1 == len(pattern) {
			return nil, errors.New(`the pattern ends in a \`)
		}
		x.part = append(x.part, pattern[i:i+2]...)
		i++
	}
	if x.open {
		return nil, errors.New(`{ without }: write \{ for the character itself`)
	}
	err := x.end()
	return x.done, err
}

// An expansion is a pattern that is being expanded.
type expansion struct {
	done    []string // what came before
	open    bool     // whether a brace is
	choices []string // of the open brace, without the last
	part    []byte   // what was read since
}

func (x *expansion) add(c byte) error {
	switch c {
	case '[', ']':
		return errors.New(`character classes are not supported: write {a,b} for a choice, \[ and \] for brackets`)
	case '{':
		if x.open {
			return errors.New("braces within braces are not supported")
		}
		err := x.end()
		x.open = true
		return err
	case '}':
		if !x.open {
			return errors.New(`} without {: write \} for the character itself`)
		}
		x.open = false
		return x.end()
	case ',':
		if x.open {
			x.choices, x.part = append(x.choices, string(x.part)), nil
			return nil
		}
	}
	x.part = append(x.part, c)
	return nil
}

// end appends each of the choices, or the one part, to all that is done.
func (x *expansion) end() error {
	choices := append(x.choices, string(x.part))
	x.choices, x.part = nil, nil
	if len(x.done)*len(choices) > maxAlternatives {
		return fmt.Errorf("the braces stand for more than %d patterns", maxAlternatives)
	}
	var next []string
	for _, d := range x.done {
		for _, c := range choices {
			if strings.HasSuffix(d, "*") && strings.HasPrefix(c, "*") {
				return errors.New("a * may not touch another across a brace")
			}
			next = append(next, d+c)
		}
	}
	x.done = next
	return nil
}

// checkStars refuses ** where it would mean no more than *.
func checkStars(text string) error {
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case text[i] == '*' && strings.HasPrefix(text[i:], "**"):
			if i > 0 && text[i-1] != '/' || i+2 < len(text) && text[i+2] != '/' {
				return errors.New("** must stand alone between slashes")
			}
			i++
		}
	}
	return nil
}

// match reports whether a text matches. The text is data: nothing in it is
// special.
func (g *glob) match(text string) bool {
	if g.literal {
		return text == g.text
	}
	return strings.HasPrefix(text, g.prefix) && doublestar.MatchUnvalidated(g.text, text)
}

// An object is what rules are about, as written and in normal form.
type object struct{ text, normal string }

// maxObject bounds the objects that rules can match. A registry has none that
// is nearly as long; callers of templates may make them up.
const maxObject = 8 << 10

func newObject(text string) object { return object{text, normalize(text)} }

// matches reports whether the rule is about the object. A pattern that allows
// must match the object as written and in normal form, one that denies either:
// so no caller of a resource template walks out of file:///public/** with
// file:///public/../secret, or around a deny rule with file:///%73ecret.
func (r *rule) matches(o object) bool { return matchAny(r.objects, o, r.deny) }

func matchAny(globs []glob, o object, deny bool) bool {
	if len(o.text) > maxObject {
		return false
	}
	for i := range globs {
		g := &globs[i]
		is := g.match(o.text)
		switch {
		case o.text == o.normal || g.literal && is && !deny:
		case deny:
			is = is || g.match(o.normal)
		default:
			is = is && g.match(o.normal)
		}
		if is {
			return true
		}
	}
	return false
}

// normalize returns the object with the path of its URI decoded, without empty
// segments and dot segments, as a server may understand it (RFC 3986, section
// 6.2.2). Names of tools and prompts are never changed.
func normalize(text string) string {
	rest, ok := strings.CutPrefix(text, "resource/")
	if !ok {
		return text
	}
	source, uri, _ := strings.Cut(rest, "/")
	path, query := uri, ""
	if i := strings.IndexAny(uri, "?#"); i >= 0 && !climbs(uri[i:]) {
		path, query = uri[:i], uri[i:]
	}
	path = strings.ReplaceAll(decode(path), `\`, "/")
	head := ""
	if scheme, after, ok := strings.Cut(path, "://"); ok {
		authority, _, _ := strings.Cut(after, "/")
		head = path[:len(scheme)+len("://")+len(authority)]
	} else if i := strings.IndexByte(path, ':'); i >= 0 {
		head = path[:i+1]
	}
	return "resource/" + source + "/" + head + cleanPath(path[len(head):]) + decode(query)
}

// climbs reports whether a query or fragment has a segment that leads up: a
// server that takes the whole for a path, as many do for files, would follow
// it, and so the normal form does too.
func climbs(query string) bool {
	for segment := range strings.SplitSeq(strings.ReplaceAll(decode(query), `\`, "/"), "/") {
		if segment == ".." {
			return true
		}
	}
	return false
}

// cleanPath removes empty segments and dot segments, but keeps a slash at
// either end.
func cleanPath(path string) string {
	var out []string
	dir := false // whether the last segment says so
	for segment := range strings.SplitSeq(path, "/") {
		dir = segment == "" || segment == "." || segment == ".."
		switch {
		case segment == ".." && len(out) > 0:
			out = out[:len(out)-1]
		case !dir:
			out = append(out, segment)
		}
	}
	clean := strings.Join(out, "/")
	if strings.HasPrefix(path, "/") {
		clean = "/" + clean
	}
	if dir && len(out) > 0 {
		clean += "/"
	}
	return clean
}

// decode replaces each %XX by the byte that it stands for, and leaves what is
// malformed.
func decode(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if d, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b.Write(d)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
