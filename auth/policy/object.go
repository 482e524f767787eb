package policy

import (
	"slices"
	"strings"

	"github.com/trilith-gateway/trilith/gateway"
)

// An object is what rules are about, as written and in normal form.
type object struct{ text, normal string }

// maxObject bounds the objects that rules can match. A registry has none that
// is nearly as long; callers of templates may make them up.
const maxObject = 8 << 10

func newObject(text string) object { return object{text, normalize(text)} }

// A Selector says which capabilities a toolset has. It is safe for concurrent
// use and always gives the same answer.
type Selector interface {
	Selects(*gateway.Capability) bool
}

// Toolsets are the toolsets that rules can name. They are never changed once
// given to an [Enforcer].
type Toolsets map[string]Selector

// A target is what a decision is about: an object and what is known of it.
type target struct {
	object
	capability *gateway.Capability // nil only for what is no capability
	tool       *gateway.Tool       // for its annotations; nil where there are none
	sets       Toolsets
	assumed    []string // toolsets that it is taken to be in
}

// makeUp returns a capability of which nothing is known but its object, nil
// where that is not one of a capability.
func makeUp(text string) *gateway.Capability {
	kind, rest, _ := strings.Cut(text, "/")
	source, origin, ok := strings.Cut(rest, "/")
	if !ok {
		return nil
	}
	c := &gateway.Capability{Name: origin, Source: source, Origin: origin, Object: text}
	switch kind {
	case "tool":
		c.Kind = gateway.KindTool
	case "resource":
		c.Kind = gateway.KindResource
	case "prompt":
		c.Kind = gateway.KindPrompt
	default:
		return nil
	}
	return c
}

// A pattern is what one rule is about: a glob over objects, a toolset or a tag.
type pattern struct {
	glob
	toolset string // "" for none
	tag     string // "" for none
}

// selects reports whether the pattern is a toolset or a tag.
func (p *pattern) selects() bool { return p.toolset != "" || p.tag != "" }

// is reports whether the pattern is about the target. One that allows must
// match the object as written and in normal form, one that denies either: so no
// caller of a resource template walks out of file:///public/** with
// file:///public/../secret, or around a deny rule with file:///%73ecret.
func (p *pattern) is(t *target, deny bool) bool {
	switch {
	case p.selects():
		return p.has(t, deny)
	case !deny && strings.HasPrefix(t.text, adminKind+"/") && !strings.HasPrefix(p.text, adminKind+"/"):
		return false // Whoever may do everything is not an administrator yet.
	}
	is := p.match(t.text)
	switch {
	case t.text == t.normal || p.literal && is && !deny:
		return is
	case deny:
		return is || p.match(t.normal)
	}
	return is && p.match(t.normal)
}

// has reports whether the target has the tag or is in the toolset. A toolset
// that does not exist allows nothing and denies everything.
func (p *pattern) has(t *target, deny bool) bool {
	c := t.capability
	if c == nil {
		return false
	}
	if p.tag != "" {
		return slices.Contains(c.Tags, p.tag)
	}
	if slices.Contains(t.assumed, p.toolset) {
		return true
	}
	set, ok := t.sets[p.toolset]
	if !ok {
		return deny
	}
	return set.Selects(c) || deny && c.Kind != gateway.KindTool && c.Kind != gateway.KindPrompt && t.inAnyForm(set)
}

// inAnyForm reports whether a toolset has the resource under its URI as written
// or in normal form, whatever the template is that it is read through.
func (t *target) inAnyForm(set Selector) bool {
	for _, text := range []string{t.text, t.normal} {
		if c := makeUp(text); c != nil {
			c.Tags = t.capability.Tags
			if set.Selects(c) {
				return true
			}
		}
	}
	return false
}

// matches reports whether the rule is about the target.
func (r *rule) matches(t *target) bool { return matchAny(r.objects, t, r.deny) }

func matchAny(patterns []pattern, t *target, deny bool) bool {
	if len(t.text) > maxObject {
		return false
	}
	for i := range patterns {
		if patterns[i].is(t, deny) {
			return true
		}
	}
	return false
}
