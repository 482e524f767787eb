package audit

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// An observation is a call that runs. It is the call's context.
type observation struct {
	context.Context
	log   *Log
	call  *gateway.Call
	start time.Time
	id    string
}

type observationKey struct{}

// Value returns the observation itself under its own key.
func (o *observation) Value(key any) any {
	if key == (observationKey{}) {
		return o
	}
	return o.Context.Value(key)
}

// CallID returns the identifier that the call's record will have, or "" where
// ctx is not that of a call that a [Log] observes.
func CallID(ctx context.Context) string {
	o, ok := ctx.Value(observationKey{}).(*observation)
	if !ok {
		return ""
	}
	return o.id
}

// Observe begins the record of a call, and the function that it returns
// completes it. It gives the call its ID. In [ModeWAL] and [ModeStrict] the caller of that function waits
// until the record is written or ctx ends.
//
// While the log cannot be written, calls that never reached an upstream are
// not recorded but counted; see [Log.Gate].
func (l *Log) Observe(ctx context.Context, call *gateway.Call) (context.Context, func(*gateway.Result, error)) {
	call.ID = newID()
	o := &observation{Context: ctx, log: l, call: call, start: l.o.Now(), id: call.ID}
	return o, o.end
}

// newID returns 32 random hex digits. They tell calls apart and give no access, so
// that the generator of the runtime will do.
func newID() string {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], rand.Uint64()) //nolint:gosec // As the comment says.
	binary.BigEndian.PutUint64(id[8:], rand.Uint64()) //nolint:gosec // As the comment says.
	return hex.EncodeToString(id[:])
}

// record returns what is known of the call before its outcome is.
func (o *observation) record() Record {
	l, call := o.log, o.call
	r := Record{
		Time: o.start, Type: TypeCall, Node: l.o.Node, ID: o.id, Parent: CallID(o.Context),
		Via: call.Via, Op: call.Op.String(), Kind: call.Kind.String(), Name: call.Name, Object: call.Object,
		Principal: principal(call.Principal), Policy: call.Policy, Rule: call.Rule, BytesIn: int64(len(call.Args)),
	}
	if l.o.Trace != nil {
		r.Trace = l.o.Trace(o.Context)
	}
	return r
}

func (o *observation) end(res *gateway.Result, err error) {
	l, call := o.log, o.call
	mode := l.o.Modes.of(call)
	if mode == ModeAsync && l.crowded() {
		return
	}
	e := gateway.AsError(err)
	if e != nil && mode != ModeAsync && l.failure.Load() != nil && !strings.HasPrefix(e.By, "upstream/") {
		l.refused.Add(1)
		return
	}
	r := o.record()
	r.DurationUS = l.o.Now().Sub(o.start).Microseconds()
	r.outcome(res, e)
	if r.By == "" || r.By != call.Via { // Else the door refused what it could not make a call of: there are no arguments.
		l.payload(&r, call, res)
	}
	if mode == ModeAsync {
		l.offer(l.entry(&r, awaitNothing))
		return
	}
	wait := awaitWritten
	if administers(call) { // Also where that is refused, and so has no intent.
		wait = awaitDurable
	}
	if err := l.write(o.Context, l.entry(&r, wait), true); err != nil && !errors.Is(err, errInterrupted) {
		l.o.Logger.Error("call was not recorded", slog.String("id", r.ID), slog.Any("error", err))
	}
}

// outcome notes how a call ended.
func (r *Record) outcome(res *gateway.Result, e *gateway.Error) {
	r.Code = "OK"
	if res != nil {
		r.ToolError, r.BytesOut, r.Served = res.IsError, int64(res.Size()), res.Served
		r.Endpoint, r.Mirrored = res.Endpoint, res.Mirrored
	}
	if e != nil {
		r.Code, r.By, r.Cause = e.Code.String(), e.By, cause(e)
		if d, ok := errors.AsType[ruled](e.Err); ok {
			r.Rule = d.Rule()
		}
	}
}

// ruled is the cause of a refusal that knows the rule of the policy behind it.
type ruled interface {
	error
	Rule() string
}

// cause returns what the operator should read of an error.
func cause(e *gateway.Error) string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return e.Msg
}
