package policy

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// A Recorded is a call that was made once, as a log remembers it.
type Recorded struct {
	ID        string            // names it in the log
	Time      time.Time         // when it was made
	Principal gateway.Principal // who made it, with the groups, roles and tenant that it had then; issuer, kind and subject may be left to its id
	Object    string
	Action    string
	Via       string
	Allowed   bool            // what the policy of that time said
	ArgsKnown bool            // whether the log has the arguments
	Args      json.RawMessage // where it has; empty is {}
}

// An Outcome is what a policy says of a recorded call.
type Outcome string

// The outcomes.
const (
	Allowed     Outcome = "allowed"
	Denied      Outcome = "denied"
	Undecidable Outcome = "undecidable" // a condition decides, and needs arguments that the log does not have
)

func outcomeOf(allowed bool) Outcome {
	if allowed {
		return Allowed
	}
	return Denied
}

// An Impact is what a draft would have changed about recorded calls.
type Impact struct {
	Calls       int // that were looked at
	Changed     int // of which the outcome would be another
	Undecidable int // of which it might be
	Skipped     int // that are no use of an object by a principal, or whose action no rule has
	Changes     []Change
	Omitted     int // calls that changed or are undecidable and are in no Change, because there are too many of those
	From, To    time.Time
}

// A Change is the recorded calls of one principal that would have another
// outcome, of one action on one object.
type Change struct {
	Principal   string // its id
	Name        string // for people
	Tenant      string
	Object      string
	Action      string
	Before      Outcome // under the policy in force
	After       Outcome // under the draft
	BeforeRule  string  // the rule that decides; "" where none does, or where it cannot be said
	AfterRule   string
	Count       int
	First, Last time.Time
	Examples    []string // ids of some of the calls, at most 3
}

// The bounds of an impact.
const (
	maxChanges  = 1000
	maxExamples = 3
)

// Impact decides recorded calls by a draft and by the policy in force, with the
// registry and the toolsets as they are now but at the time of the call, and
// returns what differs, the most frequent first. Where arguments that the log
// does not have matter to a condition, the policy in force is taken to decide as
// it was recorded, and the draft is not guessed at: such calls are undecidable,
// unless both have the same rules about them.
//
// It fails with the first error of the sequence, and with that of the context; the
// impact of what was read till then comes with it.
func (e *Enforcer) Impact(ctx context.Context, draft *Policy, calls iter.Seq2[Recorded, error]) (Impact, error) {
	c := e.current.Load()
	s := e.snapshot()
	r := replay{
		ctx: ctx, before: c, after: newCompiled(draft, c.sets), index: indexOf(s, c.sets), snapshot: s,
		changes: map[changeKey]*Change{},
	}
	var failed error
	for call, err := range calls {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			failed = err
			break
		}
		r.call(&call)
	}
	for _, change := range r.changes {
		r.out.Changes = append(r.out.Changes, *change)
	}
	slices.SortFunc(r.out.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Principal, b.Principal), strings.Compare(a.Object, b.Object),
			strings.Compare(a.Action, b.Action), strings.Compare(string(a.After), string(b.After)), strings.Compare(string(a.Before), string(b.Before)))
	})
	return r.out, failed
}

// A replay is one Impact in the making.
type replay struct {
	ctx           context.Context //nolint:containedctx // it lasts as long as Impact.
	before, after *compiled
	index         *index
	snapshot      *gateway.Snapshot
	changes       map[changeKey]*Change
	out           Impact
}

type changeKey struct {
	principal, object, action string
	before, after             Outcome
}

func (r *replay) call(call *Recorded) {
	a := parseAction(call.Action)
	if a == 0 || call.Action == "*" || call.Principal.ID == "" || call.Object == "" {
		r.out.Skipped++
		return
	}
	if call.Principal.Kind == "" {
		Identify(&call.Principal)
	}
	r.out.Calls++
	if r.out.From.IsZero() || call.Time.Before(r.out.From) {
		r.out.From = call.Time
	}
	if call.Time.After(r.out.To) {
		r.out.To = call.Time
	}
	t := r.index.find(call.Object, r.snapshot, r.before.sets)
	was, is := r.question(r.before, call, t), r.question(r.after, call, t)
	if was.same(is, a) {
		return
	}
	before, after := was.replay(r.ctx, a, call.ArgsKnown), is.replay(r.ctx, a, call.ArgsKnown)
	if before == Undecidable {
		before = outcomeOf(call.Allowed)
	}
	if after == before {
		return
	}
	if after == Undecidable {
		r.out.Undecidable++
	} else {
		r.out.Changed++
	}
	r.note(call, was, is, before, after)
}

