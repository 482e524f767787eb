package graphql

import (
	"context"
	"sync"

	"github.com/vektah/gqlparser/v2/gqlerror"
)

// An outcome is how a subscription ended. The resolver sets it before it closes its channel; the transport reads
// it when there are no more responses.
type outcome struct{ err *gqlerror.Error }

type outcomeKey struct{}

func withOutcome(ctx context.Context) (context.Context, *outcome) {
	o := &outcome{}
	return context.WithValue(ctx, outcomeKey{}, o), o
}

// fail says why the subscription of this context ends.
func (f *Frontend) fail(ctx context.Context, err error) {
	if o, ok := ctx.Value(outcomeKey{}).(*outcome); ok && err != nil {
		o.err = f.present(ctx, err)
	}
}

// A queue holds events for a reader that may be slow. It never blocks a writer: when it is full the oldest event
// makes room, and is counted.
type queue[T any] struct {
	events chan T

	mu      sync.Mutex
	dropped int32
	closed  bool
}

func newQueue[T any](length int) *queue[T] { return &queue[T]{events: make(chan T, length)} }

// put adds the event that make returns. The argument is how many events have been dropped so far.
func (q *queue[T]) put(event func(dropped int32) T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed {
		select {
		case q.events <- event(q.dropped):
			return
		default:
		}
		select {
		case <-q.events:
			q.dropped++
		default: // The reader was faster.
		}
	}
}

// close ends the queue after what it holds. Later events are not taken.
func (q *queue[T]) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		close(q.events)
	}
}
