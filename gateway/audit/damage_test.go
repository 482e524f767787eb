package audit

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
)

// closedLog writes a log of several segments and closes it.
func closedLog(t *testing.T, calls int) string {
	t.Helper()
	dir := t.TempDir()
	l := mustOpen(t, Options{Dir: dir, Node: "n1", SegmentBytes: 2 << 10})
	for i := range calls {
		do(t.Context(), l, testCall(fmt.Sprint("tool", i)), gateway.TextResult("x"), nil)
	}
	mustClose(t, l)
	if r := mustVerify(t, dir); r.Segments < 2 {
		t.Fatalf("%+v", r)
	}
	return dir
}

func restore(t *testing.T, files map[string][]byte) {
	t.Helper()
	for name, data := range files {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAnyChangeIsFound changes a closed log in every way at many places.
func TestAnyChangeIsFound(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, Options{Dir: dir, SegmentBytes: 300}) // Small, as the test takes each byte in turn.
	do(t.Context(), l, &gateway.Call{Op: gateway.OpCall, Name: "a"}, gateway.TextResult("x"), nil)
	mustClose(t, l)
	if r := mustVerify(t, dir); r.Segments < 2 {
		t.Fatalf("%+v", r)
	}
	files := logFiles(t, dir)
	random := rand.New(rand.NewPCG(1, 2))
	check := func(what, name string, changed []byte) {
		t.Helper()
		if err := os.WriteFile(name, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		var damage *Damage
		if _, err := Verify(dir, Proofs{}); !errors.As(err, &damage) {
			t.Fatalf("%s in %s: Verify returned %v", what, filepath.Base(name), err)
		}
		restore(t, map[string][]byte{name: files[name]})
	}
	for name, data := range files {
		for i := range data {
			// Every place, with one random change of its byte.
			changed := slices.Clone(data)
			changed[i] ^= byte(1 + random.IntN(255))
			check(fmt.Sprintf("byte %d flipped", i), name, changed)
		}
		for range 40 {
			i := random.IntN(len(data))
			check(fmt.Sprintf("byte %d dropped", i), name, slices.Delete(slices.Clone(data), i, i+1))
			check(fmt.Sprintf("cut at %d", i), name, data[:i])
			if j := random.IntN(len(data)); data[i] != data[j] {
				changed := slices.Clone(data)
				changed[i], changed[j] = changed[j], changed[i]
				check(fmt.Sprintf("bytes %d and %d swapped", i, j), name, changed)
			}
		}
	}
	mustVerify(t, dir)
}

// TestAnyMissingOrMovedRecordIsFound drops, repeats and swaps whole records
// and whole files.
func TestAnyMissingOrMovedRecordIsFound(t *testing.T) {
	dir := closedLog(t, 6)
	files := logFiles(t, dir)
	verify := func(what string) {
		t.Helper()
		var damage *Damage
		if _, err := Verify(dir, Proofs{}); !errors.As(err, &damage) {
			t.Errorf("%s: Verify returned %v", what, err)
		}
		restore(t, files)
	}
	for name, data := range files {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		verify("without " + filepath.Base(name))
		lines := bytes.SplitAfter(data, []byte("\n"))
		lines = lines[:len(lines)-1]
		for i := range lines {
			restore(t, map[string][]byte{name: bytes.Join(slices.Delete(slices.Clone(lines), i, i+1), nil)})
			verify(fmt.Sprintf("%s without line %d", filepath.Base(name), i+1))
			restore(t, map[string][]byte{name: bytes.Join(slices.Insert(slices.Clone(lines), i, lines[i]), nil)})
			verify(fmt.Sprintf("%s with line %d twice", filepath.Base(name), i+1))
			if i > 0 {
				swapped := slices.Clone(lines)
				swapped[i-1], swapped[i] = swapped[i], swapped[i-1]
				restore(t, map[string][]byte{name: bytes.Join(swapped, nil)})
				verify(fmt.Sprintf("%s with line %d moved", filepath.Base(name), i+1))
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "7.jsonl"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	verify("with a file of another name")
}

func TestVerifyNamesTheFirstBadRecord(t *testing.T) {
	dir := closedLog(t, 6)
	all, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(all[1].path)
	if err != nil {
		t.Fatal(err)
	}
	restore(t, map[string][]byte{all[1].path: bytes.Replace(data, []byte("Alice"), []byte("Mallo"), 1)})
	_, err = Verify(dir, Proofs{})
	want := fmt.Sprintf("audit log is damaged: %s:2: record %d or record %d was changed: the hash of the one is not the prev of the other",
		filepath.Base(all[1].path), all[1].first, all[1].first+1)
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// withRecord returns a segment with one more record, as behind a checkpoint.
func withRecord(t *testing.T, segment []byte) []byte {
	t.Helper()
	var c chain
	lines := newLineReader(bytes.NewReader(segment))
	for line, err := lines.next(); err == nil; line, err = lines.next() {
		if _, err := c.check(line); err != nil {
			t.Fatal(err)
		}
	}
	r := Record{Type: TypeCall, Node: "n", Name: "last"}
	return c.add(slices.Clone(segment), r.appendTail(nil))
}

// TestTornEnd cuts a log at every byte behind its checkpoint, as a crash may,
// and opens it again.
func TestTornEnd(t *testing.T) {
	dir := t.TempDir()
	mustClose(t, mustOpen(t, Options{Dir: dir}))
	all, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := all[0].path
	before := logFiles(t, dir)
	durable := len(before[path])
	whole := withRecord(t, before[path])

	for cut := durable; cut <= len(whole); cut++ {
		if n := cut - durable; n > 3 && n%5 != 0 && cut < len(whole)-3 {
			continue // Every place at both ends, some in between.
		}
		restore(t, before)
		restore(t, map[string][]byte{path: whole[:cut]})
		torn := int64(cut - durable)
		if cut == len(whole) {
			torn = 0
		}
		if report := mustVerify(t, dir); report.Torn != torn {
			t.Fatalf("cut at %d: %d bytes torn, want %d", cut, report.Torn, torn)
		}
		l, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		mustClose(t, l)
		mustVerify(t, dir)
		want := "log.open log.close"
		switch {
		case torn > 0:
			want += " log.repair"
			kept, err := os.ReadFile(fmt.Sprintf("%s.torn-%d", path, 3))
			if err != nil || !bytes.Equal(kept, whole[durable:cut]) {
				t.Fatalf("cut at %d: kept %q, %v", cut, kept, err)
			}
		case cut == len(whole):
			want += " call"
		}
		want += " log.open log.close"
		if got := types(readAll(t, dir)); got != want {
			t.Fatalf("cut at %d: %s, want %s", cut, got, want)
		}
	}
}

// TestOpenRefusesDamage holds that nothing is written behind what is not in
// order.
func TestOpenRefusesDamage(t *testing.T) {
	dir := closedLog(t, 6)
	files := logFiles(t, dir)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	point := filepath.Join(dir, pointName)
	last := names[slices.IndexFunc(names, func(name string) bool {
		return filepath.Ext(name) != segmentSuffix && filepath.Ext(name) != pointsSuffix
	})-1]
	for what, change := range map[string]func() error{
		"a change in the last segment": func() error {
			return os.WriteFile(last, bytes.Replace(files[last], []byte(`"time":"2`), []byte(`"time":"3`), 1), 0o600)
		},
		"a cut before the checkpoint": func() error { return os.Truncate(last, int64(len(files[last])-1)) },
		"no last segment":             func() error { return os.Remove(last) },
		"no checkpoint":               func() error { return os.Remove(point) },
		"another checkpoint": func() error {
			other := t.TempDir()
			mustClose(t, mustOpen(t, Options{Dir: other}))
			return os.WriteFile(point, logFiles(t, other)[filepath.Join(other, pointName)], 0o600)
		},
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		var damage *Damage
		if l, err := Open(Options{Dir: dir}); !errors.As(err, &damage) {
			t.Errorf("%s: Open returned %v", what, err)
			if err == nil {
				_ = l.Close()
			}
		}
		restore(t, files)
	}
}

func FuzzRecord(f *testing.F) {
	r := Record{Type: TypeCall, Node: "n", Name: "a\u2028\x00\"<", Principal: Principal{ID: "x", Roles: []string{"a", "b"}}, Args: []byte(`{"a":[1]}`)}
	f.Add(r.appendTail(appendHead(nil, 7, [32]byte{1})))
	f.Add([]byte(`{"v":1,"seq":1,"prev":"` + strings.Repeat("0", 64) + `","time":"2026-01-01T00:00:00Z","type":"x","node":""}`))
	f.Add([]byte(`{"v":1,"seq":1,"seq":2}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := ParseRecord(line)
		if err != nil {
			return
		}
		// Whatever was read can be written, within the bounds, and read again.
		again := r.appendTail(appendHead(nil, r.Seq, [32]byte{}))
		if len(again) > maxLine || bytes.ContainsRune(again, '\n') {
			t.Fatalf("%d bytes: %q", len(again), again)
		}
		if r.Time.Year() < 0 || r.Time.UTC().Year() > 9999 {
			return
		}
		second, err := ParseRecord(again)
		if err != nil {
			t.Fatalf("%v in %s", err, again)
		}
		third := second.appendTail(appendHead(nil, r.Seq, [32]byte{}))
		if !bytes.Equal(again, third) && len(line) < maxWord {
			t.Fatalf("unstable:\n%s\n%s", again, third)
		}
	})
}
