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
	live, stored, err = f.tasks.find(ctx, id, r.principal.ID)
	return live, stored, id, err
}

// find returns a principal's task. A task leaves the live ones only after the
// store has its end, so one of the two has it.
func (s *tasks) find(ctx context.Context, id, owner string) (*task, taskRecord, *wireError) {
	key := taskKey(id, owner)
	s.mu.Lock()
	t := s.live[key]
	s.mu.Unlock()
	now := time.Now()
	if t != nil {
		if !now.Before(t.expires) {
			return nil, taskRecord{}, unknownTask()
		}
		return t, taskRecord{}, nil
	}
	data, err := s.o.Store.Get(ctx, key)
	if errors.Is(err, ErrTaskNotFound) {
		return nil, taskRecord{}, unknownTask()
	}
	if err != nil {
		s.log.ErrorContext(ctx, "a task was not read", slog.Any("cause", err))
		return nil, taskRecord{}, refusal(&gateway.Error{Code: gateway.Unavailable, By: door, Msg: "tasks cannot be read now"}, nil, true)
	}
	rec, ok := readTaskRecord(data)
	if !ok {
		s.log.ErrorContext(ctx, "a task's record is damaged")
		return nil, taskRecord{}, refusal(&gateway.Error{Code: gateway.DataLoss, By: door, Msg: "the task cannot be read"}, nil, true)
	}
	if !now.Before(rec.expires) {
		return nil, taskRecord{}, unknownTask()
	}
	if !isFinal(rec.status) && s.orphaned(rec, now) {
		s.bury(ctx, key, &rec, now)
	}
	return nil, rec, nil
}

// orphaned reports whether the node that ran a task has ended. One of the same
// name has, where it is not this start of it; any other, when it is silent.
func (s *tasks) orphaned(rec taskRecord, now time.Time) bool {
	if rec.node == s.o.Node {
		return true // This node's own live tasks have been found before.
	}
	return now.Sub(rec.seen) > taskSilence
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
	t, rec, _, err := f.findTask(ctx, r)
	if err != nil {
		return err
	}
	answers, ok := openObject(lookup(r.Params, []string{"inputResponses"}))
	if !ok {
		return invalidParams("inputResponses must be an object")
	}
	if t == nil {
		if !isFinal(rec.status) {
			return elsewhere()
		}
		f.acknowledge(out)
		return nil
	}
	if t.take(answers) {
		t.saved(ctx)
	}
	f.acknowledge(out)
	return nil
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
	t, rec, _, err := f.findTask(ctx, r)
	switch {
	case err != nil:
		return err
	case t == nil && !isFinal(rec.status):
		return elsewhere()
	case t != nil:
		t.settle(statusCancelled, nil, "")
		t.cancel(errTaskCancelled)
		t.saved(ctx)
	}
	f.acknowledge(out)
	return nil
}

func (f *Frontend) acknowledge(out *buffer) {
	out.b = append(append(append(out.b, `{"resultType":"complete","_meta":`...), f.info...), '}')
}

// elsewhere is the answer to what only the node that runs a task can do. What
// stands before the nodes is to send a task's requests to one node by Mcp-Name
// (ext-tasks, routing headers).
func elsewhere() *wireError {
	return refusal(&gateway.Error{
		Code: gateway.Unavailable, By: door, Msg: "the task runs on another node; requests about it must be routed by Mcp-Name",
	}, nil, true)
}
