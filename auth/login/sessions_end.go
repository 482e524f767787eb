package login

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/state"
)

// follow tells of sessions that ended, at once: it waits for nobody.
func (l *Sessions) follow(ctx context.Context) {
	for known := uint64(0); ; {
		changed := l.mirror.Changed()
		if now := l.mirror.Ended(); now != known {
			known = now
			l.mu.Lock()
			close(l.changed)
			l.changed = make(chan struct{})
			l.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// sweep ends sessions that nobody uses.
func (l *Sessions) sweep(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, e := range l.mirror.All() {
			if ctx.Err() != nil {
				return
			}
			if why := l.over(&e.Value, time.Now()); why != "" {
				_ = l.end(ctx, e.Key, why) // Else the next minute does it; it is refused in any case.
			}
		}
	}
}

// over says why a session has ended by itself, or "".
func (l *Sessions) over(r *record, now time.Time) string {
	switch {
	case now.Sub(r.Since) >= l.o.Life:
		return "it has lasted as long as sessions may"
	case now.Sub(r.Seen) >= l.o.Idle:
		return "it was idle"
	case l.o.Revoked(r.principal("")):
		return "the credentials were revoked"
	}
	return ""
}

// end ends a session; [ErrNoSession] where there is none. Its issuer is told of
// it in its own time.
func (l *Sessions) end(ctx context.Context, id, why string) error {
	ctx = context.WithoutCancel(ctx) // The state bounds it.
	e, err := l.records.Get(ctx, id)
	if err == nil {
		err = l.records.Delete(ctx, id, 0)
	}
	if errors.Is(err, state.ErrNotFound) {
		return ErrNoSession
	}
	if err != nil {
		l.o.Logger.WarnContext(ctx, "a session was not ended", slog.Any("cause", err))
		return err
	}
	l.forget(ctx, id)
	if t, err := l.open(&e); err == nil {
		l.telling.add(ctx, t.Refresh)
	}
	return l.o.Event(ctx, "logout", e.Value.principal(id), why)
}

// forget waits until this node knows that a session has ended: what follows a
// sign-out is refused here.
func (l *Sessions) forget(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, lag)
	defer cancel()
	for {
		changed := l.mirror.Changed()
		if _, ok := l.mirror.Get(id); !ok {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return // It has ended, and the node hears of it once the engine is back.
		}
	}
}

// End ends a session, on all nodes; [ErrNoSession] where there is none.
func (l *Sessions) End(ctx context.Context, id, why string) error { return l.end(ctx, id, why) }

// Revoked reports whether the session that a principal was admitted by has ended.
func (l *Sessions) Revoked(p *gateway.Principal) bool {
	if l == nil || p == nil || p.Login == "" {
		return false
	}
	e, ok := l.mirror.Get(p.Login)
	return !ok || l.over(&e.Value, time.Now()) != ""
}

// Changed returns a channel that is closed when a session has ended.
func (l *Sessions) Changed() <-chan struct{} {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}
