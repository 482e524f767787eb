package audit

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// An ending is where a log was left.
type ending struct {
	chain         // at the last whole record
	segment       // the last one; its path is "" in a new log
	size    int64 // of the last segment, without what was torn
	torn    int64 // bytes of an incomplete record behind that
}

// readEnd finds where the log in dir ends. It reads the last segment and the
// last record of the one before; [Verify] reads all. A log that a crash left
// with an incomplete last record is in order, any other damage is an error.
func readEnd(dir string) (ending, error) {
	point, err := readCheckpoint(dir)
	fresh := missing(err)
	if err != nil && !fresh {
		return ending{}, err
	}
	all, err := segments(dir)
	if err != nil {
		return ending{}, err
	}
	if len(all) == 0 {
		if point.seq > 0 {
			return ending{}, &Damage{File: checkpointName, Why: fmt.Sprintf("record %d was written, but there is no segment", point.seq)}
		}
		return ending{}, nil
	}
	if fresh {
		return ending{}, &Damage{File: checkpointName, Why: "it is missing"}
	}
	last := all[len(all)-1]
	v := verifier{point: point, chain: chain{seq: last.first - 1}}
	if len(all) > 1 {
		if v.chain, err = lastRecord(all[len(all)-2]); err != nil {
			return ending{}, err
		}
	}
	v.met = point.seq <= v.chain.seq
	return v.end(last)
}

// end reads the last segment.
func (v *verifier) end(s segment) (ending, error) {
	if err := v.segment(s, true); err != nil {
		return ending{}, err
	}
	if v.chain.seq < v.point.seq {
		return ending{}, s.damage(0, fmt.Sprintf("the log ends at record %d, but record %d was written", v.chain.seq, v.point.seq))
	}
	info, err := os.Stat(s.path)
	if err != nil {
		return ending{}, fmt.Errorf("open segment: %w", err)
	}
	return ending{chain: v.chain, segment: s, size: info.Size() - v.report.Torn, torn: v.report.Torn}, nil
}

// lastRecord returns the chain at the end of a segment that is not the last.
func lastRecord(s segment) (chain, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return chain{}, fmt.Errorf("open segment: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read.
	var last []byte
	lines := newLineReader(f)
	for {
		line, err := lines.next()
		switch {
		case err == nil:
			last = append(last[:0], line...)
			continue
		case !errors.Is(err, io.EOF):
			return chain{}, s.damage(lines.number+1, "the segment cannot be read to its end: "+err.Error())
		}
		r, err := ParseRecord(last)
		if err != nil {
			return chain{}, s.damage(lines.number, err.Error())
		}
		return chain{r.Seq, sha256.Sum256(last)}, nil
	}
}

// cut removes what was torn and returns a text that says so. What it removes
// is kept beside the segment, for whoever wants to look.
func (e *ending) cut() (detail string, err error) {
	f, err := os.OpenFile(e.path, os.O_RDWR, 0o600)
	if err != nil {
		return "", fmt.Errorf("repair segment: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	name := fmt.Sprintf("%s.torn-%d", e.path, e.seq+1)
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
