package mcp

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/auth"
)

const headerLastEvent = "Last-Event-Id"

// eventPage is how many events are read from the store at once.
const eventPage = 64

// resume serves the rest of the stream of a POST (2025-11-25, transports,
// resumability and redelivery): what came after the event that the client saw
// last, and what comes, until the response has been sent.
func (f *Frontend) resume(w http.ResponseWriter, r *http.Request, req *request, log *eventLog, after uint64) {
	if _, err := f.o.Events.Read(r.Context(), log.key, after, 1); err != nil {
		f.fail(w, r, req, lostEvents(err))
		return
	}
	ctx, cancel := auth.Until(r.Context(), req.principal)
	defer cancel()
	out, err := newSSE(w, f.o.WriteTimeout)
	if err != nil {
		return
	}
	out.log = log
	defer out.detach()
	defer f.carriers.take(log.key, func() {
		out.detach()
		cancel()
	})()
	from := f.originOf(ctx, log)
	orphaned := new(atomic.Bool)
	go f.keepOpen(ctx, cancel, req.key, out, func(op string) bool {
		if f.gone(ctx, from, op, log.key) {
			orphaned.Store(true)
		}
		return orphaned.Load()
	})
	for e, err := range f.o.Events.Follow(ctx, log.key, after) {
		if err == nil {
			after = e.Seq
		}
		switch {
		case errors.Is(err, ErrEventsGone): // Meanwhile: the client comes again and is told.
			return
		case err != nil: // It may pass.
		case len(e.Data) == 0:
		case e.Data[0] == eventPrime: // The client has an id.
		default:
			if out.write("", e.Seq, e.Data[1:]) != nil || e.Data[0] == eventLast {
				return
			}
		}
	}
	if orphaned.Load() {
		f.lastWords(r.Context(), log, from, out, after)
	}
}

// keepOpen keeps a connection open while nothing happens, and ends it with its
// session, the frontend, and the node whose call the stream is of, which it
// first asks to yield and then whether it is still there.
func (f *Frontend) keepOpen(ctx context.Context, cancel context.CancelFunc, key sessionKey, out *sseWriter, gone func(op string) bool) {
	if gone(peerYield) {
		cancel()
		return
	}
	quiet := time.NewTicker(f.o.KeepAlive)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.streams.ending:
			cancel()
			return
		case <-quiet.C:
			if _, alive := f.sessions.find(key); !alive || out.idle() != nil || gone(peerPing) {
				cancel()
				return
			}
		}
	}
}

// lostEvents is the answer to an id after which nothing can be told: it is made
// up, or too old. It is not that of a session that has ended.
func lostEvents(err error) *wireError {
	if errors.Is(err, ErrEventsGone) {
		return invalidRequest("Last-Event-ID names no event that is kept")
	}
	e := exhausted("the events cannot be read now")
	e.status = http.StatusServiceUnavailable
	return e
}

// replay sends what came after an event on the standalone stream and reports
// whether that is all that came.
func (l *eventLog) replay(ctx context.Context, out *sseWriter, after uint64) bool {
	for {
		events, err := l.f.o.Events.Read(ctx, l.key, after, eventPage)
		if err != nil {
			return false
		}
		for _, e := range events {
			after = e.Seq
			if len(e.Data) > 0 && e.Data[0] == eventMessage && out.write("", e.Seq, e.Data[1:]) != nil {
				return false
			}
		}
		if len(events) < eventPage {
			return true
		}
	}
}
