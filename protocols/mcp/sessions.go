package mcp

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// A session is what a legacy session holds beyond its sealed id: made when the
// client first asks for something that must be remembered.
type session struct {
	key   sessionKey
	owner string // the principal's ID
	feed  *feed
	idle  *time.Timer // ends the session; nil on stdio

	mu       sync.Mutex
	level    string             // the least severe log line to send
	log      *eventLog          // of the stream; nil before the first
	detach   context.CancelFunc // ends the stream that serves the session now; nil for none
	detached chan struct{}      // closed when that stream has ended
	used     time.Time
}

// defaultLevel is what a client gets that has not asked for a level, as servers
// may choose (2025-11-25, server, logging).
const defaultLevel = "info"

// logLevel returns the level of a session, which may be nil.
func (s *session) logLevel() string {
	if s == nil {
		return defaultLevel
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.level
}

func (s *session) setLevel(level string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.level = level
}

// attach makes a stream the only one of the session: the one before it, which
// may hang on a dead connection, is ended first. The stream runs until cancel
// ends it, and then calls leave.
func (s *session) attach(cancel context.CancelFunc, log *eventLog) (leave func()) {
	done := make(chan struct{})
	s.mu.Lock()
	before, gone := s.detach, s.detached
	s.detach, s.detached, s.log = cancel, done, log
	s.mu.Unlock()
	if before != nil {
		before()
		<-gone
	}
	return func() {
		s.mu.Lock()
		if s.detached == done {
			s.detach, s.detached = nil, nil
		}
		s.mu.Unlock()
		close(done)
	}
}

// busy reports whether a stream serves the session, and when it was last used.
func (s *session) busy() (bool, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.detach != nil, s.used
}

func (s *session) end() {
	if s.idle != nil {
		s.idle.Stop()
	}
	s.mu.Lock()
	if s.detach != nil {
		s.detach()
	}
	log := s.log
	s.mu.Unlock()
	s.feed.close()
	if log != nil {
		log.drop()
	}
}

// maxEnded bounds the memory of sessions that were ended before their sealed id
// expires. The oldest are forgotten first; their own principal could then use
// them again, and no one else.
const maxEnded = 1 << 14

// sessions are the sessions that hold something.
type sessions struct {
	most  int
	after time.Duration         // of idleness
	calls func(sessionKey) bool // whether calls of a session run

	mu      sync.Mutex
	live    map[sessionKey]*session
	byOwner map[string][]*session
	ended   map[sessionKey]struct{}
	order   []sessionKey // of ended, oldest first
	closed  bool
}

func newSessions(most int, after time.Duration, calls func(sessionKey) bool) *sessions {
	return &sessions{most: most, after: after, calls: calls, live: map[sessionKey]*session{}, byOwner: map[string][]*session{}, ended: map[sessionKey]struct{}{}}
}

// find returns what a session holds, nil for nothing, and false where it has
// ended. It counts as a use.
func (s *sessions) find(key sessionKey) (*session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ended := s.ended[key]; ended {
		return nil, false
	}
	se := s.live[key]
	if se != nil {
		s.touch(se)
	}
	return se, true
}

func (s *sessions) touch(se *session) {
	se.idle.Reset(s.after)
	se.mu.Lock()
	se.used = time.Now()
	se.mu.Unlock()
}

// open returns what a session holds, made now if it held nothing. A principal
// who has too many loses the one unused for longest, unless all have a stream.
func (s *sessions) open(key sessionKey, owner string, recall func() (*feed, string)) (*session, *wireError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if se := s.live[key]; se != nil {
		return se, nil
	}
	if _, ended := s.ended[key]; ended || s.closed {
		return nil, sessionNotFound()
	}
	if own := s.byOwner[owner]; len(own) >= s.most {
		var oldest *session
		var since time.Time
		for _, se := range own {
			if busy, used := se.busy(); !busy && !s.calls(se.key) && (oldest == nil || used.Before(since)) {
				oldest, since = se, used
			}
		}
		if oldest == nil {
			return nil, exhausted("too many sessions")
		}
		s.remove(oldest)
		go oldest.end()
	}
	feed, level := recall()
	se := &session{key: key, owner: owner, level: cmp.Or(level, defaultLevel), used: time.Now(), feed: feed}
	se.idle = time.AfterFunc(s.after, func() { s.expire(se) })
	s.live[key] = se
	s.byOwner[owner] = append(s.byOwner[owner], se)
	return se, nil
}

// holding returns what a session holds, or nil. It is no use of the session.
func (s *sessions) holding(key sessionKey) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live[key]
}

// detach ends the stream of a session, which another node carries from now on,
// with what it follows.
func (s *sessions) detach(key sessionKey) {
	se := s.holding(key)
	if se == nil {
		return
	}
	se.feed.rest()
	se.mu.Lock()
	defer se.mu.Unlock()
	if se.detach != nil {
		se.detach()
	}
}

// expire ends a session that nobody has used, unless a stream serves it or its
// calls run.
func (s *sessions) expire(se *session) {
	if busy, _ := se.busy(); busy || s.calls(se.key) {
		se.idle.Reset(s.after)
		return
	}
	s.end(se.key)
}

// end ends a session, whether it holds something or not.
func (s *sessions) end(key sessionKey) {
	s.mu.Lock()
	se := s.live[key]
	if se != nil {
		s.remove(se)
	} else {
		s.bury(key)
	}
	s.mu.Unlock()
	if se != nil {
		se.end()
	}
}

// remove takes a session out of the tables. s.mu is held.
func (s *sessions) remove(se *session) {
	delete(s.live, se.key)
	own := slices.DeleteFunc(s.byOwner[se.owner], func(o *session) bool { return o == se })
	if len(own) == 0 {
		delete(s.byOwner, se.owner)
	} else {
		s.byOwner[se.owner] = own
	}
	s.bury(se.key)
}

// bury remembers that a session has ended. s.mu is held.
func (s *sessions) bury(key sessionKey) {
	if _, known := s.ended[key]; known {
		return
	}
	if len(s.order) == maxEnded {
		delete(s.ended, s.order[0])
		s.order = slices.Delete(s.order, 0, 1)
	}
	s.ended[key] = struct{}{}
	s.order = append(s.order, key)
}

// close ends all sessions.
func (s *sessions) close() {
	s.mu.Lock()
	s.closed = true
	all := s.live
	s.live, s.byOwner = map[sessionKey]*session{}, map[string][]*session{}
	s.mu.Unlock()
	for _, se := range all {
		se.end()
	}
}
