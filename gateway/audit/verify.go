package audit

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// A Report says what [Verify] saw.
type Report struct {
	Segments   int
	Records    int64  // whole records that form one chain from the first
	Head       string // SHA-256 of the last of them, in hex; 64 zeros for none
	Checkpoint int64  // sequence number up to which the log was known to be durable
	Torn       int64  // bytes of an incomplete last record beyond the checkpoint: a crash, or a record being written now
}

// Verify reads a whole log and checks that it is what was written: every
// record in its place, tied to the one before by its hash, and none missing up
// to the checkpoint. The error is a [*Damage] that names the first bad record,
// [ErrNoLog], or a failure to read. It may run while the log is being written.
//
// A chain cannot prove a log against somebody who rewrites all of it and the
// checkpoint with it. Compare the report with a checkpoint kept elsewhere.
func Verify(dir string) (Report, error) {
	point, err := readCheckpoint(dir)
	noPoint := missing(err)
	if err != nil && !noPoint {
		return Report{}, err
	}
	all, err := segments(dir)
	switch {
	case err != nil:
		return Report{}, err
	case noPoint && len(all) == 0:
		return Report{}, noLog(dir)
	}
	v := verifier{point: point, report: Report{Segments: len(all), Checkpoint: point.seq}}
	for i, s := range all {
		if err = v.segment(s, i == len(all)-1); err != nil {
			break
		}
	}
	v.report.Records, v.report.Head = v.chain.seq, hex.EncodeToString(v.chain.head[:])
	switch {
	case err != nil:
	case noPoint:
		err = &Damage{File: checkpointName, Why: "it is missing"}
	case v.chain.seq < point.seq:
		err = &Damage{File: checkpointName, Why: fmt.Sprintf("the log ends at record %d, but record %d was written", v.chain.seq, point.seq)}
	case point == chain{} || v.met:
	default:
		err = &Damage{File: checkpointName, Why: fmt.Sprintf("its hash is not that of record %d", point.seq)}
	}
	return v.report, err
}

type verifier struct {
	report Report
	chain  chain
	point  chain
	met    bool // whether the checkpoint's record was seen, with its hash
}

func (v *verifier) segment(s segment, last bool) error {
	f, err := os.Open(s.path)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read.
	if s.first != v.chain.seq+1 {
		return s.damage(0, fmt.Sprintf("it begins with record %d, but the one before ends at record %d", s.first, v.chain.seq))
	}
	for lines := newLineReader(f); ; {
		line, err := lines.next()
		switch {
		case err == nil:
			if err := v.chain.check(line); err != nil {
				return s.damage(lines.number, err.Error())
			}
			if v.chain.seq == v.point.seq {
				if v.chain != v.point {
					return s.damage(lines.number, fmt.Sprintf("record %d was changed: its hash is not that of the checkpoint", v.chain.seq))
				}
				v.met = true
			}
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF) && last && v.chain.seq >= v.point.seq:
			v.report.Torn = int64(len(lines.line))
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return s.damage(lines.number+1, "the record is incomplete")
		case errors.Is(err, errLongLine):
			return s.damage(lines.number+1, err.Error())
		default:
			return fmt.Errorf("read segment: %w", err)
		}
	}
}
