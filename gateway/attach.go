package gateway

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/trilith-gateway/trilith/internal/clip"
)

// validName is what a tool or prompt may be called in the registry: the
// characters that every protocol and every known client accepts, and "/" for
// sources that are registered without a prefix.
var validName = regexp.MustCompile(`^[A-Za-z0-9_./-]{1,64}$`)

// maxURI bounds the URIs and templates of resources, in bytes.
const maxURI = 2048

// An attachment is one source on its way into the registry.
type attachment struct {
	name     string
	options  Options
	taken    map[string]*Capability // by key; what this source registers is added
	problems []error
	notes    []Note

	overridden map[string]bool // origins that an override was for

	clashed bool // one of the problems is that another source has a name
}

func (a *attachment) register(c Catalog) Catalog {
	var out Catalog
	a.overridden = map[string]bool{}
	a.notes = append(a.notes, c.Notes[:min(len(c.Notes), maxNotes)]...)
	for _, t := range c.Tools {
		t := *t
		if a.admit(&t.Capability, true) {
			if o, ok := a.options.Overrides[t.Origin]; ok {
				o.annotate(&t)
			}
			out.Tools = append(out.Tools, &t)
		}
	}
	if most := a.options.MaxTools; most > 0 && len(out.Tools) > most {
		a.problem("source %q: it offers %d tools, more than the %d of max_tools: none is registered; choose with include and exclude", a.name, len(out.Tools), most)
		for _, t := range out.Tools {
			delete(a.taken, t.key())
		}
		out.Tools = nil
	}
	for _, r := range c.Resources {
		r := *r
		if a.admit(&r.Capability, false) {
			out.Resources = append(out.Resources, &r)
		}
	}
	for _, t := range c.Templates {
		t := *t
		if a.admit(&t.Capability, false) {
			out.Templates = append(out.Templates, &t)
		}
	}
	for _, p := range c.Prompts {
		p := *p
		if a.admit(&p.Capability, true) {
			out.Prompts = append(out.Prompts, &p)
		}
	}
	a.noteUnused()
	return out
}

// noteUnused notes the overrides of what the source does not have.
func (a *attachment) noteUnused() {
	for _, origin := range slices.Sorted(maps.Keys(a.options.Overrides)) {
		if !a.overridden[origin] && len(a.notes) < maxNotes {
			a.notes = append(a.notes, Note{"override " + origin, NoteSkipped, "the source offers nothing of that name"})
		}
	}
}

// rename returns what a capability whose name is the registry's to give is
// called there.
func (a *attachment) rename(c *Capability, override string) string {
	name := a.options.Prefix + c.Origin
	if override != "" {
		name = a.options.Prefix + override
		a.note(c, NoteRenamed, "as "+name+", by configuration")
	}
	if short := shorten(name); short != name {
		a.note(c, NoteRenamed, "as "+short+": its name would be longer than 64 characters")
		name = short
	}
	return name
}

// admit completes a capability for the registry, or notes why it cannot enter.
// Named says that its name is the registry's to give.
func (a *attachment) admit(c *Capability, named bool) bool {
	if a.options.Keep != nil && !a.options.Keep(c) {
		a.note(c, NoteSkipped, "left out by configuration")
		return false
	}
	override, ok := a.options.Overrides[c.Origin]
	if ok {
		a.overridden[c.Origin] = true
	}
	c.Source, c.Tags = a.name, a.options.Tags
	if len(override.Tags) > 0 {
		c.Tags = slices.Concat(a.options.Tags, override.Tags)
	}
	override.apply(c)
	c.Object = c.Kind.String() + "/" + c.Source + "/" + c.Origin
	if c.Kind == KindTemplate {
		c.Object = KindResource.String() + "/" + c.Source + "/" + c.Origin
	}
	if a.options.Admin {
		area, _, _ := strings.Cut(c.Origin, ".")
		c.Object = adminObjects + area
	}
	if named {
		if name := a.rename(c, override.Name); name != c.Name {
			c.Name = name
			c.Definition = setMembers(c.Definition, stringMember("name", name))
		}
	}
	return a.enter(c)
}

// enter takes a capability's place in the registry, if it may have it and
// nobody else does.
func (a *attachment) enter(c *Capability) bool {
	switch c.Kind {
	case KindTool, KindPrompt:
		if !validName.MatchString(c.Name) {
			a.refuse(c, "source %q: %s name %s is not 1 to 64 of A-Z a-z 0-9 _ . / -", a.name, c.Kind, quoteName(c.Name))
			return false
		}
	case KindResource, KindTemplate:
		if len(c.Origin) > maxURI {
			a.refuse(c, "source %q: %s %s is longer than %d bytes", a.name, c.Kind, quoteName(c.Origin), maxURI)
			return false
		}
	}
	if other := a.taken[c.key()]; other != nil {
		a.clashed = a.clashed || other.Source != a.name
		a.refuse(c, "source %q: %s %s is taken by source %q", a.name, c.Kind, quoteName(c.label()), other.Source)
		return false
	}
	a.taken[c.key()] = c
	return true
}

func (a *attachment) problem(format string, args ...any) {
	a.problems = append(a.problems, fmt.Errorf(format, args...))
}

// refuse notes a problem that keeps a capability out.
func (a *attachment) refuse(c *Capability, format string, args ...any) {
	a.problem(format, args...)
	a.note(c, NoteSkipped, a.problems[len(a.problems)-1].Error())
}

func (a *attachment) note(c *Capability, change NoteChange, reason string) {
	if len(a.notes) < maxNotes {
		a.notes = append(a.notes, Note{c.Kind.String() + " " + c.Origin, change, reason})
	}
}

// label is what callers ask for: the name of a tool or prompt, else the URI.
func (c *Capability) label() string {
	if c.Kind == KindTool || c.Kind == KindPrompt {
		return c.Name
	}
	return c.Origin
}

func (c *Capability) key() string { return c.Kind.String() + "/" + c.label() }

// quoteName quotes what a caller asked for, cut to a length that fits a line.
func quoteName(s string) string {
	return strconv.Quote(clip.Text(s, 128))
}
