package mcp

import (
	"slices"
	"time"
)

// fill opens spare sessions up to the least number that is wanted, once the
// upstream is watched. A server without sessions has none. u.mu is held.
func (u *Upstream) fill() {
	if u.closed || !u.watched || u.o.Sessions != sessionsPrincipal {
		return
	}
	if u.stateless {
		for _, l := range u.spares {
			l.end()
			close(l.taken)
		}
		u.spares = nil
		return
	}
	for len(u.links)+len(u.spares) < u.o.MinSessions {
		l := &link{u: u, taken: make(chan struct{})}
		u.spares = append(u.spares, l)
		u.wg.Go(l.keepOpen)
	}
}

// takeSpare returns the spare to use next, one that is connected if there is
// any, or nil. u.mu is held.
func (u *Upstream) takeSpare() *link {
	if len(u.spares) == 0 {
		return nil
	}
	i := max(slices.IndexFunc(u.spares, (*link).isOpen), 0)
	l := u.spares[i]
	u.spares = slices.Delete(u.spares, i, i+1)
	close(l.taken)
	return l
}

// keepOpen connects a spare, and again whenever its connection is lost, as soon
// as the backoff allows, until it is taken.
func (l *link) keepOpen() {
	for {
		c, err := l.client(l.u.ctx, time.Time{})
		if err != nil {
			l.u.mu.Lock()
			wait := time.NewTimer(max(time.Until(l.retryAt), 0))
			l.u.mu.Unlock()
			select {
			case <-wait.C:
				continue
			case <-l.taken:
			case <-l.u.ctx.Done():
			}
			wait.Stop()
			return
		}
		select {
		case <-c.ctx.Done():
		case <-l.taken:
			return
		case <-l.u.ctx.Done():
			return
		}
	}
}
