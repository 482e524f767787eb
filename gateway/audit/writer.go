package audit

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

const (
	maxPending      = 4 << 20                // bytes that may be volatile; then the writer syncs
	maxBatch        = 1 << 20                // bytes that the writer gathers before it writes
	retryEvery      = 250 * time.Millisecond // pause between attempts while the log cannot be written
	checkpointEvery = time.Second
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

// An entry is a record on its way to the writer.
type entry struct {
	tail      []byte        // see [Record.appendTail]
	wait      bool          // whether somebody waits for committed
	committed chan struct{} // receives once, when the record is durable
}

// A writer is the one goroutine that writes a log. It keeps everything that is
// not known to be durable, so that after any failure it can write all of it
// again, to the same place.
type writer struct {
	log    *Log
	create createFunc

	file    segmentFile // nil until there is something to write
	base    int64       // size of the segment, as far as it is durable
	durable chain       // at base
	pending []byte      // the records that follow
	written int         // how much of pending was written since the last failure
	chain   chain       // at the end of pending
	waiting []*entry    // of pending

	point   chain     // of the last checkpoint
	pointAt time.Time // when it was written
}

// start brings a log that was just opened in order.
func (w *writer) start(end *ending) error {
	if end.torn > 0 {
		detail, err := end.cut()
		if err != nil {
			return err
		}
		w.log.o.Logger.Warn("audit log repaired", slog.String("detail", detail))
		w.own(TypeRepair, detail)
	}
	if end.path != "" && end.size < w.log.o.SegmentBytes {
		var err error
		if w.file, err = w.create(end.path); err != nil {
			return err
		}
		if err := w.file.Sync(); err != nil {
			return fmt.Errorf("sync segment: %w", err)
		}
	} else {
		w.base = 0
	}
	if err := w.checkpoint(); err != nil {
		return err
	}
	w.own(TypeOpen, "")
	return w.step(true, true)
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
			w.gather(e)
			w.commit(w.log.o.Mode == ModeWAL || len(w.pending) >= maxPending)
		case <-timer.C:
			armed = false
			w.commit(true)
		}
		if !armed && (len(w.pending) > 0 || w.point != w.durable) {
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
	if e.wait {
		w.waiting = append(w.waiting, e)
	} else {
		w.log.entries.Put(e)
	}
}

// own adds a record of the log's own.
func (w *writer) own(kind, detail string) {
	w.add(w.log.entry(&Record{Time: w.log.o.Now(), Type: kind, Node: w.log.o.Node, Detail: detail}))
}

// commit writes what is pending, and makes it durable if sync is set. It tries
// again for as long as it takes, unless the log is being closed.
func (w *writer) commit(sync bool) {
	for {
		if n := w.log.refused.Load(); n > 0 && w.log.failure.Load() == nil {
			w.log.refused.Add(-n)
			w.own(TypeGap, fmt.Sprintf("%d calls or events were refused while the log could not be written", n))
		}
		err := w.step(sync, false)
		before := w.log.failure.Load()
		if err == nil {
			if before == nil {
				return
			}
			w.log.failure.Store(nil)
			w.log.o.Logger.Info("audit log can be written again")
			continue
		}
		w.written = 0
		w.log.failure.Store(&failure{err})
		if before == nil {
			w.log.o.Logger.Error("audit log cannot be written", slog.Any("error", err))
		}
		select {
		case <-time.After(retryEvery):
		case <-w.log.closing:
			return
		}
	}
}

// step writes what is pending. If sync is set, it makes that durable, and
// writes a checkpoint when one is due or point is set. It may be repeated after
// a failure.
func (w *writer) step(sync, point bool) error {
	if err := w.write(); err != nil {
		return err
	}
	full := w.base+int64(len(w.pending)) >= w.log.o.SegmentBytes
	if !sync && !full {
		return nil
	}
	if len(w.pending) > 0 {
		if err := w.file.Sync(); err != nil {
			return fmt.Errorf("sync segment: %w", err)
		}
		w.settle()
	}
	if full || point || time.Since(w.pointAt) >= checkpointEvery {
		if err := w.checkpoint(); err != nil {
			return err
		}
	}
	if full {
		w.base = 0
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
	}
	n, err := w.file.WriteAt(w.pending[w.written:], w.base+int64(w.written))
	if err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	w.written += n
	return nil
}

// settle notes that all of pending is durable, and tells those who wait.
func (w *writer) settle() {
	w.base += int64(len(w.pending))
	w.durable, w.pending, w.written = w.chain, w.pending[:0], 0
	for _, e := range w.waiting {
		e.committed <- struct{}{}
	}
	clear(w.waiting)
	w.waiting = w.waiting[:0]
}

func (w *writer) checkpoint() error {
	w.pointAt = time.Now()
	if w.point == w.durable && w.durable.seq > 0 {
		return nil
	}
	if err := writeCheckpoint(w.log.o.Dir, w.durable); err != nil {
		return err
	}
	w.point = w.durable
	return nil
}

// end writes the last record and closes the file.
func (w *writer) end() {
	w.commit(true)
	w.own(TypeClose, "")
	err := w.step(true, true)
	if err != nil {
		w.log.failure.Store(&failure{err})
		err = fmt.Errorf("%d records of the audit log were not written: %w", w.chain.seq-w.durable.seq, err)
	}
	w.log.result = errors.Join(err, w.closeFile())
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
