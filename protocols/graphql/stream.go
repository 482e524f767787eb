package graphql

import (
	"context"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/trilith-gateway/trilith/gateway"
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

// An execution is an operation that has begun and may give many responses.
type execution struct {
	ctx  context.Context
	next graphql.ResponseHandler
	stop context.CancelFunc
	end  *outcome
}

// execute begins an operation.
func (f *Frontend) execute(ctx context.Context, p *gateway.Principal, op *graphql.OperationContext) *execution {
	e := &execution{}
	ctx, e.end = withOutcome(ctx)
	e.next, e.ctx, e.stop = f.start(ctx, p, op)
	return e
}

// each sends every response. It returns why the operation ended, or nil where it came to its end.
func (e *execution) each(send func([]byte)) gqlerror.List {
	defer e.stop()
	for resp := e.next(e.ctx); resp != nil; resp = e.next(e.ctx) {
		send(appendResponse(make([]byte, 0, len(resp.Data)+64), resp.Data, resp.Errors))
	}
	if e.ctx.Err() != nil {
		return list(context.Cause(e.ctx))
	}
	if e.end.err != nil {
		return gqlerror.List{e.end.err}
	}
	return nil
}

// A queue holds events for a reader that may be slow. It never blocks a writer: when it is full the oldest event
// makes room, and is counted. Events that are kept make room only for others that are, and may come later than they were
// put.
type queue[T any] struct {
	events chan T
	kept   func(T) bool // nil for none

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
		if !q.drop() {
			q.dropped++
			if q.kept == nil || !q.kept(event(q.dropped)) {
				return // There is room for what is kept alone.
			}
			select {
			case <-q.events:
			default:
			}
		}
	}
}

// drop makes room for an event, and reports false where all that wait are kept.
func (q *queue[T]) drop() bool {
	for range cap(q.events) {
		select {
		case oldest := <-q.events:
			if q.kept == nil || !q.kept(oldest) {
				q.dropped++
				return true
			}
			q.events <- oldest // Nobody else writes.
		default: // The reader was faster.
			return true
		}
	}
	return false
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
