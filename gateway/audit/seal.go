package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"
)

const (
	pointEvery   = time.Second // longest time between checkpoints while records come
	pointRecords = 1000        // most records between them, as far as one sync does not bring more
)

// A seal keeps the Merkle tree over the durable records and signs checkpoints.
type seal struct {
	dir    string
	now    func() time.Time
	signer note.Signer

	at      state     // of the log, as far as it is durable; at.note is that of the last checkpoint
	point   *point    // the last checkpoint; nil for none
	signed  time.Time // when it was made
	saved   *point    // the one in the file checkpoint
	savedAt time.Time

	file  *os.File // the checkpoints of the segment; nil until there is one
	first int64    // of that segment
	size  int64    // of file, without what a failed write left
}

// behind reports whether a checkpoint is missing for a log that is durable up
// to a record.
func (s *seal) behind(durable chain) bool {
	return s.point == nil || s.point.Seq < durable.seq || s.saved != s.point
}

// extend takes over the records of a flush, which are durable, and signs and
// saves a checkpoint where one is due. It may be repeated after a failure.
func (s *seal) extend(f *flush) error {
	if s.file != nil && s.first != f.first {
		if err := s.close(); err != nil {
			return err
		}
	}
	if s.file == nil && f.size > 0 {
		if err := s.open(f.first); err != nil {
			return err
		}
	}
	for _, h := range f.heads[s.at.seq-(f.upto.seq-int64(len(f.heads))):] {
		s.at.tree.add(leaf(h))
		s.at.seq, s.at.head = s.at.seq+1, h
	}
	if s.file == nil {
		return nil
	}
	if s.due(f.force) {
		if err := s.sign(); err != nil {
			return err
		}
	}
	if s.saved != s.point && (f.force || time.Since(s.savedAt) >= pointEvery) {
		return s.save()
	}
	return nil
}

// due reports whether the records since the last checkpoint want one.
func (s *seal) due(force bool) bool {
	last := int64(0)
	if s.point != nil {
		last = s.point.Seq
	}
	return s.at.seq > last && (force || s.at.seq-last >= pointRecords || time.Since(s.signed) >= pointEvery)
}

// found signs the checkpoint of a log that has no record yet, so that one whose
// files are missing is told from that.
func (s *seal) found() error {
	p, err := sign(&s.at, s.now(), s.signer)
	if err == nil {
		err = errors.Join(replaceFile(filepath.Join(s.dir, pointName), p.note), syncDir(s.dir))
	}
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	s.saved = p
	return nil
}

// open makes the file of a segment's checkpoints. The state at its beginning is
// durable before the first checkpoint follows.
func (s *seal) open(first int64) error {
	f, err := os.OpenFile(pointsPath(s.dir, first), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open checkpoints: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() > s.size {
		err = f.Truncate(s.size) // What a crash left.
	}
	if err == nil && s.size == 0 {
		err = s.begin(f)
	}
	if err != nil {
		return fmt.Errorf("open checkpoints: %w", errors.Join(err, f.Close()))
	}
	s.file, s.first = f, first
	return nil
}

// begin writes the state before the segment.
func (s *seal) begin(f *os.File) error {
	line := s.at.line()
	_, err := f.WriteAt(line, 0)
	if err = errors.Join(err, f.Sync(), syncDir(s.dir)); err == nil {
		s.size = int64(len(line))
	}
	return err
}

func (s *seal) sign() error {
	p, err := sign(&s.at, s.now(), s.signer)
	if err != nil {
		return err
	}
	if _, err := s.file.WriteAt(p.note, s.size); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	s.size += int64(len(p.note))
	s.point, s.at.note, s.signed = p, p.hash(), time.Now()
	return nil
}

// save makes the last checkpoint durable.
func (s *seal) save() error {
	err := s.file.Sync()
	if err == nil {
		err = replaceFile(filepath.Join(s.dir, pointName), s.point.note)
	}
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	s.saved, s.savedAt = s.point, time.Now()
	return nil
}

func (s *seal) close() error {
	if s.file == nil {
		return nil
	}
	f, size := s.file, s.size
	s.file, s.size = nil, 0
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil { // A write that failed may have left something.
		return fmt.Errorf("close checkpoints: %w", err)
	}
	return nil
}
