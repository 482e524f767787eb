package mcp

import (
	"context"
	"errors"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/park"
)

// errClientGone ends a transport whose client hung up.
var errClientGone = errors.New("the client has gone")

// An sseSession is a session over HTTP+SSE: a pipe whose messages POST requests
// bring, and whose lines a stream takes.
type sseSession struct {
	*pipe
	out    *sseWriter
	turn   chan struct{} // full while a message is being handled, and when none may be any more
	leave  func()
	noted  gateway.OpenSession
	missed int64 // notifications that the client knows were dropped
}

// sseSessions are those that have a stream.
type sseSessions struct {
	mu sync.Mutex
	by map[sessionKey]*sseSession
}

func (s *sseSessions) put(key sessionKey, se *sseSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[sessionKey]*sseSession{}
	}
	s.by[key] = se
}

func (s *sseSessions) remove(key sessionKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.by, key)
}

func (s *sseSessions) find(key sessionKey) *sseSession {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by[key]
}

// SSE serves the HTTP+SSE transport (2024-11-05, transports, HTTP with SSE) for
// clients that know no other: GET on a path that ends in /sse opens a session
// and its stream, whose first event says where to POST messages, which is
// /messages beside it. The session lives as long as the stream. It is bound to
// the principal, which each POST brings anew. Like [Frontend.ServeHTTP] it
// expects a principal in the request's context.
func (f *Frontend) SSE() http.Handler { return http.HandlerFunc(f.serveSSE) }

func (f *Frontend) serveSSE(w http.ResponseWriter, r *http.Request) {
	opens := path.Base(r.URL.Path) == "sse"
	req := &request{principal: auth.From(r.Context()), at: "POST /messages"}
	allow := http.MethodPost
	if opens {
		req.at, allow = "GET /sse", http.MethodGet
	}
	switch {
	case req.principal == nil:
		f.fail(w, r, req, refusal(&gateway.Error{Code: gateway.Unauthenticated, Msg: "authentication required"}, nil, true))
	case r.Method != allow:
		w.Header().Set("Allow", allow)
		f.fail(w, r, req, &wireError{code: codeInvalidRequest, status: http.StatusMethodNotAllowed, message: "Method not allowed"})
	case opens:
		f.openSSE(w, r, req)
	default:
		f.postSSE(w, r, req)
	}
}

// openSSE opens a session and serves its stream.
func (f *Frontend) openSSE(w http.ResponseWriter, r *http.Request, req *request) {
	p := req.principal
	if !accepts(r.Header, "text/event-stream") {
		f.fail(w, r, req, &wireError{code: codeInvalidRequest, status: http.StatusNotAcceptable, message: "Accept must list text/event-stream"})
		return
	}
	leave, err := f.streams.enter(p.ID)
	if err != nil {
		f.fail(w, r, req, err)
		return
	}
	ctx, cancel := life(r.Context(), p)
	hung := context.AfterFunc(r.Context(), cancel)
	now := time.Now()
	id := f.sealer.seal(rev20241105, 0, p.ID, now)
	t, _ := f.sealer.open(id, p.ID, now) // It was sealed just now.
	s := &sseSession{turn: make(chan struct{}, 1), leave: leave}
	s.pipe = f.newPipe(ctx, wire{
		at: "POST /messages", principal: p, key: t.key, legacy: true,
		write: s.send, idle: func() error { return s.out.idle() },
	}, func(error) { cancel() })
	s.turn <- struct{}{} // Messages wait for the stream.
	f.sse.put(t.key, s)

	endpoint := strings.TrimSuffix(r.URL.EscapedPath(), "sse") + "messages?sessionId=" + id
	if f.o.Cluster != nil {
		endpoint += "&node=" + f.sealNode(nodeOfStream, p.ID, t.key)
	}
	announce(w, r)
	var failed error
	if s.out, failed = newSSE(w, f.o.WriteTimeout); failed == nil {
		failed = s.out.named("endpoint", []byte(endpoint))
	}
	s.noted = f.note(p, "stream", s.refuse)
	if failed == nil && parks(r) && hung() && f.lot.Park(w, r, s.onto) {
		return
	}
	context.AfterFunc(r.Context(), cancel)
	<-s.turn
	if failed == nil {
		s.serve()
	}
	s.Ended(nil)
}

