package audit

import (
	"fmt"
	"io"
	"os"
)

// seekLeast is how many bytes are read through rather than halved again.
const seekLeast = 64 << 10

// seek moves a reader that stands at the beginning of a segment, whose records
// begin with first, towards a record: to that, or before it. So to find a record
// in a large segment takes a few reads. A compressed one is read through, but
// not understood.
func (l *lineReader) seek(r io.Reader, first, seq int64) error {
	f, ok := r.(*os.File)
	if !ok {
		for int64(l.number) < seq-first {
			if _, err := l.next(); err != nil {
				return nil //nolint:nilerr // Who reads on meets it again.
			}
		}
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read segment: %w", err)
	}
	low, at := int64(0), first // Where a line begins, and its record.
	for high := info.Size(); seq > first && high-low > seekLeast; {
		middle := low + (high-low)/2
		switch offset, found := recordAfter(f, middle, high); {
		case found == 0 || found > seq:
			high = middle
		default:
			low, at = offset, found
		}
	}
	if low == 0 {
		return nil
	}
	if _, err := f.Seek(low, io.SeekStart); err != nil {
		return fmt.Errorf("read segment: %w", err)
	}
	l.r.Reset(f)
	l.offset, l.number = low, int(at-first)
	return nil
}

// recordAfter returns the first record that begins and ends between two
// places of a segment, and where it begins; 0 where there is none.
func recordAfter(f *os.File, from, to int64) (offset, seq int64) {
	lines := newLineReader(io.NewSectionReader(f, from, to-from))
	if _, err := lines.next(); err != nil {
		return 0, 0
	}
	offset = from + lines.offset
	line, err := lines.next()
	if err != nil {
		return 0, 0
	}
	r, err := ParseRecord(line)
	if err != nil {
		return 0, 0
	}
	return offset, r.Seq
}
