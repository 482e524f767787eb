package mcp

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/park"
	"github.com/trilith-gateway/trilith/schema"
)

// FrontendOptions say how a [Frontend] presents itself and what it bears. Zero
// values take the defaults named with each field.
type FrontendOptions struct {
	Name         string // of the server, as clients show it; "trilith"
	Version      string // of the server; "0"
	Instructions string // for models, how to use what the server offers; "" for none

	Bounds schema.Bounds // on one message; schema.DefaultBounds

	// SessionKey seals the ids of legacy sessions. All nodes behind one address
	// share it. Zero is replaced by a random key, so that sessions end with the
	// process.
	SessionKey [32]byte

	IdleTimeout  time.Duration // after which a legacy session that holds state ends; 30 minutes
	KeepAlive    time.Duration // between comments on a quiet stream; 25 seconds
	WriteTimeout time.Duration // for one write to a client that does not read; 10 seconds

	AnswerTimeout time.Duration // for a client to answer a question, and for the state of one that is asked to come back; 15 minutes

	QuestionsPerPrincipal int // calls that wait for their client to answer; 64
	SessionsPerPrincipal  int // legacy sessions that hold state; 64
	StreamsPerPrincipal   int // standing streams; 64
	QueueLength           int // messages waiting for one slow reader; 64
	PageSize              int // entries on one page of a list; 500

	// Challenge returns the WWW-Authenticate header for a request to the path of a
	// URL whose credential lacks scopes, of which it gets all that are needed. Nil
	// sends none.
	Challenge func(path string, scopes []string) string

	Tasks TaskOptions // for calls that outlive their requests

	// Cluster reaches the frontends of the same endpoint on other nodes; nil where
	// there is one node.
	Cluster Cluster

	Sessions *gateway.Sessions // what standing streams and sockets are noted in; nil notes none

	Events EventStore // keeps the streams of sessions for clients that come back; new MemoryEvents

	Logger *slog.Logger // for the operator; nil discards
}

