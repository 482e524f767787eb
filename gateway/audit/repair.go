package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// An ending is where a log was left.
type ending struct {
	segment        // the last one; its path is "" in a new log
	at      state  // at the last whole record
	size    int64  // of the segment, without what was torn
	torn    int64  // bytes of an incomplete record behind that
	points  int64  // size of the segment's checkpoints, without what was torn
	point   *point // the last of them
	saved   *point // that of the file checkpoint

	begun time.Time // when the first record of the segment was written
}

// readEnd finds where the log in dir ends. It reads the last segment, and those
// before it only as far as the last whose checkpoints tell what came before;
// [Verify] reads all. A log that a crash left with an incomplete end is in
// order, any other damage is an error.
func readEnd(dir string, keys note.Verifiers) (*ending, error) {
	all, err := segments(dir)
	if err != nil {
		return nil, err
	}
	v := &verifier{dir: dir, keys: keys}
	err = v.open()
	switch {
	case missing(err) && len(all) == 0:
		return &ending{}, nil
	case missing(err):
		return nil, &Damage{File: pointName, Why: "it is missing"}
	case err != nil:
		return nil, err
	case len(all) == 0 && v.saved.Seq == 0:
		return &ending{saved: v.saved}, nil
	case len(all) == 0:
		return nil, &Damage{File: pointName, Why: fmt.Sprintf("record %d was written, but there is no segment", v.saved.Seq)}
	}
	// A crash may have left the last segment without checkpoints.
	from := len(all) - 1
	if from > 0 && !v.described(all[from]) {
		from--
	}
	for i, s := range all[from:] {
		if err := v.segment(s, i == 0, from+i == len(all)-1); err != nil {
			return nil, err
		}
	}
	v.gone = all[0].first - 1 // Verify looks whether that is right.
	v.report.First = all[0].first
	if err := v.finish(); err != nil {
		return nil, err
	}
	return v.end(all[len(all)-1])
}

// described reports whether the checkpoints of a segment tell what came before.
func (v *verifier) described(s segment) bool {
	p, _, err := openPoints(pointsPath(v.dir, s.first), v.keys)
	if err == nil {
		p.close()
	}
	return err == nil
}

// end describes the end of a log whose last segment was just read.
func (v *verifier) end(last segment) (*ending, error) {
	info, err := os.Stat(last.path)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	e := &ending{
		segment: last, at: v.at, size: info.Size() - v.report.Torn, torn: v.report.Torn,
		points: v.size, point: v.point, saved: v.saved, begun: v.begun,
	}
	if e.point != nil && bytes.Equal(e.point.note, e.saved.note) {
		e.saved = e.point
	}
	if e.points > 0 {
		return e, nil
	}
	line := v.opened.line()
	if err := replaceFile(pointsPath(v.dir, last.first), line); err != nil {
		return nil, fmt.Errorf("repair checkpoints: %w", err)
	}
	e.points = int64(len(line))
	return e, nil
}

// lastPoint returns the checkpoint of a record that ends a segment: the last
// one of the segment that has it, also where its records are no longer kept.
func lastPoint(dir string, seq int64, keys note.Verifiers) (*point, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*"+pointsSuffix)) // Sorted.
	if err != nil {
		return nil, fmt.Errorf("list checkpoints: %w", err)
	}
	var path string
	for _, name := range names {
		if name < pointsPath(dir, seq+1) && !strings.HasPrefix(filepath.Base(name), ".") {
			path = name
		}
	}
	if path == "" {
		return nil, fmt.Errorf("the checkpoint of record %d is missing", seq)
	}
	f, err := os.Open(path) //nolint:gosec // the operator names the directory.
	if err != nil {
		return nil, fmt.Errorf("open checkpoints: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read.
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open checkpoints: %w", err)
	}
	end := make([]byte, min(info.Size(), maxPoint))
	if _, err := io.ReadFull(io.NewSectionReader(f, info.Size()-int64(len(end)), int64(len(end))), end); err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	lines := bytes.SplitAfter(end, []byte("\n"))
	if len(lines) < 10 { // Behind the last line feed there is one more, and the file begins with a state.
		return nil, fmt.Errorf("the checkpoint of record %d is missing", seq)
	}
	p, err := parsePoint(bytes.Join(lines[len(lines)-9:], nil), keys)
	switch {
	case err != nil:
		return nil, err
	case p.Seq != seq:
		return nil, fmt.Errorf("the checkpoint of record %d is missing", seq)
	}
	return p, nil
}

// cut removes what was torn and returns a text that says so. What it removes
// is kept beside the segment, for whoever wants to look.
func (e *ending) cut() (detail string, err error) {
	f, err := os.OpenFile(e.path, os.O_RDWR, 0o600)
	if err != nil {
		return "", fmt.Errorf("repair segment: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	name := fmt.Sprintf("%s.torn-%d", e.path, e.at.seq+1)
	kept, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // the operator names the directory.
	if err != nil {
		return "", fmt.Errorf("repair segment: %w", err)
	}
	_, err = io.Copy(kept, io.NewSectionReader(f, e.size, e.torn))
	if err = errors.Join(err, kept.Sync(), kept.Close()); err == nil {
		err = errors.Join(f.Truncate(e.size), f.Sync())
	}
	if err != nil {
		return "", fmt.Errorf("repair segment: %w", err)
	}
	detail = fmt.Sprintf("an incomplete record of %d bytes at the end of %s was cut off and kept in %s",
		e.torn, filepath.Base(e.path), filepath.Base(name))
	e.torn = 0
	return detail, nil
}
