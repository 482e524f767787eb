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
)

// maxInbox bounds the messages of one HTTP+SSE session that have been posted
// and not yet looked at.
const maxInbox = 16

// errClientGone ends a transport whose client hung up.
var errClientGone = errors.New("the client has gone")

// An inbox is where the POST requests of an HTTP+SSE session leave messages for
// its stream.
type inbox struct {
	messages chan packet
	closed   <-chan struct{}
}

// inboxes are those of all sessions.
type inboxes struct {
	mu sync.Mutex
	by map[sessionKey]*inbox
}

func (s *inboxes) put(key sessionKey, in *inbox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[sessionKey]*inbox{}
	}
	s.by[key] = in
}

func (s *inboxes) remove(key sessionKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.by, key)
}

func (s *inboxes) find(key sessionKey) *inbox {
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
	defer leave()
	ctx, cancel := auth.Until(r.Context(), p)
	defer cancel()
	now := time.Now()
	id := f.sealer.seal(rev20241105, 0, p.ID, now)
	t, _ := f.sealer.open(id, p.ID, now) // It was sealed just now.
	in := &inbox{messages: make(chan packet, maxInbox), closed: ctx.Done()}
	f.inboxes.put(t.key, in)
	defer f.inboxes.remove(t.key)

	out, failed := newSSE(w, f.o.WriteTimeout)
	defer out.detach()
	endpoint := strings.TrimSuffix(r.URL.EscapedPath(), "sse") + "messages?sessionId=" + id
	if f.o.Cluster != nil {
		endpoint += "&node=" + f.sealNode(nodeOfStream, p.ID, t.key)
	}
	if failed != nil || out.named("endpoint", []byte(endpoint)) != nil {
		return
	}
	_ = f.servePipe(ctx, wire{ // However it ends, the client begins anew.
		at: "POST /messages", principal: p, key: t.key, legacy: true, bounded: true,
		read:  func(ctx context.Context, to chan<- packet) error { return f.readInbox(ctx, in, to) },
		write: func(line []byte) error { return out.named("message", line) },
		idle:  out.idle,
	})
}

// readInbox sends what is posted.
func (f *Frontend) readInbox(ctx context.Context, in *inbox, to chan<- packet) error {
	for {
		select {
		case p := <-in.messages:
			select {
			case to <- p:
			case <-ctx.Done():
				return errClientGone
			}
		case <-ctx.Done():
			return errClientGone
		case <-f.streams.ending:
			return errClientGone
		}
	}
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
	in := f.inboxes.find(t.key)
	node := ""
	if ok && in == nil {
		node = f.streamNode(r, req.principal, t.key)
	}
	if !ok || in == nil && node == "" {
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
	if in == nil {
		err = f.passMessage(r.Context(), node, t.key, req)
	} else if err = f.deposit(r.Context(), in, packet{req.body, req.principal}); err == nil {
		req.body = nil // It is the stream's.
	}
	switch {
	case err != nil:
		f.fail(w, r, req, err)
	case r.Context().Err() == nil:
		w.WriteHeader(http.StatusAccepted)
	}
}

// deposit leaves a message for a session's stream. Where it does, the message
// is no longer the caller's.
func (f *Frontend) deposit(ctx context.Context, in *inbox, p packet) *wireError {
	room := time.NewTimer(f.o.WriteTimeout)
	defer room.Stop()
	select {
	case in.messages <- p:
		return nil
	case <-in.closed:
		return sessionNotFound()
	case <-room.C: // The client does not read its stream.
		err := exhausted("too many messages wait in this session")
		err.status = http.StatusTooManyRequests
		return err
	case <-ctx.Done():
		return refusal(gateway.AsError(ctx.Err()), nil, false)
	}
}
