package policy

import (
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
	rest    rest   // what may follow the prefix, where that is all there is to it
}

// A rest is what stands in a glob after all that is meant as it is.
type rest uint8

const (
	restOther   rest = iota // patterns that doublestar must match
	restSegment             // *: anything but slashes
	restAll                 // /**: nothing, or a slash and anything
)

// parsePatterns reads a rule's object: toolset:<name>, tag:<name>, or a glob
// with `*` for anything but slashes, `**` for any number of whole segments, `?`
// for one character, {a,b} for alternatives, and `\` before a character that is
// meant as it is.
func parsePatterns(object string) ([]pattern, error) {
	texts, err := expand(object)
	if err != nil {
		return nil, err
	}
	out := make([]pattern, 0, len(texts))
	for _, text := range texts {
		if kind, name, ok := strings.Cut(text, ":"); ok && (kind == "toolset" || kind == "tag") {
			p, err := parseSelector(text, kind, name)
			if err != nil {
				return nil, err
			}
			out = append(out, p)
			continue
		}
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
			switch {
			case text[i:] == "*":
				g.prefix, g.rest = text[:i], restSegment
			case text[i:] == "**" && i > 0:
				g.rest = restAll
			}
		} else {
			g.literal = true
		}
		out = append(out, pattern{glob: g})
	}
	return out, nil
}

func parseSelector(text, kind, name string) (pattern, error) {
	switch {
	case name == "":
		return pattern{}, fmt.Errorf("the %s has no name", kind)
	case strings.ContainsAny(name, `*?\/`):
		return pattern{}, fmt.Errorf("the name of a %s is no pattern", kind)
	case kind == "tag":
		return pattern{glob: glob{text: text}, tag: name}, nil
	}
	return pattern{glob: glob{text: text}, toolset: name}, nil
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
	after, ok := strings.CutPrefix(text, g.prefix)
	switch {
	case !ok:
		return false
	case g.rest == restSegment:
		return strings.IndexByte(after, '/') < 0
	case g.rest == restAll:
		return after == "" || after[0] == '/'
	}
	return doublestar.MatchUnvalidated(g.text, text)
}
