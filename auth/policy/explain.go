package policy

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/trilith-gateway/trilith/gateway"
)

// An Explanation is a decision with how it came about.
type Explanation struct {
	Decision
	Path   []string // from a subject of the principal over roles to the subject of the rule; empty without a rule
	Misses []Miss   // what would almost have allowed it, where no rule decided; at most 20
}

// A Miss is a rule that does not apply, but nearly does.
type Miss struct {
	Why  MissReason
	Rule string
	Line int
	Path []string // to the subject of the rule, where the principal has it
}

// A MissReason says why a rule does not apply.
type MissReason string

// What keeps a rule from applying that is about the object.
const (
	MissCondition MissReason = "condition" // its condition does not hold
	MissTenant    MissReason = "tenant"    // it, or the role that leads to it, is for another tenant
	MissAction    MissReason = "action"    // it is about another action
	MissSubject   MissReason = "subject"   // the principal does not have its subject
)

// maxMisses bounds the misses of an explanation, and those of one kind.
const (
	maxMisses     = 20
	maxMissesEach = 8
)

// Explain says whether a principal may do something, which rule decides and how
// the principal comes by it. Where no rule decides, it says which nearly would.
// The decision is both the compiled one and Casbin's: should they differ, it is
// to deny, and the log has an error. It takes time in proportion to the policy.
func (e *Enforcer) Explain(ctx context.Context, r Request) Explanation {
	if r.Principal == nil {
		return Explanation{Decision: Decision{Reason: "there is no principal"}}
	}
	c, s := e.current.Load(), e.snapshot()
	if r.Time.IsZero() {
		r.Time = e.now()
	}
	t := indexOf(s, c.sets).find(r.Object, s, c.sets)
	slow := c.policy.decide(ctx, r, t)
	if r.Action == "*" || parseAction(r.Action) == 0 {
		return Explanation{Decision: slow}
	}
	g := c.grantOf(r.Principal)
	q := &question{grant: g, verdict: g.decide(t), target: t, request: r}
	allowed := q.permits(ctx, e.now)
	if allowed != slow.Allowed {
		e.logger.ErrorContext(ctx, "the compiled policy and Casbin decide differently",
			slog.String("version", c.policy.version), slog.String("object", r.Object), slog.String("action", r.Action), slog.Bool("compiled", allowed))
		return Explanation{Decision: Decision{Reason: fmt.Sprintf("the compiled policy says %t and Casbin %t: please report this", allowed, slow.Allowed)}}
	}
	out := Explanation{Decision: q.decision(allowed)}
	if rule, _ := q.deciding(allowed); rule != nil {
		out.Path = c.policy.path(subjects(r.Principal), r.Principal.Tenant, rule.fields[0], false)
		return out
	}
	out.Misses = q.misses()
	return out
}

// path returns how one comes from one of some subjects to another, the shortest
// way: over roles of the domain, or over those of any. It is nil where one does
// not.
func (p *Policy) path(from []string, domain, to string, anyDomain bool) []string {
	before := map[string]string{}
	for _, s := range from {
		before[s] = ""
	}
	todo := slices.Clone(from)
	for ; len(todo) > 0; todo = todo[1:] {
		if todo[0] == to {
			var out []string
			for s := to; s != ""; s = before[s] {
				out = append(out, s)
			}
			slices.Reverse(out)
			return out
		}
		for _, l := range p.links[todo[0]] {
			if _, seen := before[l.role]; !seen && (anyDomain || l.domain == "*" || l.domain == domain) {
				before[l.role] = todo[0]
				todo = append(todo, l.role)
			}
		}
	}
	return nil
}

// misses returns the rules that nearly allow what is asked, the nearest first.
func (q *question) misses() []Miss {
	p, who := q.grant.policy, q.request.Principal
	a, has := parseAction(q.request.Action), subjects(who)
	kinds := []MissReason{MissCondition, MissTenant, MissAction, MissSubject}
	found := map[MissReason][]Miss{}
	for _, r := range p.inOrder() {
		if r.deny || !r.matches(q.target) {
			continue
		}
		covers := r.actions.implied(mainOp(q.target.text))&a != 0
		path := p.path(has, who.Tenant, r.fields[0], false)
		here := r.fields[1] == "*" || r.fields[1] == who.Tenant
		var why MissReason
		switch {
		case path != nil && here && covers:
			why = MissCondition // There is nothing else that it lacks.
		case path != nil && here:
			why = MissAction
		case !covers:
			continue
		case path != nil:
			why = MissTenant
		default:
			if why, path = MissSubject, p.path(has, "", r.fields[0], true); path != nil {
				why = MissTenant
			}
		}
		if len(found[why]) < maxMissesEach {
			found[why] = append(found[why], Miss{Why: why, Rule: r.String(), Line: r.line, Path: path})
		}
	}
	var out []Miss
	for _, k := range kinds {
		out = append(out, found[k]...)
	}
	return out[:min(len(out), maxMisses)]
}

// A Permission is an action that a principal may take on an object.
type Permission struct {
	Object      string
	Capability  *gateway.Capability // nil for an area of administration
	Action      string
	Conditional bool   // whether conditions decide in each call
	Rule        string // that allows it: one without a condition, if there is one
	Line        int
	Path        []string // to the subject of the rule
}

