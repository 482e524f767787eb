// Package gateway is the heart of Trilith: the nouns, the registry that holds
// them, and the one road that every call takes.
//
//	door ──▶ Gateway.Do ──▶ observers ──▶ resolve ──▶ gates ──▶ upstream
//	(MCP, GraphQL,          audit,        registry    policy,    (MCP server,
//	 gRPC, REST)            metrics                   limits,     Go functions, …)
//	                                                  arguments
//
// Everything in the module imports this package; it imports none of the module
// but schema. It knows no wire format besides the JSON form of definitions and
// results, no token, and no configuration.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
)

// An Upstream answers calls. A decorator, such as a circuit breaker, is an
// Upstream that holds another.
//
// Do is called by many goroutines at once, only with calls that every gate has
// admitted and whose Target is set, and must return soon after the context
// ends. It must not keep the call's byte slices after it returned. A failure is
// an [*Error] where the upstream knows its [Code]; any other error is shown to
// the caller as Internal, without its text.
type Upstream interface {
	Do(context.Context, *Call) (*Result, error)
}

// A Gate admits a call by returning nil, or refuses it with an [*Error]. It
// sees the resolved call before the upstream does and never sees the result.
type Gate interface {
	Admit(context.Context, *Call) error
}

// An Observer sees every call, admitted or refused. Observe runs before
// anything else; the function that it returns runs last, with the outcome: a
// result or an [*Error], never both.
type Observer interface {
	Observe(context.Context, *Call) (context.Context, func(*Result, error))
}

// A Viewer is a [Gate] that can say in advance what it would admit: it returns
// the part of a snapshot that the principal may use. It returns the same
// pointer for as long as nothing changes, so that what doors derive from a
// view can be kept with [Snapshot.Memo].
//
// A viewer decides by what holds now and changes nothing by being asked, so
// that [Gateway.Recheck] may ask it again about a call that it has admitted. A
// gate that counts, such as a rate limiter, is not a viewer.
type Viewer interface {
	View(*Principal, *Snapshot) *Snapshot
}

// A Listing says that a principal is about to be told what there is.
type Listing struct {
	Principal *Principal // who asks; nil where the door lets anybody look
	Via       string     // the door, as [Call.Via]
	Kind      Kind       // of what is listed; 0 for several kinds at once, as in a schema
	Count     int        // how many entries the answer has
	Refused   *Error     // why it is not told: a gate behind this one has refused; nil where all admit it
}

// A ListGate is a [Gate] that sees lists too. It admits one by returning nil,
// or refuses it with an [*Error]. The gates are asked from the last to the first,
// all of them, so that one that records sees what the others refuse.
type ListGate interface {
	AdmitList(context.Context, Listing) error
}

// maxObservers bounds the observers of a gateway, so that Do needs no
// allocation for them.
const maxObservers = 8

// A Gateway joins a registry to the observers and gates that stand before it.
// It is safe for concurrent use.
type Gateway struct {
	registry  *Registry
	observers []Observer
	gates     []Gate
	viewers   []Viewer
	lists     []ListGate
	running   spread[runningCall]
	rechecks  atomic.Uint64
}

// New returns a gateway over a registry. Observers are listed outermost first;
// gates are asked in order, and the first refusal ends the call.
func New(r *Registry, observers []Observer, gates []Gate) (*Gateway, error) {
	if len(observers) > maxObservers {
		return nil, fmt.Errorf("%d observers, at most %d", len(observers), maxObservers)
	}
	g := &Gateway{registry: r, observers: slices.Clone(observers), gates: slices.Clone(gates)}
	for _, gate := range g.gates {
		if v, ok := gate.(Viewer); ok {
			g.viewers = append(g.viewers, v)
		}
		if l, ok := gate.(ListGate); ok {
			g.lists = append(g.lists, l)
		}
	}
	return g, nil
}

