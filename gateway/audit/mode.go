package audit

import (
	"cmp"
	"fmt"

	"github.com/trilith-gateway/trilith/gateway"
)

// A Mode says what of its record a call waits for.
type Mode string

// The modes.
const (
	// ModeStrict stores a record of the intent, durably, before the upstream is
	// asked, and refuses the call as Unavailable where that fails. All calls that
	// wait share one sync. The record of the outcome is as in ModeWAL.
	ModeStrict Mode = "strict"
	// ModeWAL writes the record before the caller gets the reply, and makes it
	// durable soon after. A crash of the process loses nothing that was
	// acknowledged, a power failure what is younger than [Options.SyncEvery].
	ModeWAL Mode = "wal"
	// ModeAsync waits for nothing. Where the queue is full, records are dropped,
	// and a record of type [TypeGap] says how many.
	ModeAsync Mode = "async"
)

// Modes are the modes of the kinds of action that can be chosen. Events other
// than refusals at a door, calls of tools of administration, and of tools that
// say that they are destructive, are always strict.
type Modes struct {
	Call Mode // tools; "" is ModeWAL, and ModeAsync is not allowed
	Read Mode // resources, prompts, completions and subscriptions; "" is ModeWAL
	List Mode // lists; "" is ModeAsync
}

func (m *Modes) complete() error {
	m.Call, m.Read, m.List = cmp.Or(m.Call, ModeWAL), cmp.Or(m.Read, ModeWAL), cmp.Or(m.List, ModeAsync)
	for what, mode := range map[string]Mode{"calls": m.Call, "reads": m.Read, "lists": m.List} {
		switch {
		case mode == ModeAsync && what == "calls":
			return fmt.Errorf("audit log: the mode of %s cannot be %q", what, mode)
		case mode != ModeStrict && mode != ModeWAL && mode != ModeAsync:
			return fmt.Errorf("audit log: the mode of %s is %q, not %q, %q or %q", what, mode, ModeStrict, ModeWAL, ModeAsync)
		}
	}
	return nil
}

// of returns the mode of a call.
func (m *Modes) of(call *gateway.Call) Mode {
	switch {
	case administers(call):
		return ModeStrict
	case call.Op != gateway.OpCall:
		return m.Read
	}
	if t := call.Tool; t != nil && is(t.Annotations.Destructive) && !is(t.Annotations.ReadOnly) {
		return ModeStrict
	}
	return m.Call
}

func administers(call *gateway.Call) bool {
	return call.Op == gateway.OpAdmin || call.Op == gateway.OpInspect
}

func is(hint *bool) bool { return hint != nil && *hint }
