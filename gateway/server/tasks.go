package server

import (
	"context"
	"errors"
	"time"

	"github.com/trilith-gateway/trilith/gateway/state"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// taskTTL is how long a task and its result are kept.
const taskTTL = time.Hour

// taskStore keeps the tasks of one MCP endpoint in the shared state. The
// endpoints share a bucket and see nothing of each other's tasks.
type taskStore struct {
	bucket   *state.Bucket[[]byte]
	endpoint string
}

// openTasks makes the options of the tasks of the main endpoint. What an
// embedded engine holds is this node's alone, so that it knows its own tasks
// from before. Nodes that share an external one may share a name too: there, a
// task has ended with its node when that has been silent for a while.
func (s *Server) openTasks(ctx context.Context, embedded bool) (mcp.TaskOptions, error) {
	bucket, err := state.OpenBucket[[]byte](ctx, s.state, state.BucketOptions{Name: "tasks", TTL: taskTTL})
	if err != nil {
		return mcp.TaskOptions{}, err
	}
	o := mcp.TaskOptions{Store: &taskStore{bucket: bucket}, Node: s.state.Instance(), TTL: taskTTL}
	if embedded {
		o.Node = s.state.Name()
	}
	return o, nil
}

// tasksOf returns the options of the tasks of a toolset's endpoint.
func (s *Server) tasksOf(toolset string) mcp.TaskOptions {
	o := s.mcpOptions.Tasks
	if main, ok := o.Store.(*taskStore); ok {
		o.Store = &taskStore{main.bucket, toolset + "/"}
	}
	return o
}

// Create writes a record under a new key. The bucket forgets every record after
// taskTTL, so that expires says nothing new.
func (t *taskStore) Create(ctx context.Context, key string, record []byte, _ time.Time) error {
	_, err := t.bucket.Create(ctx, t.endpoint+key, record)
	return err
}

// Update writes a record.
func (t *taskStore) Update(ctx context.Context, key string, record []byte, _ time.Time) error {
	_, err := t.bucket.Put(ctx, t.endpoint+key, record)
	return err
}

// Get returns a record, or [mcp.ErrTaskNotFound].
func (t *taskStore) Get(ctx context.Context, key string) ([]byte, error) {
	e, err := t.bucket.Get(ctx, t.endpoint+key)
	if errors.Is(err, state.ErrNotFound) {
		return nil, mcp.ErrTaskNotFound
	}
	return e.Value, err
}

// Delete forgets a record.
func (t *taskStore) Delete(ctx context.Context, key string) error {
	return t.bucket.Delete(ctx, t.endpoint+key, 0)
}
