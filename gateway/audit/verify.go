package audit

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// A Report says what [Verify] saw.
type Report struct {
	Segments    int
	First       int64  // the first record that is kept
	Records     int64  // sequence number of the last whole record: they form one chain from the first
	Head        string // SHA-256 of its line, in hex; 64 zeros for none
	Root        string // of the Merkle tree over all records, in base64
	Checkpoint  int64  // sequence number up to which the log is signed and known to be durable
	Checkpoints int64  // how many checkpoints were seen to hold
	Torn        int64  // bytes of an incomplete last record beyond the checkpoint: a crash, or a record being written now
}

// Proofs are what a log is held against besides itself. The zero Proofs are
// the public keys beside the log, which prove nothing against whoever owns the
// disk.
type Proofs struct {
	Keys        []string // public keys, kept elsewhere; nil for those beside the log
	Checkpoints [][]byte // checkpoints that were copied elsewhere, in any order, at most 10,000
}

const maxProofs = 10_000

// Verify reads a whole log and checks that it is what was written: every
// record in its place, tied to the one before by its hash, none missing up to
// the newest checkpoint, and every checkpoint signed and with the root that the
// records have. The error is a [*Damage] that names the first bad record,
// [ErrNoLog], or a failure to read. It may run while the log is being written.
//
// A log cannot prove itself against somebody who has its key and rewrites all
// of it. With keys and checkpoints that were kept elsewhere, it can.
func Verify(dir string, proofs Proofs) (Report, error) {
	v, all, err := newVerifier(dir, &proofs)
	if err != nil {
		return Report{}, err
	}
	for i, s := range all {
		if err = v.segment(s, i == 0, i == len(all)-1); err != nil {
			break
		}
	}
	if err == nil {
		err = v.finish()
	}
	root := v.at.tree.root()
	v.report.Records, v.report.Head, v.report.Root = v.at.seq, hex.EncodeToString(v.at.head[:]), root.String()
	return v.report, err
}

type verifier struct {
	dir     string
	keys    note.Verifiers
	report  Report
	at      state
	saved   *point // of the file checkpoint; nil in a log that never had one
	met     bool   // whether that was seen among the checkpoints
	point   *point // the last that was seen
	outside map[int64][]*Checkpoint

	points *pointReader // of the segment
	due    *point       // the next of them; nil for none
	size   int64        // of the segment's checkpoints, as far as they are whole
	opened state        // at the segment's beginning
	loose  bool         // whether a torn checkpoint follows
	begun  time.Time    // when the segment's first record was written
	kind   string       // type of the last record
	gone   int64        // the last record that retention removed, as the log itself says
}

func newVerifier(dir string, proofs *Proofs) (*verifier, []segment, error) {
	if _, err := segments(dir); err != nil {
		return nil, nil, err
	}
	v := &verifier{dir: dir, outside: map[int64][]*Checkpoint{}}
	keys := proofs.Keys
	var err error
	if keys == nil {
		if keys, err = PublicKeys(dir); err != nil {
			return nil, nil, v.nothing(err, publicName)
		}
	}
	if v.keys, err = verifiersOf(keys); err != nil {
		return nil, nil, err
	}
	err = v.open() // Before the segments are listed: it may be written just now.
	if missing(err) {
		return nil, nil, v.nothing(noLog(dir), pointName)
	}
	if err != nil {
		return nil, nil, err
	}
	all, err := segments(dir)
	if err != nil {
		return nil, nil, err
	}
	v.report = Report{Segments: len(all), Checkpoint: v.saved.Seq}
	if len(proofs.Checkpoints) > maxProofs {
		return nil, nil, fmt.Errorf("more than %d checkpoints to compare with", maxProofs)
	}
	for _, text := range proofs.Checkpoints {
		p, err := parsePoint(text, v.keys)
		if err != nil {
			return nil, nil, err
		}
		v.outside[p.Seq] = append(v.outside[p.Seq], &p.Checkpoint)
	}
	return v, all, nil
}

