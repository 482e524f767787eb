package audit

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// A Proof shows that a log holds a record, or that it has only grown since a
// checkpoint, to somebody who has neither: they need the log's public key, and
// [Proof.Check].
type Proof struct {
	Record     string      `json:"record,omitzero"` // the record's line, without its line feed; "" in a proof of growth
	Since      string      `json:"since,omitzero"`  // the older checkpoint of a proof of growth
	Checkpoint string      `json:"checkpoint"`      // the checkpoint that is proved against
	Hashes     []tlog.Hash `json:"hashes"`          // the audit path, or the consistency proof, of RFC 6962
}

// ErrNoRecord is returned where the record that is to be proved does not exist,
// or no checkpoint covers it yet.
var ErrNoRecord = errors.New("no checkpoint of the log covers that record")

// Prove returns the proof that the log in dir holds a record, against its
// newest checkpoint. It reads all of the log, and may run while that is being
// written. The error is [ErrNoRecord], [ErrRemoved] or a failure to read; that
// the log is whole is for [Verify] to say.
func Prove(ctx context.Context, dir string, seq int64) (Proof, error) {
	r, err := newProver(ctx, dir)
	if err != nil {
		return Proof{}, err
	}
	if seq < 1 || seq > r.point.Seq {
		return Proof{}, ErrNoRecord
	}
	r.wanted = seq
	hashes, err := tlog.ProveRecord(r.point.Seq, seq-1, r)
	if err == nil && r.record == "" { // A log of one record needs no hash to prove it.
		_, err = r.ReadHashes([]int64{tlog.StoredHashIndex(0, seq-1)})
	}
	if err != nil {
		return Proof{}, fmt.Errorf("prove record %d: %w", seq, err)
	}
	return Proof{Record: r.record, Checkpoint: string(r.point.note), Hashes: hashes}, nil
}

// ProveSince returns the proof that the log in dir holds all that an older
// checkpoint of it covers, against its newest one. Else it is as [Prove].
func ProveSince(ctx context.Context, dir string, since []byte) (Proof, error) {
	r, err := newProver(ctx, dir)
	if err != nil {
		return Proof{}, err
	}
	old, err := parsePoint(since, r.keys)
	switch {
	case err != nil:
		return Proof{}, err
	case old.Seq < 1 || old.Seq > r.point.Seq:
		return Proof{}, ErrNoRecord
	}
	hashes, err := tlog.ProveTree(r.point.Seq, old.Seq, r)
	if err != nil {
		return Proof{}, fmt.Errorf("prove growth since record %d: %w", old.Seq, err)
	}
	return Proof{Since: string(since), Checkpoint: string(r.point.note), Hashes: hashes}, nil
}

// Check checks a proof against the log's public keys, and returns the newer
// checkpoint and, where the proof is of one, the record.
func (p *Proof) Check(keys ...string) (Checkpoint, Record, error) {
	verifiers, err := verifiersOf(keys)
	if err != nil {
		return Checkpoint{}, Record{}, err
	}
	point, err := parsePoint([]byte(p.Checkpoint), verifiers)
	if err != nil {
		return Checkpoint{}, Record{}, err
	}
	root, err := tlog.ParseHash(point.Root)
	if err != nil {
		return Checkpoint{}, Record{}, errors.New("the checkpoint has no root")
	}
	if p.Record == "" {
		old, err := parsePoint([]byte(p.Since), verifiers)
		if err != nil {
			return Checkpoint{}, Record{}, err
		}
		oldRoot, err := tlog.ParseHash(old.Root)
		if err != nil || old.Seq < 1 || old.Seq > point.Seq {
			return Checkpoint{}, Record{}, ErrNoRecord
		}
		if err := tlog.CheckTree(p.Hashes, point.Seq, root, old.Seq, oldRoot); err != nil {
			return Checkpoint{}, Record{}, fmt.Errorf("the log does not hold all that the checkpoint of record %d covers: %w", old.Seq, err)
		}
		return point.Checkpoint, Record{}, nil
	}
	r, err := ParseRecord([]byte(p.Record))
	if err != nil {
		return Checkpoint{}, Record{}, err
	}
	if r.Seq > point.Seq {
		return Checkpoint{}, Record{}, ErrNoRecord
	}
	if err := tlog.CheckRecord(p.Hashes, point.Seq, root, r.Seq-1, leaf(sha256.Sum256([]byte(p.Record)))); err != nil {
		return Checkpoint{}, Record{}, fmt.Errorf("the log does not hold record %d as the proof has it: %w", r.Seq, err)
	}
	return point.Checkpoint, r, nil
}

