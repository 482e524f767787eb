package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// A digest is a SHA-256.
type digest = [sha256.Size]byte

// A tree is the right edge of a Merkle tree (RFC 6962, section 2.1): all that
// is needed to add a leaf, and to compute the root. The leaf of a record is
// made of the 32 bytes of the SHA-256 of its line. The zero tree is empty.
type tree struct {
	n    int64
	edge []tlog.Hash // the roots of the complete subtrees, the largest first; one for each bit of n
}

// leaf returns the hash of a leaf.
func leaf(line digest) tlog.Hash { return tlog.RecordHash(line[:]) }

func (t *tree) add(h tlog.Hash) { t.join(0, h) }

// join adds a complete subtree of 1<<level leaves behind what is there, which
// must end where such a subtree may begin.
func (t *tree) join(level int, h tlog.Hash) {
	for n := t.n >> level; n&1 == 1; n >>= 1 {
		last := len(t.edge) - 1
		h = tlog.NodeHash(t.edge[last], h)
		t.edge = t.edge[:last]
	}
	t.edge = append(t.edge, h)
	t.n += 1 << level
}

// root returns the tree hash; that of an empty tree is the SHA-256 of nothing.
func (t *tree) root() tlog.Hash {
	if t.n == 0 {
		return sha256.Sum256(nil)
	}
	last := len(t.edge) - 1
	h := t.edge[last]
	for i := last - 1; i >= 0; i-- {
		h = tlog.NodeHash(t.edge[i], h)
	}
	return h
}

// A state is what ties a segment to all before it. It is the first line of the
// segment's checkpoints, so that a segment can be verified, and a log go on,
// without reading those before.
type state struct {
	chain
	tree tree
	note digest // of the last checkpoint; zeros where there is none
}

// clone returns a copy that does not change with s.
func (s *state) clone() state {
	c := *s
	c.tree.edge = slices.Clone(s.tree.edge)
	return c
}

type stateJSON struct {
	V          int      `json:"v"`
	Seq        int64    `json:"seq"`
	Hash       string   `json:"hash"`
	Tree       []string `json:"tree"`
	Checkpoint string   `json:"checkpoint"`
}

// line returns the state as a line, with its line feed.
func (s *state) line() []byte {
	v := stateJSON{V: version, Seq: s.seq, Hash: hex.EncodeToString(s.head[:]), Tree: []string{}, Checkpoint: hex.EncodeToString(s.note[:])}
	for _, h := range s.tree.edge {
		v.Tree = append(v.Tree, hex.EncodeToString(h[:]))
	}
	b, _ := json.Marshal(v) // Of strings and numbers; it cannot fail.
	return append(b, '\n')
}

// parseState reads a line, without its line feed. That it is in the one form
// that line has is for the caller to check.
func parseState(line []byte) (state, error) {
	var v stateJSON
	if err := json.Unmarshal(line, &v); err != nil {
		return state{}, errors.New("the first line is not a state")
	}
	s := state{chain: chain{seq: v.Seq}, tree: tree{n: v.Seq}}
	if v.V != version || v.Seq < 0 || len(v.Tree) != bits.OnesCount64(uint64(v.Seq)) {
		return state{}, fmt.Errorf("the first line is not a state of version %d", version)
	}
	err := errors.Join(unhex(&s.head, v.Hash), unhex(&s.note, v.Checkpoint))
	for _, text := range v.Tree {
		var h digest
		err = errors.Join(err, unhex(&h, text))
		s.tree.edge = append(s.tree.edge, h)
	}
	if err != nil {
		return state{}, errors.New("the first line has a hash that is not a SHA-256 in hex")
	}
	return s, nil
}

func unhex(h *digest, text string) error {
	if n, err := hex.Decode(h[:], []byte(clip(text, 2*len(h)+1))); err != nil || n != len(h) {
		return errors.New("not a SHA-256 in hex")
	}
	return nil
}

func clip(s string, most int) string { return s[:min(len(s), most)] }
