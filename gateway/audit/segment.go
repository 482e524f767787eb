package audit

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A segment is one file of the log. Its name is the sequence number of its
// first record.
type segment struct {
	path   string
	first  int64
	packed bool // whether it is compressed
}

const (
	segmentSuffix = ".jsonl"
	packedSuffix  = ".zst" // behind segmentSuffix: compressed with Zstandard (RFC 8878)
)

func segmentPath(dir string, first int64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", first, segmentSuffix))
}

// ErrNoLog is the error of [Verify] and [Tail] where there is no log: the
// directory is missing, or has neither a segment nor a checkpoint.
var ErrNoLog = errors.New("no audit log")

func noLog(dir string) error { return fmt.Errorf("%w in %s", ErrNoLog, dir) }

// segments returns the segments in a directory, in order.
func segments(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	switch {
	case missing(err):
		return nil, noLog(dir)
	case err != nil:
		return nil, fmt.Errorf("list audit log: %w", err)
	}
	var out []segment
	for _, e := range entries {
		name, packed := strings.CutSuffix(e.Name(), packedSuffix)
		digits, ok := strings.CutSuffix(name, segmentSuffix)
		if !ok {
			continue
		}
		first, err := strconv.ParseInt(digits, 10, 64)
		path := filepath.Join(dir, e.Name())
		if err != nil || first < 1 || strings.TrimSuffix(path, packedSuffix) != segmentPath(dir, first) {
			return nil, &Damage{File: e.Name(), Why: "the name is not that of a segment"}
		}
		out = append(out, segment{path, first, packed})
	}
	slices.SortFunc(out, func(a, b segment) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.path, b.path))
	})
	// A crash may leave a segment beside its compressed form, which is then not yet needed.
	return slices.CompactFunc(out, func(a, b segment) bool { return a.first == b.first }), nil
}

// A chain is the state that ties one record to the next: the sequence number
// and the hash of the last one. The zero chain has no record yet.
type chain struct {
	seq  int64
	head [sha256.Size]byte
}

// add appends a line that is made of a tail (see [Record.appendTail]), with
// its line feed, and moves the chain to it.
func (c *chain) add(b, tail []byte) []byte {
	start := len(b)
	b = appendHead(b, c.seq+1, c.head)
	b = append(b, tail...)
	c.seq, c.head = c.seq+1, sha256.Sum256(b[start:])
	return append(b, '\n')
}

// check moves the chain to a line that was read, without its line feed, or
// says why the line is not the next one.
func (c *chain) check(line []byte) (Record, error) {
	r, err := ParseRecord(line)
	switch {
	case err != nil:
		return r, err
	case r.Seq != c.seq+1:
		return r, fmt.Errorf("record %d stands where record %d belongs", r.Seq, c.seq+1)
	case r.Prev != hex.EncodeToString(c.head[:]) && c.seq == 0:
		return r, errors.New("the first record names a record before it")
	case r.Prev != hex.EncodeToString(c.head[:]):
		return r, fmt.Errorf("record %d or record %d was changed: the hash of the one is not the prev of the other", c.seq, r.Seq)
	}
	c.seq, c.head = r.Seq, sha256.Sum256(line)
	return r, nil
}

// A lineReader reads lines and knows where it stands, so that it can stop at
// an incomplete line and come back to it.
type lineReader struct {
	r      *bufio.Reader
	line   []byte
	offset int64 // after the last complete line
	number int   // of the last complete line, from 1
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 64<<10)}
}

var errLongLine = fmt.Errorf("line is longer than %d bytes", maxLine)

// next returns the next complete line without its line feed, valid until the
// call after it. It returns io.EOF at the end, io.ErrUnexpectedEOF where the
// last line has no line feed, and errLongLine.
func (l *lineReader) next() ([]byte, error) {
	l.line = l.line[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		l.line = append(l.line, part...)
		switch {
		case err == nil:
			l.offset += int64(len(l.line))
			l.number++
			return l.line[:len(l.line)-1], nil
		case len(l.line) > maxLine:
			return nil, errLongLine
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(l.line) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// Damage says what is wrong with a log, at the first place where something is.
type Damage struct {
	File string // name of the segment, or of the checkpoint
	Line int    // from 1; 0 where the whole file is meant
	Why  string
}

// Error returns the damage as one line: file:line: why.
func (d *Damage) Error() string {
	if d.Line == 0 {
		return fmt.Sprintf("audit log is damaged: %s: %s", d.File, d.Why)
	}
	return fmt.Sprintf("audit log is damaged: %s:%d: %s", d.File, d.Line, d.Why)
}

func (s segment) damage(line int, why string) *Damage {
	return &Damage{File: filepath.Base(s.path), Line: line, Why: why}
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the operator names the directory.
	if err != nil {
		return fmt.Errorf("open audit directory: %w", err)
	}
	defer d.Close() //nolint:errcheck // nothing was written through it.
	// Some systems cannot sync a directory; they make names durable themselves.
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("sync audit directory: %w", err)
	}
	return nil
}
