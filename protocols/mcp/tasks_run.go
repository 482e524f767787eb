package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// The causes with which a task's call ends early.
var (
	errTaskCancelled = errors.New("the client cancelled the task")
	errTaskExpired   = errors.New("the task has expired")
	errTaskLost      = errors.New("the task could not be stored")
	errTaskStopped   = errors.New("the gateway stops")
)

const (
	taskBeat      = 10 * time.Second // between two notes in the store that a task still runs
	taskSilence   = 6 * taskBeat     // after which it does not
	taskPatience  = 5 * time.Second  // for the store
	taskQuestions = 32               // that a task may have open
	taskOverhead  = 1 << 10          // bytes of a record beside the result
)

// tasks are the calls of a frontend that run as tasks, or may come to.
type tasks struct {
	gw  *gateway.Gateway
	o   TaskOptions
	log *slog.Logger

	mu      sync.Mutex
	live    map[string]*task // by key: those whose last word is not in the store
	rooms   map[string]*taskRoom
	closed  bool
	closing chan struct{}
	wg      sync.WaitGroup
}

// A taskRoom is what a principal's tasks take up.
type taskRoom struct{ running, bytes int }

func newTasks(gw *gateway.Gateway, o TaskOptions, log *slog.Logger) *tasks {
	return &tasks{
		gw: gw, o: o, log: log,
		live: map[string]*task{}, rooms: map[string]*taskRoom{}, closing: make(chan struct{}),
	}
}

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
	watchers map[*func()]struct{}
}

// A taskQuestion waits for tasks/update.
type taskQuestion struct {
	key    string
	asks   gateway.Question
	answer chan json.RawMessage // of length 1
}

// start runs a call that may become a task. The call is copied out of the
// request, whose memory ends with its answer.
func (s *tasks) start(ctx context.Context, r *request, call *gateway.Call) (*task, *gateway.Error) {
	now := time.Now()
	id := newTaskID()
	t := &task{
		of: s, id: id, key: taskKey(id, r.principal.ID), owner: r.principal.ID,
		created: now, updated: now, expires: now.Add(s.o.TTL), status: statusWorking,
		asking: make(chan struct{}), returned: make(chan struct{}), over: make(chan struct{}),
		watchers: map[*func()]struct{}{},
	}
	own := *call
	own.Args, own.Meta, own.Capabilities = bytes.Clone(call.Args), bytes.Clone(call.Meta), bytes.Clone(call.Capabilities)
	t.can = abilities(own.Capabilities)
	own.Ask, own.Log, own.Task = t.ask, nil, true
	own.Progress = func(p gateway.Progress) { t.note(p.Message) }
	t.call = &own

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, &gateway.Error{Code: gateway.Unavailable, By: door, Msg: "the server is shutting down"}
	}
	room := s.rooms[t.owner]
	if room == nil {
		room = &taskRoom{}
	}
	if room.running >= s.o.PerPrincipal || room.bytes >= s.o.Retained {
		return nil, &gateway.Error{Code: gateway.ResourceExhausted, By: door, Msg: "too many tasks", Retry: s.o.Poll}
	}
	s.rooms[t.owner] = room
	room.running++
	long, cancel := context.WithDeadlineCause(context.WithoutCancel(ctx), t.expires, errTaskExpired)
	long, t.cancel = context.WithCancelCause(long)
	s.wg.Go(func() {
		defer cancel()
		t.run(long)
		s.leave(t.owner, 1, 0)
	})
	return t, nil
}

// leave gives room back.
func (s *tasks) leave(owner string, running, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	room := s.rooms[owner]
	room.running -= running
	if room.bytes -= size; *room == (taskRoom{}) {
		delete(s.rooms, owner)
	}
}

// keep counts what an ended task holds until it expires.
func (s *tasks) keep(t *task, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rooms[t.owner].bytes += size // The room is there for as long as the task runs.
	time.AfterFunc(time.Until(t.expires), func() { s.leave(t.owner, 0, size) })
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
		if round > maxRounds {
			err = errTooManyRounds()
			break
		}
		var answers map[string]json.RawMessage
		if answers, err = t.askAll(ctx, res.Input.Questions); err != nil {
			break
		}
		call = *t.call
		call.Resume = &gateway.Resume{Answers: answers, State: res.Input.State}
		res, err = t.of.gw.Do(ctx, &call)
	}
	t.conclude(ctx, &call, res, err)
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

