package audit

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway/pause"
)

const (
	gatherFor = 10 * time.Millisecond // a reader in this process gives the writer so long to write more, and reads all of it
	lagMost   = 10_000                // a reader that is further behind, in records, leaves out what it has missed
	lagLeast  = 1_000                 // and reads on here
)

// Followed is a record that [Log.Tail] yields.
type Followed struct {
	Record

	Line    []byte // as it stands in the log, without its line feed; valid until the next
	LeftOut int64  // how many records that match were left out before it
}

// Tail yields the records that match and come from now on, in their order, until
// ctx ends. It reads them from the segments as soon as they are written, and
// waits for a slow reader, which so misses nothing and costs no memory. Only one
// that falls more than 10,000 records behind has those left out that match, and
// is told how many. Where retention has removed what the reader had not yet
// seen, it ends with [ErrRemoved]. The error is otherwise a failure to read.
func (l *Log) Tail(ctx context.Context, f Filter) iter.Seq2[Followed, error] {
	from := l.written.Load() + 1
	return func(yield func(Followed, error) bool) {
		if err := f.Check(); err != nil {
			yield(Followed{}, err)
			return
		}
		t := &tail{dir: l.o.Dir, from: from}
		late, leftOut := false, int64(0)
		for r, err := range follow(ctx, t, l.grown.listen()) {
			if err != nil {
				yield(Followed{}, err)
				return
			}
			switch lag := l.written.Load() - r.Seq; {
			case lag > lagMost:
				late = true
			case lag <= lagLeast:
				late = false
			}
			switch {
			case !f.Match(&r):
			case late:
				leftOut++
			case !yield(Followed{Record: r, Line: t.line, LeftOut: leftOut}, nil):
				return
			default:
				leftOut = 0
			}
		}
	}
}

// A bell wakes all who listen. The zero bell is ready.
type bell struct {
	mu   sync.Mutex
	next chan struct{} // closed when it rings; nil while nobody listens
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != nil {
		close(b.next)
		b.next = nil
	}
}

func (b *bell) rings() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = make(chan struct{})
	}
	return b.next
}

// listen returns what waits until the bell has rung since it was last called,
// and a moment longer, or until ctx ends.
func (b *bell) listen() func(ctx context.Context) {
	rung := b.rings()
	return func(ctx context.Context) {
		select {
		case <-rung:
			_ = pause.For(ctx, gatherFor) // Who calls it looks whether ctx has ended.
			rung = b.rings()
		case <-ctx.Done():
		}
	}
}