// Effective returns what a principal may do with the capabilities of a snapshot
// and with the areas of administration, sorted by object. Of a template it says
// what may be done with the template itself, not with what it describes. It takes
// time in proportion to the capabilities and the principal's rules, and ends
// early with the context.
func (e *Enforcer) Effective(ctx context.Context, who *gateway.Principal, s *gateway.Snapshot) []Permission {
	if who == nil {
		return nil
	}
	c := e.current.Load()
	x, g := indexOf(s, c.sets), c.grantOf(who)
	has := subjects(who)
	paths := map[string][]string{}
	var out []Permission
	add := func(t *target, kind string) {
		v := g.decide(t)
		for _, word := range actionsOf(kind) {
			a := parseAction(word)
			if (v.may|v.maybe)&a == 0 {
				continue
			}
			r := g.allowing(a, t)
			if paths[r.fields[0]] == nil {
				paths[r.fields[0]] = c.policy.path(has, who.Tenant, r.fields[0], false)
			}
			out = append(out, Permission{
				Object: t.text, Capability: t.capability, Action: word, Conditional: v.may&a == 0,
				Rule: r.String(), Line: r.line, Path: paths[r.fields[0]],
			})
		}
	}
	for _, area := range slices.Sorted(slices.Values(Areas())) {
		add(&target{object: newObject(adminKind + "/" + area)}, adminKind)
	}
	for i := range x.entries {
		if ctx.Err() != nil {
			break
		}
		kind := x.entries[i].capability.Kind
		if kind == gateway.KindTemplate {
			kind = gateway.KindResource
		}
		add(&x.entries[i], kind.String())
	}
	return out
}

// allowing returns the first rule that allows an action on a target, one without
// a condition before those with one.
func (g *grant) allowing(a actions, t *target) *rule {
	var first *rule
	for _, r := range g.rules {
		if r.deny || !r.covers(a, t) {
			continue
		}
		if first == nil || (r.cond == nil) != (first.cond == nil) && r.cond == nil || (r.cond == nil) == (first.cond == nil) && r.line < first.line {
			first = r
		}
	}
	return first
}

// A Grantee is a subject that may take an action on an object.
type Grantee struct {
	Subject     string
	Tenant      string   // the only one in which it may; "" for all
	Conditional bool     // whether conditions decide in each call
	Rule        string   // that allows it
	Line        int      // where the policy has the rule
	Path        []string // from the subject over roles to that of the rule
}

// maxGrantees bounds the answer of WhoCan.
const maxGrantees = 1000

// WhoCan returns the subjects whose holders may take an action on an object, each
// by itself: those that rules name and those that lead to them. Rules that deny
// are taken into account, but for those that deny another subject that the same
// person has. More says that there are others.
func (e *Enforcer) WhoCan(ctx context.Context, obj, act string) (out []Grantee, more bool) {
	a := parseAction(act)
	if act == "*" || a == 0 {
		return nil, false
	}
	c, s := e.current.Load(), e.snapshot()
	w := whoCan{policy: c.policy, target: indexOf(s, c.sets).find(obj, s, c.sets), action: a, seen: map[[2]string]bool{}, above: map[string][][2]string{}}
	for subject, links := range c.policy.links {
		for _, l := range links {
			w.above[l.role] = append(w.above[l.role], [2]string{subject, l.domain})
		}
	}
	for _, above := range w.above {
		slices.SortFunc(above, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	}
	for _, r := range c.policy.inOrder() {
		if r.deny || !r.covers(a, w.target) {
			continue
		}
		w.visit(r, []string{r.fields[0]}, r.fields[1])
		if len(w.out) > maxGrantees || ctx.Err() != nil {
			return w.out[:min(len(w.out), maxGrantees)], true
		}
	}
	return w.out, false
}

type whoCan struct {
	policy *Policy
	target *target
	action actions
	above  map[string][][2]string // by role: the subjects that have it, with the domain
	seen   map[[2]string]bool
	out    []Grantee
}

// visit notes the subject at the end of a path that leads to a rule, and goes on
// to those that have it.
func (w *whoCan) visit(r *rule, path []string, domain string) {
	subject := path[len(path)-1]
	key := [2]string{subject, domain}
	if w.seen[key] || len(w.out) > maxGrantees {
		return
	}
	w.seen[key] = true
	tenant := strings.TrimPrefix(domain, "*")
	if v := w.policy.grantFor(subject, tenant).decide(w.target); (v.may|v.maybe)&w.action != 0 {
		way := slices.Clone(path)
		slices.Reverse(way)
		w.out = append(w.out, Grantee{Subject: subject, Tenant: tenant, Conditional: v.may&w.action == 0, Rule: r.String(), Line: r.line, Path: way})
	}
	for _, up := range w.above[subject] {
		switch {
		case up[1] == "*" || up[1] == domain:
			w.visit(r, append(slices.Clip(path), up[0]), domain)
		case domain == "*":
			w.visit(r, append(slices.Clip(path), up[0]), up[1])
		}
	}
}
