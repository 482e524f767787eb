package mcp

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// extensionTasks names the Tasks extension in capabilities (ext-tasks
// 2026-07-28, SEP-2663).
const extensionTasks = "io.modelcontextprotocol/tasks"

// needsTasks is the client capability that tasks need.
const needsTasks = `{"extensions":{"` + extensionTasks + `":{}}}`

// TaskOptions say how long calls run on as tasks and what they may hold. Zero
// values take the defaults named with each field.
type TaskOptions struct {
	// Store keeps tasks where clients that come again find them: in memory by
	// default. Nodes that share a store answer tasks/get for each other. Two
	// frontends of one node share none.
	Store TaskStore
	// Node names this node among those that share the store, the same after each
	// start: its tasks from before are known at once to have ended with it. A
	// node that is silent for a minute has ended too.
	Node string

	After time.Duration // a call that takes no longer is answered at once, without a task; 500 ms
	TTL   time.Duration // from the call's start until its task is forgotten, running or not; 1 hour
	Poll  time.Duration // what clients are told to wait between two looks; 1 second

	PerPrincipal int // tasks of one principal that run; 64
	Retained     int // bytes that the ended tasks of one principal may hold; 64 MiB
	ResultBytes  int // of one result: a larger one is a failure; 512 KiB
}

func (o TaskOptions) withDefaults() TaskOptions {
	orTime := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	orInt := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	orTime(&o.After, 500*time.Millisecond)
	orTime(&o.TTL, time.Hour)
	orTime(&o.Poll, time.Second)
	orInt(&o.PerPrincipal, 64)
	orInt(&o.Retained, 64<<20)
	orInt(&o.ResultBytes, 512<<10)
	if o.Store == nil {
		o.Store = newTaskMemory()
	}
	return o
}

// taskSupport is what a tool's definition says in execution.taskSupport.
type taskSupport byte

const (
	taskForbidden taskSupport = iota // or silent
	taskOptional
	taskRequired
	taskAwaited // the definition says required, and the source waits for who cannot
)

type taskSupportKey struct{}

// taskTools returns what the view's tools say of tasks, by name. Tools that
// always answer at once have no entry.
func taskTools(view *gateway.Snapshot) map[string]taskSupport {
	return view.Memo(taskSupportKey{}, func(s *gateway.Snapshot) any { //nolint:forcetypeassert // the key is ours.
		all := map[string]taskSupport{}
		for _, t := range s.Tools {
			support := taskForbidden
			if strings.Contains(string(t.Definition), "taskSupport") {
				support = supportIn(t.Definition)
			}
			switch {
			case t.Waits && support == taskRequired:
				support = taskAwaited
			case t.Waits:
				support = taskOptional
			}
			if support != taskForbidden {
				all[t.Name] = support
			}
		}
		return all
	}).(map[string]taskSupport)
}

// supportIn returns what a definition says of tasks.
func supportIn(definition json.RawMessage) taskSupport {
	switch word, _ := unquote(lookup(definition, []string{"execution", "taskSupport"})); word { // No string says nothing.
	case "optional":
		return taskOptional
	case "required":
		return taskRequired
	}
	return taskForbidden
}

// declaresTasks reports whether the client of this very request takes tasks.
func (r *request) declaresTasks() bool {
	return r.modern() && isObject(lookup(r.meta.capabilities, []string{"extensions", extensionTasks}))
}

// missingTasks refuses what only a client with the extension can use.
func missingTasks() *gateway.Error {
	return &gateway.Error{
		Code: gateway.FailedPrecondition, By: door,
		Msg:   "this needs a client that supports the extension " + extensionTasks,
		Needs: json.RawMessage(needsTasks),
	}
}

// lacksTasks reports whether a call needs a client with the extension, which
// this one is not. Revision 2026-07-28 knows the extension and leaves no choice
// (ext-tasks, task creation); what waits for its result serves older clients.
func (f *Frontend) lacksTasks(r *request, name string) bool {
	if r.declaresTasks() {
		return false
	}
	support := f.supportsTask(r, name)
	return support == taskRequired || support == taskAwaited && r.modern()
}

// supportsTask returns what the tool that a call names says of tasks, as far as
// the caller may know of it.
func (f *Frontend) supportsTask(r *request, name string) taskSupport {
	return taskTools(f.gw.View(r.principal))[name]
}

// doTask makes a tool's call that may outlive its request. It reports false
// where the call is one like any other: the tool does not say that it may run
// as a task, the client does not take tasks, or, for a tool that does without,
// there is no room for one more.
//
// A call that ends or comes back for answers within TaskOptions.After has the
// result that any call has; one that goes on, or asks, becomes the request's
// task (ext-tasks, task creation).
func (f *Frontend) doTask(ctx context.Context, r *request, call *gateway.Call) (*gateway.Result, bool, error) {
	if call.Op != gateway.OpCall || !r.declaresTasks() {
		return nil, false, nil
	}
	support := f.supportsTask(r, call.Name)
	if support == taskForbidden {
		return nil, false, nil
	}
	t, err := f.tasks.start(ctx, r, call)
	switch {
	case err == nil:
		res, err := t.attend(ctx, r)
		return res, true, err
	case support == taskRequired:
		return nil, true, f.gw.Refuse(ctx, call, err)
	default:
		return nil, false, nil
	}
}

// attend waits until a call has ended or becomes the request's task, which is
// stored by then.
func (t *task) attend(ctx context.Context, r *request) (*gateway.Result, error) {
	patience := time.NewTimer(t.of.o.After)
	defer patience.Stop()
	select {
	case <-t.returned:
	case <-t.asking:
	case <-patience.C:
	case <-ctx.Done():
	}
	if ctx.Err() != nil { // The client left, and nobody else knows of the call.
		t.cancel(context.Cause(ctx))
		<-t.returned
	}
	head, err := t.detach(ctx)
	switch {
	case err != nil:
		t.of.log.ErrorContext(ctx, "a task was not stored", slog.Any("cause", err))
		t.settle(statusCancelled, nil, "")
		t.cancel(errTaskLost)
		return nil, &gateway.Error{Code: gateway.Unavailable, By: door, Msg: "the task could not be stored", Err: err}
	case head == nil:
		return t.res, t.err
	}
	r.task = head
	return nil, nil //nolint:nilnil // the task stands for the result.
}

// appendTask appends the result that tells a client of a task.
func (f *Frontend) appendTask(out *buffer, task []byte) {
	out.b = append(append(append(out.b, `{"resultType":"task","_meta":`...), f.info...), ',')
	out.b = append(append(out.b, task...), '}')
}

// newTaskID returns an id that cannot be guessed.
func newTaskID() string {
	var b [24]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
