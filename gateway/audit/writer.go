package audit

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

const (
	maxPending = 4 << 20                // bytes that may be volatile; then the writer syncs
	maxBatch   = 1 << 20                // bytes that the writer gathers before it writes
	retryEvery = 250 * time.Millisecond // pause between attempts while the log cannot be written
)

// A segmentFile is what the writer needs of a file.
type segmentFile interface {
	io.WriterAt
	io.Closer
	Sync() error
}

// A createFunc opens a segment to be written, and makes it durably if it is
// missing.
type createFunc func(path string) (segmentFile, error)

func createSegment(path string) (segmentFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the operator names the directory.
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// A writer is the one goroutine that writes a log. It keeps everything that is
// not known to be durable, so that after any failure it can write all of it
// again, to the same place. While a [flush] makes a part durable, it goes on
// writing.
type writer struct {
	log    *Log
	create createFunc

	file    segmentFile // nil until there is something to write
	first   int64       // the segment's first record
	begun   time.Time   // when that was written
	base    int64       // size of the segment, as far as it is durable
	durable chain       // at base
	pending []byte      // the records that follow
	heads   []digest    // their hashes
	written int         // how much of pending was written since the last failure
	chain   chain       // at the end of pending
	fresh   []*entry    // wait until pending is written
	strict  []*entry    // wait until pending is durable

	seal    *seal      // signs checkpoints; a flush that runs owns it
	running *flush     // nil for none
	settled int        // how many of strict wait for running
	again   bool       // whether somebody waits for a flush behind running
	flushed chan error // receives the outcome of running
}

// A flush makes records durable, and signs a checkpoint when one is due.
type flush struct {
	file  segmentFile
	first int64 // as in writer
	size  int   // of the records, in bytes
	upto  chain // at their end
	heads []digest
	force bool // whether the checkpoint is due in any case
}

func (f *flush) run(s *seal) error {
	if f.size > 0 {
		if err := f.file.Sync(); err != nil {
			return fmt.Errorf("sync segment: %w", err)
		}
	}
	return s.extend(f)
}

// start brings a log that was just opened in order.
func (w *writer) start(end *ending) error {
	if end.saved == nil {
		if err := w.seal.found(); err != nil {
			return err
		}
	}
	if end.torn > 0 {
		detail, err := end.cut()
		if err != nil {
			return err
		}
		w.log.o.Logger.Warn("audit log repaired", slog.String("detail", detail))
		w.own(TypeRepair, detail, 0)
	}
	if end.path != "" { // Also where it is full: the first step ends it with a checkpoint.
		var err error
		if w.file, err = w.create(end.path); err != nil {
			return err
		}
		if err := w.file.Sync(); err != nil {
			return fmt.Errorf("sync segment: %w", err)
		}
		w.first, w.begun = end.first, end.begun
	}
	w.own(TypeOpen, "", 0)
	return w.step(true)
}

// run writes what arrives in the queue until that is closed.
func (w *writer) run() {
	defer close(w.log.done)
	timer := time.NewTimer(w.log.o.SyncEvery)
	defer timer.Stop()
	armed := true
	for {
		select {
		case e, ok := <-w.log.queue:
			if !ok {
				w.end()
				return
			}
			runtime.Gosched() // Those who can run may have more: one write for all of them.
			w.gather(e)
			w.commit()
		case err := <-w.flushed:
			w.landed(err)
		case <-timer.C:
			armed = false
			w.gaps()
			w.commit()
			w.flush()
		}
		if !armed && (len(w.pending) > 0 || w.running == nil && w.seal.behind(w.durable)) {
			timer.Reset(w.log.o.SyncEvery)
			armed = true
		}
	}
}

// gather takes an entry and those that are queued behind it.
func (w *writer) gather(e *entry) {
	for end := len(w.pending) + maxBatch; ; {
		w.add(e)
		if len(w.pending) >= end {
			return
		}
		select {
		case next, ok := <-w.log.queue:
			if !ok {
				return
			}
			e = next
		default:
			return
		}
	}
}

func (w *writer) add(e *entry) {
	w.pending = w.chain.add(w.pending, e.tail)
	w.heads = append(w.heads, w.chain.head)
	switch e.wait {
	case awaitWritten:
		w.fresh = append(w.fresh, e)
	case awaitDurable:
		w.strict = append(w.strict, e)
	default:
		w.log.entries.Put(e)
	}
}

// own adds a record of the log's own.
func (w *writer) own(kind, detail string, count int64) {
	w.add(w.log.entry(&Record{Time: w.log.o.Now(), Type: kind, Node: w.log.o.Node, Count: count, Detail: detail}, awaitNothing))
}

// gaps adds records of what was only counted.
func (w *writer) gaps() {
	if n := w.log.refused.Swap(0); n > 0 {
		w.own(TypeGap, fmt.Sprintf("%d calls or events were refused while the log could not be written", n), n)
	}
	if n := w.log.dropped.Swap(0); n > 0 {
		w.own(TypeGap, fmt.Sprintf("%d records were dropped because too many waited to be written", n), n)
	}
}

// commit writes what is pending, and has it made durable where somebody waits
// for that.
func (w *writer) commit() {
	if err := w.write(); err != nil {
		w.fail(err)
	}
	switch {
	case w.full():
		if err := w.step(true); err != nil {
			w.fail(err)
		}
	case len(w.strict) > w.settled || len(w.pending) >= maxPending:
		w.flush()
	}
}

func (w *writer) full() bool {
	size := w.base + int64(len(w.pending))
	return size >= w.log.o.SegmentBytes || size > 0 && w.log.o.Now().Sub(w.begun) >= w.log.o.SegmentAge
}

// flush has all that is written made durable, after what is being made durable
// now.
func (w *writer) flush() {
	if w.written < len(w.pending) { // The log is being closed, and could not be written.
		return
	}
	if w.running != nil {
		w.again = true
		if len(w.pending) >= 2*maxPending { // The disk does not follow.
			w.landed(<-w.flushed)
		}
		return
	}
	w.running, w.again = w.next(false), false
	w.settled = len(w.strict)
	go func(f *flush) { w.flushed <- f.run(w.seal) }(w.running)
}

func (w *writer) next(force bool) *flush {
	return &flush{
		file: w.file, first: w.first, size: len(w.pending), upto: w.chain,
		heads: append([]digest(nil), w.heads...), force: force,
	}
}

// landed notes the outcome of the flush that ran.
func (w *writer) landed(err error) {
	f := w.running
	w.running = nil
	if err != nil {
		w.fail(err)
		return
	}
	w.settle(f)
	if w.again {
		w.flush()
	}
}

// settle notes that a flush made records durable, and tells those who wait.
func (w *writer) settle(f *flush) {
	w.base, w.durable = w.base+int64(f.size), f.upto
	w.pending = append(w.pending[:0], w.pending[f.size:]...)
	w.heads = append(w.heads[:0], w.heads[len(f.heads):]...)
	w.written -= f.size
	w.strict = release(w.strict, w.settled)
	w.settled = 0
}

// release tells the first n of those who wait.
func release(waiting []*entry, n int) []*entry {
	for _, e := range waiting[:n] {
		e.done <- struct{}{}
	}
	rest := append(waiting[:0], waiting[n:]...)
	clear(waiting[len(rest):])
	return rest
}

// fail tries again to write all that is not durable, for as long as it takes,
// unless the log is being closed.
func (w *writer) fail(err error) {
	if w.running != nil { // Its records are written again, so what it made durable does not count.
		<-w.flushed
		w.running = nil
	}
	if w.log.failure.Swap(&failure{err}) == nil {
		w.log.o.Logger.Error("audit log cannot be written", slog.Any("error", err))
	}
	alarm := make(chan struct{})
	close(*w.log.alarm.Swap(&alarm))
	for {
		w.written = 0
		select {
		case <-time.After(retryEvery):
		case <-w.log.closing:
			return
		}
		if err = w.step(false); err == nil {
			w.gaps()
			err = w.write()
		}
		if err == nil {
			break
		}
		w.log.failure.Store(&failure{err})
	}
	w.log.failure.Store(nil)
	w.log.o.Logger.Info("audit log can be written again")
}

// step writes what is pending and makes it durable before it returns. It may
// be repeated after a failure.
func (w *writer) step(force bool) error {
	if w.running != nil {
		err := <-w.flushed
		f := w.running
		w.running = nil
		if err != nil {
			return err
		}
		w.settle(f)
	}
	if err := w.write(); err != nil {
		return err
	}
	full := w.full()
	f := w.next(force || full)
	if err := f.run(w.seal); err != nil {
		return err
	}
	w.settled = len(w.strict)
	w.settle(f)
	if full {
		w.base = 0
		select {
		case w.log.rotated <- struct{}{}:
		default:
		}
		return w.closeFile()
	}
	return nil
}

func (w *writer) write() error {
	if w.written == len(w.pending) {
		return nil
	}
	if w.file == nil {
		var err error
		if w.file, err = w.create(segmentPath(w.log.o.Dir, w.durable.seq+1)); err != nil {
			return err
		}
		w.first, w.begun = w.durable.seq+1, w.log.o.Now()
	}
	n, err := w.file.WriteAt(w.pending[w.written:], w.base+int64(w.written))
	if err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	w.written += n
	w.log.written.Store(w.chain.seq)
	w.log.grown.ring()
	w.fresh = release(w.fresh, len(w.fresh))
	return nil
}

// end writes the last record and closes the file.
func (w *writer) end() {
	w.gaps()
	w.own(TypeClose, "", 0)
	err := w.step(true)
	if err != nil {
		w.log.failure.Store(&failure{err})
		err = fmt.Errorf("%d records of the audit log were not written: %w", w.chain.seq-w.durable.seq, err)
	}
	w.log.result = errors.Join(err, w.closeFile(), w.seal.close())
}

func (w *writer) closeFile() error {
	if w.file == nil {
		return nil
	}
	f := w.file
	w.file = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("close segment: %w", err)
	}
	return nil
}