// nothing returns err where there is no log, and where there is one that a file
// is missing.
func (v *verifier) nothing(err error, file string) error {
	if all, e := segments(v.dir); errors.Is(err, ErrNoLog) && (e != nil || len(all) > 0) {
		return &Damage{File: file, Why: "it is missing"}
	}
	return err
}

// open reads the newest durable checkpoint. The first of all, of no record, is
// not among those of a segment.
func (v *verifier) open() (err error) {
	if v.saved, err = readPoint(v.dir, v.keys); err != nil || v.saved.Seq > 0 {
		return err
	}
	v.met = true
	if err := v.saved.covers(&state{}); err != nil {
		return &Damage{File: pointName, Why: err.Error()}
	}
	return nil
}

// segment checks a segment with its checkpoints. The first one that is kept is
// held against the last checkpoint before it.
func (v *verifier) segment(s segment, first, last bool) error {
	if !first && s.first != v.at.seq+1 {
		return s.damage(0, fmt.Sprintf("it begins with record %d, but the one before ends at record %d", s.first, v.at.seq))
	}
	if first {
		v.report.First = s.first
	}
	if err := v.begin(s, first, last); err != nil {
		return err
	}
	if v.points != nil {
		defer v.points.close()
	}
	if err := v.records(s, last); err != nil {
		return err
	}
	switch {
	case v.due != nil:
		return s.damage(0, fmt.Sprintf("the log ends at record %d, but there is a checkpoint of record %d", v.at.seq, v.due.Seq))
	case !last && (v.point == nil || v.point.Seq != v.at.seq):
		return &Damage{File: filepath.Base(pointsPath(v.dir, s.first)), Why: fmt.Sprintf("the checkpoint of record %d is missing", v.at.seq)}
	}
	return nil
}

// begin opens the checkpoints of a segment.
func (v *verifier) begin(s segment, first, last bool) (err error) {
	v.points, v.due, v.size, v.opened = nil, nil, 0, v.at.clone()
	path := pointsPath(v.dir, s.first)
	points, at, err := openPoints(path, v.keys)
	switch {
	case last && v.met && (missing(err) || torn(err)):
		return nil // A crash, right after the segment was begun.
	case last && !first && missing(err):
		return nil // finish finds that the checkpoint is among no others.
	case missing(err):
		return &Damage{File: filepath.Base(path), Why: "it is missing"}
	case err != nil:
		return err
	}
	v.points, v.size = points, points.offset
	damage := func(why string) error {
		points.close()
		return &Damage{File: filepath.Base(path), Line: 1, Why: why}
	}
	switch {
	case first && at.seq != s.first-1:
		return damage(fmt.Sprintf("it is not that of the segment of record %d", s.first))
	case first:
		if err := v.before(&at); err != nil {
			return damage(err.Error())
		}
		v.at, v.opened = at.clone(), at
	case !bytes.Equal(at.line(), v.at.line()):
		return damage(fmt.Sprintf("it does not describe the log up to record %d", v.at.seq))
	}
	return v.read(last)
}

// torn reports whether a file is damaged as a crash can do it.
func torn(err error) bool {
	var damage *Damage
	return errors.As(err, &damage)
}

// before checks the state with which the first segment that is kept begins.
func (v *verifier) before(at *state) error {
	if at.seq == 0 {
		if at.head != (digest{}) || at.note != (digest{}) {
			return errors.New("it is not that of an empty log")
		}
		return nil
	}
	p, err := lastPoint(v.dir, at.seq, v.keys)
	if err != nil {
		return err
	}
	if p.hash() != at.note {
		return fmt.Errorf("the checkpoint of record %d is another", at.seq)
	}
	v.point, v.met = p, v.met || bytes.Equal(p.note, v.saved.note)
	return p.covers(at)
}

