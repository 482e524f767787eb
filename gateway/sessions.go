package gateway

import (
	"strconv"
	"sync/atomic"
	"time"
)

// A Session is what a caller holds open between calls: a stream of
// notifications, a WebSocket, a session of a protocol. Its credential was good
// when it was opened; whoever takes rights away ends it.
type Session struct {
	ID        string     // "" until it is opened; it gives no access
	Via       string     // the door: "mcp", "graphql", "grpc" or "rest"
	Kind      string     // what it is in the door's terms, such as "stream" or "websocket"
	Principal *Principal // who opened it
	Opened    time.Time  // set when it is opened

	// End ends the session soon, and tells its client why as far as the protocol
	// can. It is called by any goroutine, perhaps more than once, and must not
	// block.
	End func(why *Error)
}

// Sessions are the sessions of all doors. The zero value is empty, and a nil
// *Sessions notes nothing. It is safe for concurrent use.
type Sessions struct {
	// Check is asked about the principal of each session that is opened, once it
	// is noted, so that no revocation falls between. A session that it objects to
	// ends at once. Nil allows all; it must be set before the first Open.
	Check func(*Principal) *Error

	// Process is put in front of the IDs of sessions, so that those of several
	// processes differ. It must be set before the first Open.
	Process string

	last atomic.Int64
	all  spread[Session]
}

// An OpenSession is a session that has not been closed.
type OpenSession struct{ entry *entry[Session] }

// Open notes a session. The caller must close it when it has ended.
func (s *Sessions) Open(session Session) OpenSession {
	if s == nil {
		return OpenSession{}
	}
	session.ID, session.Opened = s.Process+strconv.FormatInt(s.last.Add(1), 36), time.Now()
	e := s.all.add(session)
	if s.Check != nil {
		if why := s.Check(session.Principal); why != nil {
			session.End(why)
		}
	}
	return OpenSession{e}
}

// Close notes that the session has ended. It must be called once.
func (o OpenSession) Close() {
	if o.entry != nil {
		o.entry.remove()
	}
}

// All returns the sessions that are open now, in no order.
func (s *Sessions) All() []Session {
	var all []Session
	if s != nil {
		s.all.each(func(x *Session) { all = append(all, *x) })
	}
	return all
}

// End ends the sessions for which why returns a reason, and returns how many
// those were.
func (s *Sessions) End(why func(*Session) *Error) int {
	ended := 0
	if s != nil {
		s.all.each(func(x *Session) {
			if reason := why(x); reason != nil {
				x.End(reason)
				ended++
			}
		})
	}
	return ended
}
