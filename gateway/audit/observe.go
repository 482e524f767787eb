package audit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// An observation is a call that runs. It is the call's context, so that the
// call's identifier costs nothing until somebody asks for it.
type observation struct {
	context.Context
	log   *Log
	call  *gateway.Call
	start time.Time
	id    [16]byte
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
	return hex.EncodeToString(o.id[:])
}

// Observe begins the record of a call, and the function that it returns
// completes it. The caller of that function waits while the queue is full and,
// in [ModeWAL], until the record is durable or ctx ends.
//
// While the log cannot be written, calls that never reached an upstream are
// not recorded but counted; see [Log.Gate].
func (l *Log) Observe(ctx context.Context, call *gateway.Call) (context.Context, func(*gateway.Result, error)) {
	o := &observation{Context: ctx, log: l, call: call, start: l.o.Now()}
	rand.Read(o.id[:]) // It never fails.
	return o, o.end
}

func (o *observation) end(res *gateway.Result, err error) {
	l, call := o.log, o.call
	r := Record{
		Time: o.start, Type: TypeCall, Node: l.o.Node, ID: hex.EncodeToString(o.id[:]), Parent: CallID(o.Context),
		Via: call.Via, Op: call.Op.String(), Kind: call.Kind.String(), Name: call.Name, Object: call.Object,
		Code: "OK", DurationUS: l.o.Now().Sub(o.start).Microseconds(), BytesIn: int64(len(call.Args)),
	}
	if res != nil {
		r.ToolError, r.BytesOut = res.IsError, int64(len(res.Raw))
	}
	if e := gateway.AsError(err); e != nil {
		if l.failure.Load() != nil && !strings.HasPrefix(e.By, "upstream/") {
			l.refused.Add(1)
			return
		}
		r.Code, r.By, r.Cause = e.Code.String(), e.By, cause(e)
	}
	if p := call.Principal; p != nil {
		r.Principal = Principal{ID: p.ID, Name: p.Name, Roles: p.Roles, Tenant: p.Tenant}
	}
	if r.By == "" || r.By != call.Via { // Else the door refused what it could not make a call of: there are no arguments.
		l.arguments(&r, call.Args)
	}
	if l.o.Trace != nil {
		r.Trace = l.o.Trace(o.Context)
	}
	if err := l.send(o.Context, l.entry(&r), true); err != nil && !errors.Is(err, errInterrupted) {
		l.o.Logger.Error("call was not recorded", slog.String("id", r.ID), slog.Any("error", err))
	}
}

// cause returns what the operator should read of an error.
func cause(e *gateway.Error) string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return e.Msg
}

func (l *Log) arguments(r *Record, args json.RawMessage) {
	if len(args) == 0 {
		args = json.RawMessage(`{}`)
	}
	switch l.o.Arguments {
	case ArgumentsHMAC:
		r.ArgsHMAC = l.macs.sum(args)
	case ArgumentsPlain:
		r.Args = args
	case ArgumentsNone:
	}
}

// An Event is something other than a call that the log should hold: a refusal
// at a door, a start, a change of policy.
type Event struct {
	Type    string // 1 to 32 of a-z 0-9 . _ -, beginning with a letter; not "call" and not "log.…"
	Actor   string // who caused it: a principal's ID or an address; "" for the gateway itself
	Outcome string // "OK", or the name of a [gateway.Code]; the record's code
	Reason  string // why, for the operator; the record's cause
	Detail  string // more, for the operator; never a token
}

var eventType = regexp.MustCompile(`^[a-z][a-z0-9._-]{0,31}$`)

// Event records an event. It waits while the queue is full and, in [ModeWAL],
// until the record is durable, but not longer than ctx. It returns why the
// event was not recorded; an event that only ctx kept from waiting in ModeWAL
// will be.
func (l *Log) Event(ctx context.Context, e Event) error {
	if !eventType.MatchString(e.Type) || e.Type == TypeCall || strings.HasPrefix(e.Type, "log.") {
		return fmt.Errorf("audit log: %q is not the type of an event", e.Type)
	}
	if f := l.failure.Load(); f != nil {
		l.refused.Add(1)
		return f.error
	}
	return l.send(ctx, l.entry(&Record{
		Time: l.o.Now(), Type: e.Type, Node: l.o.Node,
		Actor: e.Actor, Code: e.Outcome, Cause: e.Reason, Detail: e.Detail,
	}), false)
}

// entry returns a record as an entry for the writer.
func (l *Log) entry(r *Record) *entry {
	e := l.entries.Get().(*entry) //nolint:forcetypeassert // the pool holds nothing else.
	e.tail = r.appendTail(e.tail[:0])
	e.wait = false
	return e
}

var errInterrupted = errors.New("the wait for the audit log was interrupted")

// send hands an entry to the writer, waiting for room in the queue, and in
// ModeWAL for the disk. It does not wait longer than ctx, but an entry that
// must be recorded waits for room in any case.
func (l *Log) send(ctx context.Context, e *entry, must bool) error {
	e.wait = l.o.Mode == ModeWAL
	wait := e.wait // The entry is the writer's from here on.
	if err := l.enqueue(ctx, e, must); err != nil || !wait {
		return err
	}
	select {
	case <-e.committed:
		l.entries.Put(e)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errInterrupted, context.Cause(ctx))
	case <-l.done:
	}
	select {
	case <-e.committed:
		return nil
	default:
		return ErrClosed
	}
}

func (l *Log) enqueue(ctx context.Context, e *entry, must bool) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return ErrClosed
	}
	select {
	case l.queue <- e:
		return nil
	default:
	}
	var interrupt <-chan struct{}
	if !must {
		interrupt = ctx.Done()
	}
	select {
	case l.queue <- e:
		return nil
	case <-interrupt:
		return fmt.Errorf("%w: %w", errInterrupted, context.Cause(ctx))
	}
}
