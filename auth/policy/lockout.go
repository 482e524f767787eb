package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// ErrLockout is why a policy does not come into force after which nobody, or not
// the one who makes the change, could change it again.
var ErrLockout = errors.New("the policy would lock administrators out")

// CheckLockout returns an error that is [ErrLockout] where, under the policy, no
// subject may take every action on every area of administration whatever the
// circumstances, or where the principal may not administer the policy itself.
// A nil principal stands for one that needs no rights here, such as whoever may
// write the policy's file.
func (p *Policy) CheckLockout(ctx context.Context, by *gateway.Principal, now time.Time) error {
	if !p.hasAdmin() {
		return fmt.Errorf("%w: no subject is left that may do everything to %s/**", ErrLockout, adminKind)
	}
	if by == nil {
		return nil
	}
	c := newCompiled(p, new(Toolsets))
	t := &target{object: newObject(adminKind + "/" + AreaPolicy)}
	g := c.grantOf(by)
	q := question{grant: g, verdict: g.decide(t), target: t, request: Request{Principal: by, Object: t.text, Action: "admin", Time: now}}
	if !q.permits(ctx, func() time.Time { return now }) {
		return fmt.Errorf("%w: you could not change it again: %s", ErrLockout, q.decision(false).Reason)
	}
	return nil
}

// hasAdmin reports whether any subject that has a rule about administration, or a
// role, may do everything there.
func (p *Policy) hasAdmin() bool {
	type who struct{ subject, domain string }
	tried := map[who]bool{}
	try := func(subject, domain string) bool {
		w := who{subject, strings.TrimPrefix(domain, "*")}
		done := tried[w]
		tried[w] = true
		return !done && p.administers(w.subject, w.domain)
	}
	for _, r := range p.byText {
		if !r.deny && r.cond == nil && slices.ContainsFunc(r.objects, isAdmin) && try(r.fields[0], r.fields[1]) {
			return true
		}
	}
	if len(tried) == 0 {
		return false
	}
	for subject, links := range p.links {
		for _, l := range links {
			if try(subject, l.domain) {
				return true
			}
		}
	}
	return false
}

func isAdmin(p pattern) bool { return strings.HasPrefix(p.text, adminKind+"/") }

// administers reports whether whoever has a subject, and no other, may do
// everything to all areas.
func (p *Policy) administers(subject, domain string) bool {
	g := p.grantFor(subject, domain)
	const all = actAdmin | 1<<gateway.OpRead
	for _, area := range Areas() {
		if v := g.decide(&target{object: newObject(adminKind + "/" + area)}); v.may&all != all {
			return false
		}
	}
	return true
}

// grantFor returns the grant of somebody who has a subject, and no other but
// those that everybody has.
func (p *Policy) grantFor(subject, domain string) *grant {
	has := []string{anyone}
	if subject != anyone {
		has = append(has, authenticated, subject)
	}
	return p.grantOf(has, domain)
}

// grantOf returns the rules that apply to some subjects in a domain.
func (p *Policy) grantOf(subjects []string, domain string) *grant {
	g := &grant{policy: p}
	for _, s := range p.closure(subjects, domain) {
		for _, r := range p.rules[s] {
			if r.fields[1] == "*" || r.fields[1] == domain {
				g.rules = append(g.rules, r)
			}
		}
	}
	return g
}
