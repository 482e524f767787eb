package guard

import (
	"context"

	"github.com/trilith-gateway/trilith/gateway"
)

// Fallback says what answers the calls of some tools when their source fails or
// is away: one of the two.
type Fallback struct {
	// Tool is the registry's name of another tool, which is called with the same
	// arguments on behalf of the same caller: a call of its own, with a decision and
	// an audit record of its own. Where a call may have changed something before it
	// failed, it is only made where the first never reached its source.
	Tool string

	// Text is an answer that is always the same.
	Text string
}

func (l *lane) withFallback(up gateway.Upstream) gateway.Upstream {
	if l.fallback == (Fallback{}) {
		return up
	}
	return falling{up, l, false}
}

// falling is the decorator.
type falling struct {
	up   gateway.Upstream
	lane *lane
	away bool // calls do not reach the source
}

// fallenKey marks the context of a call that is a fallback itself, from which
// there is no other.
type fallenKey struct{}

func (d falling) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	res, err := d.up.Do(ctx, call)
	if err == nil || call.Op != gateway.OpCall || !whole(call) || ctx.Err() != nil || !bad(err) {
		return res, err
	}
	if d.lane.fallback.Tool == "" {
		d.lane.source.count.fallbacks.Add(1)
		res = gateway.TextResult(d.lane.fallback.Text)
		res.Served = gateway.ServedFallback
		return res, nil
	}
	if !d.again(call, err) || ctx.Value(fallenKey{}) != nil {
		return nil, err
	}
	other, problem := d.lane.source.o.Road(context.WithValue(ctx, fallenKey{}, true), &gateway.Call{
		Op: gateway.OpCall, Name: d.lane.fallback.Tool, Args: call.Args, Meta: call.Meta, Principal: call.Principal, Via: call.Via,
		Progress: call.Progress, Log: call.Log, Detach: call.Detach, Ask: call.Ask,
	})
	if problem != nil { // It has a record of its own; what the caller asked for failed for another reason.
		return nil, err
	}
	d.lane.source.count.fallbacks.Add(1)
	served := *other
	served.Served = gateway.ServedFallback
	return &served, nil
}

// again reports whether something like the call may be done although the call
// was made.
func (d falling) again(call *gateway.Call, err error) bool {
	return d.away || d.lane.effectOf(call) != Changes || gateway.AsError(err).By == by
}

// bad reports whether an error is one that an answer from elsewhere can stand
// for: the source failed, or a guard refused the call.
func bad(err error) bool {
	e := gateway.AsError(err)
	switch e.Code { //nolint:exhaustive // The others are answers.
	case gateway.Unavailable, gateway.DeadlineExceeded, gateway.Internal:
		return fromUpstream(e) || e.By == by
	case gateway.ResourceExhausted:
		return e.By == by || e.Retry > 0
	}
	return false
}
