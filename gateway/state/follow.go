package state

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// followBytes bounds what is held for a follower that is busy with an entry; four entries always are.
	followBytes = 1 << 20
	// followPage is how many entries a follower reads at a time.
	followPage = 64
	// firstLook and lastLook: a follower that hears nothing looks after the first, then after pauses that double up to
	// the last, because a message on its way between servers may be lost and nobody be told.
	firstLook = 250 * time.Millisecond
	lastLook  = 10 * time.Second
)

// errRenewed: the connection was lost and may be back already, so that there is nothing to tell but what was missed.
var errRenewed = errors.New("connection renewed")

// Follow tells the key's entries after the one numbered after, then each new one as it is appended by whatever node,
// in order and each once, until ctx ends, the State is closed or the loop over it is left.
//
// ErrUnavailable does not end it: the engine is away, and once it is back the entries go on where they stopped. ErrGone
// ends it: entries may have been dropped before they were told, because the loop's body or an interruption took too
// long, or the key had outlived MaxAge when an interruption was over; or there was no entry numbered after to begin
// with. After 0 means from the oldest entry kept when the first one is told; otherwise see Read.
//
// A follower costs a subscription and no goroutine; the loop's body runs on the caller's.
func (l *Log) Follow(ctx context.Context, key string, after uint64) iter.Seq2[LogEntry, error] {
	return func(yield func(LogEntry, error) bool) {
		op := "follow " + l.name
		enc, err := encodeKey(key)
		if err != nil {
			yield(LogEntry{}, fail(ctx, op, err))
			return
		}
		f := &follower{l: l, enc: enc, subject: logPrefix + l.name + "." + enc, last: after, yield: yield}
		for {
			link := l.s.link.next()
			err := f.run(ctx, link)
			if errors.Is(err, errStop) || ctx.Err() != nil {
				return
			}
			if errors.Is(err, errRenewed) {
				continue
			}
			if away := errors.Is(fail(ctx, op, err), ErrUnavailable); !away || !f.away {
				f.away = true
				if !yield(LogEntry{}, fail(ctx, op, err)) || !away {
					return
				}
			}
			if l.s.life.Err() != nil {
				return
			}
			select { // The engine is away, or its cluster is between two leaders.
			case <-time.After(retryWait):
			case <-ctx.Done():
				return
			case <-l.s.life.Done():
			}
		}
	}
}

// follower is the state of one Follow across reconnections.
type follower struct {
	l       *Log
	enc     string // The key.
	subject string
	last    uint64 // The entry told last.
	found   uint64 // The entry that the last look found, which may have been on its way.
	yield   func(LogEntry, error) bool
	away    bool // ErrUnavailable was told, and nothing was heard from the engine since.
}

// run follows the key over one connection. It returns errStop, or why the connection is of no more use.
func (f *follower) run(ctx context.Context, link <-chan struct{}) error {
	live := make(chan *nats.Msg, f.l.buffer)
	sub, err := f.listen(ctx, live)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }() // Fails only when the connection is gone.
	if err := f.catchUp(ctx); err != nil {
		return err
	}
	missed, pause := 0, min(firstLook, f.l.look)
	look := time.NewTimer(pause)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return errStop
		case <-f.l.s.life.Done():
			return errClosed
		case <-link:
			if f.l.s.nc.IsConnected() {
				return errRenewed
			}
			return fmt.Errorf("%w: connection lost", ErrUnavailable)
		case msg := <-live:
			if n, _ := sub.Dropped(); n > missed { // The channel was full. A lost connection is the link's to tell.
				missed = n
				err = f.catchUp(ctx)
			} else if beaten(link) { // Then it may have come over a new connection, and others not at all.
				err = errRenewed
			} else {
				err = f.take(ctx, msg)
			}
		case <-look.C:
			known := f.found
			if err = f.look(ctx); f.found != known {
				pause = min(firstLook, f.l.look)
			} else {
				pause = min(2*pause, f.l.look)
			}
			look.Reset(pause)
		}
		if err != nil {
			return err
		}
	}
}

// beaten tells whether the pulse that gave the channel has beaten since.
func beaten(link <-chan struct{}) bool {
	select {
	case <-link:
		return true
	default:
		return false
	}
}

// listen has new entries sent to the channel.
func (f *follower) listen(ctx context.Context, live chan *nats.Msg) (sub *nats.Subscription, err error) {
	err = f.l.s.attempt(ctx, func(ctx context.Context) error {
		if sub, err = f.l.s.nc.ChanSubscribe(livePrefix+f.l.name+"."+f.enc, live); err != nil {
			return err
		}
		if err = f.l.s.nc.FlushWithContext(ctx); err != nil { // Until the server knows of the subscription.
			_ = sub.Unsubscribe()
		}
		return err
	})
	return sub, err
}

// take tells a new entry if it is the next one, and otherwise reads what came before it.
func (f *follower) take(ctx context.Context, msg *nats.Msg) error {
	seq, previous, ok := parseLive(msg.Header)
	switch {
	case ok && seq <= f.last:
		return nil // Read already.
	case ok && (previous == f.last || previous == 0): // 0: meanwhile all that was told has been dropped.
		return f.tell(LogEntry{Seq: seq, Data: msg.Data})
	}
	return f.catchUp(ctx)
}

// parseLive takes the entry's number, and that of the key's entry before it, from what the engine adds to a new entry.
// previous is 0 when the key had no entry.
func parseLive(h nats.Header) (seq, previous uint64, ok bool) {
	seq, err := strconv.ParseUint(h.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil || seq == 0 {
		return 0, 0, false
	}
	previous, err = strconv.ParseUint(h.Get(jetstream.LastSequenceHeader), 10, 64)
	if err != nil || previous >= seq {
		return 0, 0, false
	}
	return seq, previous, true
}

// look reads if a new entry has been there for two looks: before that it may be about to arrive, and arriving it needs no
// entry that vouches for it, should all that was told have been dropped.
func (f *follower) look(ctx context.Context) error {
	var e LogEntry
	var more bool
	err := f.l.s.attempt(ctx, func(ctx context.Context) (err error) {
		e, more, err = f.l.next(ctx, f.subject, f.last)
		return err
	})
	if err != nil || !more {
		return err
	}
	if f.found != e.Seq {
		f.found = e.Seq
		return nil
	}
	return f.catchUp(ctx)
}

// catchUp tells all entries after the last one told.
func (f *follower) catchUp(ctx context.Context) error {
	for {
		var page []LogEntry
		err := f.l.s.attempt(ctx, func(ctx context.Context) (err error) {
			page, err = f.l.read(ctx, f.subject, f.last, followPage)
			return err
		})
		if err != nil {
			return err
		}
		f.away = false
		for _, e := range page {
			if err := f.tell(e); err != nil {
				return err
			}
		}
		if len(page) < followPage {
			return nil
		}
	}
}

func (f *follower) tell(e LogEntry) error {
	f.last = e.Seq
	if !f.yield(e, nil) {
		return errStop
	}
	return nil
}
