package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/ask"
)

// errAbandoned is the cause of a context whose client did not come back.
var errAbandoned = errors.New("the client did not come back with answers")

// A dialog is a modern call that may ask its client. The client's request waits
// for it to end or to ask; when it asks, the request is answered and the call
// waits, on this node, until the client comes back with answers (basic, multi
// round-trip requests).
type dialog struct {
	owner  string // the principal's ID
	can    ability
	kept   int             // bytes of the request that the call keeps
	life   context.Context //nolint:containedctx // of the call, which outlives its requests.
	cancel context.CancelCauseFunc
	heard  atomic.Pointer[gateway.Call] // where progress and log lines go now
	turn   chan struct{}                // one question at a time
	asked  chan *asked                  // to the request that waits
	done   chan struct{}                // closed when res and err are set
	res    *gateway.Result
	err    error
	rounds int // used by the request that waits
	number int // of questions, used by who has the turn
}

// An asked question, under the key that the client answers it with.
type asked struct {
	gateway.Question
	key    string
	answer chan reply // with room for one
}

// suspended are the dialogs that no request waits for.
type suspended struct {
	waiting *tally

	mu     sync.Mutex
	byName map[suspension]*suspendedDialog
	closed bool
}

type suspendedDialog struct {
	*dialog
	question *asked
	expiry   *time.Timer
}

func newSuspended(waiting *tally) *suspended {
	return &suspended{waiting: waiting, byName: map[suspension]*suspendedDialog{}}
}

