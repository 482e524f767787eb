package mcp

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
)

// maxPipeCalls bounds the requests that one pipe may have running.
const maxPipeCalls = 128

// ServeStdio serves one client over a pair of pipes, a message a line, in both
// eras: a request whose _meta names a modern revision is stateless, all others
// belong to the session that initialize begins (transports, stdio). The
// principal is that of every request.
//
// It returns nil when in ends and what was running has been answered, for which
// it waits no longer than WriteTimeout; the context's cause when that ends; and
// the error of reading or writing otherwise. It closes in, where that is an
// io.Closer, so that no read is left behind.
func (f *Frontend) ServeStdio(ctx context.Context, in io.Reader, out io.Writer, p *gateway.Principal) error {
	if c, ok := in.(io.Closer); ok {
		defer c.Close() //nolint:errcheck // nothing more is read.
	}
	return f.servePipe(ctx, wire{
		at: "stdio", principal: p,
		read: func(ctx context.Context, to chan<- packet) error { return f.readLines(ctx, in, p, to) },
		write: func(line []byte) error {
			_, err := out.Write(append(line, '\n'))
			return err
		},
	})
}

// A wire carries the messages of one client, in both directions.
type wire struct {
	at        string // in records
	principal *gateway.Principal
	key       sessionKey // names the session; zero for a new one
	legacy    bool       // whether stateless requests have no place here

	// read sends what it receives until the client ends it, which is nil and lets
	// what runs be answered, or it fails. It ends soon after the context.
	read func(ctx context.Context, to chan<- packet) error
	// write sends a message, a single line that it may append to.
	write func(line []byte) error
	// bounded says that write returns in time. Then nothing of the transport is
	// used once it has been served.
	bounded bool
	// idle keeps a quiet connection open; nil where it needs no help.
	idle func() error
}

// A packet is a message as it was received.
type packet struct {
	line      *buffer
	principal *gateway.Principal // who sent it: perhaps with other rights than who opened the transport
}

// servePipe serves one client on a transport until that ends, as ServeStdio
// says.
func (f *Frontend) servePipe(ctx context.Context, t wire) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	if t.key == (sessionKey{}) {
		rand.Read(t.key[:])
	}
	c := f.newPipe(ctx, t, fail)
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.writeLines()
	}()
	read := make(chan packet)
	ended := make(chan error, 1)
	reading, stopReading := context.WithCancel(ctx)
	go func() { ended <- t.read(reading, read) }()

	streams, hangUp := context.WithCancel(c.requests)
	err := c.serve(streams, read, ended)
	hangUp()
	f.questions.end(c.key)
	if err == nil {
		c.await(f.o.WriteTimeout)
	}
	stopReading()
	c.end(err)
	close(c.last)
	if t.bounded {
		<-written
	}
	select {
	case <-written:
	case <-time.After(f.o.WriteTimeout): // The client reads no more, and a write cannot be called back.
	}
	return err
}

// newPipe returns a pipe that runs what is asked for until the context ends.
func (f *Frontend) newPipe(ctx context.Context, t wire, fail context.CancelCauseFunc) *pipe {
	c := &pipe{
		f: f, wire: t, fail: fail,
		lines: make(chan *buffer, f.o.QueueLength), last: make(chan struct{}),
		slots: make(chan struct{}, maxPipeCalls),
	}
	c.requests, c.stop = context.WithCancelCause(ctx)
	c.stopped = c.requests.Done()
	return c
}

// end ends what runs, and the session.
func (c *pipe) end(why error) {
	c.stop(why)
	c.running.Wait()
	if c.session != nil {
		c.session.end()
	}
	if n := c.dropped.Load(); n > 0 {
		c.f.o.Logger.WarnContext(c.requests, "notifications were dropped: the client did not read fast enough", slog.Int64("count", n))
	}
}

// A pipe is one client on a transport that carries many messages: stdio, the
// two endpoints of HTTP+SSE, a WebSocket.
type pipe struct {
	f *Frontend
	wire
	fail  context.CancelCauseFunc // ends the pipe
	lines chan *buffer            // to write; never closed
	last  chan struct{}           // closed when lines holds the last of them
	waker waker                   // of what writes the lines; nil where that waits for them

	requests context.Context         //nolint:containedctx // of what is running.
	stop     context.CancelCauseFunc // ends it
	stopped  <-chan struct{}         // closed when nothing more is worth waiting for
	slots    chan struct{}           // one for each running request
	running  sync.WaitGroup

	// Used by one goroutine at a time: the one that handles a message.
	rev     string   // that initialize agreed on
	can     ability  // what the client declared there
	session *session // nil until then
	telling bool     // whether the session's changes are being told

	told    atomic.Pointer[feed] // what the waker's stream tells besides the lines; nil for none
	dropped atomic.Int64         // notifications for which there was no room
}

// serve handles what is read until that ends, which is no error, or fails.
func (c *pipe) serve(streams context.Context, read <-chan packet, ended <-chan error) error {
	for {
		select {
		case p := <-read:
			c.handle(streams, p)
		case err := <-ended:
			return err
		case <-c.stopped:
			return context.Cause(c.requests)
		}
	}
}

// await waits until nothing is running, but not for ever.
func (c *pipe) await(most time.Duration) {
	idle := make(chan struct{})
	go func() {
		c.running.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-time.After(most):
	}
}

