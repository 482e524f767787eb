package mcp

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// taskID returns the id that a request names, which Mcp-Name mirrors.
func (r *request) taskID() (string, bool) {
	const most = 128 // Ours are shorter.
	id, ok := unquote(lookup(r.Params, []string{"taskId"}))
	if !ok || id == "" || len(id) > most {
		return "", false
	}
	return id, true
}

// unknownTask is the answer to an id that was never given, has expired or is
// another principal's: all read the same (ext-tasks, protocol errors).
func unknownTask() *wireError { return invalidParams("task not found") }

// findTask returns the task that a request names: live where it runs here, and
// its stored record otherwise.
func (f *Frontend) findTask(ctx context.Context, r *request) (live *task, stored taskRecord, id string, err *wireError) {
	if !r.declaresTasks() {
		return nil, taskRecord{}, "", refusal(missingTasks(), nil, true)
	}
	id, ok := r.taskID()
	if !ok {
		return nil, taskRecord{}, "", invalidParams("taskId must be a string")
	}
	live, stored, err = f.tasks.find(ctx, id, r.principal)
	return live, stored, id, err
}

// find returns a principal's task. A task leaves the live ones only after the
// store has its end, so one of the two has it.
func (s *tasks) find(ctx context.Context, id string, owner *gateway.Principal) (*task, taskRecord, *wireError) {
	key := taskKey(id, owner.ID)
	now := time.Now()
	if t := s.running(key); t != nil {
		if !now.Before(t.expires) {
			return nil, taskRecord{}, unknownTask()
		}
		return t, taskRecord{}, nil
	}
	rec, err := s.load(ctx, key)
	if err != nil || isFinal(rec.status) || !s.orphaned(ctx, rec, now) {
		return nil, rec, err
	}
	t, rec := s.adopt(ctx, id, key, owner, rec)
	return t, rec, nil
}

// running returns a task that runs on this node, or nil.
func (s *tasks) running(key string) *task {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live[key]
}

// load reads a task's record.
func (s *tasks) load(ctx context.Context, key string) (taskRecord, *wireError) {
	data, err := s.o.Store.Get(ctx, key)
	if errors.Is(err, ErrTaskNotFound) {
		return taskRecord{}, unknownTask()
	}
	if err != nil {
		s.log.ErrorContext(ctx, "a task was not read", slog.Any("cause", err))
		return taskRecord{}, refusal(&gateway.Error{Code: gateway.Unavailable, By: door, Msg: "tasks cannot be read now"}, nil, true)
	}
	rec, ok := readTaskRecord(data)
	if !ok {
		s.log.ErrorContext(ctx, "a task's record is damaged")
		return taskRecord{}, refusal(&gateway.Error{Code: gateway.DataLoss, By: door, Msg: "the task cannot be read"}, nil, true)
	}
	if !time.Now().Before(rec.expires) {
		return taskRecord{}, unknownTask()
	}
	return rec, nil
}

// orphaned reports whether the node that ran a task has ended. One of the same
// name has, where it is not this start of it; any other, when it is silent or
// cannot be reached.
func (s *tasks) orphaned(ctx context.Context, rec taskRecord, now time.Time) bool {
	if rec.node == s.o.Node || rec.node == "" {
		return true // This node's own live tasks have been found before.
	}
	silent := now.Sub(rec.seen)
	return silent > taskSilence || silent > taskBeat+taskPatience && s.gone(ctx, rec.node)
}

// bury gives an orphan its last status.
func (s *tasks) bury(ctx context.Context, key string, rec *taskRecord, now time.Time) {
	e := errRestarted()
	b := append([]byte(nil), `{"status":"failed","lastUpdatedAt":`...)
	b = quote(append(timestamp(b, now), `,"statusMessage":`...), e.Msg)
	o, _ := openObject(rec.state) // It is one.
	for o.next() {
		switch name := string(o.name); name {
		case "createdAt", "ttlMs", "pollIntervalMs":
			b = append(append(append(append(b, `,"`...), name...), `":`...), o.value...)
		}
	}
	b = append(append(append(b, ','), failure(refusal(e, nil, true))...), '}')
	rec.status, rec.state = statusFailed, b
	if err := s.o.Store.Update(ctx, key, rec.append(nil), rec.expires); err != nil {
		s.log.WarnContext(ctx, "the end of a task was not stored", slog.Any("cause", err))
	}
}

// getTask serves tasks/get.
func (f *Frontend) getTask(ctx context.Context, r *request, out *buffer) *wireError {
	t, rec, id, err := f.findTask(ctx, r)
	if err != nil {
		return err
	}
	state := rec.state
	if t != nil {
		t.mu.Lock()
		state = t.state()
		t.mu.Unlock()
	}
	out.b = append(append(out.b, `{"resultType":"complete","_meta":`...), f.info...)
	out.b = append(quote(append(out.b, `,"taskId":`...), id), ',')
	out.b = append(out.b, state[1:]...)
	return nil
}

// updateTask serves tasks/update. Answers to what is not open mean nothing; the
// others may come one by one (ext-tasks, task update requests).
func (f *Frontend) updateTask(ctx context.Context, r *request, out *buffer) *wireError {
	t, rec, id, err := f.findTask(ctx, r)
	if err != nil {
		return err
	}
	responses := lookup(r.Params, []string{"inputResponses"})
	answers, ok := openObject(responses)
	if !ok {
		return invalidParams("inputResponses must be an object")
	}
	switch {
	case t != nil:
		t.update(ctx, answers)
	case !isFinal(rec.status):
		t, err = f.passTask(ctx, r.principal, id, rec, &peerRequest{Op: peerUpdate, Answers: responses})
		if t != nil {
			t.update(ctx, answers)
		}
	}
	if err == nil {
		f.acknowledge(out)
	}
	return err
}

// update takes answers.
func (t *task) update(ctx context.Context, answers object) {
	if t.take(answers) {
		t.saved(ctx)
	}
}

// take delivers answers and reports whether there was a question for any.
func (t *task) take(answers object) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	taken := false
	for answers.next() {
		i := slices.IndexFunc(t.open, func(o *taskQuestion) bool { return o.key == string(answers.name) })
		if i < 0 || !fits(t.open[i].asks, answers.value) {
			continue // What does not fit leaves the question open, as it does without tasks.
		}
		o := t.open[i]
		o.answer <- bytes.Clone(answers.value)
		t.closeQuestion(o)
		taken = true
	}
	return taken
}

// cancelTask serves tasks/cancel, which is the same for a task that has ended.
func (f *Frontend) cancelTask(ctx context.Context, r *request, out *buffer) *wireError {
	t, rec, id, err := f.findTask(ctx, r)
	switch {
	case err != nil:
		return err
	case t != nil:
		t.stop(ctx)
	case !isFinal(rec.status):
		if t, err = f.passTask(ctx, r.principal, id, rec, &peerRequest{Op: peerStop}); t != nil {
			t.stop(ctx)
		}
	}
	if err == nil {
		f.acknowledge(out)
	}
	return err
}

// stop cancels a task on its client's wish.
func (t *task) stop(ctx context.Context) {
	t.settle(statusCancelled, nil, "")
	t.cancel(errTaskCancelled)
	t.saved(ctx)
}

func (f *Frontend) acknowledge(out *buffer) {
	out.b = append(append(append(out.b, `{"resultType":"complete","_meta":`...), f.info...), '}')
}