// A prover computes the hashes that a proof needs from the records.
type prover struct {
	ctx context.Context //nolint:containedctx // of one proof; the interface of tlog has no room for it.
	*verifier
	point  *point // of the file checkpoint
	start  state  // before the first record that is kept
	wanted int64  // the record whose line is to be kept; 0 for none
	record string
}

func newProver(ctx context.Context, dir string) (*prover, error) {
	v, all, err := newVerifier(dir, &Proofs{})
	if err != nil {
		return nil, err
	}
	r := &prover{ctx: ctx, verifier: v, point: v.saved}
	if len(all) == 0 {
		return r, nil
	}
	points, start, err := openPoints(pointsPath(dir, all[0].first), v.keys)
	if err != nil {
		return nil, err
	}
	points.close()
	r.start = start
	return r, nil
}

// A subtree is a complete subtree whose root is wanted: it has 1<<level leaves
// from first on.
type subtree struct {
	first, end int64
	parts      tree // what of it was seen
}

// ReadHashes returns the roots of the subtrees with these indexes, as
// [tlog.HashReader] has it. It reads the log once.
func (r *prover) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	wants := make([]subtree, len(indexes))
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		wants[i] = subtree{first: n << level, end: (n + 1) << level}
	}
	at, err := r.removed(wants)
	if err != nil {
		return nil, err
	}
	t := &tail{dir: r.dir}
	defer t.close()
	for at < r.point.Seq {
		record, err := t.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, &Damage{File: pointName, Why: fmt.Sprintf("the log ends at record %d, but record %d was written", at, r.point.Seq)}
		case err != nil:
			return nil, err
		case record.Seq != at+1:
			return nil, t.seg.damage(t.lines.number, fmt.Sprintf("record %d stands where record %d belongs", record.Seq, at+1))
		case r.ctx.Err() != nil:
			return nil, context.Cause(r.ctx)
		case record.Seq == r.wanted:
			r.record = string(t.line)
		}
		h := leaf(sha256.Sum256(t.line))
		for i := range wants {
			if w := &wants[i]; at >= w.first && at < w.end {
				w.parts.join(0, h)
			}
		}
		at++
	}
	out := make([]tlog.Hash, len(wants))
	for i, w := range wants {
		out[i] = w.parts.root()
	}
	return out, nil
}

// removed gives the subtrees what is known of the records that are no longer
// kept, the edge of their tree, and returns how many those are.
func (r *prover) removed(wants []subtree) (at int64, err error) {
	rest := uint64(r.start.seq) //nolint:gosec // not negative.
	for _, h := range r.start.tree.edge {
		level := bits.Len64(rest) - 1
		rest &^= 1 << level
		for i := range wants {
			w := &wants[i]
			switch {
			case at >= w.first && at+(1<<level) <= w.end:
				w.parts.join(level, h)
			case at < w.end && w.first < at+(1<<level):
				return 0, ErrRemoved
			}
		}
		at += 1 << level
	}
	return at, nil
}

// String returns the proof as JSON.
func (p Proof) String() string {
	b, _ := json.MarshalIndent(p, "", "  ") // Of strings; it cannot fail.
	return string(b)
}
