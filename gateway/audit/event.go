package audit

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/trilith-gateway/trilith/gateway"
)

// EventDoor is the type of a refusal at a door, before there is a call. It is
// the one event that is not strict: anybody can cause as many as they like.
const EventDoor = "door"

// An Event is something other than a call that the log should hold: a refusal
// at a door, a login, a change of policy, an action of an administrator.
type Event struct {
	Type      string             // 1 to 32 of a-z 0-9 . _ -, beginning with a letter; not "call", "intent" or "list" and not "log.…"
	Actor     string             // who caused it: a principal's ID or an address; "" for the gateway itself, or for Principal's ID
	Principal *gateway.Principal // who caused it, where that is known
	Via       string             // the door that it came through; "" for none
	Object    string             // what it is about, such as "key/7f3a"; "" for nothing in particular
	Outcome   string             // "OK", or the name of a [gateway.Code]; the record's code
	Policy    string             // the version of the policy that decided, or that is now in force
	Rule      string             // the rule that decided
	Reason    string             // why, for the operator; the record's cause
	Detail    string             // more, for the operator; never a token
}

var eventType = regexp.MustCompile(`^[a-z][a-z0-9._-]{0,31}$`)

// Event records an event. It returns when the record is durable, or why it is
// not: what the event is about should then not happen. It waits no longer than
// ctx; an event that only ctx kept from waiting will still be recorded. One of
// type [EventDoor] is only written, not synced.
func (l *Log) Event(ctx context.Context, e Event) error {
	switch {
	case !eventType.MatchString(e.Type), e.Type == TypeCall, e.Type == TypeIntent, e.Type == TypeList, strings.HasPrefix(e.Type, "log."):
		return fmt.Errorf("audit log: %q is not the type of an event", e.Type)
	}
	if f := l.failure.Load(); f != nil {
		l.refused.Add(1)
		return f.error
	}
	r := Record{
		Time: l.o.Now(), Type: e.Type, Node: l.o.Node, Via: e.Via, Object: e.Object, Principal: principal(e.Principal),
		Policy: e.Policy, Rule: e.Rule, Code: e.Outcome, Cause: e.Reason, Actor: e.Actor, Detail: e.Detail,
	}
	if r.Actor == "" {
		r.Actor = r.Principal.ID
	}
	if l.o.Trace != nil {
		r.Trace = l.o.Trace(ctx)
	}
	if e.Type == EventDoor {
		return l.write(ctx, l.entry(&r, awaitWritten), false)
	}
	return l.store(ctx, l.entry(&r, awaitDurable))
}

// AdmitList records that a principal is told what there is, or why not, in one
// record of type [TypeList], and refuses that as Unavailable where the record
// cannot be made. In [ModeAsync] it never blocks, never refuses and, where there is no
// room, does not allocate.
func (g gate) AdmitList(ctx context.Context, list gateway.Listing) error {
	l := g.log
	mode := l.o.Modes.List
	if mode == ModeAsync && l.crowded() {
		return nil
	}
	if f := l.failure.Load(); f != nil && mode != ModeAsync {
		l.refused.Add(1)
		return unavailable(f.error)
	}
	r := Record{
		Time: l.o.Now(), Type: TypeList, Node: l.o.Node, Parent: CallID(ctx), Via: list.Via, Op: "list", Kind: list.Kind.String(),
		Principal: principal(list.Principal), Code: "OK", Count: int64(list.Count),
	}
	if list.Refused != nil {
		r.Count = 0
		r.outcome(nil, list.Refused)
	}
	if l.o.Trace != nil {
		r.Trace = l.o.Trace(ctx)
	}
	var err error
	switch mode {
	case ModeAsync:
		l.offer(l.entry(&r, awaitNothing))
	case ModeStrict:
		err = l.store(ctx, l.entry(&r, awaitDurable))
	case ModeWAL:
		err = l.write(ctx, l.entry(&r, awaitWritten), false)
	}
	switch {
	case errors.Is(err, errInterrupted):
		return context.Cause(ctx)
	case err != nil:
		return unavailable(err)
	}
	return nil
}
