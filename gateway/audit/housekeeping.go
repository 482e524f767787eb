package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"
)

const (
	houseEvery = time.Minute // pause between looks for segments to compress or remove
	packedMost = 8 << 20     // bytes of a window; what [createPacked] writes needs no more
)

// open opens a segment for reading, compressed or not: it may have been
// compressed since it was listed.
func (s *segment) open() (io.ReadCloser, error) {
	f, err := os.Open(s.path)
	if missing(err) && !s.packed {
		packed := segment{path: s.path + packedSuffix, first: s.first, packed: true}
		if r, e := packed.open(); e == nil {
			*s = packed
			return r, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	if !s.packed {
		return f, nil
	}
	d, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(packedMost))
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", errors.Join(err, f.Close()))
	}
	return &unpacked{d, f}, nil
}

// unpacked reads a compressed segment.
type unpacked struct {
	*zstd.Decoder
	file *os.File
}

// Close closes the file.
func (u *unpacked) Close() error {
	u.Decoder.Close()
	return u.file.Close() //nolint:wrapcheck // only read.
}

// keepHouse compresses and removes closed segments until ctx ends.
func (l *Log) keepHouse(ctx context.Context) {
	tick := time.NewTicker(houseEvery)
	defer tick.Stop()
	for {
		if err := l.tidy(ctx); err != nil && ctx.Err() == nil {
			l.o.Logger.Error("audit log not tidied", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-l.rotated:
		}
	}
}

// tidy compresses what is closed and removes what is too old or too much. The
// last segment stays.
func (l *Log) tidy(ctx context.Context) error {
	l.tidying.Lock()
	defer l.tidying.Unlock()
	all, err := segments(l.o.Dir)
	if err != nil || len(all) == 0 {
		return err
	}
	closed := all[:len(all)-1]
	for i := range closed {
		if !l.o.Compress {
			break
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := pack(ctx, &closed[i]); err != nil {
			return err
		}
	}
	return l.retain(ctx, all)
}

// pack compresses a segment.
func pack(ctx context.Context, s *segment) error {
	if s.packed {
		return nil
	}
	from, err := os.Open(s.path)
	if err != nil {
		return fmt.Errorf("compress segment: %w", err)
	}
	defer from.Close() //nolint:errcheck // only read.
	path := s.path + packedSuffix
	to, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // Beside it.
	if err != nil {
		return fmt.Errorf("compress segment: %w", err)
	}
	z, err := zstd.NewWriter(to, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(packedMost))
	if err == nil {
		_, err = io.Copy(z, reader{ctx, from})
		err = errors.Join(err, z.Close(), to.Sync())
	}
	if err = errors.Join(err, to.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("compress segment: %w", errors.Join(err, os.Remove(path+".new")))
	}
	s.packed = true
	old := s.path
	s.path = path
	if err := os.Remove(old); err != nil {
		return fmt.Errorf("compress segment: %w", err)
	}
	return nil
}

// reader reads until a context ends.
type reader struct {
	ctx  context.Context //nolint:containedctx // of one copy.
	from io.Reader
}

// Read reads from the file.
func (r reader) Read(b []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.from.Read(b) //nolint:wrapcheck // io.Copy needs io.EOF.
}

// retain removes the oldest segments, after a record that says so. Their
// checkpoints stay.
func (l *Log) retain(ctx context.Context, all []segment) error {
	if l.o.RetainAge == 0 && l.o.RetainBytes == 0 {
		return nil
	}
	var total int64
	infos := make([]os.FileInfo, len(all))
	for i, s := range all {
		info, err := os.Stat(s.path)
		if err != nil {
			return fmt.Errorf("look at segment: %w", err)
		}
		infos[i], total = info, total+info.Size()
	}
	n := 0
	for ; n < len(all)-1; n++ {
		old := l.o.RetainAge > 0 && l.o.Now().Sub(l.ended(&all[n], infos[n])) > l.o.RetainAge
		if !old && (l.o.RetainBytes == 0 || total <= l.o.RetainBytes) {
			break
		}
		total -= infos[n].Size()
	}
	if n == 0 {
		return nil
	}
	err := l.store(ctx, l.entry(&Record{
		Time: l.o.Now(), Type: TypeRetention, Node: l.o.Node, Count: all[n].first - 1,
		Detail: fmt.Sprintf("the records up to %d are removed", all[n].first-1),
	}, awaitDurable))
	if err != nil {
		return err
	}
	for _, s := range all[:n] {
		if err := os.Remove(s.path); err != nil {
			return fmt.Errorf("remove segment: %w", err)
		}
	}
	return nil
}

// ended returns when a segment was closed: when its last checkpoint was signed.
func (l *Log) ended(s *segment, info os.FileInfo) time.Time {
	if points, err := os.Stat(pointsPath(l.o.Dir, s.first)); err == nil {
		return points.ModTime()
	}
	return info.ModTime()
}
