package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/trilith-gateway/trilith/gateway/pause"
)

// pollEvery is how often a reader that follows the log of another process looks
// for more.
const pollEvery = 200 * time.Millisecond

// Tail reads the last records in order, across segments: at most so many of
// those that are there now, or all of them where last is negative, and where it
// follows, those that come after, until the context ends. It takes no lock and
// does not check the chain, and may run while the log is being written; a
// record that is being written is not yet seen. An error ends the sequence; it
// is [ErrNoLog] where there is no log, but where it follows only where there is
// no directory, and [ErrRemoved] where retention was faster than the reader.
func Tail(ctx context.Context, dir string, last int, follows bool) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		t := &tail{dir: dir}
		if err := t.skip(last); err != nil {
			yield(Record{}, err)
			return
		}
		var idle func(context.Context)
		if follows {
			idle = func(ctx context.Context) { _ = pause.For(ctx, pollEvery) }
		}
		follow(ctx, t, idle)(yield)
	}
}

// follow yields what a tail finds. Where that was all for now, idle waits until
// there may be more; nil is not to wait.
func follow(ctx context.Context, t *tail, idle func(context.Context)) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		defer t.close()
		var err error
		for err == nil {
			if ctx.Err() != nil {
				return
			}
			var rec Record
			switch rec, err = t.next(); {
			case err == nil:
				if rec.Seq >= t.from && !yield(rec, nil) {
					return
				}
			case errors.Is(err, io.EOF) && idle == nil:
				if err = t.empty(); err == nil {
					return
				}
			case errors.Is(err, io.EOF):
				err = nil
				idle(ctx)
			}
		}
		yield(Record{}, err)
	}
}

// A tail reads the segments of a log, one after the other.
type tail struct {
	dir   string
	from  int64   // the first record that is wanted
	seg   segment // being read; zero before the first
	file  io.ReadCloser
	lines *lineReader
	whole bool   // whether seg has a successor, and so nothing more is written to it
	first int64  // of the first segment that there was at the last look
	line  []byte // of the last record, without its line feed; valid until the next
	seq   int64  // of the last record; 0 before the first
}

// ErrRemoved is the error of a reader that had not yet seen records which
// retention removed.
var ErrRemoved = errors.New("retention has removed audit records that were to be read")

// skip sets from so that the last n records follow it, or all where n is
// negative.
func (t *tail) skip(n int) error {
	if n < 0 {
		return nil
	}
	all, err := segments(t.dir)
	if err != nil || len(all) == 0 {
		return err
	}
	last := all[len(all)-1]
	f, err := last.open()
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read.
	lines := newLineReader(f)
	if err := lines.seek(f, last.first, math.MaxInt64); err != nil {
		return err
	}
	for err == nil {
		_, err = lines.next()
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return last.damage(lines.number+1, err.Error())
	}
	t.from = last.first + int64(lines.number) - int64(n)
	return nil
}

// next returns the next record, or io.EOF where there is none yet.
func (t *tail) next() (Record, error) {
	for {
		if t.file == nil {
			if err := t.advance(); err != nil {
				return Record{}, err
			}
		}
		line, err := t.lines.next()
		switch {
		case err == nil:
			r, err := ParseRecord(line)
			if err != nil {
				return Record{}, t.seg.damage(t.lines.number, err.Error())
			}
			if t.seq != 0 && r.Seq > t.seq+1 {
				return Record{}, ErrRemoved
			}
			t.line, t.seq = line, r.Seq
			return r, nil
		case errors.Is(err, errLongLine) || t.whole && errors.Is(err, io.ErrUnexpectedEOF):
			return Record{}, t.seg.damage(t.lines.number+1, "the record is incomplete or too long")
		case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			return Record{}, fmt.Errorf("read segment: %w", err)
		}
		if err := t.end(); err != nil {
			return Record{}, err
		}
	}
}

// end is called at the end of a segment. It returns nil where there may be
// more to read, in this segment or the next, and io.EOF where there is not.
func (t *tail) end() error {
	following, err := t.following()
	switch {
	case err != nil:
		return err
	case following == nil:
		if err := t.reread(); err != nil {
			return err
		}
		return io.EOF
	case t.whole:
		return t.open(*following)
	default:
		// The successor was made after the last look at this segment, which
		// may have more by now.
		t.whole = true
		return t.reread()
	}
}

// empty returns ErrNoLog where no segment was found, unless a log was begun.
func (t *tail) empty() error {
	if t.file != nil {
		return nil
	}
	if _, err := os.Stat(filepath.Join(t.dir, pointName)); missing(err) {
		return noLog(t.dir)
	}
	return nil
}

// reread goes back to the end of the last complete line.
func (t *tail) reread() error {
	f, ok := t.file.(io.Seeker)
	if !ok {
		return nil // Compressed, so nothing more comes.
	}
	if _, err := f.Seek(t.lines.offset, io.SeekStart); err != nil {
		return fmt.Errorf("read segment: %w", err)
	}
	t.lines.r.Reset(t.file)
	return nil
}

// advance opens the first segment that is to be read.
func (t *tail) advance() error {
	all, err := segments(t.dir)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return io.EOF
	}
	start := all[0]
	t.first = start.first
	for _, s := range all {
		if s.first <= t.from {
			start = s
		}
	}
	return t.open(start)
}

// following returns the segment behind the one that is being read, or nil.
func (t *tail) following() (*segment, error) {
	all, err := segments(t.dir)
	if err != nil {
		return nil, err
	}
	for i, s := range all {
		if i == 0 {
			t.first = s.first
		}
		if s.first > t.seg.first {
			return &s, nil
		}
	}
	return nil, nil //nolint:nilnil // there need not be one.
}

func (t *tail) open(s segment) error {
	t.close()
	f, err := s.open()
	if err != nil {
		return err
	}
	t.seg, t.file, t.lines, t.whole = s, f, newLineReader(f), s.packed
	return t.lines.seek(f, s.first, t.from)
}

func (t *tail) close() {
	if t.file != nil {
		_ = t.file.Close()
		t.file = nil
	}
}
