package audit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/trilith-gateway/trilith/gateway"
)

// TestTree holds the tree against that of golang.org/x/mod/sumdb/tlog.
func TestTree(t *testing.T) {
	var ours tree
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range indexes {
			out = append(out, stored[i])
		}
		return out, nil
	})
	for n := range int64(70) {
		want, err := tlog.TreeHash(n, read)
		if err != nil {
			t.Fatal(err)
		}
		if got := ours.root(); got != want {
			t.Fatalf("root of %d: %s, want %s", n, got, want)
		}
		line := digest{byte(n)}
		more, err := tlog.StoredHashes(n, line[:], read)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
		ours.add(leaf(line))
	}
}

// TestProve proves every record, and growth since every checkpoint, and that a
// proof of one thing is none of another.
func TestProve(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, Options{Dir: dir, SegmentBytes: 2 << 10})
	for i := range 20 {
		do(t.Context(), l, testCall(fmt.Sprint(i)), gateway.TextResult(""), nil)
	}
	mustClose(t, l)
	keys, err := PublicKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	var before Proof
	for seq := int64(1); seq <= 22; seq++ {
		p, err := Prove(t.Context(), dir, seq)
		if err != nil {
			t.Fatal(err)
		}
		if point, r, err := p.Check(keys...); err != nil || r.Seq != seq || point.Seq != 22 {
			t.Errorf("record %d: %+v, %v", seq, r, err)
		}
		forged := p
		forged.Record = strings.Replace(p.Record, `"time":"2`, `"time":"3`, 1)
		moved := p
		moved.Record = before.Record
		cut := p
		cut.Hashes = slices.Clone(p.Hashes[:len(p.Hashes)-1])
		for what, bad := range map[string]Proof{"forged": forged, "moved": moved, "cut": cut, "without checkpoint": {Record: p.Record}} {
			if _, _, err := bad.Check(keys...); err == nil {
				t.Errorf("record %d %s was proved", seq, what)
			}
		}
		before = p
	}
	for _, seq := range []int64{0, 23} {
		if _, err := Prove(t.Context(), dir, seq); !errors.Is(err, ErrNoRecord) {
			t.Errorf("record %d: %v", seq, err)
		}
	}
	other := closedLog(t, 6)
	otherKeys, err := PublicKeys(other)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := before.Check(otherKeys...); err == nil {
		t.Error("a proof holds under another log's key")
	}
	for _, old := range points(t, dir) {
		p, err := ProveSince(t.Context(), dir, old)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.Check(keys...); err != nil {
			t.Error(err)
		}
		if p.Hashes = append(p.Hashes, tlog.Hash{}); true {
			if _, _, err := p.Check(keys...); err == nil {
				t.Error("growth was proved by anything")
			}
		}
		if _, err := Verify(dir, Proofs{Keys: keys, Checkpoints: [][]byte{old}}); err != nil {
			t.Error(err)
		}
		if _, err := Verify(other, Proofs{Keys: slices.Concat(otherKeys, keys), Checkpoints: [][]byte{old}}); err == nil {
			t.Error("another log holds what a checkpoint of this one covers")
		}
	}
}

// points returns the checkpoints of all segments.
func points(t *testing.T, dir string) (out [][]byte) {
	t.Helper()
	all, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := PublicKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	verifiers, err := verifiersOf(keys)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		r, _, err := openPoints(pointsPath(dir, s.first), verifiers)
		if err != nil {
			t.Fatal(err)
		}
		defer r.close()
		for p, err := r.next(); err == nil; p, err = r.next() {
			out = append(out, p.note)
		}
	}
	if len(out) < 3 {
		t.Fatalf("%d checkpoints", len(out))
	}
	return out
}