// handle serves one message, in a goroutine where it is a request.
func (c *pipe) handle(streams context.Context, p packet) {
	requests, line, kept := c.requests, p.line, false
	defer func() {
		if !kept {
			c.f.release(line)
		}
	}()
	if len(bytes.TrimSpace(line.b)) == 0 {
		return
	}
	req := &request{principal: p.principal, key: c.key, at: c.at}
	var err *wireError
	if req.message, err = c.f.parse(line.b); err != nil {
		c.respond(requests, req, err)
		return
	}
	req.params = readParams(req.Params)
	if !req.isRequest() {
		c.note(streams, req)
		return
	}
	serve, err := c.admit(req)
	if err != nil {
		c.respond(requests, req, err)
		return
	}
	if req.Method == "initialize" {
		c.initialize(requests, req)
		return
	}
	req.life = requests
	parent := requests
	if serve == nil {
		parent = streams
	}
	ctx, done, ok := c.f.calls.begin(parent, parent, callKey{c.key, string(req.ID)})
	if !ok {
		c.respond(requests, req, invalidRequest("a request with this id is running"))
		return
	}
	select {
	case c.slots <- struct{}{}:
	default:
		done()
		c.respond(requests, req, exhausted("too many requests at once"))
		return
	}
	kept, req.body = true, line
	c.running.Go(func() {
		defer c.f.free(req)
		defer func() { <-c.slots }()
		defer done()
		if serve == nil {
			c.listen(ctx, req)
		} else {
			c.answer(ctx, req, serve, done)
		}
	})
}

// admit decides a request's era and returns what serves it: nil for
// subscriptions/listen and initialize.
func (c *pipe) admit(req *request) (method, *wireError) {
	if e := req.principal.Expiry; !e.IsZero() && time.Now().After(e) {
		return nil, refusal(&gateway.Error{Code: gateway.Unauthenticated, Msg: "the credential has expired"}, nil, true)
	}
	req.meta = readMeta(req.params.meta)
	inBody, _ := unquote(req.meta.version) // Not a string is not a version.
	modern := isModern(inBody) || req.Method == "server/discover" || req.Method == "subscriptions/listen"
	switch {
	case modern && c.legacy:
		return nil, unsupportedVersion(inBody)
	case modern:
		req.rev = inBody
		if err := checkMeta(req, inBody); err != nil {
			return nil, err
		}
		if !supported(inBody) {
			return nil, unsupportedVersion(inBody)
		}
		if req.Method == "subscriptions/listen" {
			return nil, nil
		}
	case req.Method == "initialize":
		return nil, nil
	case c.session == nil && req.Method != "ping":
		return nil, invalidRequest("the session begins with initialize")
	default:
		req.rev, req.can, req.session = c.rev, c.can, c.session
	}
	serve := methodOf(req.Method, modern)
	if serve == nil {
		return nil, methodNotFound(req.Method, modern)
	}
	return serve, nil
}

// initialize begins the pipe's one session.
func (c *pipe) initialize(ctx context.Context, req *request) {
	if c.session != nil {
		c.respond(ctx, req, invalidRequest("the session is already initialized"))
		return
	}
	out := c.f.buffer()
	out.b = appendResponse(out.b, req.ID)
	rev, err := c.f.agree(req, out)
	if err != nil {
		c.f.release(out)
		c.respond(ctx, req, err)
		return
	}
	c.rev, c.can = rev, abilities(req.params.capabilities)
	c.session = &session{key: c.key, owner: c.principal.ID, level: defaultLevel, feed: c.f.legacyFeed(c.principal)}
	out.b = append(out.b, '}')
	c.post(out)
}

// note takes a notification or a response.
func (c *pipe) note(streams context.Context, req *request) {
	switch {
	case req.Method == "":
		c.f.questions.take(&req.message, req.key, req.principal.ID)
	case req.Method == "notifications/cancelled" && req.params.requestID != nil:
		c.f.calls.cancel(callKey{c.key, string(req.params.requestID)})
	case req.Method == "notifications/initialized" && c.session != nil && !c.telling:
		c.telling = true
		feed := c.session.feed
		if c.waker != nil {
			feed.begin(c.waker)
			c.told.Store(feed)
			c.waker.Wake()
			return
		}
		c.running.Go(func() {
			ctx, cancel := auth.Until(streams, c.principal)
			defer cancel()
			_ = feed.run(ctx, c.principal, &pipeStream{c, ctx}, c.f.o.KeepAlive, c.f.streams.ending) // It ends with the pipe.
		})
	}
}

// answer serves a request and writes the response, unless the client cancelled
// it: then it wants none (basic, cancellation).
func (c *pipe) answer(ctx context.Context, req *request, serve method, done func()) {
	var mu sync.Mutex
	answered := false
	req.notify = func(n []byte) {
		mu.Lock()
		defer mu.Unlock()
		if !answered { // An upstream that still reports then is too late.
			c.offer(n)
		}
	}
	req.send = c.put
	out := c.f.buffer()
	c.f.respond(ctx, req, serve, out)
	mu.Lock()
	answered = true
	mu.Unlock()
	if errors.Is(context.Cause(ctx), errCancelled) {
		c.f.release(out)
		return
	}
	done() // Whoever has read the answer may use its id again.
	c.post(out)
}

// listen serves subscriptions/listen.
func (c *pipe) listen(ctx context.Context, req *request) {
	leave, err := c.f.streams.enter(c.principal.ID)
	if err != nil {
		c.respond(ctx, req, err)
		return
	}
	defer leave()
	l, err := c.f.openListen(ctx, req)
	if err != nil {
		c.respond(ctx, req, err)
		return
	}
	defer l.feed.close()
	c.f.free(req)
	_ = c.f.listen(ctx, l, &pipeStream{c, ctx}) // It ended on the client's wish or with the pipe.
}
