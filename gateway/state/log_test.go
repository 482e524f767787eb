package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func openLog(t testing.TB, s *State, o LogOptions) *Log {
	t.Helper()
	l, err := OpenLog(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func appendTo(t *testing.T, l *Log, key, data string) uint64 {
	t.Helper()
	seq, err := l.Append(t.Context(), key, []byte(data))
	must(t, err)
	return seq
}

// texts are the entries' data.
func texts(entries []LogEntry) []string {
	out := []string{}
	for _, e := range entries {
		out = append(out, string(e.Data))
	}
	return out
}

// wantRead compares what Read returns.
func wantRead(t *testing.T, l *Log, key string, after uint64, limit int, want ...string) {
	t.Helper()
	entries, err := l.Read(t.Context(), key, after, limit)
	if err != nil {
		t.Errorf("Read %.20q after %d: %v", key, after, err)
		return
	}
	if d := cmp.Diff(append([]string{}, want...), texts(entries)); d != "" {
		t.Errorf("Read %.20q after %d: %s", key, after, d)
	}
}

func testLogs(t *testing.T, s *State) {
	ctx, l := t.Context(), openLog(t, s, LogOptions{Name: "logs", Async: true})
	wantRead(t, l, "k", 0, 10)
	first := appendTo(t, l, "k", "one")
	other := appendTo(t, l, "k.other", "")
	second := appendTo(t, l, "k", "two")
	if first == 0 || other <= first || second <= other {
		t.Errorf("numbers %d, %d, %d do not grow", first, other, second)
	}
	appendTo(t, l, "k", "three")
	wantRead(t, l, "k", 0, 10, "one", "two", "three")
	wantRead(t, l, "k", 0, 2, "one", "two")
	wantRead(t, l, "k", first, 10, "two", "three")
	wantRead(t, l, "k", first, 1, "two")
	wantRead(t, l, "k", second+1, 10)
	wantRead(t, l, "k.other", 0, 10, "")
	for _, after := range []uint64{other, second + 2, 1 << 40, 1<<64 - 1} {
		wantErr(t, ErrGone, fmt.Sprint("Read after ", after), errOf(l.Read(ctx, "k", after, 10)))
	}
	wantErr(t, ErrInvalid, "Read of nothing", errOf(l.Read(ctx, "k", 0, 0)))
	wantRead(t, openLog(t, s, LogOptions{Name: "logs"}), "k", second, 10, "three")

	must(t, l.Drop(ctx, "k"))
	must(t, l.Drop(ctx, "never"))
	wantRead(t, l, "k", 0, 10)
	wantRead(t, l, "k.other", 0, 10, "")
	wantErr(t, ErrGone, "Read after a dropped entry", errOf(l.Read(ctx, "k", second, 10)))
	if seq := appendTo(t, l, "k", "new"); seq <= second {
		t.Errorf("number %d after Drop, %d before", seq, second)
	}

	for _, key := range []string{"*", ">", ".", "k k", "é\x00", strings.Repeat("/", MaxKeyBytes)} {
		appendTo(t, l, key, key[:1])
		wantRead(t, l, key, 0, 10, key[:1])
	}
	wantErr(t, ErrInvalid, "empty key", errOf(l.Append(ctx, "", nil)))
	wantErr(t, ErrTooLarge, "long key", errOf(l.Read(ctx, strings.Repeat("k", MaxKeyBytes+1), 0, 1)))
	short, cancel := context.WithCancel(ctx)
	cancel()
	wantErr(t, context.Canceled, "Append", errOf(l.Append(short, "k", nil)))
}

func testLogBounds(t *testing.T, s *State) {
	const entry = 8 << 10
	ctx, l := t.Context(), openLog(t, s, LogOptions{Name: "bounds", MaxPerKey: 3, MaxBytes: 10 * entry, MaxEntryBytes: entry, Async: true})
	var seqs []uint64
	for i := range 5 {
		seqs = append(seqs, appendTo(t, l, "k", strconv.Itoa(i)))
	}
	wantRead(t, l, "k", 0, 10, "2", "3", "4")
	wantRead(t, l, "k", seqs[2], 10, "3", "4")
	wantErr(t, ErrGone, "Read after an entry beyond MaxPerKey", errOf(l.Read(ctx, "k", seqs[1], 10)))
	wantErr(t, ErrTooLarge, "large entry", errOf(l.Append(ctx, "k", make([]byte, entry+1))))
	large := bytes.Repeat([]byte("e"), entry)
	for i := range 12 { // Pushes the other key out, by MaxBytes alone.
		if _, err := l.Append(ctx, fmt.Sprint("large", i), large); err != nil {
			t.Fatal(err)
		}
	}
	wantRead(t, l, "k", 0, 10)
	wantErr(t, ErrGone, "Read after an entry beyond MaxBytes", errOf(l.Read(ctx, "k", seqs[4], 10)))
	if e, err := l.Read(ctx, "large11", 0, 1); err != nil || len(e) != 1 || !bytes.Equal(e[0].Data, large) {
		t.Errorf("the newest large entry: %d, %v", len(e), err)
	}
}

// testLogAge: entries end with their age, which a follower that has told them does not mind.
func testLogAge(t *testing.T, s *State) {
	l := openLog(t, s, LogOptions{Name: "age", MaxAge: 500 * time.Millisecond})
	seq := appendTo(t, l, "k", "old")
	f := follow(t, l, "k", 0)
	f.want(t, "old")
	eventually(t, "its end", func() bool { e, err := l.Read(t.Context(), "k", 0, 1); return err == nil && len(e) == 0 })
	wantErr(t, ErrGone, "Read after an entry beyond MaxAge", errOf(l.Read(t.Context(), "k", seq, 1)))
	appendTo(t, l, "k", "new")
	f.want(t, "new")
}

func testLogOptions(t *testing.T, s *State) {
	bad := []LogOptions{
		{},
		{Name: "a.b"},
		{Name: "x", MaxAge: -1},
		{Name: "x", MaxAge: time.Millisecond},
		{Name: "x", MaxPerKey: -1},
		{Name: "x", MaxBytes: -1},
		{Name: "x", MaxBytes: 1 << 10},
		{Name: "x", MaxEntryBytes: -1},
		{Name: "x", MaxEntryBytes: 1 << 30, MaxBytes: 1 << 40},
	}
	for _, o := range bad {
		if _, err := OpenLog(t.Context(), s, o); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	l := openLog(t, s, LogOptions{Name: "adjusted", MaxPerKey: 1})
	appendTo(t, l, "k", "a")
	l = openLog(t, s, LogOptions{Name: "adjusted", MaxPerKey: 2}) // The new limits hold from now on.
	appendTo(t, l, "k", "b")
	wantRead(t, l, "k", 0, 10, "a", "b")
}

// testLogAcrossNodes: what one node appends another one replays and follows.
func testLogAcrossNodes(t *testing.T, a, b *State) {
	o := LogOptions{Name: "nodes", Async: true}
	la, lb := openLog(t, a, o), openLog(t, b, o)
	f := follow(t, lb, "session", 0)
	var first uint64
	var rest []string
	for i := range 100 {
		seq := appendTo(t, la, "session", fmt.Sprint(i))
		if i == 0 {
			first = seq
		} else {
			rest = append(rest, fmt.Sprint(i))
		}
	}
	wantRead(t, lb, "session", first, 1000, rest...)
	f.want(t, append([]string{"0"}, rest...)...)
	appendTo(t, lb, "session", "b's")
	f.want(t, "b's")
	must(t, la.Drop(t.Context(), "session"))
	wantErr(t, ErrGone, "Read of what the other node dropped", errOf(lb.Read(t.Context(), "session", first, 1)))
}

// TestLogInterrupted: a follower goes on after an interruption without a gap.
func TestLogInterrupted(t *testing.T) {
	t.Parallel()
	ctx, n := t.Context(), startNATS(t)
	a, b := open(t, Options{URL: n.url, Name: "a"}), open(t, Options{URL: n.url, Name: "b"})
	la, lb := openLog(t, a, LogOptions{Name: "events", MaxPerKey: 3}), openLog(t, b, LogOptions{Name: "events", MaxPerKey: 3})
	first := appendTo(t, la, "session", "0")
	wantRead(t, lb, "session", 0, 10, "0")
	f, behind := follow(t, lb, "session", first), follow(t, lb, "other", 0)
	appendTo(t, la, "session", "1")
	appendTo(t, la, "other", "o")
	f.want(t, "1")
	behind.want(t, "o")

	n.stop(t)
	wantErr(t, ErrUnavailable, "the follower", receive(t, f.errs))
	wantErr(t, ErrUnavailable, "Append without a server", errOf(la.Append(ctx, "session", nil)))
	wantErr(t, ErrUnavailable, "Read without a server", errOf(lb.Read(ctx, "session", 0, 1)))
	n.start(t)
	eventually(t, "the server", func() bool { return a.Healthy(ctx) == nil })
	appendTo(t, la, "session", "2")
	f.want(t, "2")
	appendTo(t, la, "session", "3")
	f.want(t, "3")
	must(t, lb.Drop(ctx, "other"))
	select {
	case err := <-f.errs:
		t.Errorf("after the interruption: %v", err)
	default:
	}
	must(t, b.Close())
	f.wantEnd(t, ErrUnavailable)
}

func (s *State) streamConfigOf(t *testing.T, l *Log) jetstream.StreamConfig {
	t.Helper()
	stream, err := s.js.Stream(t.Context(), "LOG_"+prefix+l.name)
	must(t, err)
	return stream.CachedInfo().Config
}

// TestReadWhileDropping reads from the oldest entry while a writer pushes it out: never a gap.
func TestReadWhileDropping(t *testing.T) {
	l := openLog(t, open(t, Options{}), LogOptions{Name: "churn", MaxPerKey: 8})
	var seq uint64
	for i := range 300 {
		if i%20 == 0 {
			seq = appendTo(t, l, "k", "x")
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 10 {
				appendTo(t, l, "k", "x")
			}
		})
		for _, after := range []uint64{0, seq} {
			entries, err := l.Read(t.Context(), "k", after, 8)
			if err != nil && !errors.Is(err, ErrGone) {
				t.Error(err)
			}
			for i := range entries { // The log has one key, so its numbers have no gap.
				if i > 0 && entries[i].Seq != entries[i-1].Seq+1 {
					t.Fatalf("after %d: entry %d follows %d", after, entries[i].Seq, entries[i-1].Seq)
				}
			}
		}
		wg.Wait()
	}
}

func TestLogSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	first := appendTo(t, openLog(t, s, LogOptions{Name: "kept", Async: true}), "k", "one")
	appendTo(t, openLog(t, s, LogOptions{Name: "kept", Async: true}), "k", "two")
	must(t, s.Close())
	l := openLog(t, open(t, Options{Dir: dir}), LogOptions{Name: "kept", Async: true})
	wantRead(t, l, "k", first, 10, "two")
	if seq := appendTo(t, l, "k", "three"); seq <= first+1 {
		t.Errorf("number %d after the restart", seq)
	}
}

func FuzzParseLive(f *testing.F) {
	f.Add("2", "1")
	f.Add("1", "0")
	f.Add("0", "0")
	f.Add("-1", "18446744073709551616")
	f.Fuzz(func(t *testing.T, seq, previous string) {
		s, p, ok := parseLive(nats.Header{jetstream.SequenceHeader: {seq}, jetstream.LastSequenceHeader: {previous}})
		if ok && p >= s || !ok && (s != 0 || p != 0) {
			t.Errorf("%q, %q: %d, %d, %t", seq, previous, s, p, ok)
		}
	})
}
