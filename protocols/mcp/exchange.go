package mcp

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

// An exchange is a POST on its way to its answer: JSON, or events from the
// first notification on.
type exchange struct {
	f     *Frontend
	w     http.ResponseWriter
	later *request // whose answer can be fetched later; nil for none

	challenge string // of an answer that is JSON; "" for none

	over chan bool // later: receives once true when the call has ended, and perhaps once false, to let the connection end before
	once sync.Once // later: guards the false

	mu      sync.Mutex
	queue   [][]byte
	dropped int // notifications for which there was no room
	closed  bool
	out     *sseWriter
	end     func() // later: gives up being the stream's connection
	failed  bool
	wake    chan struct{} // nil until the first notification
	done    chan struct{}
}

// answer serves a request and writes what comes of it.
func (f *Frontend) answer(ctx context.Context, w http.ResponseWriter, r *http.Request, req *request, serve method) {
	x := exchange{f: f, w: w}
	if accepts(r.Header, "text/event-stream") {
		req.notify = x.notify
		if !req.modern() {
			req.send = x.send
		}
		if req.isCall() {
			defer f.hush(&x).end(f)
		}
	}
	out := f.buffer()
	defer f.release(out)
	status := f.respond(ctx, req, serve, out)
	x.challenge = f.challenge(r, req)
	x.finish(status, out.b)
}

// challenge returns what asks for the scopes that a request's credential lacks,
// or "" where it lacks none.
func (f *Frontend) challenge(r *http.Request, req *request) string {
	if req.scopes == nil || f.o.Challenge == nil {
		return ""
	}
	return f.o.Challenge(r.URL.Path, req.scopes)
}

// respond serves a request, makes out its response and returns the status. A
// panic ends the request alone, wherever it runs.
func (f *Frontend) respond(ctx context.Context, req *request, serve method, out *buffer) (status int) {
	defer func() {
		if p := recover(); p != nil {
			f.o.Logger.ErrorContext(ctx, "a request failed", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			out.b = f.refuse(ctx, out.b[:0], req, &wireError{code: codeInternal, message: "Internal error"})
			status = http.StatusOK
		}
	}()
	out.b = appendResponse(out.b[:0], req.ID)
	err := serve(f, ctx, req, out)
	if err == nil {
		out.b = append(out.b, '}')
		return http.StatusOK
	}
	req.scopes = err.scopes
	out.b = f.refuse(ctx, out.b[:0], req, err)
	return cmp.Or(err.status, http.StatusOK)
}

// notify queues a notification and returns at once.
func (x *exchange) notify(n []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.queue) >= x.f.o.QueueLength {
		x.dropped++
		return
	}
	x.put(n)
}

// send queues a request to the client, for which there is always room, since
// the number of open ones is bounded. It reports whether the client still reads.
func (x *exchange) send(request []byte) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.put(request)
}

// put queues a message. The first one turns the answer into a stream, which a
// goroutine of its own writes from then on. x.mu is held.
func (x *exchange) put(message []byte) bool {
	if x.closed || x.failed {
		return false
	}
	x.queue = append(x.queue, message)
	x.begin()
	select {
	case x.wake <- struct{}{}:
	default:
	}
	return true
}

// begin turns the answer into a stream, once. x.mu is held.
func (x *exchange) begin() {
	if x.wake != nil {
		return
	}
	x.wake, x.done = make(chan struct{}, 1), make(chan struct{})
	x.out = &sseWriter{w: x.w, rc: http.NewResponseController(x.w), timeout: x.f.o.WriteTimeout}
	if x.later != nil {
		x.out.log, x.out.outlive = x.f.eventLog(x.later, ""), true
		x.out.log.owner = x.f.streamOwner(x.later.ID)
		x.end = x.f.carriers.take(x.out.log.key, x.yield)
	}
	go x.pump()
}

// pump writes what is queued until finish closes the queue and it is empty, or
// the client no longer reads.
func (x *exchange) pump() {
	defer close(x.done)
	out := x.out
	err := out.begin()
	quiet := time.NewTicker(x.f.o.KeepAlive)
	defer quiet.Stop()
	for err == nil {
		select {
		case <-x.wake:
		case <-quiet.C:
			err = out.idle()
			continue
		}
		x.mu.Lock()
		queue, dropped, closed := x.queue, x.dropped, x.closed
		x.queue, x.dropped = nil, 0
		x.mu.Unlock()
		for _, n := range queue {
			if err = out.send(n); err != nil {
				break
			}
		}
		if err == nil && dropped > 0 {
			err = out.comment(droppedText(int64(dropped)))
		}
		if closed {
			break
		}
	}
	x.mu.Lock()
	x.failed = err != nil
	x.mu.Unlock()
}

// droppedText tells a client that it did not read fast enough.
func droppedText(n int64) string {
	return strconv.FormatInt(n, 10) + " notifications were dropped: they were not read fast enough"
}

// finish writes the response: as JSON, or as the last event of the stream.
func (x *exchange) finish(status int, response []byte) {
	x.mu.Lock()
	x.closed = true
	wake, left := x.wake, x.failed
	x.mu.Unlock()
	if wake == nil && left {
		return
	}
	if wake == nil {
		if x.challenge != "" {
			x.w.Header().Set("WWW-Authenticate", x.challenge)
		}
		x.f.write(x.w, status, response)
		return
	}
	select {
	case wake <- struct{}{}:
	default:
	}
	<-x.done
	x.mu.Lock()
	failed := x.failed
	x.mu.Unlock()
	if failed {
		return
	}
	if x.later != nil {
		defer x.end()
		if x.out.last(x.later.ID, flatten(response)) == nil {
			x.out.detach()
		}
		return
	}
	if x.out.send(flatten(response)) == nil {
		x.out.end()
	}
}

// listenHTTP serves subscriptions/listen (basic, subscriptions).
func (f *Frontend) listenHTTP(w http.ResponseWriter, r *http.Request, req *request) {
	leave, err := f.streams.enter(req.principal.ID)
	if err != nil {
		f.fail(w, r, req, err)
		return
	}
	l, err := f.openListen(r.Context(), req)
	if err != nil {
		leave()
		f.fail(w, r, req, err)
		return
	}
	f.free(req)
	feed := l.feed
	s := &standing{f: f, principal: req.principal, feed: feed, result: l.result, free: func() {
		feed.close()
		leave()
	}}
	s.ctx, s.cancel = life(r.Context(), req.principal)
	announce(w, r)
	var failed error
	if s.out, failed = newSSE(w, f.o.WriteTimeout); failed != nil || s.out.send(l.ack) != nil {
		s.Ended(nil)
		return
	}
	s.serve(w, r, context.AfterFunc(r.Context(), s.cancel))
}
