// Package audit keeps the record of every call: a chain of JSON lines in
// segment files, one log for each node of the gateway.
//
// [Log] is a [gateway.Observer], so each call has exactly one record, however
// it ended; its [Log.Gate] refuses calls while the log cannot be written.
// [Verify] proves that a log is whole, and [Tail] reads it, also while it
// grows. docs/audit.md specifies the files apart from this code.
//
// The package does not search, sign, ship or delete records.
package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Options are the settings of a log. Only Dir is required.
type Options struct {
	Dir          string        // where the log lives; made if missing. One process writes it
	Node         string        // the node's name in every record
	Modes        Modes         // what calls wait for
	SyncEvery    time.Duration // longest time that a written record stays volatile; 0 is 100 ms
	SegmentBytes int64         // a segment that has reached this size is followed by a new one; 0 is 64 MiB
	Level        Level         // what records hold of calls that no rule names; "" is LevelMetadata
	Redactions   []Redaction   // rules, of which the first that names a call's object holds
	Queue        int           // records that may wait for the writer; 0 is 4096
	SegmentAge   time.Duration // a segment that is that old is followed by a new one; 0 is 24 hours
	RetainAge    time.Duration // closed segments that are older are removed; 0 keeps them
	RetainBytes  int64         // the oldest closed segments are removed while all together are larger; 0 keeps them
	Compress     bool          // compress closed segments
	Index        bool          // keep an index, so that [Log.Query] can answer

	Logger *slog.Logger                 // nil says nothing
	Now    func() time.Time             // nil is time.Now
	Trace  func(context.Context) string // returns the identifier of a call's trace; nil for none
}

func (o *Options) complete() error {
	switch {
	case o.Dir == "":
		return errors.New("audit log: no directory")
	case min(o.SyncEvery, o.SegmentAge, o.RetainAge) < 0 || min(o.SegmentBytes, o.RetainBytes) < 0 || o.Queue < 0 || o.Queue > math.MaxInt32:
		return errors.New("audit log: an option is out of range")
	}
	if err := o.Modes.complete(); err != nil {
		return err
	}
	switch o.Level {
	case "":
		o.Level = LevelMetadata
	case LevelNone, LevelMetadata, LevelRequest, LevelRequestResponse:
	default:
		return errLevel
	}
	o.SyncEvery = cmp.Or(o.SyncEvery, 100*time.Millisecond)
	o.SegmentBytes = cmp.Or(o.SegmentBytes, 64<<20)
	o.SegmentAge = cmp.Or(o.SegmentAge, 24*time.Hour)
	o.Queue = cmp.Or(o.Queue, 4096)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// A Log is an open log. Its methods are safe for concurrent use.
type Log struct {
	o    Options
	macs *macs

	redactions []redaction // the last is for all that no other names
	lock       *os.File
	queue      chan *entry
	entries    sync.Pool

	mu         sync.RWMutex // held for reading while sending to queue, for writing to close it
	closed     bool
	index      *Index // nil where there is none
	closeIndex func() error
	house      sync.WaitGroup
	tidying    sync.Mutex
	stop       context.CancelFunc // ends house
	rotated    chan struct{}      // receives when there is a closed segment more
	written    atomic.Int64       // the last record that the segments have
	grown      bell               // rings when written grows

	closing chan struct{} // closed first: the writer then stops trying again
	done    chan struct{} // closed when the writer has ended
	once    sync.Once     // for Close
	result  error         // of Close

	failure atomic.Pointer[failure]
	alarm   atomic.Pointer[chan struct{}] // closed when a failure begins; a new one when it is over
	refused atomic.Int64                  // calls and events that were only counted, since the last log.gap
	dropped atomic.Int64                  // records in ModeAsync that found no room, since the last log.gap
}

// A failure is why the log cannot be written now.
type failure struct{ error }

// ErrClosed is returned for records that come after [Log.Close].
var ErrClosed = errors.New("audit log is closed")

// Open opens the log in o.Dir, or makes one there, and starts its writer. A
// last record that a crash left incomplete is cut off, which a record of type
// [TypeRepair] tells. The error is a [*Damage] where anything else is wrong
// with the end of the log: nothing is written to a log that is not in order.
func Open(o Options) (*Log, error) {
	return open(o, createSegment)
}

func open(o Options, create createFunc) (l *Log, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make audit directory: %w", err)
	}
	lock, err := lockDir(filepath.Join(o.Dir, "lock"))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Close())
		}
	}()
	signer, keys, err := openSigner(o.Dir, o.Node)
	if err != nil {
		return nil, err
	}
	end, err := readEnd(o.Dir, keys)
	if err != nil {
		return nil, err
	}
	l = &Log{
		o: o, lock: lock, queue: make(chan *entry, o.Queue),
		closing: make(chan struct{}), done: make(chan struct{}), rotated: make(chan struct{}, 1),
	}
	l.entries.New = func() any { return &entry{done: make(chan struct{}, 1)} }
	if l.redactions, err = compileRedactions(o.Redactions, o.Level); err != nil {
		return nil, err
	}
	alarm := make(chan struct{})
	l.alarm.Store(&alarm)
	if l.macs, err = openKey(o.Dir); err != nil {
		return nil, err
	}
	w := &writer{
		log: l, create: create, durable: end.at.chain, chain: end.at.chain, base: end.size, flushed: make(chan error, 1),
		seal: &seal{
			dir: o.Dir, now: o.Now, signer: signer, at: end.at,
			point: end.point, saved: end.saved, size: end.points, first: end.first,
		},
	}
	if err := w.start(end); err != nil {
		return nil, errors.Join(err, w.closeFile(), w.seal.close())
	}
	life, stop := context.WithCancel(context.Background()) //nolint:forbidigo // It lives as long as the log.
	l.stop = stop
	go w.run()
	l.openIndex()
	l.house.Go(func() { l.keepHouse(life) })
	return l, nil
}

// Close writes what is queued and a record of type [TypeClose], makes all of
// it durable, and lets go of the directory. Records that come later are
// refused with [ErrClosed]. The error says how many could not be written.
// Closing again returns the same.
func (l *Log) Close() error {
	l.once.Do(func() {
		close(l.closing)
		l.stop()
		l.house.Wait()
		l.mu.Lock()
		l.closed = true
		close(l.queue)
		l.mu.Unlock()
		<-l.done
		if l.closeIndex != nil {
			l.result = errors.Join(l.result, l.closeIndex())
		}
		l.result = errors.Join(l.result, l.lock.Close())
	})
	return l.result
}

// Healthy returns why the log cannot be written now, or nil.
func (l *Log) Healthy() error {
	if f := l.failure.Load(); f != nil {
		return f.error
	}
	return nil
}