// Identify takes the issuer, kind and subject of a principal from its id, and
// reports whether the id is one.
func Identify(p *gateway.Principal) bool {
	at := -1
	for _, kind := range []string{"user", "client", "anonymous"} {
		if i := strings.Index(p.ID, "|"+kind+"|"); i >= 0 && (at < 0 || i < at) {
			at = i
			p.Kind, p.Issuer, p.Subject = kind, p.ID[:i], p.ID[i+len(kind)+2:]
		}
	}
	return at >= 0
}

func (r *replay) question(c *compiled, call *Recorded, t *target) *question {
	g := c.grantOf(&call.Principal)
	return &question{grant: g, verdict: g.decide(t), target: t, request: Request{
		Principal: &call.Principal, Object: call.Object, Action: call.Action, Args: call.Args, Via: call.Via, Time: call.Time,
	}}
}

// note adds a call to the change that it belongs to.
func (r *replay) note(call *Recorded, was, is *question, before, after Outcome) {
	key := changeKey{call.Principal.ID + "\x00" + call.Principal.Tenant, call.Object, call.Action, before, after}
	c := r.changes[key]
	if c == nil {
		if len(r.changes) == maxChanges {
			r.out.Omitted++
			return
		}
		c = &Change{
			Principal: call.Principal.ID, Name: call.Principal.Name, Tenant: call.Principal.Tenant, Object: call.Object, Action: call.Action,
			Before: before, After: after, BeforeRule: was.rule(before), AfterRule: is.rule(after), First: call.Time,
		}
		r.changes[key] = c
	}
	c.Count++
	if call.Time.Before(c.First) {
		c.First = call.Time
	}
	if call.Time.After(c.Last) {
		c.Last = call.Time
	}
	if len(c.Examples) < maxExamples {
		c.Examples = append(c.Examples, call.ID)
	}
}

// rule returns the rule that decides, as far as that can be said.
func (q *question) rule(o Outcome) string {
	if o == Undecidable {
		return ""
	}
	if r, _ := q.deciding(o == Allowed); r != nil {
		return r.String()
	}
	return ""
}

// same reports whether two policies have the same to say, conditions included.
func (q *question) same(o *question, a actions) bool {
	v, w := q.verdict, o.verdict
	if v.may&a != w.may&a || v.maybe&a != w.maybe&a {
		return false
	}
	if v.maybe&a == 0 || a == actList {
		return true
	}
	return v.allow&a == w.allow&a && slices.Equal(v.conditions(a), w.conditions(a))
}

// conditions returns what decides about an action, in no matter what order the
// policy has it.
func (v *verdict) conditions(a actions) []string {
	var out []string
	for _, r := range v.rules {
		if r.actions&a == 0 {
			continue
		}
		effect := "allow "
		if r.deny {
			effect = "deny "
		}
		out = append(out, effect+r.cond.text)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// replay decides a recorded call.
func (q *question) replay(ctx context.Context, a actions, argsKnown bool) Outcome {
	v := q.verdict
	if a == actList {
		return outcomeOf(v.lists())
	}
	if v.maybe&a == 0 {
		return outcomeOf(v.may&a != 0)
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	q.scene = &scene{ctx: ctx, request: &q.request, target: q.target}
	var unknown struct{ allow, deny bool }
	allowed := v.allow&a != 0
	for _, r := range v.rules {
		switch {
		case r.actions&a == 0:
		case r.cond.args && !argsKnown && r.deny:
			unknown.deny = true
		case r.cond.args && !argsKnown:
			unknown.allow = true
		case r.deny:
			if q.scene.holds(r.cond, true) {
				return Denied
			}
		default:
			allowed = allowed || q.scene.holds(r.cond, false)
		}
	}
	return withUnknown(allowed, unknown.allow, unknown.deny)
}

// withUnknown returns the outcome where rules that allow or deny may apply or not.
func withUnknown(allowed, allow, deny bool) Outcome {
	switch {
	case !allowed && !allow:
		return Denied
	case deny || !allowed:
		return Undecidable
	}
	return Allowed
}
