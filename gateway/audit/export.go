package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/trilith-gateway/trilith/gateway/pause"
)

// A Sink takes records to another place.
type Sink interface {
	// Send sends records in their order and returns when the other side has taken
	// all of them, as far as its protocol can tell. After an error all of them are
	// sent again.
	Send(ctx context.Context, records []Exported) error
	// Close lets go of what the sink holds.
	Close() error
}

// Exported is a record on its way to a [Sink].
type Exported struct {
	Record

	Line []byte // as it stands in the log, without its line feed
}

// The pace of an export.
const (
	exportBatch = 500
	exportRetry = time.Second // pause after the first failure; it doubles up to exportMost
	exportMost  = time.Minute
)

var exportName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// Export sends the records of the log in dir to a sink, and those that come, in
// their order, until ctx ends: each at least once. How far it came is kept in
// the directory under the export's name, 1 to 63 of a-z 0-9 _ -; a new one begins
// with the oldest record. A sink that fails is tried again without end. Where
// retention removed what was not yet sent, that is logged, and the export goes
// on behind it. The error is one of the name or of the directory.
func Export(ctx context.Context, dir, name string, sink Sink, logger *slog.Logger) error {
	if !exportName.MatchString(name) {
		return fmt.Errorf("audit export: %q is not a name", name)
	}
	x := &export{path: filepath.Join(dir, "export-"+name), sink: sink, logger: logger.With(slog.String("export", name))}
	text, err := readBounded(x.path, 32)
	if err == nil {
		x.sent, err = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	}
	if err != nil && !missing(err) {
		return fmt.Errorf("audit export %s: %w", name, err)
	}
	for ctx.Err() == nil {
		t := &tail{dir: dir, from: x.sent + 1}
		err := x.run(ctx, t)
		t.close()
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, ErrRemoved):
			x.logger.Error("retention removed audit records that were not yet exported", slog.Int64("after", x.sent))
			if all, err := segments(dir); err == nil && len(all) > 0 {
				x.sent = max(x.sent, all[0].first-1)
			}
		default:
			x.logger.Error("audit records not exported", slog.Any("error", err))
			_ = pause.For(ctx, exportMost) // The loop looks whether ctx has ended.
		}
	}
	return nil
}

// export is one export that runs.
type export struct {
	path   string
	sink   Sink
	logger *slog.Logger
	sent   int64 // the last record that the sink has taken
}

// run exports until something fails other than the sink.
func (x *export) run(ctx context.Context, t *tail) error {
	var batch []Exported
	for {
		r, err := t.next()
		switch {
		case err == nil && r.Seq <= x.sent:
			continue
		case err == nil && x.sent > 0 && len(batch) == 0 && r.Seq > x.sent+1:
			return ErrRemoved
		case err == nil:
			batch = append(batch, Exported{r, append([]byte(nil), t.line...)})
			if len(batch) < exportBatch {
				continue
			}
		case !errors.Is(err, io.EOF):
			return err
		}
		if len(batch) == 0 {
			if err := pause.For(ctx, pollEvery); err != nil {
				return err
			}
			continue
		}
		if err := x.send(ctx, batch); err != nil {
			return err
		}
		batch = batch[:0]
	}
}

// send sends a batch for as long as it takes.
func (x *export) send(ctx context.Context, batch []Exported) error {
	for delay := exportRetry; ; delay = min(2*delay, exportMost) {
		err := x.sink.Send(ctx, batch)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		x.logger.Warn("audit records not yet exported", slog.Any("error", err), slog.Int("records", len(batch)))
		if err := pause.For(ctx, delay); err != nil {
			return err
		}
	}
	x.sent = batch[len(batch)-1].Seq
	if err := replaceFile(x.path, strconv.AppendInt(nil, x.sent, 10)); err != nil {
		return fmt.Errorf("keep the place of the export: %w", err)
	}
	return nil
}

// A Format is a form in which records leave the gateway.
type Format string

// The formats.
const (
	FormatJSONL  Format = "jsonl"  // the lines of the log
	FormatOCSF   Format = "ocsf"   // one event of the Open Cybersecurity Schema Framework on each line
	FormatSyslog Format = "syslog" // RFC 5424, each with its length before it (RFC 6587, octet counting)
)

// Append appends a record in a format, with whatever separates it from the
// next.
func (f Format) Append(b []byte, r *Exported) ([]byte, error) {
	switch f {
	case FormatJSONL:
		return append(append(b, r.Line...), '\n'), nil
	case FormatOCSF:
		line, err := ocsf(r)
		return append(append(b, line...), '\n'), err
	case FormatSyslog:
		text, err := syslog(r)
		b = strconv.AppendInt(b, int64(len(text)), 10)
		return append(append(b, ' '), text...), err
	}
	return b, fmt.Errorf("%q is not a format of export", f)
}

// Write writes the records of the log in dir that match to w, in a format, and
// returns how many they were.
func Write(ctx context.Context, w io.Writer, dir string, f Filter, format Format) (n int, err error) {
	if err := f.Check(); err != nil {
		return 0, err
	}
	t := &tail{dir: dir}
	defer t.close()
	var b []byte
	for {
		r, err := t.next()
		switch {
		case errors.Is(err, io.EOF):
			return n, t.empty()
		case err != nil:
			return n, err
		case ctx.Err() != nil:
			return n, context.Cause(ctx)
		case !f.Match(&r):
			continue
		}
		if b, err = format.Append(b[:0], &Exported{r, t.line}); err != nil {
			return n, err
		}
		if _, err := w.Write(b); err != nil {
			return n, fmt.Errorf("write audit records: %w", err)
		}
		n++
	}
}

// A FileSink appends records to a file.
type FileSink struct {
	file   *os.File
	format Format
}

// NewFileSink opens a file, which is made where it is missing, readable by its
// owner only.
func NewFileSink(path string, format Format) (*FileSink, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the operator names it.
	if err != nil {
		return nil, fmt.Errorf("open audit export: %w", err)
	}
	return &FileSink{f, format}, nil
}

// Send appends the records and makes them durable.
func (s *FileSink) Send(_ context.Context, records []Exported) error {
	var b []byte
	var err error
	for i := range records {
		if b, err = s.format.Append(b, &records[i]); err != nil {
			return err
		}
	}
	if _, err = s.file.Write(b); err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("write audit export: %w", err)
	}
	return nil
}

// Close closes the file.
func (s *FileSink) Close() error { return s.file.Close() } //nolint:wrapcheck // it names the file.