// enlist makes a task one that is found, and reports whether it has to end.
func (s *tasks) enlist(t *task) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[t.key] = t
	return s.closed
}

// patience bounds one use of the store, which outlives the request.
func (t *task) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), taskPatience)
}

// save writes the task to the store as it is now.
func (t *task) save(ctx context.Context) error {
	t.saving.Lock()
	defer t.saving.Unlock()
	t.mu.Lock()
	stored, record := t.stored, t.record()
	t.mu.Unlock()
	if !stored {
		return nil // Create will, or has failed.
	}
	ctx, done := t.patience(ctx)
	defer done()
	return t.of.o.Store.Update(ctx, t.key, record, t.expires)
}

// saved is save where a failure is made good by the next.
func (t *task) saved(ctx context.Context) {
	if err := t.save(ctx); err != nil {
		t.of.log.WarnContext(ctx, "the state of a task was not stored", slog.Any("cause", err))
	}
}

// beat tells those who share the store that the task still runs.
func (t *task) beat(ctx context.Context) {
	tick := time.NewTicker(taskBeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			t.saved(ctx)
		case <-t.over:
			return
		}
	}
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
	if isFinal(t.status) {
		return
	}
	t.status, t.payload, t.message, t.open = status, payload, clip(message), nil
	close(t.over)
	t.changed()
}

// finish leaves the task to the store, as soon as that takes it.
func (t *task) finish(ctx context.Context) {
	defer t.of.forget(t)
	t.saving.Lock() // detach may be under way.
	t.mu.Lock()
	t.ended = true
	size, stored := len(t.payload)+taskOverhead, t.stored
	t.mu.Unlock()
	t.saving.Unlock()
	if !stored {
		return
	}
	if !time.Now().Before(t.expires) {
		t.erase(ctx)
		return
	}
	t.of.keep(t, size)
	retry := time.NewTicker(taskBeat)
	defer retry.Stop()
	for {
		err := t.save(ctx)
		if err == nil || !time.Now().Before(t.expires) {
			return
		}
		t.of.log.ErrorContext(ctx, "the end of a task was not stored", slog.Any("cause", err))
		select {
		case <-retry.C:
		case <-t.of.closing:
			return
		}
	}
}

// erase takes an expired task out of the store, for good.
func (t *task) erase(ctx context.Context) {
	t.saving.Lock()
	defer t.saving.Unlock()
	t.mu.Lock()
	t.stored = false
	t.mu.Unlock()
	ctx, done := t.patience(ctx)
	defer done()
	if err := t.of.o.Store.Delete(ctx, t.key); err != nil {
		t.of.log.WarnContext(ctx, "an expired task was not deleted", slog.Any("cause", err))
	}
}

func (s *tasks) forget(t *task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, t.key)
}

// ask puts a question to the task's client and waits for tasks/update.
func (t *task) ask(ctx context.Context, q gateway.Question) (json.RawMessage, error) {
	open, err := t.pose(q)
	if err != nil {
		return nil, err
	}
	t.saved(ctx)
	return t.await(ctx, open)
}

