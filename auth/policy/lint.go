package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trilith-gateway/trilith/gateway"
)

// Lint returns what a policy probably does not mean, though it is valid, at most
// a hundred: rules about what a snapshot does not have, allowing rules that
// others deny altogether, and roles that nothing is said about. Unlike
// [Problems] of [Parse] these do not keep a policy from coming into force.
func (p *Policy) Lint(s *gateway.Snapshot, sets Toolsets) Problems {
	l := linter{policy: p, index: indexOf(s, &sets), snapshot: s, sets: &sets, denies: map[string][]*rule{}}
	rules := p.inOrder()
	for _, r := range rules {
		if subject := r.fields[0]; r.deny && r.cond == nil && len(l.denies[subject]) < maxCompared {
			l.denies[subject] = append(l.denies[subject], r)
		}
	}
	for _, r := range rules {
		if len(l.out) >= maxProblems {
			break
		}
		l.matchesNothing(r)
		l.shadowed(r)
	}
	l.roles()
	return l.out[:min(len(l.out), maxProblems)]
}

// maxCompared bounds with how many denying rules of one subject a rule is
// compared.
const maxCompared = 200

type linter struct {
	policy   *Policy
	index    *index
	snapshot *gateway.Snapshot
	sets     *Toolsets
	denies   map[string][]*rule // by subject, those without a condition
	out      Problems
}

func (l *linter) warn(line, col int, msg, hint string) {
	l.out = append(l.out, Problem{File: l.policy.name, Line: line, Col: col, Msg: msg, Hint: hint})
}

// matchesNothing warns of a rule none of whose objects the registry has.
func (l *linter) matchesNothing(r *rule) {
	for i := range r.objects {
		if l.known(&r.objects[i], r) {
			return
		}
	}
	l.warn(r.line, r.col, fmt.Sprintf("nothing in the registry is %s now", quote(r.fields[2])), "check the name; a source that is away also looks like this")
}

func (l *linter) known(g *pattern, r *rule) bool {
	if strings.HasPrefix(g.text, adminKind+"/") {
		return true
	}
	found := false
	l.index.visit(g, r.deny, func(int) bool {
		found = true
		return false
	})
	if found || slices.ContainsFunc(l.index.odd, func(i int) bool { return g.is(&l.index.entries[i], r.deny) }) {
		return true
	}
	rest, ok := strings.CutPrefix(g.prefix, "resource/")
	source, _, _ := strings.Cut(rest, "/")
	return ok && slices.ContainsFunc(l.snapshot.Templates, func(t *gateway.Template) bool { return t.Source == source })
}

// shadowed warns of an allowing rule that one denying rule undoes.
func (l *linter) shadowed(r *rule) {
	if r.deny {
		return
	}
	for _, subject := range []string{r.fields[0], authenticated, anyone} {
		if subject == authenticated && r.fields[0] == anyone {
			continue
		}
		for _, d := range l.denies[subject] {
			if d.undoes(r) {
				l.warn(r.line, 1, fmt.Sprintf("the rule allows nothing: line %d denies all of it", d.line), "remove one of the two")
				return
			}
		}
	}
}

// undoes reports whether a denying rule surely denies all that another allows,
// to the same subjects.
func (r *rule) undoes(allow *rule) bool {
	if r.fields[1] != "*" && r.fields[1] != allow.fields[1] || allow.actions&^r.actions != 0 {
		return false
	}
	for i := range allow.objects {
		if !slices.ContainsFunc(r.objects, func(p pattern) bool { return p.includes(&allow.objects[i]) }) {
			return false
		}
	}
	return true
}

// includes reports whether a pattern surely matches whatever another does.
func (p *pattern) includes(o *pattern) bool {
	switch {
	case p.text == o.text || p.text == "**":
		return true
	case p.selects() || o.selects():
		return false
	case o.literal:
		return p.match(o.text)
	case p.rest == restAll:
		return strings.HasPrefix(o.prefix, p.prefix+"/")
	}
	return false
}

// roles warns of roles that are given but have no rules.
func (l *linter) roles() {
	warned := map[string]bool{}
	for _, f := range l.policy.order {
		if f[0] != "g" || len(l.out) >= maxProblems {
			continue
		}
		if role := f[2]; len(l.policy.rules[role]) == 0 && len(l.policy.links[role]) == 0 && !warned[role] {
			warned[role] = true
			l.warn(l.policy.linkAt[[2]string{f[1], role}], 1, fmt.Sprintf("no rule says anything about %s", role), "check the name of the role")
		}
	}
}
