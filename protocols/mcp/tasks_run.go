package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/ask"
	"github.com/trilith-gateway/trilith/internal/clip"
)

// The causes with which a task's call ends early.
var (
	errTaskCancelled = errors.New("the client cancelled the task")
	errTaskExpired   = errors.New("the task has expired")
	errTaskLost      = errors.New("the task could not be stored")
	errTaskStopped   = errors.New("the gateway stops")
)

// A task is a call on its own feet, or one that may yet become that.
type task struct {
	of       *tasks
	id, key  string
	owner    string
	call     *gateway.Call // as it was made; each round gets a copy
	can      ability
	cancel   context.CancelCauseFunc
	created  time.Time
	expires  time.Time
	asking   chan struct{} // closed at the first question
	returned chan struct{} // closed when the call ended before it was detached
	over     chan struct{} // closed when the status is final

	// How the call ended before it was detached. Read after returned is closed.
	res *gateway.Result
	err error

	saving sync.Mutex // held while the store is written, before mu

	mu       sync.Mutex
	ended    bool // the call returned and has been answered or settled
	detached bool
	stored   bool
	status   string
	message  string
	updated  time.Time
	payload  []byte // the last member on the wire where the status is final, or nil
	open     []*taskQuestion
	asked    int
	prefix   string // of the keys of questions
	rejoin   string // sealed: how to go on with what the upstream has; "" for nothing
	left     bool   // it goes on at the upstream, for whoever takes it up again
	watchers map[*func()]struct{}
}

// run makes the call, as often as it comes back for answers, and settles the
// task.
func (t *task) run(ctx context.Context) {
	defer t.cancel(nil)
	call := *t.call
	res, err := t.of.gw.Do(ctx, &call)
	if t.answered(res, err) {
		return
	}
	for round := 1; err == nil && res.Input != nil; round++ {
		if round > ask.MaxRounds {
			err = ask.TooOften(door)
			break
		}
		var answers map[string]json.RawMessage
		if answers, err = t.askAll(ctx, res.Input.Questions); err != nil {
			break
		}
		call = *t.call
		call.Rejoin = nil
		call.Resume = &gateway.Resume{Answers: answers, State: res.Input.State}
		res, err = t.of.gw.Do(ctx, &call)
	}
	if err == nil || !t.leave(ctx) {
		t.conclude(ctx, &call, res, err)
	}
	t.finish(ctx)
}

// answered ends the call where nobody has been told of a task: what it came to
// answers the request.
func (t *task) answered(res *gateway.Result, err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.detached {
		return false
	}
	t.ended, t.res, t.err = true, res, err
	close(t.returned)
	return true
}

// detach makes the call a task and returns its members as the client is told of
// them, when the store has them: nil where the call has ended.
func (t *task) detach(ctx context.Context) ([]byte, error) {
	t.saving.Lock() // A call that ends meanwhile waits in finish.
	defer t.saving.Unlock()
	t.mu.Lock()
	if t.detached = !t.ended; !t.detached {
		t.mu.Unlock()
		return nil, nil
	}
	head := t.appendHead(append(append([]byte(`"taskId":"`), t.id...), `",`...))
	record := t.record()
	t.mu.Unlock()
	if t.of.enlist(t) {
		t.cancel(errTaskStopped)
	}
	creating, done := t.patience(ctx)
	defer done()
	if err := t.of.o.Store.Create(creating, t.key, record, t.expires); err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.stored = true
	t.mu.Unlock()
	t.of.wg.Go(func() { t.beat(context.WithoutCancel(ctx)) })
	return head, nil
}

// conclude settles the task with what its call came to.
func (t *task) conclude(ctx context.Context, call *gateway.Call, res *gateway.Result, err error) {
	if err == nil {
		raw := res.Raw[skipSpace(res.Raw, 0):]
		switch {
		case !isObject(raw):
			err = errors.New("upstream's result is not an object")
		case len(raw) > t.of.o.ResultBytes:
			err = &gateway.Error{
				Code: gateway.ResourceExhausted, By: door,
				Msg: "the result is larger than " + strconv.Itoa(t.of.o.ResultBytes) + " bytes, which is what a task may hold",
			}
		default:
			t.settle(statusCompleted, append([]byte(`"result":`), raw...), "")
			return
		}
	}
	e := gateway.AsError(err)
	if e.Code == gateway.InvalidArgument && e.By == "arguments" { // As without a task.
		t.settle(statusCompleted, append([]byte(`"result":`), gateway.ErrorResult(e.Msg).Raw...), "")
		return
	}
	if errors.Is(context.Cause(ctx), errTaskStopped) {
		e = errRestarted()
	}
	t.settle(statusFailed, failure(refusal(e, call, true)), e.Msg)
}

// errRestarted is what became of a task that ran when its node stopped or died.
func errRestarted() *gateway.Error {
	return &gateway.Error{Code: gateway.Unavailable, By: door, Msg: "the gateway was restarted while the task ran"}
}

// failure returns the member that says why a task failed.
func failure(e *wireError) []byte {
	b := strconv.AppendInt([]byte(`"error":{"code":`), int64(e.code), 10)
	b = quote(append(b, `,"message":`...), e.message)
	if e.data != nil {
		b = append(append(b, `,"data":`...), e.data...)
	}
	return append(b, '}')
}

// settle gives the task its last status, unless it has one.
func (t *task) settle(status string, payload []byte, message string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if isFinal(t.status) || t.left {
		return
	}
	t.status, t.payload, t.message, t.open = status, payload, clip.Text(message, maxQuoted), nil
	close(t.over)
	t.changed()
}
