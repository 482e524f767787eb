package policy

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/trilith-gateway/trilith/gateway"
)

// Options are the settings of an enforcer. The zero Options are valid.
type Options struct {
	Logger *slog.Logger // nil says nothing
}

// An Enforcer admits calls and filters lists by the policy that was set last.
// It is safe for concurrent use.
type Enforcer struct {
	current atomic.Pointer[compiled]
	logger  *slog.Logger
}

// NewEnforcer returns an enforcer that decides by p.
func NewEnforcer(p *Policy, o Options) *Enforcer {
	e := &Enforcer{logger: o.Logger}
	if e.logger == nil {
		e.logger = slog.New(slog.DiscardHandler)
	}
	e.Set(p)
	return e
}

// Set replaces the policy in one step: every Admit and View that begins after
// Set returned decides by p. The caller then calls [gateway.Registry.Refresh],
// so that doors tell their callers that lists have changed.
func (e *Enforcer) Set(p *Policy) {
	e.current.Store(newCompiled(p))
	e.logger.Debug("policy compiled", slog.String("version", p.Version()), slog.Int("rules", p.Rules()))
}

// Policy returns the policy that is in force.
func (e *Enforcer) Policy() *Policy { return e.current.Load().policy }

// Admit lets a call pass that the policy allows. It refuses others as
// PermissionDenied where the principal may see the target, and in the words of
// [gateway.NotFoundError] where it may not. The cause names the rule.
func (e *Enforcer) Admit(_ context.Context, call *gateway.Call) error {
	if call.Principal == nil {
		return &gateway.Error{Code: gateway.Unauthenticated, By: by, Msg: "authentication required"}
	}
	g := e.current.Load().grantOf(call.Principal)
	var may actions
	if t := call.Target; t != nil && t.Object == call.Object {
		may = g.of(t)
	} else {
		may = g.decide(call.Object) // A resource that only a template describes.
	}
	if may&action(call.Op) != 0 {
		return nil
	}
	return g.refuse(call, may)
}

// by is how refusals name the package.
const by = "policy"

// View returns the part of a snapshot whose capabilities the principal may
// call, read or get. It returns the same pointer for principals with the same
// rights, until the policy or the snapshot changes or the view has not been
// asked for in a long time.
func (e *Enforcer) View(p *gateway.Principal, s *gateway.Snapshot) *gateway.Snapshot {
	if p == nil {
		return s.Filter(func(*gateway.Capability) bool { return false })
	}
	c := e.current.Load()
	return c.view(c.grantOf(p), s)
}

// refuse returns the refusal of a call by a principal that may do no more than
// may says.
func (g *grant) refuse(call *gateway.Call, may actions) error {
	cause := &denial{grant: g, object: call.Object, op: call.Op}
	if may&action(mainOp(call.Object)) == 0 {
		return gateway.NotFoundError(call, by, cause)
	}
	return &gateway.Error{
		Code: gateway.PermissionDenied, By: by,
		Msg: "the policy does not let you " + call.Op.String() + " this " + call.Kind.String(), Err: cause,
	}
}

// A denial is the cause of a refusal. Its text is made only when it is read.
type denial struct {
	grant  *grant
	object string
	op     gateway.Op
}

// Error returns the reason, with the rule that denied the call if one did.
func (d *denial) Error() string {
	r := d.grant.denying(d.object, action(d.op))
	return d.grant.policy.decision(false, r, d.object, d.op.String()).Reason
}
