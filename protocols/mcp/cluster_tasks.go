package mcp

import (
	"context"
	"errors"

	"github.com/trilith-gateway/trilith/gateway"
)

// passTask passes a request about a task on to the node that runs it. Where the
// task has ended meanwhile there is nothing left to do. Where the node has, the
// task is returned if this one could take it up; otherwise it has ended too. The
// task's key stands for its owner.
func (f *Frontend) passTask(ctx context.Context, owner *gateway.Principal, id string, rec taskRecord, r *peerRequest) (*task, *wireError) {
	node, key := rec.node, taskKey(id, owner.ID)
	away := refusal(&gateway.Error{Code: gateway.Unavailable, By: door, Msg: "the task runs on another node, which cannot be reached now"}, nil, true)
	if f.o.Cluster == nil {
		return nil, away
	}
	r.Task = key
	_, err := f.at(ctx, node, r)
	var refused *gateway.Error
	gone := errors.Is(err, ErrNodeGone)
	switch {
	case err == nil:
		return nil, nil
	case !gone && (!errors.As(err, &refused) || refused.Code != gateway.NotFound):
		return nil, away
	}
	rec, failed := f.tasks.load(ctx, key)
	switch {
	case failed != nil:
		return nil, failed
	case isFinal(rec.status):
		return nil, nil
	case gone && rec.node == node:
		if t, now := f.tasks.adopt(ctx, id, key, owner, rec); t != nil || isFinal(now.status) {
			return t, nil
		}
	}
	return nil, away
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