// Do carries one call from a door to its upstream and back. Every door calls
// Do, and nothing else reaches an upstream. The error is nil or an [*Error].
func (g *Gateway) Do(ctx context.Context, call *Call) (res *Result, err error) {
	var ends [maxObservers]func(*Result, error)
	for i, o := range g.observers {
		ctx, ends[i] = o.Observe(ctx, call)
	}
	defer func() {
		if p := recover(); p != nil {
			res, err = nil, &Error{Code: Internal, By: "gateway", Msg: "internal error", Err: fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
		}
		if err != nil {
			res, err = nil, errorOf(ctx, err)
		}
		for _, end := range slices.Backward(ends[:len(g.observers)]) {
			end(res, err)
		}
	}()

	if call.Principal == nil {
		return nil, &Error{Code: Unauthenticated, By: "gateway", Msg: "authentication required"}
	}
	up, err := g.resolve(call)
	if err != nil {
		return nil, err
	}
	rechecks, caller := g.rechecks.Load(), ctx
	for _, gate := range g.gates {
		if err := gate.Admit(ctx, call); err != nil {
			return nil, err
		}
	}
	if len(g.viewers) > 0 {
		var entry *entry[runningCall]
		ctx, entry = g.enter(ctx, call)
		defer leave(entry)
		if g.rechecks.Load() != rechecks { // Rights changed before the call could be found.
			if err := g.refusal(ctx, call); err != nil {
				return nil, err
			}
		}
	}
	if res, err = up.Do(ctx, call); err == nil && res == nil {
		err = errors.New("upstream returned neither a result nor an error")
	}
	return res, endOf(ctx, caller, err)
}

// endOf returns why Recheck has ended the context of a call whose caller has
// not, where the upstream took that for the end of its work; otherwise err.
func endOf(ctx, caller context.Context, err error) error {
	if err == nil && ctx.Err() != nil && caller.Err() == nil {
		return context.Cause(ctx)
	}
	return err
}

// errorOf is AsError for a call with that context: where the call was cancelled
// for a reason that is an [*Error], as [context.Cause] has it, it is that one.
func errorOf(ctx context.Context, err error) *Error {
	e := AsError(err)
	if e.Code != Canceled {
		return e
	}
	if why, ok := errors.AsType[*Error](context.Cause(ctx)); ok {
		cut := *why
		cut.Err = err
		return &cut
	}
	return e
}

// resolve finds the call's target and its upstream. Where the templates of
// several sources match a URI, one that the principal sees comes first: what is
// listed can be read.
func (g *Gateway) resolve(call *Call) (Upstream, error) {
	s := g.registry.Snapshot()
	up, err := s.resolve(call)
	if err != nil || call.Target.Kind != KindTemplate || call.Op == OpComplete || len(s.Templates) < 2 {
		return up, err
	}
	if t := g.View(call.Principal).templateOf(call.Name); t != nil && s.upstreams[t.Source] != nil {
		call.target(&t.Capability)
		up = s.upstreams[t.Source]
	}
	return up, nil
}

// Refuse is for a door that cannot make a call of a request: observers see it
// as they see any refusal, with as much of the call as is known. It returns err
// as Do would.
func (g *Gateway) Refuse(ctx context.Context, call *Call, err error) *Error {
	refusal := AsError(err)
	var ends [maxObservers]func(*Result, error)
	for i, o := range g.observers {
		ctx, ends[i] = o.Observe(ctx, call)
	}
	for _, end := range slices.Backward(ends[:len(g.observers)]) {
		end(nil, refusal)
	}
	return refusal
}

// View returns what a principal may see now: a snapshot that holds only what
// every gate that is a [Viewer] would admit. It is empty for a nil principal.
//
// To follow changes, take [Gateway.Changed] first, then View, then wait.
func (g *Gateway) View(p *Principal) *Snapshot {
	if p == nil {
		return emptySnapshot
	}
	view := g.registry.Snapshot()
	for _, v := range g.viewers {
		view = v.View(p, view)
	}
	return view
}

// Whole returns all capabilities, whoever may see them: for doors that give
// names, which must hold for every caller. What is listed to anybody comes from
// [Gateway.View].
func (g *Gateway) Whole() *Snapshot { return g.registry.Snapshot() }

// Listed is called by a door for each list that it is about to answer with a
// part of a view, once for each request. The door answers with the error, an
// [*Error], where there is one.
func (g *Gateway) Listed(ctx context.Context, list Listing) error {
	for _, l := range slices.Backward(g.lists) {
		if err := l.AdmitList(ctx, list); err != nil {
			list.Refused = errorOf(ctx, err)
		}
	}
	if list.Refused != nil {
		return list.Refused
	}
	return nil
}

// Changed returns a channel that is closed when any principal's view may
// differ: the registry changed, or [Registry.Refresh] was called.
func (g *Gateway) Changed() <-chan struct{} { return g.registry.Changed() }
