package mcp

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/trilith-gateway/trilith/gateway/pause"
	"github.com/trilith-gateway/trilith/protocols/egress"
	"github.com/trilith-gateway/trilith/protocols/http1"
)

const (
	firstRetry = time.Second      // before a broken stream is taken up again, unless the server says otherwise
	longRetry  = 30 * time.Second // what repeated failures grow to
	mostRetry  = 5 * time.Minute  // that a server can ask for
	maxResumes = 5                // of one answer, without an event in between
)

// follow reads the stream that answers a request up to the response. A legacy
// stream that breaks off is taken up where it was, if its events have ids
// (2025-11-25, transports, resumability and redelivery).
func (t *httpTransport) follow(ctx context.Context, res *http1.Response, r *outgoing) (message, error) {
	events := newSSEReader(res, t.c.u.o.MaxMessage)
	defer func() { _ = res.Close() }() // It has been read.
	resumes, retry := 0, firstRetry
	for {
		before := events.lastID
		m, err := t.read(events, r) // What the server asks meanwhile is not the call's.
		if err == nil {
			res.Finish() // The server ends the stream with the response.
			return m, nil
		}
		if t.c.modern() || final(err) {
			return message{}, err
		}
		if events.lastID != before {
			resumes = 0
		}
		switch {
		case ctx.Err() != nil:
			return message{}, context.Cause(ctx)
		case t.c.ctx.Err() != nil:
			return message{}, t.over(r)
		}
		if resumes++; events.lastID == "" || resumes > maxResumes {
			return message{}, err
		}
		if events.retry > 0 {
			retry = min(events.retry, mostRetry)
		}
		again, passes, err := t.takeUp(ctx, r, events.lastID, retry)
		switch {
		case passes:
			continue
		case err != nil:
			return message{}, err
		}
		_ = res.Close() // As above.
		res = again
		next := newSSEReader(res, t.c.u.o.MaxMessage)
		next.lastID, next.retry = events.lastID, events.retry
		events = next
	}
}

// takeUp asks for what came after an event, after a while. Where that fails,
// passes reports whether asking again may help.
func (t *httpTransport) takeUp(ctx context.Context, r *outgoing, last string, wait time.Duration) (res *http1.Response, passes bool, err error) {
	if err = t.pause(ctx, r, wait); err == nil {
		res, err = t.get(ctx, &outgoing{by: r.by, life: r.life}, last)
		_, refused := errors.AsType[*egress.StatusError](err)
		passes = err != nil && !refused
	}
	if err != nil && ctx.Err() == nil && t.c.ctx.Err() != nil {
		return nil, false, t.over(r)
	}
	return res, passes, err
}

// final reports whether reading on would not help.
func final(err error) bool {
	return errors.Is(err, errTooLarge) || errors.Is(err, errBadAnswer) || errors.Is(err, errUpstreamSlow)
}

// pause waits before the answer to a request is asked for again.
func (t *httpTransport) pause(ctx context.Context, r *outgoing, d time.Duration) error {
	ctx, expire := until(ctx, r.by)
	defer expire()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(t.c.ctx, func() { cancel(context.Cause(t.c.ctx)) })() // The connection's own life.
	return pause.For(ctx, d)
}

// read handles events up to the response to r, or for r nil up to the end.
func (t *httpTransport) read(events *sseReader, r *outgoing) (message, error) {
	for {
		e, err := events.next()
		switch {
		case errors.Is(err, errTooLarge):
			return message{}, err
		case err != nil:
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return message{}, lostOrSlow(err)
		case e.name != "" && e.name != "message":
			continue
		}
		data := append([]byte(nil), e.data...)
		m, err := t.c.parseAnswer(data)
		switch {
		case err != nil:
			t.c.u.o.Logger.DebugContext(t.c.ctx, "an event is not a message", slog.String("source", t.c.u.o.Name), slog.Any("error", err))
		case m.isNotification():
			t.c.notified(&m, r)
		case m.isRequest():
			t.c.asked(&m, r)
		case r != nil && (m.answers(r.id) || m.ID == nil && m.Error != nil):
			return m, nil
		}
	}
}

// get opens a legacy stream: the session's own, or the one that broke off after
// an event. Of r counts when and with what it ends.
func (t *httpTransport) get(ctx context.Context, r *outgoing, after string) (*http1.Response, error) {
	res, err := t.do(ctx, http.MethodGet, r, after)
	if err != nil {
		return nil, err
	}
	if res.Status == http.StatusOK && media(res.Field(headerType)) == typeEvents {
		return res, nil
	}
	defer res.Close() //nolint:errcheck // it has been read.
	if res.Status == http.StatusOK {
		return nil, &egress.StatusError{Status: http.StatusNotAcceptable, Text: "not an event stream"}
	}
	if m, err := t.refused(res); err == nil {
		return nil, &egress.StatusError{Status: res.Status, Text: readError(m.Error).message}
	} else {
		return nil, err
	}
}

// stand keeps a legacy session's stream open (2025-11-25, transports, listening
// for messages from the server). Not to have one is a server's right, and no
// failure of it ends the connection.
func (t *httpTransport) stand(ctx context.Context, ready func()) {
	defer ready()
	if t.c.modern() {
		return
	}
	last, wait := "", firstRetry
	for {
		opened := time.Now()
		res, err := t.get(ctx, &outgoing{}, last)
		if err == nil {
			ready()
			events := newSSEReader(res, t.c.u.o.MaxMessage)
			events.lastID = last
			_, err = t.read(events, nil)
			_ = res.Close() // It has been read.
			if last = events.lastID; events.retry > 0 {
				wait = max(firstRetry, min(events.retry, mostRetry))
			} else if time.Since(opened) >= stableAfter {
				wait = firstRetry
			}
		}
		if ctx.Err() != nil {
			return
		}
		if e, ok := errors.AsType[*egress.StatusError](err); ok && e.Status/100 == 4 && e.Status != http.StatusTooManyRequests {
			t.c.u.o.Logger.DebugContext(ctx, "the server has no stream of its own", slog.String("source", t.c.u.o.Name), slog.Any("error", err))
			return
		}
		ready() // Calls need not wait for what may never come.
		t.c.doubtful(err)
		if pause.For(ctx, wait) != nil {
			return
		}
		wait = min(2*wait, max(wait, longRetry))
		signal(t.c.changes) // Something may have been missed.
	}
}
