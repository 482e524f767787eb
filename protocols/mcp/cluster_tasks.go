package mcp

import (
	"context"
	"errors"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// passTask passes a request about a task on to the node that runs it. Where that
// has ended or the task has, meanwhile, there is nothing left to do: the store
// says how it ended. The task's key stands for its owner.
func (f *Frontend) passTask(ctx context.Context, node string, r *peerRequest) *wireError {
	away := refusal(&gateway.Error{Code: gateway.Unavailable, By: door, Msg: "the task runs on another node, which cannot be reached now"}, nil, true)
	if f.o.Cluster == nil {
		return away
	}
	_, err := f.at(ctx, node, r)
	var refused *gateway.Error
	gone := errors.Is(err, ErrNodeGone)
	switch {
	case err == nil:
		return nil
	case !gone && !(errors.As(err, &refused) && refused.Code == gateway.NotFound):
		return away
	}
	rec, failed := f.tasks.load(ctx, r.Task)
	switch {
	case failed != nil:
		return failed
	case isFinal(rec.status):
		return nil
	case gone && rec.node == node:
		f.tasks.bury(ctx, r.Task, &rec, time.Now())
		return nil
	}
	return away
}

// serveTask does what passTask asks for.
func (f *Frontend) serveTask(ctx context.Context, r *peerRequest) error {
	t := f.tasks.running(r.Task)
	if t == nil {
		return &gateway.Error{Code: gateway.NotFound, By: door, Msg: "the task does not run here"}
	}
	if r.Op == peerStop {
		t.stop(ctx)
		return nil
	}
	answers, _ := openObject(r.Answers) // Checked before it was passed on.
	t.update(ctx, answers)
	return nil
}
