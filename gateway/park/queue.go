package park

import "time"

// maxWorkers bounds the goroutines that let streams write. They are more than
// there are CPUs, because a handler may wait for a store.
const maxWorkers = 128

// queue lets a stream run, once. l.mu is held.
func (l *Lot) queue(s *Stream) {
	switch s.state {
	case running:
		s.state = again
	case parked:
		s.state = queued
		if s.raw == nil { // It may wait for its client.
			l.running.Go(func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.run(s)
			})
			return
		}
		if l.first == nil {
			l.first = s
		} else {
			l.end.behind = s
		}
		l.end = s
		if l.workers < maxWorkers {
			l.workers++
			l.running.Go(l.work)
		}
	case queued, again, over:
	}
}

// give gives a stream up. l.mu is held.
func (l *Lot) give(s *Stream, why error) {
	if s.why == nil {
		s.why = why
		l.queue(s)
	}
}

// work lets streams run until none wants to.
func (l *Lot) work() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := l.first; s != nil; s = l.first {
		l.first, s.behind = s.behind, nil
		l.run(s)
	}
	l.workers--
}

// run lets one stream run. l.mu is held, but not meanwhile.
func (l *Lot) run(s *Stream) {
	s.state = running
	beat := s.beat
	s.beat = false
	p := progress{err: s.why}
	if p.err == nil {
		l.mu.Unlock()
		p = s.step(beat)
		l.mu.Lock()
	}
	if p.wrote {
		l.quiet.touch(s)
	}
	if p.err != nil || p.ended {
		l.finish(s, p.err)
		return
	}
	if p.stuck && s.stuck == nil {
		s.stuck = time.AfterFunc(l.o.WriteTimeout, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			if s.stuck != nil {
				l.give(s, ErrSlow)
			}
		})
	} else if !p.stuck && s.stuck != nil {
		s.stuck.Stop()
		s.stuck = nil
	}
	woken := s.state == again || p.more
	s.state = parked
	if woken || s.why != nil {
		l.queue(s)
	}
}

// finish takes a stream out and closes its connection. l.mu is held.
func (l *Lot) finish(s *Stream, err error) {
	s.state = over
	delete(l.streams, s.id)
	l.quiet.remove(s)
	if s.stuck != nil {
		s.stuck.Stop()
		s.stuck = nil
	}
	l.running.Go(func() {
		s.close(err == nil)
		s.do.Ended(err)
	})
}
