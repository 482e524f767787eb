package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// Bounds on what a legacy server may ask on behalf of one call.
const (
	maxAsking = 8  // at a time
	maxAsked  = 64 // altogether
)

// askable is what legacy servers are told that their client answers. Whether
// the caller's own client does is seen question by question.
const askable = `{"elicitation":{"form":{},"url":{}},"sampling":{"context":{},"tools":{}},"roots":{}}`

// An inquiry is a call that a server has not answered yet, which a legacy one
// may ask about, and which lines on a pipe may be about.
type inquiry struct {
	call *gateway.Call
	sink *sink           // nil where the caller hears nothing
	task string          // that it is about as well, or ""
	ctx  context.Context //nolint:containedctx // the call's; questions come on other goroutines.
	stop context.CancelFunc
	wg   sync.WaitGroup // of questions that the caller has

	// Guarded by client.mu.
	ended         bool
	asking, asked int
}

// inquire lets the server ask about a call. The caller of inquire ends the
// inquiry with the call.
func (c *client) inquire(ctx context.Context, r *outgoing, call *gateway.Call) {
	i := &inquiry{call: call, sink: r.sink, task: r.taskID}
	i.ctx, i.stop = context.WithCancel(ctx)
	r.inquiry = i
	owner := ""
	if call.Principal != nil {
		owner = call.Principal.ID
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inquiries[r.id] = i
	if c.used && c.owner != owner {
		c.mixed = true
	}
	c.used, c.owner = true, owner
}

// standBy opens a legacy session's own stream, on which many servers ask and
// log, before the first call whose caller can be asked or told. Servers that do
// not answer at once are not waited for.
func (c *client) standBy(ctx context.Context, call *gateway.Call) {
	const most = time.Second
	c.mu.Lock()
	begun := c.standing != nil
	c.mu.Unlock()
	if begun || c.modern() || call.Ask == nil && call.Log == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	_ = c.stand(ctx) // The call finds out by itself what is wrong.
}

// endInquiry makes sure that the caller is asked nothing after Do has returned.
func (c *client) endInquiry(r *outgoing) {
	c.mu.Lock()
	r.inquiry.ended = true
	delete(c.inquiries, r.id)
	c.mu.Unlock()
	r.inquiry.stop()
	r.inquiry.wg.Wait()
}

// enter makes room for a question to the caller, or says why there is none.
func (c *client) enter(i *inquiry) *wireError {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case i.ended:
		return errNotAsked("the call has ended")
	case i.asking >= maxAsking || i.asked >= maxAsked:
		return errNotAsked("too many questions about one call")
	}
	i.asking++
	i.asked++
	i.wg.Add(1)
	return nil
}

func (c *client) leaveInquiry(i *inquiry) {
	c.mu.Lock()
	i.asking--
	c.mu.Unlock()
	i.wg.Done()
}

const msgMixed = "the gateway cannot tell whose question this is"

func errNotAsked(msg string) *wireError { return &wireError{code: codeInvalidRequest, message: msg} }

// whose returns the call that a question is about. One that came on the stream
// of a call is about that call (2025-11-25, transports, sending messages to the
// server), and one that names a task about that.
func (c *client) whose(r *outgoing, params json.RawMessage) (*inquiry, *wireError) {
	if r != nil {
		if r.inquiry == nil {
			return nil, errNotAsked("nobody can be asked about this request")
		}
		return r.inquiry, nil
	}
	if i := c.inquiryOf(relatedTask(params)); i != nil {
		return i, nil
	}
	i, refused := c.sole()
	if refused != nil && refused.message == msgMixed {
		c.warn.Do(func() {
			c.u.o.Logger.WarnContext(c.ctx, "the server asks without saying whom, over a connection that several principals share; "+
				"nobody is asked (a source with sessions of each principal can ask)", slog.String("source", c.u.o.Name))
		})
	}
	return i, refused
}

// inquiryOf returns the call that is about a task, or nil.
func (c *client) inquiryOf(task string) *inquiry {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range c.inquiries {
		if task != "" && i.task == task {
			return i
		}
	}
	return nil
}

// sole returns the call that something is about which came on a pipe, or on a
// session's own stream, where nothing says so: it is known only if the
// connection has carried no other principal's call, and no other call is under
// way.
func (c *client) sole() (*inquiry, *wireError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.mixed:
		return nil, errNotAsked(msgMixed)
	case len(c.inquiries) == 0:
		return nil, errNotAsked("no call is under way that this could be about")
	case len(c.inquiries) > 1:
		return nil, errNotAsked("several calls are under way that this could be about")
	}
	for _, i := range c.inquiries {
		return i, nil
	}
	return nil, nil // There is one.
}

