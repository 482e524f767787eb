package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// pointName is the file with the newest checkpoint that is known to be
// durable, so that a log that was cut at the end is told from one that ends
// there. Copied elsewhere, it proves the log against whoever owns the disk.
const pointName = "checkpoint"

const pointsSuffix = ".checkpoints"

func pointsPath(dir string, first int64) string {
	return strings.TrimSuffix(segmentPath(dir, first), segmentSuffix) + pointsSuffix
}

// A Checkpoint is a signed statement of how many records a log has and what
// they are: a note (C2SP signed-note) in the form of C2SP tlog-checkpoint, with
// three extension lines. docs/audit.md specifies it.
type Checkpoint struct {
	Origin string    // the log, which is the name of its key
	Seq    int64     // how many records it covers
	Root   string    // of the Merkle tree over them, in base64
	Head   string    // SHA-256 of the line of record Seq, in hex
	Prev   string    // SHA-256 of the checkpoint before, in hex; 64 zeros in the first one
	Time   time.Time // when it was made, by the gateway's clock
}

// point is a checkpoint as files have it.
type point struct {
	Checkpoint

	note []byte
}

func (p *point) hash() digest { return sha256.Sum256(p.note) }

// sign returns a checkpoint of a log that stands at s.
func sign(s *state, now time.Time, signer note.Signer) (*point, error) {
	root := s.tree.root()
	p := &point{Checkpoint: Checkpoint{
		Origin: signer.Name(), Seq: s.seq, Root: root.String(), Head: hex.EncodeToString(s.head[:]),
		Prev: hex.EncodeToString(s.note[:]), Time: now.UTC().Truncate(time.Millisecond),
	}}
	var err error
	if p.note, err = note.Sign(&note.Note{Text: p.text()}, signer); err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	return p, nil
}

func (c *Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\nchain %s\nprev %s\ntime %s\n", c.Origin, c.Seq, c.Root, c.Head, c.Prev, c.Time.Format(time.RFC3339Nano))
}

// maxPoint bounds the bytes of a checkpoint. More than one signature, as of
// witnesses, is only in copies that are kept elsewhere.
const maxPoint = 8 << 10

func parsePoint(text []byte, keys note.Verifiers) (*point, error) {
	if len(text) > maxPoint {
		return nil, fmt.Errorf("a checkpoint is longer than %d bytes", maxPoint)
	}
	n, err := note.Open(text, keys)
	if err != nil {
		return nil, fmt.Errorf("a checkpoint is not signed by the key of the log: %w", err)
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 7 {
		return nil, errors.New("a checkpoint has not six lines")
	}
	p := &point{note: bytes.Clone(text)}
	seq, err := strconv.ParseInt(lines[1], 10, 64)
	at, err2 := time.Parse(time.RFC3339Nano, strings.TrimPrefix(lines[5], "time "))
	p.Checkpoint = Checkpoint{
		Origin: lines[0], Seq: seq, Root: lines[2], Head: strings.TrimPrefix(lines[3], "chain "),
		Prev: strings.TrimPrefix(lines[4], "prev "), Time: at,
	}
	if err != nil || err2 != nil || seq < 0 || p.text() != n.Text {
		return nil, errors.New("a checkpoint has not the form of one")
	}
	if _, err := tlog.ParseHash(p.Root); err != nil {
		return nil, errors.New("a checkpoint has no root")
	}
	return p, nil
}

// covers says why a checkpoint is not that of a log which stands at s.
func (c *Checkpoint) covers(s *state) error {
	root := s.tree.root()
	if c.Seq != s.seq || c.Root != root.String() || c.Head != hex.EncodeToString(s.head[:]) {
		return fmt.Errorf("record %d or one before it was changed: the checkpoint of record %d has another root", s.seq, c.Seq)
	}
	return nil
}

// replaceFile replaces a file in one step, durably.
func replaceFile(path string, data []byte) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // the operator names the directory.
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	return err
}

// readPoint returns the newest durable checkpoint of a log. The error is
// fs.ErrNotExist where there is none, and a [*Damage] where it is not as it was
// signed.
func readPoint(dir string, keys note.Verifiers) (*point, error) {
	text, err := readBounded(filepath.Join(dir, pointName), maxPoint)
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	p, err := parsePoint(text, keys)
	if err != nil {
		return nil, &Damage{File: pointName, Why: err.Error()}
	}
	return p, nil
}

// readBounded reads a file, but not much more of it than most bytes.
func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the directory.
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read.
	return io.ReadAll(io.LimitReader(f, most+1))
}

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// A pointReader reads the checkpoints of a segment.
type pointReader struct {
	file   *os.File
	r      *bufio.Reader
	keys   note.Verifiers
	offset int64 // behind the last whole one
	line   int   // number of the last line of that
}

// openPoints opens the checkpoints of a segment, as far as they are written
// now, and reads the state at its beginning.
func openPoints(path string, keys note.Verifiers) (*pointReader, state, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the directory.
	if err != nil {
		return nil, state{}, fmt.Errorf("open checkpoints: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, state{}, errors.Join(err, f.Close())
	}
	p := &pointReader{file: f, r: bufio.NewReader(io.LimitReader(f, info.Size())), keys: keys}
	line, err := p.lines(1)
	var s state
	if err == nil {
		if s, err = parseState(line[:len(line)-1]); err == nil && !bytes.Equal(s.line(), line) {
			err = errors.New("the first line is not as it was written")
		}
	}
	if err != nil {
		return nil, state{}, errors.Join(&Damage{File: filepath.Base(path), Line: 1, Why: err.Error()}, f.Close())
	}
	return p, s, nil
}

// next returns the next checkpoint, or io.EOF behind the last. Other errors
// say what is wrong with what stands at offset.
func (p *pointReader) next() (*point, error) {
	if _, err := p.r.Peek(1); err != nil {
		return nil, err //nolint:wrapcheck // io.EOF.
	}
	offset, line := p.offset, p.line
	text, err := p.lines(8)
	if err == nil {
		var c *point
		if c, err = parsePoint(text, p.keys); err == nil {
			return c, nil
		}
	}
	p.offset, p.line = offset, line
	return nil, err
}

// lines returns the next n lines.
func (p *pointReader) lines(n int) ([]byte, error) {
	var out []byte
	for range n {
		for {
			part, err := p.r.ReadSlice('\n')
			out = append(out, part...)
			if len(out) > maxPoint {
				return nil, fmt.Errorf("a checkpoint is longer than %d bytes", maxPoint)
			}
			if err == nil {
				break
			}
			if !errors.Is(err, bufio.ErrBufferFull) {
				return nil, errors.New("a checkpoint is incomplete")
			}
		}
	}
	p.offset, p.line = p.offset+int64(len(out)), p.line+n
	return out, nil
}

func (p *pointReader) close() { _ = p.file.Close() }
