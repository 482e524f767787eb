package guard

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/trilith-gateway/trilith/gateway"
)

// An Effect is what the calls of a tool do to the world.
type Effect uint8

// The effects.
const (
	Unknown    Effect = iota // what the annotations say where they are trusted, else Changes
	ReadOnly                 // nothing: they can be repeated, made twice at once and answered from memory
	Idempotent               // once or many times is the same: they can be repeated
	Changes                  // they are made once at most
)

// effectOf returns what a call does. Reads, prompts and completions have no
// effects by the protocol's definition.
func (l *lane) effectOf(call *gateway.Call) Effect {
	switch {
	case call.Op == gateway.OpRead || call.Op == gateway.OpGet || call.Op == gateway.OpComplete:
		return ReadOnly
	case call.Op != gateway.OpCall || call.Tool == nil:
		return Changes
	case l.effect != Unknown:
		return l.effect
	case !l.source.o.Trusted:
		return Changes
	}
	yes := func(hint *bool) bool { return hint != nil && *hint }
	switch a := &call.Tool.Annotations; {
	case yes(a.ReadOnly):
		return ReadOnly
	case yes(a.Idempotent):
		return Idempotent
	}
	return Changes
}

// whole reports whether a call is all there is to it. A subscription and a task
// last as long as their caller wants, and a call that is resumed is half of one.
func whole(call *gateway.Call) bool {
	return !lasting(call) && call.Resume == nil && call.Rejoin == nil
}

// lasting reports whether a call takes as long as its caller wants.
func lasting(call *gateway.Call) bool { return call.Op == gateway.OpSubscribe || call.Task }

// errLate is the cause of contexts that ended because the gateway's own time
// limit for a call has passed, rather than its caller's.
var errLate = errors.New("the gateway's time limit for the call")

// An outcome is what a call says about its upstream.
type outcome uint8

const (
	neither outcome = iota // nothing: it was the caller's mistake or wish
	success
	failure
)

// outcomeOf returns what an attempt with that context says about its upstream.
// The upstream fails when it is away, late or broken. What a caller can bring
// about alone, by bad arguments, a short deadline, by leaving, or by not
// answering a question, says nothing.
func outcomeOf(ctx context.Context, err error) outcome {
	if err == nil {
		return success
	}
	if ctx.Err() != nil {
		if errors.Is(context.Cause(ctx), errLate) {
			return failure
		}
		return neither
	}
	e := gateway.AsError(err)
	switch {
	case !fromUpstream(e):
		return neither
	case e.Answered:
		return success
	}
	switch e.Code { //nolint:exhaustive // The others say that somebody is there and knows what to say.
	case gateway.Unavailable, gateway.DeadlineExceeded, gateway.Internal:
		return failure
	case gateway.Canceled:
		return neither
	}
	return success
}

// fromUpstream reports whether an error is the upstream's, rather than that of
// the caller's client, a door, or a guard further in. What comes without a code
// is By "gateway".
func fromUpstream(e *gateway.Error) bool {
	return e.By == "gateway" || strings.HasPrefix(e.By, "upstream/")
}

// asking returns the call with pause run before its caller is asked something
// and resume run when the caller is not asked anything any more.
func asking(call *gateway.Call, pause, resume func()) *gateway.Call {
	var mu sync.Mutex
	open := 0
	asks := *call
	asks.Ask = func(ctx context.Context, q gateway.Question) (json.RawMessage, error) {
		mu.Lock()
		if open++; open == 1 {
			pause()
		}
		mu.Unlock()
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			if open--; open == 0 {
				resume()
			}
		}()
		return call.Ask(ctx, q)
	}
	return &asks
}

// watched returns the call with a flag that is set once its caller has been
// shown or asked anything: from then on the call cannot begin anew unnoticed.
func watched(call *gateway.Call) (*gateway.Call, *atomic.Bool) {
	seen := new(atomic.Bool)
	if call.Progress == nil && call.Log == nil && call.Ask == nil && call.Began == nil {
		return call, seen
	}
	c := *call
	if call.Progress != nil {
		c.Progress = func(p gateway.Progress) { seen.Store(true); call.Progress(p) }
	}
	if call.Log != nil {
		c.Log = func(m gateway.LogMessage) { seen.Store(true); call.Log(m) }
	}
	if call.Ask != nil {
		c.Ask = func(ctx context.Context, q gateway.Question) (json.RawMessage, error) {
			seen.Store(true)
			return call.Ask(ctx, q)
		}
	}
	if call.Began != nil {
		c.Began = func(handle json.RawMessage) { seen.Store(true); call.Began(handle) }
	}
	return &c, seen
}
