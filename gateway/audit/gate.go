package audit

import (
	"context"
	"errors"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// Gate returns a gate that admits calls while the log can be written, and
// refuses them as Unavailable while it cannot: no record, no call. It should
// stand first. What it refuses is not recorded but counted; a record of type
// [TypeGap] gives the count when the log can be written again. Calls in
// [ModeAsync] are admitted in any case, as their records may be dropped.
func (l *Log) Gate() gateway.Gate { return gate{l} }

type gate struct{ log *Log }

func (g gate) Admit(_ context.Context, call *gateway.Call) error {
	f := g.log.failure.Load()
	if f == nil || g.log.o.Modes.of(call) == ModeAsync {
		return nil
	}
	return unavailable(f.error)
}

func unavailable(cause error) error {
	return &gateway.Error{Code: gateway.Unavailable, By: "audit", Msg: "the gateway cannot record calls now", Retry: time.Second, Err: cause}
}

// Intents returns the gate that stores, before a call in [ModeStrict] reaches
// its upstream, that it is about to: a record of type [TypeIntent] with the id
// that the call's own record will have. It should stand last, and refuses as
// Unavailable what it cannot store. Other calls pass.
func (l *Log) Intents() gateway.Gate { return intents{l} }

type intents struct{ log *Log }

func (g intents) Admit(ctx context.Context, call *gateway.Call) error {
	l := g.log
	if l.o.Modes.of(call) != ModeStrict {
		return nil
	}
	o, ok := ctx.Value(observationKey{}).(*observation)
	if !ok || o.log != l {
		return unavailable(errors.New("the call is not observed by the audit log"))
	}
	r := o.record()
	r.Type, r.Time = TypeIntent, l.o.Now()
	l.payload(&r, call, nil)
	switch err := l.store(ctx, l.entry(&r, awaitDurable)); {
	case errors.Is(err, errInterrupted):
		return context.Cause(ctx)
	case err != nil:
		return unavailable(err)
	}
	return nil
}
