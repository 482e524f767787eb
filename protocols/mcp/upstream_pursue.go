package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
)

// A pursuit follows a server's task to its end on behalf of the call that it was
// made of: it looks how the task stands as often as the server wants it, asks
// the caller what the task asks, and takes the result. It survives connections.
type pursuit struct {
	u    *Upstream
	l    *link
	c    *client // nil where there is none now
	t    *begunTask
	call *gateway.Call

	over   bool // the server has no task any more that could be cancelled
	heard  time.Time
	told   int // reports of progress
	last   string
	wake   chan struct{}
	forget func() // undoes expectTask

	asking  sync.WaitGroup
	posed   map[string]context.CancelFunc // questions that the caller has or has answered, by key
	answers chan taskAnswer
	unsent  map[string]json.RawMessage
	fetched chan fetchedResult // legacy: what tasks/result came to
	fetch   bool               // legacy: it is under way
}

type taskAnswer struct {
	key    string
	answer json.RawMessage
	err    error
}

type fetchedResult struct {
	raw json.RawMessage
	err error
}

// pursue follows a task. When the caller leaves or the call fails, the server is
// told that nobody waits for the task; but not when the gateway stops and the
// task can be taken up again.
func (u *Upstream) pursue(ctx context.Context, l *link, c *client, call *gateway.Call, t *begunTask) (*gateway.Result, error) {
	p := &pursuit{
		u: u, l: l, t: t, call: call, heard: time.Now(), wake: make(chan struct{}, 1), forget: func() {},
		posed: map[string]context.CancelFunc{}, answers: make(chan taskAnswer, maxAsked), unsent: map[string]json.RawMessage{},
		fetched: make(chan fetchedResult, 1),
	}
	if c != nil {
		p.attach(c)
	}
	if call.Began != nil {
		handle, err := jsonv2.Marshal(taskHandle{t.id, t.legacy})
		if err != nil {
			return nil, gateway.AsError(err)
		}
		call.Began(handle)
	}
	work, stop := context.WithCancel(ctx)
	res, err := p.run(work)
	stop()
	p.asking.Wait() // The caller is asked nothing after Do has returned.
	kept := call.Began != nil && errors.Is(context.Cause(ctx), errTaskStopped)
	if err != nil && !p.over && !kept {
		p.abandon(ctx)
	}
	p.forget()
	if err != nil {
		return nil, u.fault(ctx, call, err)
	}
	return res, nil
}

// attach follows the task over a connection.
func (p *pursuit) attach(c *client) {
	p.forget()
	p.c = c
	p.forget = c.expectTask(p.t, p.call, p.wake)
	p.t.token = 0 // It belonged to that connection.
}

// run follows the task until its end.
func (p *pursuit) run(ctx context.Context) (*gateway.Result, error) {
	next := time.NewTimer(p.t.poll)
	defer next.Stop()
	looked := time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-p.wake:
			next.Reset(max(0, leastPoll-time.Since(looked)))
			continue
		case a := <-p.answers:
			if a.err != nil {
				return nil, a.err
			}
			p.unsent[a.key] = a.answer
		case f := <-p.fetched:
			p.fetch = false
			if f.err == nil || !p.passes(ctx, f.err) {
				return p.settle(f)
			}
			next.Reset(usualPoll)
			continue
		case <-next.C:
		}
		looked = time.Now()
		res, wait, err := p.look(ctx)
		if err != nil || res != nil {
			return res, err
		}
		next.Reset(wait)
	}
}

// look brings the server what it waits for and asks how the task stands. It
// returns the result, or how long to wait.
func (p *pursuit) look(ctx context.Context) (*gateway.Result, time.Duration, error) {
	if len(p.unsent) > 0 {
		_, err := p.request(ctx, methodTaskUpdate, appendResponses(nil, p.unsent))
		switch {
		case err == nil:
			clear(p.unsent)
		case !p.passes(ctx, err):
			return nil, 0, err
		}
	}
	raw, err := p.request(ctx, methodTaskGet, nil)
	if err != nil {
		if p.passes(ctx, err) {
			return nil, usualPoll, nil
		}
		if rpc, ok := errors.AsType[*rpcError](err); ok && ctx.Err() == nil {
			p.over = true
			err = &gateway.Error{Code: gateway.Aborted, By: p.u.by, Msg: "the upstream no longer knows of the task", Err: rpc}
		}
		return nil, 0, err
	}
	p.heard = time.Now()
	s := readTaskState(raw)
	p.report(&s)
	switch s.Status {
	case statusWorking:
		return nil, s.interval(), nil
	case statusCancelled:
		p.over = true
		return nil, 0, &gateway.Error{Code: gateway.Aborted, By: p.u.by, Msg: "the upstream cancelled the task"}
	case statusInput, statusCompleted, statusFailed:
		if p.t.legacy {
			p.takeLegacy(ctx, s.Status == statusInput)
			return nil, s.interval(), nil
		}
	default:
		return nil, 0, badAnswer("a task's status is none")
	}
	if s.Status == statusInput {
		return nil, s.interval(), p.pose(ctx, s.Input)
	}
	p.over = true
	res, err := p.outcome(&s)
	return res, 0, err
}

// outcome returns how a modern task ended.
func (p *pursuit) outcome(s *taskState) (*gateway.Result, error) {
	switch {
	case s.Status == statusFailed && isObject(s.Error):
		return nil, readError(s.Error)
	case s.Status == statusCompleted && isObject(s.Result):
		return p.result(s.Result)
	}
	return nil, badAnswer("a task has ended without a result")
}

