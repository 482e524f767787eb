package grpc

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
)

// An outbox sends the messages of one stream from a goroutine of its own, so
// that who makes them never waits for who reads them.
type outbox[T any] struct {
	ctx     context.Context // ends with the stream, the credential, a shutdown, or a reader that is too slow
	end     context.CancelCauseFunc
	stream  grpc.ServerStreamingServer[T]
	f       *Frontend
	leave   func()
	release context.CancelFunc
	session gateway.OpenSession

	mu     sync.Mutex
	queue  []*T
	closed bool          // nothing more will be queued
	wake   chan struct{} // holds one token when the queue or closed may have changed
	room   chan struct{} // holds one token when the queue may have become shorter
	done   chan struct{} // closed when the goroutine has ended
}

// open returns the outbox of a stream with its context, or the refusal of the stream. A watch is
// ended by a shutdown. The method that opened it closes it.
func open[T any](ctx context.Context, s *service, stream grpc.ServerStreamingServer[T], watch bool) (*outbox[T], error) {
	f, p := s.Frontend, auth.From(ctx)
	if p == nil {
		return nil, errUnauthenticated()
	}
	o := &outbox[T]{f: f, stream: stream, wake: make(chan struct{}, 1), room: make(chan struct{}, 1), done: make(chan struct{})}
	ctx, o.release = auth.Until(ctx, p)
	o.ctx, o.end = context.WithCancelCause(ctx)
	var end context.CancelCauseFunc
	if watch {
		end = o.end
	}
	var err error
	if o.leave, err = f.streams.enter(p, end); err != nil {
		o.release()
		return nil, err
	}
	o.session = f.options.Sessions.Open(gateway.Session{
		Via: s.via, Kind: "stream", Principal: p, End: func(why *gateway.Error) { o.end(why) },
	})
	go o.run()
	return o, nil
}

// edit changes what waits to be sent. It does not block.
func (o *outbox[T]) edit(change func(queue []*T) []*T) {
	o.mu.Lock()
	o.queue = change(o.queue)
	o.mu.Unlock()
	signal(o.wake)
}

// offer queues a message as soon as there is room for it. It waits until then, or
// until ctx ends, as it does with the outbox. Only one goroutine offers.
func (o *outbox[T]) offer(ctx context.Context, m *T) error {
	for {
		full := false
		o.edit(func(queue []*T) []*T {
			if full = len(queue) >= o.f.options.Queue; full {
				return queue
			}
			return append(queue, m)
		})
		if !full {
			return nil
		}
		select {
		case <-o.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// flush waits until everything is sent, and returns why it could not be.
func (o *outbox[T]) flush() error {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	signal(o.wake)
	select {
	case <-o.done:
		return o.cause()
	case <-o.ctx.Done():
		return o.cause()
	}
}

// close ends the outbox. What waits is not sent.
func (o *outbox[T]) close() {
	o.session.Close()
	o.end(context.Canceled)
	o.release()
	o.leave()
}

// cause returns why the outbox has ended, or nil while it has not. What ends a
// stream is no refusal: the record of its call is that of Do.
func (o *outbox[T]) cause() error {
	if o.ctx.Err() == nil {
		return nil
	}
	e := *failure(context.Cause(o.ctx))
	e.recorded = true
	return &e
}

// signal leaves a token in a channel that holds one.
func signal(token chan<- struct{}) {
	select {
	case token <- struct{}{}:
	default:
	}
}

// run sends what is queued. A gRPC stream that is stuck is freed when its
// method returns, which follows from the end of the outbox.
func (o *outbox[T]) run() {
	defer close(o.done)
	defer func() {
		if p := recover(); p != nil {
			o.end(o.f.panicked(o.ctx, "stream", p))
		}
	}()
	for m := o.next(); m != nil; m = o.next() {
		slow := time.AfterFunc(o.f.options.WriteTimeout, func() { o.end(errSlow()) })
		err := o.stream.Send(m)
		slow.Stop()
		if err != nil {
			o.end(err)
			return
		}
	}
}

// next waits for a message. It returns nil when there will be none.
func (o *outbox[T]) next() *T {
	for o.ctx.Err() == nil {
		o.mu.Lock()
		if len(o.queue) > 0 {
			m := o.queue[0]
			o.queue[0] = nil
			o.queue = o.queue[1:]
			o.mu.Unlock()
			signal(o.room)
			return m
		}
		closed := o.closed
		o.mu.Unlock()
		if closed {
			return nil
		}
		select {
		case <-o.wake:
		case <-o.ctx.Done():
		}
	}
	return nil
}

func errSlow() error {
	return refuse(nil, gateway.ResourceExhausted, "the stream was not read in time")
}

func errStopping() error {
	return refuse(nil, gateway.Unavailable, "the gateway is shutting down")
}

func errUnauthenticated() error {
	return refuse(nil, gateway.Unauthenticated, "authentication required")
}