// askAll asks all at once and waits for all answers.
func (t *task) askAll(ctx context.Context, questions map[string]gateway.Question) (map[string]json.RawMessage, error) {
	open := make(map[string]*taskQuestion, len(questions))
	for _, key := range slices.Sorted(maps.Keys(questions)) {
		var err error
		if open[key], err = t.pose(questions[key]); err != nil {
			return nil, err
		}
	}
	if len(open) == 0 { // The upstream wants to be asked again, but not at once.
		wait := time.NewTimer(t.of.o.Poll)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	t.saved(ctx)
	answers := make(map[string]json.RawMessage, len(open))
	for key, o := range open {
		var err error
		if answers[key], err = t.await(ctx, o); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// pose opens a question. Its key is never used again in this task.
func (t *task) pose(q gateway.Question) (*taskQuestion, error) {
	if e := t.can.lacks(q); e != nil {
		return nil, e
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case isFinal(t.status) || t.ended:
		return nil, gateway.AsError(context.Canceled)
	case len(t.open) >= taskQuestions:
		return nil, &gateway.Error{Code: gateway.ResourceExhausted, By: door, Msg: "too many questions at once"}
	}
	t.asked++
	if t.asked == 1 {
		close(t.asking)
	}
	q.Params = bytes.Clone(q.Params)
	o := &taskQuestion{key: "q" + strconv.Itoa(t.asked), asks: q, answer: make(chan json.RawMessage, 1)}
	t.open = append(t.open, o)
	t.status = statusInput
	t.changed()
	return o, nil
}

// await waits for an answer. A question that nobody waits for any more is
// withdrawn.
func (t *task) await(ctx context.Context, o *taskQuestion) (json.RawMessage, error) {
	select {
	case a := <-o.answer:
		return a, nil
	case <-t.over:
		return nil, gateway.AsError(context.Canceled)
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeQuestion(o)
	return nil, ctx.Err()
}

// closeQuestion takes a question off the task. t.mu is held.
func (t *task) closeQuestion(o *taskQuestion) {
	i := slices.Index(t.open, o)
	if i < 0 {
		return // Answered or withdrawn before.
	}
	t.open = slices.Delete(t.open, i, i+1)
	if len(t.open) == 0 {
		t.status = statusWorking
	}
	t.changed()
}

// note shows how far the call says it has come.
func (t *task) note(message string) {
	if message == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !isFinal(t.status) {
		t.message, t.updated = clip(message), time.Now()
	}
}

// changed marks a change of status for those who watch. t.mu is held.
func (t *task) changed() {
	t.updated = time.Now()
	for w := range t.watchers {
		(*w)()
	}
}

// watch lets changed be called at each change of status, with the task locked,
// until stop is called.
func (t *task) watch(changed func()) (stop func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watchers[&changed] = struct{}{}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.watchers, &changed)
	}
}

// close ends every task and waits for the calls, no longer than patience. Later
// calls do not become tasks.
func (s *tasks) close(patience time.Duration) {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	live := slices.Collect(maps.Values(s.live))
	s.mu.Unlock()
	for _, t := range live {
		t.cancel(errTaskStopped)
	}
	idle := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(idle)
	}()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-idle:
	case <-limit.C:
		s.log.Warn("tasks go on after their end: their upstreams do not listen")
	}
}

// appendHead appends the members that every task shows, without the id and
// braces. t.mu is held.
func (t *task) appendHead(b []byte) []byte {
	b = append(append(append(b, `"status":"`...), t.status...), `","createdAt":`...)
	b = append(timestamp(b, t.created), `,"lastUpdatedAt":`...)
	b = append(timestamp(b, t.updated), `,"ttlMs":`...)
	b = strconv.AppendInt(b, t.of.o.TTL.Milliseconds(), 10)
	b = strconv.AppendInt(append(b, `,"pollIntervalMs":`...), t.of.o.Poll.Milliseconds(), 10)
	if t.message != "" {
		b = quote(append(b, `,"statusMessage":`...), t.message)
	}
	return b
}

// state returns the task as tasks/get shows it, an object without the id.
// t.mu is held.
func (t *task) state() []byte {
	b := t.appendHead(append(make([]byte, 0, 256+len(t.payload)), '{'))
	if len(t.open) > 0 {
		b = append(b, `,"inputRequests":{`...)
		for i, o := range t.open {
			if i > 0 {
				b = append(b, ',')
			}
			b = quote(append(quote(b, o.key), `:{"method":`...), o.asks.Method)
			b = append(appendParams(b, o.asks.Params), '}')
		}
		b = append(b, '}')
	}
	if t.payload != nil {
		b = append(append(b, ','), t.payload...)
	}
	return append(b, '}')
}

// record returns what the store keeps. t.mu is held.
func (t *task) record() []byte {
	r := taskRecord{node: t.of.o.Node, seen: time.Now(), expires: t.expires, status: t.status, state: t.state()}
	return r.append(nil)
}
