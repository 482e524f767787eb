package park

import (
	"errors"
	"log/slog"
	"runtime/debug"
	"time"
)

// attend wakes all streams when something has changed, and the quiet ones for
// their comment.
func (l *Lot) attend() {
	beat := time.NewTimer(l.o.KeepAlive)
	defer beat.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		var changed <-chan struct{}
		if l.o.Changed != nil {
			changed = l.o.Changed()
		}
		l.WakeAll()
		pause.Reset(pace)
		for waiting := true; waiting; {
			select {
			case <-changed:
				waiting = false
			case <-beat.C:
				beat.Reset(l.comment())
			case <-l.closed:
				return
			}
		}
		select {
		case <-pause.C:
		case <-l.closed:
			return
		}
	}
}

// pace is the least time from one waking of all streams to the next: what
// changes often is told together.
const pace = 25 * time.Millisecond

// comment marks the streams that were quiet for long and returns when to look
// again.
func (l *Lot) comment() time.Duration {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := l.quiet.front(); s != nil; s = l.quiet.front() {
		if due := s.wrote.Add(l.o.KeepAlive).Sub(now); due > 0 {
			return max(due, l.o.KeepAlive/64)
		}
		l.quiet.touch(s)
		s.beat = l.o.Comment != nil
		l.queue(s)
	}
	return l.o.KeepAlive
}

// ready is told by the poller that a stream's client has gone, or has room.
func (l *Lot) ready(id uint64, gone bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.streams[id]
	switch {
	case s == nil: // It has just ended.
	case gone:
		l.give(s, ErrGone)
	case s.stuck != nil || s.state == running: // Or it is just finding out that there was none.
		l.queue(s)
	}
}

// recovered ends a stream whose handler panics, and it alone.
func (l *Lot) recovered(s *Stream) {
	if p := recover(); p != nil {
		l.o.Logger.Error("a stream failed", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
		l.mu.Lock()
		defer l.mu.Unlock()
		l.give(s, errors.New("the handler failed"))
	}
}