// refuse ends the session for a reason.
func (s *sseSession) refuse(why *gateway.Error) { s.stop(why) }

// serve writes what comes of the messages until the client goes, its credential
// expires or the frontend closes.
func (s *sseSession) serve() {
	var written sync.WaitGroup
	written.Go(s.writeLines)
	select {
	case <-s.stopped:
	case <-s.f.streams.ending:
	}
	s.stop(errClientGone)
	close(s.last)
	written.Wait()
}

// onto makes the stream one that is parked.
func (s *sseSession) onto(p *park.Stream) park.Handler {
	s.out.park(p)
	s.waker = p
	context.AfterFunc(s.requests, p.Wake)
	<-s.turn
	return s
}

// Next implements [park.Handler].
func (s *sseSession) Next(p *park.Stream) bool {
	select {
	case <-s.stopped:
		return false
	case <-s.f.streams.ending:
		return false
	default:
	}
	for waiting := true; waiting && !p.Full(); {
		select {
		case line := <-s.lines:
			_ = s.send(flatten(line.b)) // It is parked: there is room.
			s.f.release(line)
		default:
			waiting = false
		}
	}
	if n := s.dropped.Load(); n > s.missed && !p.Full() {
		_ = s.out.comment(droppedText(n - s.missed)) // As above.
		s.missed = n
	}
	if feed := s.told.Load(); feed != nil {
		err := feed.deliver(s.principal, s)
		return err == nil || errors.Is(err, errFull)
	}
	return true
}

// send writes a message.
func (s *sseSession) send(message []byte) error {
	if s.out.full() {
		return errFull
	}
	return s.out.named("message", message)
}

// idle implements stream.
func (s *sseSession) idle() error { return nil }

// Ended implements [park.Handler]. However the stream ended, the client begins
// anew.
func (s *sseSession) Ended(err error) {
	s.f.slow(s.requests, s.principal, err)
	s.f.sse.remove(s.key)
	s.stop(errClientGone)
	s.f.questions.end(s.key)
	s.turn <- struct{}{}
	s.end(errClientGone)
	s.out.detach()
	s.fail(errClientGone)
	s.noted.Close()
	s.leave()
}

// postSSE takes one message for a session. What comes of it comes on the stream.
func (f *Frontend) postSSE(w http.ResponseWriter, r *http.Request, req *request) {
	if err := checkMedia(r.Header); err != nil {
		f.fail(w, r, req, err)
		return
	}
	ids := r.URL.Query()["sessionId"]
	if len(ids) != 1 {
		f.fail(w, r, req, invalidRequest("sessionId must be given, once"))
		return
	}
	t, ok := f.sealer.open(ids[0], req.principal.ID, time.Now())
	se := f.sse.find(t.key)
	node := ""
	if ok && se == nil {
		node = f.streamNode(r, req.principal, t.key)
	}
	if !ok || se == nil && node == "" {
		f.fail(w, r, req, sessionNotFound())
		return
	}
	err := f.receive(w, r, req)
	defer f.free(req)
	if err == nil {
		req.message, err = f.parse(req.body.b)
	}
	if err != nil {
		f.fail(w, r, req, err)
		return
	}
	if se == nil {
		err = f.passMessage(r.Context(), node, t.key, req)
	} else if err = f.deposit(r.Context(), se, packet{req.body, req.principal}); err == nil {
		req.body = nil // It is the stream's.
	}
	switch {
	case err != nil:
		f.fail(w, r, req, err)
	case r.Context().Err() == nil:
		w.WriteHeader(http.StatusAccepted)
	}
}

// deposit has a session handle a message. Where it does, the message is no
// longer the caller's.
func (f *Frontend) deposit(ctx context.Context, se *sseSession, p packet) *wireError {
	room := time.NewTimer(f.o.WriteTimeout)
	defer room.Stop()
	select {
	case se.turn <- struct{}{}:
	case <-se.stopped:
		return sessionNotFound()
	case <-room.C: // The client does not read its stream.
		err := exhausted("too many messages wait in this session")
		err.status = http.StatusTooManyRequests
		return err
	case <-ctx.Done():
		return refusal(gateway.AsError(ctx.Err()), nil, false)
	}
	defer func() { <-se.turn }()
	if se.requests.Err() != nil {
		return sessionNotFound()
	}
	se.handle(se.requests, p)
	return nil
}