func (o FrontendOptions) withDefaults() FrontendOptions {
	orString := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	orInt := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	orTime := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	orString(&o.Name, "trilith")
	orString(&o.Version, "0")
	orInt(&o.Bounds.Bytes, schema.DefaultBounds().Bytes)
	orTime(&o.IdleTimeout, 30*time.Minute)
	orTime(&o.KeepAlive, 25*time.Second)
	orTime(&o.WriteTimeout, 10*time.Second)
	orTime(&o.AnswerTimeout, 15*time.Minute)
	orInt(&o.QuestionsPerPrincipal, 64)
	orInt(&o.SessionsPerPrincipal, 64)
	orInt(&o.StreamsPerPrincipal, 64)
	orInt(&o.QueueLength, 64)
	orInt(&o.PageSize, 500)
	o.Tasks = o.Tasks.withDefaults()
	if o.Events == nil {
		o.Events = new(MemoryEvents)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// A Frontend is the door for MCP clients. It is an http.Handler for the one
// endpoint of streamable HTTP, and serves stdio. It is safe for concurrent use.
//
// It takes the connections of standing streams over HTTP/1 from their
// http.Server, whose Shutdown and Close know nothing of them: Close ends them.
type Frontend struct {
	gw        *gateway.Gateway
	o         FrontendOptions
	sealer    sealer
	sessions  *sessions
	streams   *streams
	calls     *calls
	carriers  carriers
	sse       sseSessions
	questions *questions
	suspended *suspended
	visits    visits
	memories  memories
	lot       *park.Lot // of standing streams
	known     differences
	states    inputSealer
	node      string // this start of this node, in what others may bring back
	tasks     *tasks
	buffers   sync.Pool // *buffer
	silences  sync.Pool // *silence

	declared [abilityCount]json.RawMessage // ClientCapabilities of legacy sessions

	// Header values and parts of results that never change.
	typeJSON []string
	noStore  []string
	info     []byte // _meta with the server's name, an object
	tail     []byte // the end of every modern list: from a comma to the closing brace
	discover []byte // the result of server/discover
	server   []byte // capabilities, serverInfo and instructions of initialize, to the closing brace
}

// NewFrontend returns the MCP door of a gateway.
func NewFrontend(gw *gateway.Gateway, o FrontendOptions) *Frontend {
	o = o.withDefaults()
	if o.SessionKey == [32]byte{} {
		rand.Read(o.SessionKey[:])
	}
	seal, err := newSealer(o.SessionKey)
	if err != nil {
		panic(err) // AES takes every key of 32 bytes.
	}
	f := &Frontend{gw: gw, o: o, states: newInputSealer(o.SessionKey), sealer: seal, streams: newStreams(o.StreamsPerPrincipal), calls: newCalls()}
	waiting := newTally(o.QuestionsPerPrincipal)
	f.questions, f.suspended = newQuestions(waiting), newSuspended(waiting)
	if f.node = rand.Text(); o.Cluster != nil {
		f.node = o.Cluster.Node()
	}
	f.lot = park.New(park.Options{
		KeepAlive: o.KeepAlive, Comment: []byte(keepAlive), WriteTimeout: o.WriteTimeout, Changed: gw.Changed, Logger: o.Logger,
	})
	f.tasks = newTasks(gw, o.Tasks, o.Logger, f.states.aead, f.nodeGone)
	f.sessions = newSessions(o.SessionsPerPrincipal, o.IdleTimeout, f.calls.any)
	for can := range abilityCount {
		f.declared[can] = can.declared()
	}
	f.typeJSON, f.noStore = []string{"application/json"}, []string{"no-store"}
	f.buffers.New = func() any { return &buffer{b: make([]byte, 0, 4096)} }

	name := append(quote([]byte(`{"name":`), o.Name), `,"version":`...)
	name = append(quote(name, o.Version), '}')
	const capabilities = `"capabilities":{"completions":{},"logging":{},"prompts":{"listChanged":true},` +
		`"resources":{"listChanged":true,"subscribe":true},"tools":{"listChanged":true}}`
	var instructions []byte
	if o.Instructions != "" {
		instructions = quote([]byte(`,"instructions":`), o.Instructions)
	}
	f.info = append(append([]byte(`{"`+metaServerInfo+`":`), name...), '}')
	f.tail = append(append([]byte(`,"resultType":"complete","ttlMs":0,"cacheScope":"private","_meta":`), f.info...), '}')
	f.server = append(append([]byte(capabilities+`,"serverInfo":`), name...), instructions...)
	f.server = append(f.server, '}')
	f.discover = []byte(`{"supportedVersions":[`)
	for i, rev := range revisions() {
		if i > 0 {
			f.discover = append(f.discover, ',')
		}
		f.discover = quote(f.discover, rev)
	}
	const extensions = `,"extensions":` + `{"` + extensionTasks + `":{}}}`
	f.discover = append(append(f.discover, "],"+capabilities[:len(capabilities)-1]+extensions...), instructions...)
	f.discover = append(f.discover, f.tail...)
	return f
}

// Close ends every standing stream: a modern one with the result of its
// subscriptions/listen, a legacy one by closing it. It waits until they have
// ended, which takes no longer than WriteTimeout, and forgets all sessions.
// Later streams are refused; other requests are still served, and running calls
// go on for as long as their clients wait. Calls that wait for a client to come
// back with answers are cancelled, and so are tasks, which then have failed.
func (f *Frontend) Close() error {
	f.calls.close()
	f.suspended.close()
	f.tasks.close(f.o.WriteTimeout)
	f.streams.close(f.lot.WakeAll)
	f.lot.Close()
	f.sessions.close()
	return nil
}

// A buffer is reused memory for one request or one answer.
type buffer struct{ b []byte }

func (f *Frontend) buffer() *buffer {
	b := f.buffers.Get().(*buffer) //nolint:forcetypeassert // the pool holds nothing else.
	b.b = b.b[:0]
	return b
}

// maxBuffer is how large a buffer may have grown to be kept.
const maxBuffer = 256 << 10

// release gives a buffer back, unless it has grown out of the ordinary.
func (f *Frontend) release(b *buffer) {
	if cap(b.b) <= maxBuffer {
		f.buffers.Put(b)
	}
}

// streams counts the standing streams of each principal and ends them all.
type streams struct {
	most   int
	mu     sync.Mutex
	count  map[string]int
	closed bool
	ending chan struct{} // closed by close
	wg     sync.WaitGroup
}

func newStreams(most int) *streams {
	return &streams{most: most, count: map[string]int{}, ending: make(chan struct{})}
}

// enter admits one more stream of a principal and returns how to leave.
func (s *streams) enter(principal string) (leave func(), err *wireError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		err = refusal(&gateway.Error{Code: gateway.Unavailable, By: "mcp", Msg: "the server is shutting down"}, nil, true)
		err.status = http.StatusServiceUnavailable
		return nil, err
	case s.count[principal] >= s.most:
		err = exhausted("too many open streams")
		err.status = http.StatusTooManyRequests
		return nil, err
	}
	s.count[principal]++
	s.wg.Add(1)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.count[principal]--; s.count[principal] == 0 {
			delete(s.count, principal)
		}
		s.wg.Done()
	}, nil
}