// asked answers a request of the server: ping by itself, and what a caller's
// client can answer by asking it. On HTTP, r is the request whose stream it
// came on, or nil.
func (c *client) asked(m *message, r *outgoing) {
	q := gateway.Question{Method: m.Method, Params: m.Params}
	switch {
	case m.Method == "ping":
		c.replyTo(append(appendResponse(nil, m.ID), "{}}"...))
	case q.Capability() == "" || c.modern(): // A modern server asks by its answer alone.
		c.replyTo(appendError(nil, m.ID, methodNotFound(m.Method, false)))
	default:
		i, refused := c.whose(r, m.Params)
		if refused == nil {
			refused = c.question(m.ID, i, q)
		}
		if refused != nil {
			c.replyTo(appendError(nil, m.ID, refused))
		}
	}
}

// question puts a question to a call's caller, and the answer to the server
// once it is there.
func (c *client) question(id json.RawMessage, i *inquiry, q gateway.Question) *wireError {
	if i.call.Ask == nil || !i.call.CanAnswer(q) {
		return &wireError{code: codeMethodNotFound, message: "the client does not support " + q.Capability()}
	}
	ctx, cancel := context.WithCancel(i.ctx)
	if !c.opened(id, cancel) {
		cancel()
		return nil // It is asked already; one answer will do.
	}
	if refused := c.enter(i); refused != nil {
		c.closed(id)
		return refused
	}
	spawned := c.spawn(func() {
		answer, err := i.call.Ask(ctx, q)
		c.closed(id)
		c.leaveInquiry(i)
		c.deliver(appendAnswer(id, answer, err)) // The server waits for it when the call has ended, too.
	})
	if !spawned {
		c.closed(id)
		c.leaveInquiry(i)
	}
	return nil
}

// opened notes a question that the server may take back, and reports false where
// one of that id is open.
func (c *client) opened(id json.RawMessage, cancel context.CancelFunc) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[string(id)] != nil {
		return false
	}
	c.open[string(id)] = cancel
	return true
}

func (c *client) closed(id json.RawMessage) {
	c.mu.Lock()
	cancel := c.open[string(id)]
	delete(c.open, string(id))
	c.mu.Unlock()
	cancel()
}

// withdrawn ends a question that the server no longer wants answered (basic,
// cancellation).
func (c *client) withdrawn(params json.RawMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cancel := c.open[string(lookup(params, []string{"requestId"}))]; cancel != nil {
		cancel()
	}
}

// appendAnswer returns the response to a question. Where the caller's client
// refused by an error, the server gets that error.
func appendAnswer(id, answer json.RawMessage, err error) []byte {
	if err == nil && isObject(answer) {
		return append(append(appendResponse(nil, id), answer...), '}')
	}
	w := &wireError{code: codeInternal, message: "the client's answer is not an object"}
	if err != nil {
		e := gateway.AsError(err)
		w.message = e.Msg
		if e.Needs != nil {
			w.code = codeInvalidParams // A part of a capability that is there (elicitation, error handling).
		}
		if own, ok := errors.AsType[*rpcError](err); ok && own.code != 0 {
			w.code, w.message, w.data = own.code, own.message, own.data
		}
	}
	return appendError(nil, id, w)
}

// replyTo sends a response that is ready. Servers that ask faster than they
// read go without.
func (c *client) replyTo(body []byte) {
	const most = 16
	if c.replies.Add(1) > most {
		c.replies.Add(-1)
		return
	}
	spawned := c.spawn(func() {
		defer c.replies.Add(-1)
		c.deliver(body)
	})
	if !spawned {
		c.replies.Add(-1)
	}
}

func (c *client) deliver(body []byte) {
	ctx, cancel := context.WithTimeout(c.ctx, c.u.o.Timeout)
	defer cancel()
	if err := c.t.send(ctx, "", body); err != nil && ctx.Err() == nil {
		c.doubtful(err)
	}
}

// A patience is the time that a server has for its answer. It stands still while
// the server itself waits for one from the caller, and then begins anew.
type patience struct {
	most  time.Duration
	timer *time.Timer

	mu      sync.Mutex
	waiting int
}

// patiently returns when the server must have answered a call: by a time, or
// for a call that can ask as a context, and a call whose questions stop the
// clock.
func patiently(ctx context.Context, call *gateway.Call, most time.Duration) (_ context.Context, by time.Time, _ *gateway.Call, _ context.CancelFunc) {
	if call.Task { // Its context bounds it.
		return ctx, by, call, func() {}
	}
	if call.Ask == nil {
		return ctx, time.Now().Add(most), call, func() {}
	}
	ctx, expire := context.WithCancelCause(ctx)
	p := &patience{most: most, timer: time.AfterFunc(most, func() { expire(errUpstreamSlow) })}
	asking := *call
	asking.Ask = func(ctx context.Context, q gateway.Question) (json.RawMessage, error) {
		p.hold(1)
		defer p.hold(-1)
		return call.Ask(ctx, q)
	}
	return ctx, by, &asking, func() {
		p.timer.Stop()
		expire(nil)
	}
}

func (p *patience) hold(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.waiting += n; p.waiting {
	case 0:
		p.timer.Reset(p.most)
	case n: // The first.
		p.timer.Stop()
	}
}
