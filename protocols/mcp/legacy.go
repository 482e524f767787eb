package mcp

import (
	"context"
	"net/http"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// postLegacy serves a message of a session, or one that begins it.
func (f *Frontend) postLegacy(w http.ResponseWriter, r *http.Request, req *request) {
	if req.rev != "" && !supported(req.rev) {
		f.fail(w, r, req, unsupportedVersion(req.rev))
		return
	}
	if req.Method == "initialize" && r.Header.Get(headerSession) == "" {
		f.initialize(w, r, req)
		return
	}
	t, err := f.ticket(r, req.principal)
	if err != nil {
		f.fail(w, r, req, err)
		return
	}
	f.join(req, t)
	switch {
	case req.Method == "initialize":
		f.fail(w, r, req, invalidRequest("the session is already initialized"))
	case req.isRequest():
		call, err := f.beginLegacy(r, req)
		if err != nil {
			f.fail(w, r, req, err)
			return
		}
		if outlives(r, req) {
			f.answerLater(w, r, req, call)
			return
		}
		defer call.done()
		f.answer(call.ctx, w, r, req, call.serve)
	default:
		if err := f.noteLegacy(r.Context(), req); err != nil {
			f.fail(w, r, req, err)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}
}

// join makes a request one of a session that is alive.
func (f *Frontend) join(req *request, t ticket) {
	req.rev, req.key, req.can = t.rev, t.key, t.can
	req.session, _ = f.sessions.find(t.key)
}

// noteLegacy takes a notification or a response, which may concern a call on
// another node.
func (f *Frontend) noteLegacy(ctx context.Context, req *request) *wireError {
	switch {
	case req.Method == "":
		if !f.questions.take(&req.message, req.key, req.principal.ID) {
			return f.passReply(ctx, req)
		}
	case req.Method == "notifications/cancelled" && req.params.requestID != nil:
		if !f.calls.cancel(callKey{req.key, string(req.params.requestID)}) {
			f.tell(ctx, req.key, told{Op: toldCancel, ID: req.params.requestID})
		}
	}
	return nil
}

// A legacyCall is a request of a session that runs, or is about to.
type legacyCall struct {
	ctx   context.Context //nolint:containedctx // that of the call.
	serve method          // nil for nothing to run
	done  func()
}

// beginLegacy finds what serves a legacy request and makes it one of the running
// calls.
func (f *Frontend) beginLegacy(r *http.Request, req *request) (c legacyCall, err *wireError) {
	serve := methodOf(req.Method, false)
	if serve == nil {
		return c, methodNotFound(req.Method, false)
	}
	// A disconnect is no cancellation before 2026-07-28 (2025-11-25,
	// transports, sending messages): the client says so by name.
	ctx, done, ok := f.calls.begin(context.WithoutCancel(r.Context()), r.Context(), callKey{req.key, string(req.ID)})
	if !ok {
		return c, invalidRequest("a request with this id is running")
	}
	return legacyCall{ctx, serve, done}, nil
}

// ticket opens a request's session id.
func (f *Frontend) ticket(r *http.Request, p *gateway.Principal) (ticket, *wireError) {
	id, ok := one(r.Header, headerSession)
	if !ok || id == "" {
		return ticket{}, invalidRequest("Mcp-Session-Id must be given, once")
	}
	t, ok := f.sealer.open(id, p.ID, time.Now())
	if !ok {
		return ticket{}, sessionNotFound()
	}
	if _, alive := f.sessions.find(t.key); !alive {
		return ticket{}, sessionNotFound()
	}
	return t, nil
}

// initialize begins a legacy session (2025-11-25, lifecycle, initialization).
func (f *Frontend) initialize(w http.ResponseWriter, r *http.Request, req *request) {
	if !req.isRequest() {
		f.fail(w, r, req, invalidRequest("initialize is a request"))
		return
	}
	out := f.buffer()
	defer f.release(out)
	out.b = appendResponse(out.b, req.ID)
	rev, err := f.agree(req, out)
	if err != nil {
		f.fail(w, r, req, err)
		return
	}
	w.Header().Set(headerSession, f.sealer.seal(rev, abilities(req.params.capabilities), req.principal.ID, time.Now()))
	out.b = append(out.b, '}')
	f.write(w, http.StatusOK, out.b)
}

// agree appends the result of initialize and returns the session's revision.
func (f *Frontend) agree(req *request, out *buffer) (string, *wireError) {
	asked, ok := unquote(req.params.version)
	if !ok {
		return "", invalidParams("protocolVersion must be a string")
	}
	rev := negotiate(asked)
	out.b = append(append(append(out.b, `{"protocolVersion":"`...), rev...), `",`...)
	out.b = append(out.b, f.server...)
	return rev, nil
}

// get serves the stream of a legacy session: what changes, told once (2025-11-25,
// transports, listening for messages). With the id of an event it goes on after
// that, on whichever stream it was.
func (f *Frontend) get(w http.ResponseWriter, r *http.Request, req *request) {
	p := req.principal
	if !accepts(r.Header, "text/event-stream") {
		f.fail(w, r, req, &wireError{code: codeInvalidRequest, status: http.StatusNotAcceptable, message: "Accept must list text/event-stream"})
		return
	}
	t, err := f.ticket(r, p)
	if err != nil {
		f.fail(w, r, req, err)
		return
	}
	f.join(req, t)
	stream, after := standalone, uint64(0)
	if last, ok := one(r.Header, headerLastEvent); !ok || last != "" {
		if stream, after, ok = readEventID(last); !ok {
			f.fail(w, r, req, invalidRequest("Last-Event-ID is none of this server"))
			return
		}
	}
	leave, err := f.streams.enter(p.ID)
	if err != nil {
		f.fail(w, r, req, err)
		return
	}
	if log := f.eventLog(req, stream); stream != standalone {
		defer leave()
		f.resume(w, r, req, log, after)
	} else {
		f.standalone(w, r, req, log, after, leave)
	}
}

// standalone serves the stream that belongs to no request. However it ends, the
// client comes again.
func (f *Frontend) standalone(w http.ResponseWriter, r *http.Request, req *request, log *eventLog, after uint64, leave func()) {
	p := req.principal
	se, err := f.holds(req)
	if err != nil {
		leave()
		err.status = max(err.status, http.StatusTooManyRequests)
		f.fail(w, r, req, err)
		return
	}
	ctx, cancel := life(r.Context(), p)
	hung := context.AfterFunc(r.Context(), cancel)
	detach := se.attach(cancel, log)
	f.tell(ctx, req.key, told{Op: toldStream}) // One that another node still carries is at its end.
	out := &sseWriter{w: w, rc: http.NewResponseController(w), timeout: f.o.WriteTimeout, log: log}
	s := &standing{f: f, principal: p, feed: se.feed, out: out, ctx: ctx, cancel: cancel, free: func() {
		detach()
		leave()
	}}
	announce(w, r)
	if out.begin() != nil {
		s.Ended(nil)
		return
	}
	if after > 0 && log.replay(ctx, out, after) {
		se.feed.replayed()
	}
	se.feed.resume(ctx, p)
	s.serve(w, r, hung)
}

// delete ends a legacy session.
func (f *Frontend) delete(w http.ResponseWriter, r *http.Request, req *request) {
	t, err := f.ticket(r, req.principal)
	if err != nil {
		f.fail(w, r, req, err)
		return
	}
	f.endSession(t.key)
	f.memories.end(t.key)
	f.tell(r.Context(), t.key, told{Op: toldEnd})
	w.WriteHeader(http.StatusNoContent)
}

// endSession ends a session and what runs in it, on this node.
func (f *Frontend) endSession(key sessionKey) {
	f.sessions.end(key)
	f.questions.end(key)
	f.calls.end(key)
}

// holds returns what the request's session holds, made now if it held nothing.
func (f *Frontend) holds(r *request) (*session, *wireError) {
	if r.session != nil {
		return r.session, nil
	}
	return f.sessions.open(r.key, r.principal.ID, func() (*feed, string) { return f.recalled(r.key, r.principal) })
}

func (f *Frontend) legacyFeed(p *gateway.Principal) *feed {
	return f.newFeed(p, filter{tools: true, prompts: true, resources: true})
}

// setLevel serves logging/setLevel (2025-11-25, server, logging).
func (f *Frontend) setLevel(ctx context.Context, r *request, out *buffer) *wireError {
	level, ok := unquote(r.params.level)
	if !ok || severity(level) < 0 {
		return invalidParams("level must be one of RFC 5424's: debug, info, notice, warning, error, critical, alert, emergency")
	}
	se, err := f.holds(r)
	if err != nil {
		return err
	}
	se.setLevel(level)
	f.tellSet(ctx, r, told{Op: toldLevel, Level: level})
	out.b = append(out.b, "{}"...)
	return nil
}

// subscribe serves resources/subscribe (2025-11-25, server, resources).
func (f *Frontend) subscribe(ctx context.Context, r *request, out *buffer) *wireError {
	uri, ok := unquote(r.params.uri)
	if !ok {
		return invalidParams("uri must be a string")
	}
	se, werr := f.holds(r)
	if werr != nil {
		return werr
	}
	if err := se.feed.follow(ctx, r.principal, uri); err != nil {
		return refusal(err, &gateway.Call{Op: gateway.OpSubscribe, Name: uri}, false)
	}
	f.tellSet(ctx, r, told{Op: toldFollow, URI: uri, Principal: r.principal})
	out.b = append(out.b, "{}"...)
	return nil
}

// unsubscribe serves resources/unsubscribe. What was not subscribed is as the
// client wants it.
func (f *Frontend) unsubscribe(ctx context.Context, r *request, out *buffer) *wireError {
	uri, ok := unquote(r.params.uri)
	if !ok {
		return invalidParams("uri must be a string")
	}
	if r.session != nil {
		r.session.feed.unfollow(uri)
	}
	f.tellSet(ctx, r, told{Op: toldUnfollow, URI: uri})
	out.b = append(out.b, "{}"...)
	return nil
}