// read reads the next checkpoint.
func (v *verifier) read(last bool) error {
	p, err := v.points.next()
	switch {
	case errors.Is(err, io.EOF):
		v.due = nil
		return nil
	case err != nil && last && v.met: // What is behind the newest durable one may be torn.
		v.due, v.loose = nil, true
		return nil
	case err != nil:
		return v.damage(1, err.Error())
	case p.Prev != hex.EncodeToString(v.at.note[:]):
		return v.damage(0, "a checkpoint before it is missing or was changed")
	case p.Seq <= v.at.seq:
		return v.damage(0, fmt.Sprintf("the checkpoint of record %d stands behind that of record %d", p.Seq, v.at.seq))
	}
	v.due, v.size, v.at.note = p, v.points.offset, p.hash()
	if bytes.Equal(p.note, v.saved.note) {
		v.met = true
	}
	return nil
}

func (v *verifier) damage(after int, why string) error {
	return &Damage{File: filepath.Base(v.points.file.Name()), Line: v.points.line + after, Why: why}
}

// records checks the records of a segment.
func (v *verifier) records(s segment, last bool) error {
	f, err := s.open()
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read.
	for lines := newLineReader(f); ; {
		line, err := lines.next()
		switch {
		case err == nil:
			if err := v.record(line, s.first, last); err != nil {
				return s.blame(lines.number, err)
			}
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF) && last && v.due == nil && v.at.seq >= v.saved.Seq:
			v.report.Torn = int64(len(lines.line))
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return s.damage(lines.number+1, "the record is incomplete")
		case errors.Is(err, errLongLine):
			return s.damage(lines.number+1, err.Error())
		case s.packed:
			return s.damage(lines.number+1, "the segment cannot be decompressed: "+err.Error())
		default:
			return fmt.Errorf("read segment: %w", err)
		}
	}
}

// record checks the next record of a segment that begins with first.
func (v *verifier) record(line []byte, first int64, last bool) error {
	r, err := v.at.check(line)
	if err != nil {
		return err
	}
	if v.at.seq == first {
		v.begun = r.Time
	}
	if v.kind = r.Type; v.kind == TypeRetention {
		v.gone = max(v.gone, r.Count)
	}
	v.at.tree.add(leaf(v.at.head))
	return v.compare(last)
}

// blame names a record for an error that is not yet a damage.
func (s segment) blame(line int, err error) error {
	if _, ok := errors.AsType[*Damage](err); ok {
		return err
	}
	return s.damage(line, err.Error())
}

// compare holds the log up to a record against the checkpoints of that.
func (v *verifier) compare(last bool) error {
	for _, c := range v.outside[v.at.seq] {
		if err := c.covers(&v.at); err != nil {
			return fmt.Errorf("a checkpoint kept elsewhere differs: %w", err)
		}
	}
	delete(v.outside, v.at.seq)
	if v.due == nil || v.due.Seq != v.at.seq {
		return nil
	}
	if err := v.due.covers(&v.at); err != nil {
		return err
	}
	v.point = v.due
	v.report.Checkpoints++
	return v.read(last)
}

// finish checks what only the end of the log can show.
func (v *verifier) finish() error {
	switch {
	case v.at.seq < v.saved.Seq:
		return &Damage{File: pointName, Why: fmt.Sprintf("the log ends at record %d, but record %d was written", v.at.seq, v.saved.Seq)}
	case !v.met:
		return &Damage{File: pointName, Why: fmt.Sprintf("the checkpoint of record %d is not among those of the segments", v.saved.Seq)}
	}
	if v.loose && v.kind == TypeClose {
		return &Damage{File: filepath.Base(v.points.file.Name()), Line: v.points.line + 1, Why: "something stands behind the last checkpoint of a log that was closed"}
	}
	if v.report.First-1 > v.gone {
		return &Damage{File: filepath.Base(segmentPath(v.dir, v.report.First)), Why: fmt.Sprintf(
			"the records before %d are missing, and the log does not say that they were removed", v.report.First)}
	}
	for seq := range v.outside {
		if seq > v.at.seq {
			return &Damage{File: pointName, Why: fmt.Sprintf("the log ends at record %d, but a checkpoint kept elsewhere is of record %d", v.at.seq, seq)}
		}
	}
	return nil
}
