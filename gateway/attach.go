package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
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
	clashed  bool // one of the problems is that another source has a name
}

func (a *attachment) register(c Catalog) Catalog {
	var out Catalog
	for _, t := range c.Tools {
		t := *t
		if a.admit(&t.Capability, a.options.Prefix+t.Origin) {
			out.Tools = append(out.Tools, &t)
		}
	}
	for _, r := range c.Resources {
		r := *r
		if a.admit(&r.Capability, r.Name) {
			out.Resources = append(out.Resources, &r)
		}
	}
	for _, t := range c.Templates {
		t := *t
		if a.admit(&t.Capability, t.Name) {
			out.Templates = append(out.Templates, &t)
		}
	}
	for _, p := range c.Prompts {
		p := *p
		if a.admit(&p.Capability, a.options.Prefix+p.Origin) {
			out.Prompts = append(out.Prompts, &p)
		}
	}
	return out
}

// admit completes a capability for the registry, or notes why it cannot enter.
func (a *attachment) admit(c *Capability, name string) bool {
	c.Source, c.Tags = a.name, a.options.Tags
	c.Object = c.Kind.String() + "/" + c.Source + "/" + c.Origin
	if c.Kind == KindTemplate {
		c.Object = KindResource.String() + "/" + c.Source + "/" + c.Origin
	}
	if a.options.Admin {
		area, _, _ := strings.Cut(c.Origin, ".")
		c.Object = adminObjects + area
	}
	if name != c.Name {
		c.Name = name
		c.Definition = replaceName(c.Definition, name)
	}
	switch c.Kind {
	case KindTool, KindPrompt:
		if !validName.MatchString(c.Name) {
			a.problem("source %q: %s name %s is not 1 to 64 of A-Z a-z 0-9 _ . / -", a.name, c.Kind, quoteName(c.Name))
			return false
		}
	case KindResource, KindTemplate:
		if len(c.Origin) > maxURI {
			a.problem("source %q: %s %s is longer than %d bytes", a.name, c.Kind, quoteName(c.Origin), maxURI)
			return false
		}
	}
	if other := a.taken[c.key()]; other != nil {
		a.clashed = a.clashed || other.Source != a.name
		a.problem("source %q: %s %s is taken by source %q", a.name, c.Kind, quoteName(c.label()), other.Source)
		return false
	}
	a.taken[c.key()] = c
	return true
}

func (a *attachment) problem(format string, args ...any) {
	a.problems = append(a.problems, fmt.Errorf(format, args...))
}

// label is what callers ask for: the name of a tool or prompt, else the URI.
func (c *Capability) label() string {
	if c.Kind == KindTool || c.Kind == KindPrompt {
		return c.Name
	}
	return c.Origin
}

func (c *Capability) key() string { return c.Kind.String() + "/" + c.label() }

// replaceName returns the definition with another value for its name, and
// every other byte as it was.
func replaceName(def json.RawMessage, name string) json.RawMessage {
	quoted, _ := jsontext.AppendQuote(nil, name) // The error reports invalid UTF-8, already replaced.
	d := jsontext.NewDecoder(bytes.NewReader(def))
	if _, err := d.ReadToken(); err != nil {
		return def
	}
	for d.PeekKind() == '"' {
		key, err := d.ReadToken()
		if err != nil {
			return def
		}
		isName := key.String() == "name"
		value, err := d.ReadValue()
		if err != nil {
			return def
		}
		if end := int(d.InputOffset()); isName {
			out := make(json.RawMessage, 0, len(def)+len(quoted))
			out = append(out, def[:end-len(value)]...)
			out = append(out, quoted...)
			return append(out, def[end:]...)
		}
	}
	return def
}

// quoteName quotes what a caller asked for, cut to a length that fits a line.
func quoteName(s string) string {
	const most = 128
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strconv.Quote(s)
}
