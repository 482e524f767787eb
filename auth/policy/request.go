package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// A Request asks whether a principal may take an action on an object.
type Request struct {
	Principal *gateway.Principal
	Object    string          // tool/<source>/<name>, resource/<source>/<uri>, prompt/<source>/<name> or admin/<area>
	Action    string          // call, read, get, complete, subscribe, list or admin
	Args      json.RawMessage // for conditions; empty is {}
	Via       string          // for conditions: the door
	Time      time.Time       // for conditions; zero is now
}

// A Decision says whether a principal may do something, and why.
type Decision struct {
	Allowed bool
	Rule    string // the rule that decided; "" where none did, so that it is denied
	Line    int    // where the policy has the rule; 0 without one
	Reason  string // for the operator, in words
}

// Decide asks Casbin whether a principal may do something. It takes time in
// proportion to the policy (a millisecond for a thousand rules) and is meant for
// explanations; calls are decided by [Enforcer.Admit], and other requests by
// [Enforcer.Check]. For the action list a condition may be true.
func (e *Enforcer) Decide(ctx context.Context, r Request) Decision {
	c, s := e.current.Load(), e.snapshot()
	if r.Time.IsZero() {
		r.Time = e.now()
	}
	return c.policy.decide(ctx, r, indexOf(s, c.sets).find(r.Object, s, c.sets))
}

// Check returns nil where the policy allows a request that is not a call, such
// as that of an administrator, and otherwise an [*gateway.Error] with the code
// PermissionDenied and a cause that names the rule.
func (e *Enforcer) Check(ctx context.Context, r Request) error {
	if r.Principal == nil {
		return errNobody()
	}
	c, s := e.current.Load(), e.snapshot()
	g, t := c.grantOf(r.Principal), indexOf(s, c.sets).find(r.Object, s, c.sets)
	q := question{grant: g, verdict: g.decide(t), target: t, request: r}
	if q.permits(ctx, e.now) {
		return nil
	}
	return &gateway.Error{Code: gateway.PermissionDenied, By: by, Msg: "the policy does not let you " + r.Action + " " + r.Object, Err: q.denial()}
}

// A question is a request with what the grant of its principal says.
type question struct {
	grant   *grant
	verdict *verdict
	target  *target
	request Request
	scene   *scene // nil where no condition was asked
}

