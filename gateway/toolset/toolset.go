// Package toolset narrows what the gateway offers to named selections. A
// [Toolset] is a gate that stands after the policy: with it, a gateway over the
// same registry serves a part of the same capabilities, under the same
// decisions and the same audit log.
//
//	door ──▶ Gateway.Do ──▶ policy ──▶ toolset ──▶ arguments ──▶ upstream
//
// For clients that are lost among very many tools, [Search] serves two tools
// over such a gateway: one that finds tools by words and one that calls them.
//
// A toolset is not a policy: it can only leave out what the policy permits, and
// whoever may use its endpoint may use the others too.
package toolset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/trilith-gateway/trilith/gateway"
)

// Options say what a toolset selects: a capability for which any of the
// selectors matches. Patterns are those of doublestar: `*` stands for anything
// but slashes, `**` for any number of whole segments, `?` for one character,
// `\` before a character for the character itself.
type Options struct {
	Name      string   // for errors; required
	Tools     []string // patterns over the names of tools
	Resources []string // patterns over the URIs of resources and the URI templates of templates
	Prompts   []string // patterns over the names of prompts
	Tags      []string // of capabilities, as they are
	Sources   []string // names of sources, as they are
}

// A Toolset admits calls on what it selects and filters lists to it. To all
// other calls it answers that there is no such capability. It is immutable and
// safe for concurrent use.
type Toolset struct {
	name                      string
	tools, resources, prompts Patterns
	tags, sources             []string
}

// New returns a toolset, or an error that names every malformed pattern.
func New(o Options) (*Toolset, error) {
	if o.Name == "" {
		return nil, errors.New("a toolset has no name")
	}
	t := &Toolset{name: o.Name, tags: slices.Clone(o.Tags), sources: slices.Clone(o.Sources)}
	var problems []error
	for _, s := range []struct {
		into *Patterns
		all  []string
	}{{&t.tools, o.Tools}, {&t.resources, o.Resources}, {&t.prompts, o.Prompts}} {
		var err error
		if *s.into, err = NewPatterns(s.all...); err != nil {
			problems = append(problems, fmt.Errorf("toolset %q: %w", o.Name, err))
		}
	}
	return t, errors.Join(problems...)
}

// Admit lets a call pass whose target the toolset selects. A resource that only
// a template describes is selected with its template.
func (t *Toolset) Admit(_ context.Context, call *gateway.Call) error {
	if t.Selects(call.Target) {
		return nil
	}
	return gateway.NotFoundError(call, "toolset", fmt.Errorf("%s is not in toolset %s", call.Object, t.name))
}

// viewKey names a toolset's part of a snapshot in the snapshot's memo.
type viewKey struct{ *Toolset }

// View returns the part of a snapshot that the toolset selects. It is made once
// for each snapshot and lives as long.
func (t *Toolset) View(_ *gateway.Principal, s *gateway.Snapshot) *gateway.Snapshot {
	return s.Memo(viewKey{t}, func(s *gateway.Snapshot) any { return s.Filter(t.Selects) }).(*gateway.Snapshot) //nolint:forcetypeassert // the key is ours.
}

// Selects reports whether any selector matches the capability.
func (t *Toolset) Selects(c *gateway.Capability) bool {
	if slices.Contains(t.sources, c.Source) || slices.ContainsFunc(c.Tags, func(tag string) bool { return slices.Contains(t.tags, tag) }) {
		return true
	}
	switch c.Kind {
	case gateway.KindTool:
		return t.tools.Match(c.Name)
	case gateway.KindPrompt:
		return t.prompts.Match(c.Name)
	case gateway.KindResource, gateway.KindTemplate:
		return t.resources.Match(c.Origin)
	}
	return false
}

// Patterns match names and URIs, as those of [Options] do. The zero Patterns
// match nothing. They are immutable and safe for concurrent use.
type Patterns struct {
	exact map[string]bool
	globs []glob
}

// A glob is a pattern with what every text that matches begins with.
type glob struct{ text, prefix string }

// NewPatterns returns the patterns, or an error that names every malformed one.
func NewPatterns(all ...string) (Patterns, error) {
	var p Patterns
	var problems []error
	for _, text := range all {
		if text == "" || !doublestar.ValidatePattern(text) {
			problems = append(problems, fmt.Errorf("malformed pattern %q", text))
			continue
		}
		p.add(text)
	}
	return p, errors.Join(problems...)
}

func (p *Patterns) add(text string) {
	if i := strings.IndexAny(text, `*?[{\`); i >= 0 {
		// What comes before /** matches also without the slash.
		p.globs = append(p.globs, glob{text, strings.TrimSuffix(text[:i], "/")})
		return
	}
	if p.exact == nil {
		p.exact = map[string]bool{}
	}
	p.exact[text] = true
}

// Empty reports whether there are no patterns.
func (p *Patterns) Empty() bool { return len(p.exact) == 0 && len(p.globs) == 0 }

// Match reports whether the text matches any of the patterns.
func (p *Patterns) Match(text string) bool {
	return p.exact[text] || slices.ContainsFunc(p.globs, func(g glob) bool {
		return strings.HasPrefix(text, g.prefix) && doublestar.MatchUnvalidated(g.text, text)
	})
}