// result wraps what a task came to, which is a result like any other.
func (p *pursuit) result(raw json.RawMessage) (*gateway.Result, error) {
	if kind, ok := unquote(lookup(raw, []string{"resultType"})); ok && kind != "complete" && !p.t.legacy {
		return nil, badAnswer("a task has come to something else than a result")
	}
	return p.c.result(raw, p.call)
}

// settle takes what tasks/result came to.
func (p *pursuit) settle(f fetchedResult) (*gateway.Result, error) {
	if f.err != nil {
		_, p.over = errors.AsType[*rpcError](f.err)
		return nil, f.err
	}
	p.over = true
	return p.result(f.raw)
}

// takeLegacy asks for the result of a task of 2025-11-25. A task that needs
// input has its questions come on the stream of the answer (2025-11-25, tasks,
// input required status).
func (p *pursuit) takeLegacy(ctx context.Context, waits bool) {
	if p.fetch {
		return
	}
	p.fetch = true
	c := p.c
	p.asking.Go(func() {
		if !waits {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, p.u.o.Timeout, errUpstreamSlow)
			defer cancel()
		}
		about := *p.call
		about.Progress, about.Log, about.Meta = nil, nil, nil // They went with the call itself.
		r := p.about(c, methodTaskResult)
		r.taskID = p.t.id
		raw, err := c.requestFor(ctx, r, &about)
		p.fetched <- fetchedResult{raw, err}
	})
}

// about begins a request about the task.
func (p *pursuit) about(c *client, method string) *outgoing {
	r := c.begin(method)
	r.subject = p.t.id
	r.body = append(quote(append(r.body, `"taskId":`...), p.t.id), ',')
	return r
}

// request makes a request about the task, over a new connection where the last
// one is lost. The members of params end with a comma.
func (p *pursuit) request(ctx context.Context, method string, params []byte) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.u.o.Timeout, errUpstreamSlow)
	defer cancel()
	if p.c == nil || p.c.ctx.Err() != nil {
		c, err := p.l.client(ctx, time.Time{})
		if err != nil {
			return nil, err
		}
		if c.modern() == p.t.legacy {
			return nil, &gateway.Error{Code: gateway.Aborted, By: p.u.by, Msg: "the upstream no longer knows of the task"}
		}
		p.attach(c)
	}
	r := p.about(p.c, method)
	r.body = append(r.body, params...)
	raw, err := p.c.request(ctx, r)
	if err != nil {
		p.c.doubtful(err)
	}
	return raw, err
}

// passes reports whether an error says that the server is away, and not for too
// long yet.
func (p *pursuit) passes(ctx context.Context, err error) bool {
	if ctx.Err() != nil || time.Since(p.heard) > taskAway {
		return false
	}
	if e, ok := errors.AsType[*gateway.Error](err); ok {
		return e.Code == gateway.Unavailable
	}
	if e, ok := errors.AsType[*egress.StatusError](err); ok {
		return e.Status >= 500 || e.Status == 429 || e.Status == 408
	}
	return isLost(err) || errors.Is(err, errSessionEnded) || errors.Is(err, errUpstreamSlow) || errors.Is(err, errBusy)
}

// report tells the caller what the server says of the task. A server of
// 2025-11-25 reports progress by itself.
func (p *pursuit) report(s *taskState) {
	if p.call.Progress == nil || s.Message == "" || s.Message == p.last || p.t.legacy && !p.call.Task {
		return
	}
	p.last = s.Message
	p.told++
	p.call.Progress(gateway.Progress{Progress: json.Number(strconv.Itoa(p.told)), Message: egress.OneLine(s.Message, maxErrorText)})
}

// pose asks the caller what a modern task asks, each question once, and takes
// back what it does not ask any more.
func (p *pursuit) pose(ctx context.Context, raw json.RawMessage) error {
	var requests map[string]struct {
		Method string          `json:"method"`
		Params json.RawMessage `json:"params"`
	}
	if err := jsonv2.Unmarshal(raw, &requests); err != nil {
		return badAnswer(err.Error())
	}
	for key, withdraw := range p.posed {
		if _, open := requests[key]; !open {
			withdraw()
		}
	}
	for _, key := range slices.Sorted(maps.Keys(requests)) {
		if p.posed[key] != nil {
			continue
		}
		q := gateway.Question{Method: requests[key].Method, Params: requests[key].Params}
		switch {
		case q.Capability() == "" || !isNull(q.Params) && !isObject(q.Params) || len(p.posed) >= maxAsked:
			return badAnswer("what a task asks is not a question to a client, or too much")
		case p.call.Ask == nil || !p.call.CanAnswer(q):
			return gateway.NeedsCapability(q.Capability())
		}
		asked, withdraw := context.WithCancel(ctx)
		p.posed[key] = withdraw
		p.asking.Go(func() {
			answer, err := p.call.Ask(asked, q)
			if asked.Err() == nil { // There is room for all that can be asked.
				p.answers <- taskAnswer{key, answer, err}
			}
			withdraw()
		})
	}
	return nil
}

// appendResponses appends answers as a member of params.
func appendResponses(b []byte, answers map[string]json.RawMessage) []byte {
	b = append(b, `"inputResponses":{`...)
	for _, key := range slices.Sorted(maps.Keys(answers)) {
		b = append(append(append(quote(b, key), ':'), answers[key]...), ',')
	}
	return append(dropComma(b), "},"...)
}

// abandon tells the server that nobody waits for the task any more.
func (p *pursuit) abandon(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.u.o.Grace)
	defer cancel()
	_, _ = p.request(ctx, methodTaskCancel, nil) // It ends by itself in the end.
}
