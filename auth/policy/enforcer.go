package policy

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// Options are the settings of an enforcer. The zero Options are valid.
type Options struct {
	Toolsets Toolsets                 // those that rules can name; nil for none
	Snapshot func() *gateway.Snapshot // what objects stand for in [Enforcer.Decide] and [Enforcer.Check]; nil for nothing
	Now      func() time.Time         // nil is time.Now
	Logger   *slog.Logger             // nil says nothing
}

// An Enforcer admits calls and filters lists by the policy that was set last.
// It is safe for concurrent use.
type Enforcer struct {
	setting  sync.Mutex // held by Set
	current  atomic.Pointer[compiled]
	snapshot func() *gateway.Snapshot
	now      func() time.Time
	logger   *slog.Logger
}

// NewEnforcer returns an enforcer that decides by p.
func NewEnforcer(p *Policy, o Options) *Enforcer {
	e := &Enforcer{snapshot: o.Snapshot, now: o.Now, logger: o.Logger}
	if e.logger == nil {
		e.logger = slog.New(slog.DiscardHandler)
	}
	if e.now == nil {
		e.now = time.Now
	}
	if e.snapshot == nil {
		e.snapshot = new(gateway.Registry).Snapshot
	}
	e.SetAll(p, o.Toolsets)
	return e
}

// Set replaces the policy in one step: every Admit and View that begins after
// Set returned decides by p. The caller then calls [gateway.Registry.Refresh],
// so that doors tell their callers that lists have changed.
func (e *Enforcer) Set(p *Policy) {
	e.setting.Lock()
	defer e.setting.Unlock()
	e.set(p, e.current.Load().sets)
}

// SetAll is [Enforcer.Set] for a policy with the toolsets that it speaks of.
func (e *Enforcer) SetAll(p *Policy, sets Toolsets) {
	e.setting.Lock()
	defer e.setting.Unlock()
	e.set(p, &sets)
}

func (e *Enforcer) set(p *Policy, sets *Toolsets) {
	e.current.Store(newCompiled(p, sets))
	e.logger.Debug("policy compiled", slog.String("version", p.Version()), slog.Int("rules", p.Rules()))
}

// Policy returns the policy that is in force.
func (e *Enforcer) Policy() *Policy { return e.current.Load().policy }

// Toolsets returns the toolsets that the policy in force speaks of.
func (e *Enforcer) Toolsets() Toolsets { return *e.current.Load().sets }

// Roles returns the names of all roles of a principal: those that it comes with,
// and those that the policy adds, sorted. Do not change the slice.
func (e *Enforcer) Roles(p *gateway.Principal) []string { return e.current.Load().rolesOf(p) }

// Admit lets a call pass that the policy allows. It refuses others as
// PermissionDenied where the principal may see the target, and in the words of
// [gateway.NotFoundError] where it may not. The cause names the rule. Of a call that
// passes, Rule is the one that allows it.
func (e *Enforcer) Admit(ctx context.Context, call *gateway.Call) error {
	if call.Principal == nil {
		return errNobody()
	}
	c := e.current.Load()
	call.Policy = c.policy.Version()
	g := c.grantOf(call.Principal)
	var v *verdict
	own := call.Target != nil && call.Target.Object == call.Object
	if own {
		if known, ok := g.known.Load(call.Target); ok {
			v = known.(*verdict) //nolint:forcetypeassert // known holds nothing else.
			if a := action(call.Op); v.may&a != 0 {
				call.Rule = v.allowedBy(a, mainOf(call.Target.Kind)).text()
				return nil
			}
		}
	}
	t := &target{object: newObject(call.Object), capability: call.Target, tool: call.Tool, sets: *c.sets}
	if t.capability == nil {
		t.capability = makeUp(call.Object)
	}
	switch {
	case v != nil:
	case own:
		v = g.of(call.Target, t)
	default:
		v = g.decide(t) // A resource that only a template describes.
	}
	q := question{
		grant: g, verdict: v, target: t,
		request: Request{Principal: call.Principal, Object: call.Object, Action: call.Op.String(), Args: call.Args, Via: call.Via},
	}
	if q.permits(ctx, e.now) {
		call.Rule = q.allowing().text()
		return nil
	}
	return q.refuse(call)
}

func errNobody() error {
	return &gateway.Error{Code: gateway.Unauthenticated, By: by, Msg: "authentication required"}
}

// by is how refusals name the package.
const by = "policy"

// View returns the part of a snapshot that the principal may list: what it may
// call, read or get, and what a condition may let it. It returns the same
// pointer for principals with the same rights, until the policy or the snapshot
// changes or the view has not been asked for in a long time.
func (e *Enforcer) View(p *gateway.Principal, s *gateway.Snapshot) *gateway.Snapshot {
	if p == nil {
		return s.Filter(func(*gateway.Capability) bool { return false })
	}
	c := e.current.Load()
	return c.view(c.grantOf(p), s)
}
