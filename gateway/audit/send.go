package audit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// What the sender of an entry waits for.
const (
	awaitNothing = iota // not even for room in the queue
	awaitWritten        // the entry was given to the operating system
	awaitDurable        // the entry is on the disk
)

// An entry is a record on its way to the writer.
type entry struct {
	tail []byte        // see [Record.appendTail]
	wait int           // one of the above
	done chan struct{} // receives once, when what is waited for has happened
}

// entry returns a record as an entry for the writer.
func (l *Log) entry(r *Record, wait int) *entry {
	e := l.entries.Get().(*entry) //nolint:forcetypeassert // the pool holds nothing else.
	e.tail, e.wait = r.appendTail(e.tail[:0]), wait
	return e
}

var (
	errInterrupted = errors.New("the wait for the audit log was interrupted")
	errAlarm       = errors.New("the audit log cannot be written")
)

// patience is how long a call that ran waits for a log that cannot be written.
const patience = 2 * time.Second

// write hands an entry to the writer and waits until it has written it. An
// entry that must be recorded waits for room in the queue in any case, one that
// need not be does not wait longer than ctx. An entry that was handed over is
// recorded, also where the wait is interrupted: by ctx, and some time after the
// log can no longer be written, as what is over by then cannot be undone.
func (l *Log) write(ctx context.Context, e *entry, must bool) error {
	alarm := *l.alarm.Load()
	var interrupt <-chan struct{}
	if !must {
		interrupt = ctx.Done()
	}
	if err := l.enqueue(ctx, e, interrupt, nil); err != nil {
		return err
	}
	if l.failure.Load() == nil {
		if err := l.await(ctx, e, alarm); !errors.Is(err, errAlarm) {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return l.await(ctx, e, nil)
}

// store hands an entry to the writer and waits until it is durable. It fails as
// soon as the log cannot be written.
func (l *Log) store(ctx context.Context, e *entry) error {
	alarm := *l.alarm.Load() // Before the look at failure: the writer sets failure first.
	if f := l.failure.Load(); f != nil {
		return f.error
	}
	if err := l.enqueue(ctx, e, ctx.Done(), alarm); err != nil {
		return err
	}
	return l.await(ctx, e, alarm)
}

// offer hands an entry to the writer, or drops it where there is no room.
func (l *Log) offer(e *entry) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if !l.closed {
		select {
		case l.queue <- e:
			return
		default:
		}
	}
	l.dropped.Add(1)
	l.entries.Put(e)
}

// crowded reports whether an entry would be dropped, before it is made, and
// counts it then.
func (l *Log) crowded() bool {
	if len(l.queue) < cap(l.queue) {
		return false
	}
	l.dropped.Add(1)
	return true
}

func (l *Log) enqueue(ctx context.Context, e *entry, interrupt, alarm <-chan struct{}) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return ErrClosed
	}
	select {
	case l.queue <- e:
		return nil
	default:
	}
	select {
	case l.queue <- e:
		return nil
	case <-interrupt:
		return fmt.Errorf("%w: %w", errInterrupted, context.Cause(ctx))
	case <-alarm:
		return l.reason()
	}
}

func (l *Log) await(ctx context.Context, e *entry, alarm <-chan struct{}) error {
	select {
	case <-e.done:
		l.entries.Put(e)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errInterrupted, context.Cause(ctx))
	case <-alarm:
		return l.reason()
	case <-l.done:
	}
	select {
	case <-e.done:
		return nil
	default:
		return ErrClosed
	}
}

// reason returns why the log could not be written a moment ago.
func (l *Log) reason() error {
	if f := l.failure.Load(); f != nil {
		return fmt.Errorf("%w: %w", errAlarm, f.error)
	}
	return errAlarm
}