// close ends all streams: those that sleep are told by wake.
func (s *streams) close(wake func()) {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.ending)
	}
	s.mu.Unlock()
	wake()
	s.wg.Wait()
}

// A callKey names a running call: ids are unique within a session or a pipe.
type callKey struct {
	session sessionKey
	id      string
}

// calls are the running calls that a client may cancel by name.
type calls struct {
	mu      sync.Mutex
	running map[callKey]runningCall
	begun   uint64 // how many calls there have been
	closed  bool
}

type runningCall struct {
	cancel context.CancelCauseFunc
	client context.Context //nolint:containedctx // it ends when the client has gone.
	n      uint64          // tells calls of one key apart
}

func newCalls() *calls { return &calls{running: map[callKey]runningCall{}} }

// begin notes a call, whose context it returns with how to end it. It reports
// false where the id is in use. The call may survive its client, but not when
// the frontend closes too.
func (c *calls) begin(ctx, client context.Context, key callKey) (context.Context, func(), bool) {
	ctx, cancel := context.WithCancelCause(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, used := c.running[key]; used {
		cancel(nil)
		return nil, nil, false
	}
	c.begun++
	n := c.begun
	call := runningCall{cancel, client, n}
	c.running[key] = call
	if c.closed {
		call.bind()
	}
	return ctx, func() {
		c.mu.Lock()
		if c.running[key].n == n { // Ended before, the id may be in use again.
			delete(c.running, key)
		}
		c.mu.Unlock()
		cancel(nil)
	}, true
}

// bind ends the call with its client.
func (r runningCall) bind() {
	context.AfterFunc(r.client, func() { r.cancel(context.Cause(r.client)) })
}

// cancel ends a call on its client's wish and reports whether there is one. An
// unknown one has ended before (basic, cancellation), or runs on another node.
func (c *calls) cancel(key callKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	call, ok := c.running[key]
	if ok {
		call.cancel(errCancelled)
	}
	return ok
}

// any reports whether calls of a session run.
func (c *calls) any(session sessionKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.running {
		if key.session == session {
			return true
		}
	}
	return false
}

// end cancels the calls of a session that has ended.
func (c *calls) end(session sessionKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, call := range c.running {
		if key.session == session {
			call.cancel(errSessionOver)
		}
	}
}

// close ends the calls whose clients have gone or go from now on. Those whose
// clients wait go on.
func (c *calls) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, call := range c.running {
		call.bind()
	}
}
