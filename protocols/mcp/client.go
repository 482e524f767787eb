package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
	"github.com/trilith-gateway/trilith/protocols/http1"
)

// metaClientInfo names the client in a modern request's _meta.
const metaClientInfo = metaPrefix + "clientInfo"

// A transport carries messages between a client and its server. Its methods
// are safe for concurrent use. What arrives besides responses it hands to the
// client's notified and asked.
type transport interface {
	// roundTrip sends a request and returns the response. When the context ends
	// first it tells the server so and returns the context's cause.
	roundTrip(ctx context.Context, r *outgoing) (message, error)
	// send sends a notification or a response.
	send(ctx context.Context, method string, body []byte) error
	// stand keeps open what a legacy server needs for saying something unasked,
	// until the context ends. It calls ready once it is open or known to be
	// impossible.
	stand(ctx context.Context, ready func())
	// close releases everything. The client's context has ended before.
	close()
}

// An outgoing is a request to a server.
type outgoing struct {
	id      uint64
	method  string
	subject string // what Mcp-Name mirrors, or ""
	body    []byte
	buf     *buffer // that body is in, given back when the answer has come; nil for none
	params  []mirrored
	sink    *sink      // where what the server says about it goes, or nil
	inquiry *inquiry   // what the server may ask and say about it, or nil
	listen  *listening // for subscriptions/listen
	taskID  string     // what the server may ask about as well: a task of 2025-11-25
	task    bool       // whether the server was asked for a task (2025-11-25)

	by   time.Time    // when nobody waits for the answer any more; zero is never
	life *http1.Group // HTTP: requests that end together, or nil
}

// until returns a context that ends at a time, as the server has not answered;
// zero is never.
func until(ctx context.Context, by time.Time) (context.Context, context.CancelFunc) {
	if by.IsZero() {
		return ctx, func() {}
	}
	return context.WithDeadlineCause(ctx, by, errUpstreamSlow)
}

// A mirrored is a header that repeats an argument.
type mirrored struct{ header, value string }

// A client is one connection to a server: a program, a legacy session, or a
// modern server that has been discovered. It lives until its context ends.
type client struct {
	u      *Upstream
	t      transport
	ctx    context.Context //nolint:containedctx // the connection's life; its cause says why it ended.
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	born   time.Time

	rev     string       // "" until initialize is answered
	caps    capabilities // set while connecting
	meta    []byte       // modern: members of every request's _meta, up to the client's capabilities
	lastID  atomic.Uint64
	pending atomic.Int64
	replies atomic.Int64 // to the server's own requests, under way

	changes chan struct{} // the server's lists have changed
	doubts  chan struct{} // the server may be gone

	mu       sync.Mutex
	sinks    map[uint64]*sink         // of calls that want progress, by token
	listens  map[uint64]*listening    // by request id
	watched  map[string]*watched      // resources that are followed, by URI
	tasks    map[string]chan struct{} // wakes those who follow a task, by its id
	standing chan struct{}            // closed when stand is ready; nil before it was asked for
	rehear   context.CancelFunc       // ends the subscription to the lists, to be begun again; nil before there is one
	closing  bool                     // no more goroutines

	inquiries map[uint64]*inquiry           // of calls that are under way, by request id
	open      map[string]context.CancelFunc // the server's questions, by its ids
	owner     string                        // the principal of the last call
	used      bool                          // there was one
	mixed     bool                          // there were several principals
	warn      sync.Once                     // of questions that nobody can be asked
}

// newClient returns a client whose connection is for whom ctx says.
func newClient(ctx context.Context, u *Upstream) *client {
	c := &client{
		u: u, born: time.Now(), changes: make(chan struct{}, 1), doubts: make(chan struct{}, 1),
		sinks: map[uint64]*sink{}, listens: map[uint64]*listening{}, watched: map[string]*watched{},
		tasks:     map[string]chan struct{}{},
		inquiries: map[uint64]*inquiry{}, open: map[string]context.CancelFunc{},
	}
	c.ctx, c.cancel = context.WithCancelCause(egress.OnBehalf(u.ctx, ctx))
	return c
}

func (c *client) modern() bool    { return isModern(c.rev) }
func (c *client) isProcess() bool { return c.u.url == nil }

// setRevision is called before there are other users of the client.
func (c *client) setRevision(rev string) {
	c.rev, c.meta = rev, nil
	if c.modern() {
		c.meta = append([]byte(`"`+metaVersion+`":"`+rev+`","`+metaClientInfo+`":`), c.u.info...)
		c.meta = append(c.meta, `,"`+metaCapabilities+`":`...)
	}
}

// close ends the connection and waits until nothing is left of it.
func (c *client) close(cause error) {
	c.cancel(cause)
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.wg.Wait() // A cancellation must arrive before the session's end does.
	c.t.close()
}

