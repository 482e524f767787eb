package mcp

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
)

// The values of UpstreamOptions.Sessions.
const (
	sessionsShared    = "shared"
	sessionsPrincipal = "principal"
)

// A link keeps up one connection: the shared one, or that of one principal.
type link struct {
	u   *Upstream
	key string // the principal's ID, or "" for the shared one and for spares

	// Guarded by Upstream.mu.
	conn     *client
	attempt  *attempt // to connect, while one is under way
	failures int      // in a row
	retryAt  time.Time
	lastErr  error
	users    int            // calls that are under way
	caller   *egress.Caller // who called last, where each caller has credentials
	since    time.Time      // when the last of them ended
	expiry   *time.Timer    // of a principal's link without users
	gone     bool           // it is not used any more
	taken    chan struct{}  // of a spare: closed when it is one no longer; nil otherwise
}

// UpstreamStats count the connections of an [Upstream].
type UpstreamStats struct {
	Open    int    // that are up now, the shared one included
	Busy    int    // principals with calls under way, in sessions of their own
	Idle    int    // principals without, whose sessions have not expired
	Spare   int    // sessions that are kept open for principals to come
	Opened  uint64 // ever
	Lost    uint64 // that ended without having been asked to
	Failed  uint64 // attempts to connect that came to nothing
	Expired uint64 // that nobody used for long enough
	Evicted uint64 // that gave way to those of other principals
	Refused uint64 // calls for which there was no session left
}

// LogValue returns the counts one by one, for log/slog.
func (s UpstreamStats) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("open", s.Open), slog.Int("busy", s.Busy), slog.Int("idle", s.Idle), slog.Int("spare", s.Spare),
		slog.Uint64("opened", s.Opened), slog.Uint64("lost", s.Lost), slog.Uint64("failed", s.Failed),
		slog.Uint64("expired", s.Expired), slog.Uint64("evicted", s.Evicted), slog.Uint64("refused", s.Refused))
}

// Stats returns the counts of now.
func (u *Upstream) Stats() UpstreamStats {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.stats
	s.Spare = len(u.spares)
	count := func(l *link) {
		if l.isOpen() {
			s.Open++
		}
	}
	for _, l := range u.links {
		if count(l); l.users > 0 {
			s.Busy++
		} else {
			s.Idle++
		}
	}
	for _, l := range u.spares {
		count(l)
	}
	count(u.shared)
	return s
}

// Connections returns the counts of connections to a server behind HTTP, over
// which its sessions go; none for a program.
func (u *Upstream) Connections() egress.Connections {
	if u.http == nil {
		return egress.Connections{}
	}
	return u.http.Connections()
}

// isOpen reports whether the link is connected. u.mu is held.
func (l *link) isOpen() bool { return l.conn != nil && l.conn.ctx.Err() == nil }

// enter returns the link that a call uses until leave. A server that is modern
// and behind HTTP has no sessions, so that nothing is gained by many links, unless
// each caller has credentials, and with them what it may follow.
func (u *Upstream) enter(ctx context.Context, call *gateway.Call) (*link, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.o.Sessions != sessionsPrincipal || call.Principal == nil || u.stateless && !u.perCaller() {
		return u.shared, nil
	}
	if u.closed {
		return nil, errUpstreamClosed
	}
	key := call.Principal.ID
	l := u.links[key]
	if l == nil {
		if l = u.takeSpare(); l == nil {
			if len(u.links) >= u.o.MaxSessions && !u.evict() {
				u.stats.Refused++
				return nil, &gateway.Error{Code: gateway.ResourceExhausted, By: u.by, Msg: "too many callers use the upstream at once"}
			}
			l = &link{u: u}
		}
		l.key = key
		u.links[key] = l
	}
	l.caller = egress.CallerOf(ctx)
	if l.users++; l.expiry != nil {
		l.expiry.Stop()
	}
	return l, nil
}

// leave ends what enter began. A link that stays unused expires.
func (l *link) leave() {
	u := l.u
	u.mu.Lock()
	defer u.mu.Unlock()
	if l == u.shared {
		return
	}
	if l.users--; l.users > 0 || u.closed {
		return
	}
	l.since = time.Now()
	l.expiry = time.AfterFunc(u.o.Idle, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if l.users == 0 && !l.gone && time.Since(l.since) >= u.o.Idle {
			u.stats.Expired++
			l.end()
			u.fill()
		}
	})
}

// evict ends the link that has been unused longest, if there is one. u.mu is
// held.
func (u *Upstream) evict() bool {
	var oldest *link
	for _, l := range u.links {
		if l.users == 0 && (oldest == nil || l.since.Before(oldest.since)) {
			oldest = l
		}
	}
	if oldest == nil {
		return false
	}
	u.stats.Evicted++
	oldest.end()
	return true
}

// end forgets a link and ends its connection. u.mu is held.
func (l *link) end() {
	l.gone = true
	if l.expiry != nil {
		l.expiry.Stop()
	}
	delete(l.u.links, l.key)
	if l.conn != nil {
		l.conn.cancel(errUnused)
	}
}

var errUnused = errors.New("the session is not used any more")

// client is that of the link, after connecting where there is none. Between
// attempts that failed it refuses at once, so that callers cannot start a
// program faster than the backoff allows. By is as for until.
func (l *link) client(ctx context.Context, by time.Time) (*client, error) {
	u := l.u
	u.mu.Lock()
	if u.closed {
		u.mu.Unlock()
		return nil, errUpstreamClosed
	}
	if c := l.conn; c != nil {
		if c.ctx.Err() == nil {
			u.mu.Unlock()
			return c, nil
		}
		l.lost(c)
	}
	if l.attempt == nil {
		if wait := time.Until(l.retryAt); wait > 0 {
			err := &gateway.Error{Code: gateway.Unavailable, By: u.by, Msg: msgAway, Retry: wait, Err: l.lastErr}
			u.mu.Unlock()
			return nil, err
		}
		a := &attempt{done: make(chan struct{})}
		l.attempt = a
		u.wg.Go(func() { l.connect(a) }) // It connects for others too.
	}
	a := l.attempt
	u.mu.Unlock()
	ctx, cancel := until(ctx, by)
	defer cancel()
	select {
	case <-a.done:
		return a.conn, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