// permits decides the question.
func (q *question) permits(ctx context.Context, now func() time.Time) bool {
	a := parseAction(q.request.Action)
	if q.request.Action == "*" {
		return false
	}
	if a == actList {
		return q.verdict.lists()
	}
	if q.verdict.may&a != 0 || q.verdict.maybe&a == 0 {
		return q.verdict.may&a != 0
	}
	if q.request.Time.IsZero() {
		q.request.Time = now()
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	q.scene = &scene{ctx: ctx, request: &q.request, target: q.target}
	return q.verdict.holds(a, q.scene)
}

// allowing returns the rule that let the action be taken, once permits has said
// that it may be, or nil where only a list asks for it.
func (q *question) allowing() *rule {
	a := parseAction(q.request.Action)
	if r := q.verdict.allowedBy(a, mainOp(q.target.text)); r != nil {
		return r
	}
	for _, r := range q.verdict.rules {
		if !r.deny && r.actions&a != 0 && q.applied(r) {
			return r
		}
	}
	return nil
}

// refuse returns the refusal of a call.
func (q *question) refuse(call *gateway.Call) error {
	switch {
	case call.Op == gateway.OpAdmin || call.Op == gateway.OpInspect: // Everybody knows that there is administration.
		return &gateway.Error{
			Code: gateway.PermissionDenied, By: by,
			Msg: "the policy does not let you " + call.Op.String() + " " + call.Object, Err: q.denial(),
		}
	case !q.verdict.lists():
		return gateway.NotFoundError(call, by, q.denial())
	}
	return &gateway.Error{
		Code: gateway.PermissionDenied, By: by,
		Msg: "the policy does not let you " + call.Op.String() + " this " + call.Kind.String(), Err: q.denial(),
	}
}

func (q *question) denial() error { return denial{q} }

// A denial is the cause of a refusal. Its text is made only when it is read.
type denial struct{ question *question }

// Error returns the reason, with the rule that denied it if one did.
func (d denial) Error() string { return d.question.decision(false).Reason }

// Rule returns the rule that denied it, for the audit record, or "" where none
// did.
func (d denial) Rule() string { return d.question.decision(false).Rule }

// decision says why the question was decided so: by the first rule that did.
func (q *question) decision(allowed bool) Decision {
	first, unmet := q.deciding(allowed)
	d := q.grant.policy.decision(allowed, first, q.target.text, q.request.Action)
	if allowed || first != nil && first.cond == nil {
		return d
	}
	if first == nil && len(unmet) > 0 {
		d.Reason += "; " + q.unmet(unmet)
	}
	if q.scene != nil {
		for _, o := range q.scene.decided {
			if o.err != nil {
				d.Reason += fmt.Sprintf("; %s could not be evaluated: %v", quote(o.condition.text), o.err)
			}
		}
	}
	return d
}

// deciding returns the first rule that decided, nil where none did, and those
// that would have allowed it under their condition.
func (q *question) deciding(allowed bool) (first *rule, unmet []*rule) {
	a := parseAction(q.request.Action)
	for _, r := range q.grant.rules {
		switch {
		case !r.covers(a, q.target):
		case r.deny != allowed && q.applied(r):
			if first == nil || r.line < first.line {
				first = r
			}
		case !r.deny && r.cond != nil:
			unmet = append(unmet, r)
		}
	}
	return first, unmet
}

// applied reports whether a rule that is about the question applied.
func (q *question) applied(r *rule) bool {
	if r.cond == nil {
		return true
	}
	if q.scene == nil {
		return !r.deny && q.request.Action == "list"
	}
	i := slices.IndexFunc(q.scene.decided, func(o outcome) bool { return o.condition == r.cond })
	return i >= 0 && (q.scene.decided[i].holds || q.scene.decided[i].err != nil && r.deny)
}

// unmet names the rules whose condition does not hold.
func (q *question) unmet(rules []*rule) string {
	const most = 5
	var lines []string
	for _, r := range rules[:min(len(rules), most)] {
		lines = append(lines, fmt.Sprintf("%s:%d", q.grant.policy.name, r.line))
	}
	return "the condition of " + strings.Join(lines, ", ") + " does not hold"
}

// covers reports whether the rule is about the action on the target.
func (r *rule) covers(a actions, t *target) bool {
	return r.actions.implied(mainOp(t.text))&a != 0 && r.matches(t)
}

// decide asks Casbin about the target of a request.
func (p *Policy) decide(ctx context.Context, q Request, t *target) Decision {
	if q.Principal == nil {
		return Decision{Reason: "there is no principal"}
	}
	if q.Action == "*" || parseAction(q.Action) == 0 {
		return Decision{Reason: quote(q.Action) + " is not an action"}
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	env := &scene{ctx: ctx, request: &q, target: t}
	allowed, fields, err := p.casbin.EnforceEx(subjects(q.Principal), q.Principal.Tenant, t, q.Action, env)
	if err != nil {
		return Decision{Reason: "Casbin: " + err.Error()}
	}
	r := p.byText[strings.Join(fields, "\x00")]
	return p.decision(allowed, r, t.text, q.Action)
}

func (p *Policy) decision(allowed bool, r *rule, obj, act string) Decision {
	if r == nil {
		return Decision{Reason: fmt.Sprintf("no rule of %s %s allows %s on %s", p.name, p.version, act, obj)}
	}
	verb := "denied"
	if allowed {
		verb = "allowed"
	}
	return Decision{Allowed: allowed, Rule: r.String(), Line: r.line, Reason: fmt.Sprintf("%s by %s:%d: %s", verb, p.name, r.line, r)}
}