// spawn runs f in a goroutine that close waits for. It reports false, and does
// nothing, where the connection is being closed.
func (c *client) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	c.wg.Go(f)
	return true
}

// begin returns a request whose body ends where the members of params stand.
// Each is appended with a comma after it; request completes the body.
func (c *client) begin(method string) *outgoing {
	r := &outgoing{id: c.lastID.Add(1), method: method}
	if _, ok := c.t.(*httpTransport); ok {
		r.buf = c.u.buffer()
		r.body = r.buf.b
	}
	r.body = append(r.body, `{"jsonrpc":"2.0","id":`...)
	r.body = strconv.AppendUint(r.body, r.id, 10)
	r.body = append(append(append(r.body, `,"method":"`...), method...), `","params":{`...)
	return r
}

// request sends a request and returns its result, which is an object.
func (c *client) request(ctx context.Context, r *outgoing) (json.RawMessage, error) {
	return c.requestFor(ctx, r, nil)
}

// requestFor is request on behalf of a call, whose _meta it passes on and which
// hears what the server says meanwhile.
func (c *client) requestFor(ctx context.Context, r *outgoing, call *gateway.Call) (json.RawMessage, error) {
	if c.pending.Add(1) > maxPending {
		c.pending.Add(-1)
		return nil, errBusy
	}
	defer c.pending.Add(-1)
	if call != nil && (call.Progress != nil || call.Log != nil) {
		r.sink = &sink{progress: call.Progress, log: call.Log}
		defer r.sink.end()
		if call.Progress != nil {
			c.mu.Lock()
			c.sinks[r.id] = r.sink
			c.mu.Unlock()
			defer c.forget(r.id)
		}
	}
	if call != nil && (!c.modern() || c.isProcess()) {
		c.standBy(ctx, call)
		c.inquire(ctx, r, call)
		defer c.endInquiry(r)
	}
	c.finish(r, call)
	m, err := c.t.roundTrip(ctx, r)
	switch {
	case err != nil:
		return nil, err
	case m.Error != nil:
		return nil, readError(m.Error)
	case !isObject(m.Result):
		return nil, badAnswer("the result is not an object")
	}
	return m.Result, nil
}

func (c *client) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sinks, id)
}

// finish appends _meta and closes the body. Of the caller's _meta it leaves out
// what is the client's to say.
func (c *client) finish(r *outgoing, call *gateway.Call) {
	start := len(r.body)
	r.body = append(append(r.body, `"_meta":{`...), c.meta...)
	if c.modern() {
		r.body = append(appendClientCapabilities(r.body, call, c.takesTasks(r.method)), ',')
	}
	if call != nil {
		if call.Progress != nil {
			r.body = append(r.body, `"`+metaProgress+`":`...)
			r.body = append(strconv.AppendUint(r.body, r.id, 10), ',')
		}
		if call.Log != nil && c.modern() {
			r.body = append(r.body, `"`+metaLogLevel+`":"debug",`...) // The door knows what its client wants to read.
		}
		r.body = appendForeign(r.body, call.Meta)
	}
	if r.body[len(r.body)-1] == '{' {
		r.body = dropComma(r.body[:start])
	} else {
		r.body = append(dropComma(r.body), '}')
	}
	r.body = flatten(append(r.body, "}}"...))
}

// appendForeign appends the members of a caller's _meta, each with a comma
// after it.
func appendForeign(b []byte, meta json.RawMessage) []byte {
	o, _ := openObject(meta) // None is given as nil.
	for o.next() {
		name := string(o.name)
		if name == metaProgress || len(name) > len(metaPrefix) && name[:len(metaPrefix)] == metaPrefix {
			continue
		}
		b = append(quote(b, name), ':')
		b = append(append(b, o.value...), ',')
	}
	return b
}

// doubtful draws the connection's conclusions from an error: Watch looks
// whether the server is still there, or what its tools are now, and a server
// that no longer speaks the revision is connected to anew.
func (c *client) doubtful(err error) {
	if isLost(err) {
		signal(c.doubts)
	}
	if e, ok := errors.AsType[*rpcError](err); ok {
		switch e.code {
		case codeHeaderMismatch:
			signal(c.changes)
		case codeUnsupportedVersion:
			c.cancel(err)
		}
	}
}

// ping returns nil where the server answers, whatever it says.
func (c *client) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.u.o.Timeout, errUpstreamSlow)
	defer cancel()
	method := "ping"
	if c.modern() {
		method = "server/discover"
	}
	_, err := c.request(ctx, c.begin(method))
	if _, ok := errors.AsType[*rpcError](err); ok || errors.Is(err, errBusy) {
		return nil
	}
	return err
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// dropComma takes back a comma after the last member.
func dropComma(b []byte) []byte {
	if b[len(b)-1] == ',' {
		return b[:len(b)-1]
	}
	return b
}
