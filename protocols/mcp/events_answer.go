package mcp

import (
	"net/http"
	"time"
)

// quietTime is how long a call of a session stays silent before its answer
// becomes a stream, which survives its connection.
const quietTime = time.Second

// outlives reports whether a request is one whose answer can be fetched later:
// a call on the road whose client reads streams.
func outlives(r *http.Request, req *request) bool {
	return req.isCall() && req.rev >= rev20250326 && accepts(r.Header, "text/event-stream")
}

// answerLater is answer for a request of a session whose answer can be fetched
// later: the call goes on when the connection ends, and what comes of it is kept
// once the client knows an id to come back with.
func (f *Frontend) answerLater(w http.ResponseWriter, r *http.Request, req *request, call legacyCall) {
	x := &exchange{f: f, w: w, later: req, over: make(chan bool, 2)}
	req.notify, req.send = x.notify, x.send
	if req.rev >= rev20251125 {
		req.detach = x.release
	}
	body := req.body
	req.body = nil // It is the call's.
	go func() {
		defer func() { x.over <- true }()
		defer f.release(body)
		out := f.buffer()
		defer f.release(out)
		status := f.respond(call.ctx, req, call.serve, out)
		x.challenge = f.challenge(r, req)
		call.done() // Whoever has read the answer may use its id again.
		x.finish(status, out.b)
	}()
	most := quietTime
	if req.rev < rev20251125 { // Clients before it do not know events without a message, and need only not be cut off.
		most = f.o.KeepAlive
	}
	quiet := time.AfterFunc(most, x.stream)
	defer quiet.Stop()
	finished := false
	select {
	case finished = <-x.over:
	case <-r.Context().Done():
	}
	if finished || x.leave() {
		return
	}
	for !finished {
		finished = <-x.over
	}
}

// stream turns the answer into a stream, where it has not begun.
func (x *exchange) stream() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.closed && !x.failed {
		x.begin()
	}
}

// release lets the connection end while the call goes on.
func (x *exchange) release() {
	x.stream()
	x.once.Do(func() { x.over <- false })
}

// leave takes the exchange off its connection. It reports false where the
// answer is being written, which takes no longer than a write may.
func (x *exchange) leave() bool {
	x.mu.Lock()
	out, closed := x.out, x.closed
	x.failed = x.failed || out == nil && !closed // The client knows no id to come back with.
	x.mu.Unlock()
	if out != nil && !closed {
		_ = out.begin() // Or the client would not know where to go on.
		out.detach()
	}
	return !closed
}

// yield gives the stream up to another connection.
func (x *exchange) yield() {
	x.leave()
	x.release()
}