// put suspends a dialog until its client comes back or the time is over, when
// the call is cancelled.
func (s *suspended) put(d *dialog, q *asked, most time.Duration) (suspension, error) {
	if d.rounds++; d.rounds > ask.MaxRounds {
		return suspension{}, ask.TooOften(door)
	}
	if err := s.waiting.enter(d.owner, d.kept); err != nil {
		return suspension{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		s.waiting.leave(d.owner, d.kept)
		return suspension{}, &gateway.Error{Code: gateway.Unavailable, By: door, Msg: "the server is shutting down"}
	}
	name := newSuspension()
	s.byName[name] = &suspendedDialog{d, q, time.AfterFunc(most, func() {
		if s.take(name) != nil {
			d.cancel(errAbandoned)
		}
	})}
	return name, nil
}

// take returns a suspended dialog, once.
func (s *suspended) take(name suspension) *suspendedDialog {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.byName[name]
	if d != nil {
		delete(s.byName, name)
		d.expiry.Stop()
		s.waiting.leave(d.owner, d.kept)
	}
	return d
}

// takeOf is take for the dialog of a principal.
func (s *suspended) takeOf(name suspension, owner string) *suspendedDialog {
	s.mu.Lock()
	d := s.byName[name]
	s.mu.Unlock()
	if d == nil || d.owner != owner {
		return nil
	}
	return s.take(name)
}

// close cancels all suspended dialogs and lets no other be suspended.
func (s *suspended) close() {
	s.mu.Lock()
	s.closed = true
	all := s.byName
	s.byName = map[suspension]*suspendedDialog{}
	s.mu.Unlock()
	for _, d := range all {
		d.expiry.Stop()
		s.waiting.leave(d.owner, d.kept)
		d.cancel(errAbandoned)
	}
}

// doModern sends a call down the road for a client that is asked by answers to
// its requests. Where the call waits for answers it returns its suspension.
func (f *Frontend) doModern(ctx context.Context, r *request, call *gateway.Call) (*gateway.Result, place, error) {
	call.Capabilities = r.meta.capabilities
	if isNull(r.params.requestState) {
		if isObject(r.params.inputResponses) {
			call.Resume = &gateway.Resume{Answers: readAnswers(r.params.inputResponses)}
		}
	} else {
		text, _ := unquote(r.params.requestState) // No string does not open either.
		state, ok := f.states.open(r, text, time.Now())
		switch {
		case !ok:
			return nil, place{}, f.gw.Refuse(ctx, call, badState("it is not valid for this call, or has expired"))
		case state.waiting != place{}:
			return f.proceed(ctx, r, call, state)
		}
		call.Resume = &gateway.Resume{Answers: readAnswers(r.params.inputResponses), State: state.upstream}
	}
	if res, done, err := f.doTask(ctx, r, call); done {
		return res, place{}, err
	}
	can := abilities(call.Capabilities)
	if can == 0 {
		res, err := f.gw.Do(ctx, call)
		return res, place{}, err
	}
	d := &dialog{
		owner: r.principal.ID, can: can,
		turn: make(chan struct{}, 1), asked: make(chan *asked), done: make(chan struct{}),
	}
	d.life, d.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	d.begin(f, r, call) // The call outlives its first request.
	return f.attend(ctx, d)
}

// badState refuses a requestState, which is never a new question.
func badState(msg string) *gateway.Error {
	return &gateway.Error{Code: gateway.InvalidArgument, By: door, Msg: "Invalid params: requestState: " + msg}
}

// readAnswers reads inputResponses. What is no object holds no answers.
func readAnswers(raw json.RawMessage) map[string]json.RawMessage {
	answers := map[string]json.RawMessage{}
	o, _ := openObject(raw)
	for o.next() {
		answers[string(o.name)] = bytes.Clone(o.value)
	}
	return answers
}

// begin makes the call in a goroutine. The call outlives the request, whose
// bytes it therefore owns. It ends with the request's life, if there is one.
func (d *dialog) begin(f *Frontend, r *request, call *gateway.Call) {
	d.hear(call)
	c := *call
	c.Args, c.Meta, c.Capabilities = bytes.Clone(c.Args), bytes.Clone(c.Meta), bytes.Clone(c.Capabilities)
	d.kept = len(c.Args) + len(c.Meta) + len(c.Capabilities)
	c.Ask = d.ask
	if c.Progress != nil {
		c.Progress = func(p gateway.Progress) {
			if to := d.heard.Load().Progress; to != nil {
				to(p)
			}
		}
	}
	if c.Log != nil {
		c.Log = func(m gateway.LogMessage) {
			if to := d.heard.Load().Log; to != nil {
				to(m)
			}
		}
	}
	stop := func() bool { return true }
	if life := r.life; life != nil {
		stop = context.AfterFunc(life, func() { d.cancel(context.Cause(life)) })
	}
	go func() {
		defer close(d.done)
		defer d.cancel(nil)
		defer stop()
		d.res, d.err = f.gw.Do(d.life, &c)
	}()
}

// hear makes a request the one that hears of progress and log lines.
func (d *dialog) hear(call *gateway.Call) {
	d.heard.Store(&gateway.Call{Progress: call.Progress, Log: call.Log})
}

// attend waits for a dialog to end or to ask. A client that goes away cancels
// the call (transports, cancellation).
func (f *Frontend) attend(ctx context.Context, d *dialog) (*gateway.Result, place, error) {
	for {
		select {
		case <-d.done:
			return d.res, place{}, d.err
		case q := <-d.asked:
			res, name, err := f.suspend(d, q)
			if err == nil {
				return res, name, nil
			}
			q.answer <- reply{err: err}
		case <-ctx.Done():
			d.cancel(context.Cause(ctx))
			<-d.done
			return d.res, place{}, d.err
		}
	}
}

// suspend leaves a dialog waiting for the answer to a question.
func (f *Frontend) suspend(d *dialog, q *asked) (*gateway.Result, place, error) {
	name, err := f.suspended.put(d, q, f.o.AnswerTimeout)
	if err != nil {
		return nil, place{}, err
	}
	return &gateway.Result{Input: &gateway.InputRequest{Questions: map[string]gateway.Question{q.key: q.Question}}}, place{f.node, name}, nil
}

// proceed goes on with a suspended dialog, wherever it waits. Where the answer is
// missing or does not fit, the client is asked again.
func (f *Frontend) proceed(ctx context.Context, r *request, call *gateway.Call, state inputState) (*gateway.Result, place, error) {
	if state.waiting.node != f.node {
		return f.proceedAt(ctx, r, call, state.waiting)
	}
	s := f.suspended.take(state.waiting.name)
	if s == nil {
		return nil, place{}, f.gw.Refuse(ctx, call, errNoLongerWaits())
	}
	s.hear(call)
	if !s.answer(r.params.inputResponses) {
		res, waiting, err := f.suspend(s.dialog, s.question)
		if err != nil {
			s.cancel(err)
		}
		return res, waiting, err
	}
	return f.attend(ctx, s.dialog)
}

func errNoLongerWaits() *gateway.Error { return badState("the call no longer waits for this answer") }

// answer lets the dialog go on, and reports false where there is no answer to
// its question.
func (s *suspendedDialog) answer(responses json.RawMessage) bool {
	given := bytes.Clone(lookup(responses, []string{s.question.key}))
	if !fits(s.question.Question, given) {
		return false
	}
	s.question.answer <- reply{result: given}
	return true
}

// ask is the call's Ask: it hands the question to the request that waits for
// the dialog, and waits for the answer that another one brings.
func (d *dialog) ask(ctx context.Context, q gateway.Question) (json.RawMessage, error) {
	if e := d.can.lacks(q); e != nil {
		return nil, e
	}
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-d.life.Done():
		return nil, d.life.Err()
	}
	d.number++
	a := &asked{q, "q" + strconv.Itoa(d.number), make(chan reply, 1)}
	a.Params = bytes.Clone(a.Params)
	select {
	case d.asked <- a:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-d.life.Done():
		return nil, d.life.Err()
	}
	select {
	case got := <-a.answer:
		return got.result, got.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-d.life.Done():
		return nil, d.life.Err()
	}
}

// appendInput appends the result that asks a modern client, with a state to
// bring back.
func (f *Frontend) appendInput(r *request, in *gateway.InputRequest, waiting place, out *buffer) error {
	if err := ask.Check(in, door); err != nil {
		return err
	}
	can := abilities(r.meta.capabilities)
	for _, q := range in.Questions {
		if e := can.lacks(q); e != nil {
			return e
		}
	}
	state := inputState{expires: time.Now().Add(f.o.AnswerTimeout), waiting: waiting, upstream: in.State}
	out.b = append(append(out.b, `{"resultType":"input_required","_meta":`...), f.info...)
	out.b = append(out.b, `,"inputRequests":{`...) // Even if empty: there are clients that do not come back without it.
	for _, key := range slices.Sorted(maps.Keys(in.Questions)) {
		q := in.Questions[key]
		out.b = quote(append(quote(out.b, key), `:{"method":`...), q.Method)
		out.b = append(appendParams(out.b, q.Params), "},"...)
	}
	out.b = append(trimComma(out.b), `},"requestState":`...)
	out.b = append(quote(out.b, f.states.seal(r, state)), '}')
	return nil
}
