package mcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/trilith-gateway/trilith/protocols/egress"
)

// An eventsTransport speaks HTTP+SSE: what the server says comes on one stream,
// and what it is told goes to an endpoint that the stream names first
// (2024-11-05, transports, HTTP with SSE).
type eventsTransport struct {
	*httpTransport
	awaited
	body io.Closer
	wg   sync.WaitGroup
}

// openEvents opens the stream and waits until it names the endpoint.
func (u *Upstream) openEvents(ctx context.Context) (*client, error) {
	c := newClient(ctx, u)
	t := &eventsTransport{httpTransport: newHTTPTransport(c), awaited: newAwaited()}
	c.t = t
	// The stream lives as long as the connection, its opening as long as ctx.
	stop := context.AfterFunc(ctx, func() { c.cancel(context.Cause(ctx)) })
	events, err := t.openStream()
	if !stop() {
		err = errors.Join(err, context.Cause(ctx))
	}
	if err != nil {
		c.cancel(err)
		c.close(err)
		return nil, fmt.Errorf("HTTP+SSE: %w", err)
	}
	t.wg.Go(func() { t.listen(events) })
	return c, nil
}

func (t *eventsTransport) openStream() (*sseReader, error) {
	res, err := t.get(t.c.ctx, &outgoing{}, "")
	if err != nil {
		return nil, err
	}
	t.body = res
	events := newSSEReader(res, t.c.u.o.MaxMessage)
	e, err := events.next()
	if err != nil {
		return nil, &lostError{err}
	}
	if e.name != "endpoint" {
		return nil, badAnswer("the stream does not begin with the endpoint")
	}
	t.url, err = endpoint(t.c.u.url, string(e.data))
	return events, err
}

// endpoint returns the URL that a server wants messages at, which must be of the
// stream's own origin: no server may have the gateway's credentials sent
// elsewhere.
func endpoint(stream *url.URL, text string) (*url.URL, error) {
	u, err := stream.Parse(strings.TrimSpace(text))
	if err != nil {
		return nil, badAnswer("the endpoint is not a URL")
	}
	if u.Scheme != stream.Scheme || !strings.EqualFold(u.Host, stream.Host) || u.User != nil || u.Opaque != "" {
		return nil, badAnswer("the endpoint is of another origin")
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// listen handles what the server says until the stream ends, and with it the
// connection.
func (t *eventsTransport) listen(events *sseReader) {
	for {
		e, err := events.next()
		if err != nil {
			t.c.cancel(&lostError{err})
			return
		}
		if e.name != "" && e.name != "message" {
			continue
		}
		data := append([]byte(nil), e.data...)
		m, err := t.c.parseAnswer(data)
		switch {
		case err != nil:
			if !t.failAnswer(data, err) {
				t.c.u.o.Logger.DebugContext(t.c.ctx, "an event is not a message", slog.String("source", t.c.u.o.Name), slog.Any("error", err))
			}
		case m.isNotification():
			t.c.notified(&m, nil)
		case m.isRequest():
			t.c.asked(&m, nil)
		default:
			if ch := t.take(m.ID); ch != nil {
				ch <- arrival{m: m}
			}
		}
	}
}

func (t *eventsTransport) roundTrip(ctx context.Context, r *outgoing) (message, error) {
	ctx, expire := until(ctx, r.by)
	defer expire()
	ch := t.await(r.id)
	defer t.drop(r.id)
	posting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(t.c.ctx, func() { cancel(t.gone()) })() // The connection's own life.
	err := t.send(posting, r.method, r.body)
	if err != nil && ctx.Err() == nil {
		return message{}, err
	}
	if err != nil { // The server may have read it, and be at work already.
		ch = nil
	}
	select {
	case a := <-ch:
		return a.m, a.err
	case <-t.c.ctx.Done():
		return message{}, t.gone()
	case <-ctx.Done():
		if r.method != "initialize" {
			t.c.spawn(func() { // The request's own context has ended.
				ctx, cancel := context.WithTimeout(context.WithoutCancel(t.c.ctx), t.c.u.o.Grace)
				defer cancel()
				t.abandon(ctx, r.id)
			})
		}
		return message{}, context.Cause(ctx)
	}
}

func (t *eventsTransport) gone() error { return lost(context.Cause(t.c.ctx)) }

// stand has nothing to do: the stream is always open.
func (t *eventsTransport) stand(_ context.Context, ready func()) { ready() }

// close ends the stream, which ends the session.
func (t *eventsTransport) close() {
	if t.body != nil {
		_ = t.body.Close() // Ended before is as good.
	}
	t.wg.Wait()
}

// tryEvents connects to a server that takes no messages at its URL, which is how
// those of 2024-11-05 are told (2025-11-25, transports, backwards
// compatibility). Where it is none of them, err says what is wrong.
func (u *Upstream) tryEvents(ctx context.Context, err error) (*client, error) {
	e, ok := errors.AsType[*egress.StatusError](err)
	if !ok || u.url == nil {
		return nil, err
	}
	switch e.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed:
	default:
		return nil, err
	}
	c, failed := u.openEvents(ctx)
	if failed != nil {
		return nil, fmt.Errorf("%w; %w", err, failed)
	}
	return c, nil
}

// awaited are the requests that wait for a response which comes by itself.
type awaited struct {
	mu   *sync.Mutex
	byID map[uint64]chan<- arrival // each of capacity 1
}

type arrival struct {
	m   message
	err error
}

func newAwaited() awaited { return awaited{&sync.Mutex{}, map[uint64]chan<- arrival{}} }

func (w awaited) await(id uint64) <-chan arrival {
	ch := make(chan arrival, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.byID[id] = ch
	return ch
}

// take removes and returns who waits for a response, or nil: it came late, or
// twice.
func (w awaited) take(id []byte) chan<- arrival {
	n, err := strconv.ParseUint(string(id), 10, 64)
	if err != nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	ch := w.byID[n]
	delete(w.byID, n)
	return ch
}

func (w awaited) drop(id uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.byID, id)
}

// failAnswer fails the request that a text seems to answer, as far as it can be
// read, now and not when its time is over. It reports whether there is one.
func (w awaited) failAnswer(text []byte, err error) bool {
	o, _ := openObject(text) // No object answers nothing.
	for o.next() {
		if string(o.name) == "id" {
			if ch := w.take(o.value); ch != nil {
				ch <- arrival{err: err}
				return true
			}
		}
	}
	return false
}

// lost returns the end of a connection as an error.
func lost(cause error) error {
	if isLost(cause) {
		return cause
	}
	return &lostError{cause}
}
