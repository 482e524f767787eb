package state

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// policy stands for what users keep in buckets.
type policy struct {
	Rules []string `json:"rules"`
	N     int      `json:"n"`
}

// mode is one way to run the engine. Every mode must pass the same suite.
type mode struct {
	name string
	open func(t *testing.T) Options
}

func modes() []mode {
	return []mode{
		{"memory", func(*testing.T) Options { return Options{Name: "a"} }},
		{"disk", func(t *testing.T) Options { return Options{Name: "a", Dir: t.TempDir()} }},
		{"external", func(t *testing.T) Options { return Options{Name: "a", URL: startNATS(t).url} }},
		{"cluster", func(t *testing.T) Options { return Options{Name: "a", URL: startCluster(t, 3), Replicas: 3} }},
	}
}

func open(t *testing.T, o Options) *State {
	t.Helper()
	s, err := Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func bucket[T any](t *testing.T, s *State, o BucketOptions) *Bucket[T] {
	t.Helper()
	b, err := OpenBucket[T](t.Context(), s, o)
	must(t, err)
	return b
}

// listAll returns all n entries of b; with replicas they may take a moment to be visible.
func listAll[V any](t *testing.T, b *Bucket[V], n int) []Entry[V] {
	t.Helper()
	var all []Entry[V]
	eventually(t, fmt.Sprint(n, " entries"), func() bool {
		var err error
		all, err = b.All(t.Context())
		must(t, err)
		return len(all) == n
	})
	return all
}

func TestSuite(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		run  func(t *testing.T, s *State)
	}{
		{"values", testValues},
		{"conflicts", testConflicts},
		{"race", testRace},
		{"keys", testKeys},
		{"bounds", testBounds},
		{"options", testOptions},
		{"corrupt", testCorrupt},
		{"history", testHistory},
		{"expiry", testExpiry},
		{"watch", testWatch},
		{"mirror", testMirror},
		{"turns", testTurns},
		{"notices", testNotices},
		{"logs", testLogs},
		{"log bounds", testLogBounds},
		{"log age", testLogAge},
		{"log options", testLogOptions},
		{"follow", testFollow},
		{"follow together", testFollowTogether},
		{"follow gone", testFollowGone},
		{"follow slowly", testFollowSlowly},
		{"requests", testRequests},
		{"request bounds", testRequestBounds},
		{"request ends", testRequestEnds},
		{"cancel", testCancel},
		{"health", testHealth},
	}
	for _, m := range modes() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			o := m.open(t)
			s := open(t, o)
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) { c.run(t, s) })
			}
			if o.URL == "" {
				return // One node.
			}
			o.Name, o.URL = "b", o.URL[strings.LastIndexByte(o.URL, ',')+1:]
			other := open(t, o)
			t.Run("turns across nodes", func(t *testing.T) { testTurnsTaken(t, s, other) })
			t.Run("log across nodes", func(t *testing.T) { testLogAcrossNodes(t, s, other) })
			t.Run("request across nodes", func(t *testing.T) { testRequestAcrossNodes(t, s, other) })
		})
	}
}

func testValues(t *testing.T, s *State) {
	ctx, b := t.Context(), bucket[policy](t, s, BucketOptions{Name: "values"})
	if _, err := b.Get(ctx, "p"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("Get of a missing key: %v", err)
	}
	want := policy{Rules: []string{"allow *"}, N: 1}
	rev, err := b.Put(ctx, "p", want)
	must(t, err)
	got, err := b.Get(ctx, "p")
	must(t, err)
	if age := time.Since(got.Created); age < -time.Minute || age > time.Minute {
		t.Errorf("Created is %v ago", age)
	}
	got.Created = time.Time{}
	if d := cmp.Diff(Entry[policy]{Key: "p", Value: want, Revision: rev}, got); d != "" {
		t.Error(d)
	}
	for _, key := range []string{"z", "a", "m"} {
		put(t, b, key, policy{})
	}
	must(t, b.Delete(ctx, "m", 0))
	wantErr(t, ErrNotFound, "Get of a deleted key", errOf(b.Get(ctx, "m")))
	var keys []string
	for _, e := range listAll(t, b, 3) {
		keys = append(keys, e.Key)
	}
	if d := cmp.Diff([]string{"a", "p", "z"}, keys); d != "" {
		t.Error(d)
	}
	if none, err := bucket[policy](t, s, BucketOptions{Name: "empty"}).All(ctx); err != nil || len(none) != 0 {
		t.Errorf("All of an empty bucket: %v, %v", none, err)
	}
	again := bucket[policy](t, s, BucketOptions{Name: "values"})
	if _, err := again.Get(ctx, "p"); err != nil {
		t.Errorf("Get after opening the bucket a second time: %v", err)
	}
}

func testConflicts(t *testing.T, s *State) {
	ctx, b := t.Context(), bucket[int](t, s, BucketOptions{Name: "conflicts"})
	first, err := b.Create(ctx, "k", 1)
	must(t, err)
	wantErr(t, ErrConflict, "second Create", errOf(b.Create(ctx, "k", 2)))
	second, err := b.Update(ctx, "k", 2, first)
	if err != nil || second <= first {
		t.Fatalf("Update: revision %d after %d, %v", second, first, err)
	}
	for _, rev := range []uint64{0, first, second + 1} {
		if _, err := b.Update(ctx, "k", 3, rev); !errors.Is(err, ErrConflict) {
			t.Errorf("Update from revision %d: %v", rev, err)
		}
	}
	wantErr(t, ErrConflict, "Update of a missing key", errOf(b.Update(ctx, "never", 3, 0)))
	wantErr(t, ErrConflict, "Delete of an old revision", b.Delete(ctx, "k", first))
	must(t, b.Delete(ctx, "k", second))
	wantErr(t, ErrConflict, "Update of a deleted key", errOf(b.Update(ctx, "k", 3, second)))
	if _, err := b.Create(ctx, "k", 4); err != nil {
		t.Errorf("Create after Delete: %v", err)
	}
	if err := b.Delete(ctx, "missing", 0); err != nil {
		t.Errorf("Delete of a missing key: %v", err)
	}
}

// testRace lets eight goroutines count together: a lost update or a second winner of one revision would show.
func testRace(t *testing.T, s *State) {
	const workers, rounds = 8, 10
	ctx, b := t.Context(), bucket[int](t, s, BucketOptions{Name: "race", Async: true})
	if _, err := b.Create(ctx, "n", 0); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	winners := make(map[uint64]int) // By the revision that was replaced.
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for won := 0; won < rounds; {
				e, err := b.Get(ctx, "n")
				if err != nil {
					t.Error(err)
					return
				}
				_, err = b.Update(ctx, "n", e.Value+1, e.Revision)
				if errors.Is(err, ErrConflict) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				won++
				mu.Lock()
				winners[e.Revision]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if e, err := b.Get(ctx, "n"); err != nil || e.Value != workers*rounds {
		t.Errorf("counted to %d, %v, want %d", e.Value, err, workers*rounds)
	}
	for rev, n := range winners {
		if n != 1 {
			t.Errorf("revision %d was replaced by %d updates", rev, n)
		}
	}
}

func testKeys(t *testing.T, s *State) {
	ctx, b := t.Context(), bucket[string](t, s, BucketOptions{Name: "keys"})
	keys := []string{
		".", "..", "*", ">", " ", "=", "a.b", "a..b", "$KV.x", "https://issuer.example/a?b=c#d", "user@example.com",
		"Zoë", "鍵", "\x00\r\n", "\xff", strings.Repeat("k", MaxKeyBytes), strings.Repeat("/", MaxKeyBytes),
	}
	for _, key := range keys {
		if _, err := b.Put(ctx, key, key[:1]); err != nil {
			t.Errorf("Put %.20q: %v", key, err)
		}
	}
	listAll(t, b, len(keys))
	for _, key := range keys {
		if e, err := b.Get(ctx, key); err != nil || e.Key != key {
			t.Errorf("Get %.20q: %.20q, %v", key, e.Key, err)
		}
	}
	wantErr(t, ErrInvalid, "empty key", errOf(b.Put(ctx, "", "")))
	wantErr(t, ErrTooLarge, "long key", errOf(b.Get(ctx, strings.Repeat("k", MaxKeyBytes+1))))
}

func testBounds(t *testing.T, s *State) {
	ctx, b := t.Context(), bucket[json.RawMessage](t, s, BucketOptions{Name: "bounds", MaxValueBytes: 1000})
	value := func(n int) json.RawMessage { return []byte(`"` + strings.Repeat("v", n-2) + `"`) }
	rev, err := b.Put(ctx, "k", value(1000))
	if err != nil {
		t.Fatalf("a value of exactly the bound: %v", err)
	}
	if _, err := b.Update(ctx, "k", value(1000), rev); err != nil {
		t.Errorf("an update of exactly the bound: %v", err)
	}
	wantErr(t, ErrTooLarge, "a value beyond the bound", errOf(b.Put(ctx, "k", value(1001))))
	wantErr(t, ErrInvalid, "a value that is not JSON", errOf(b.Put(ctx, "k", json.RawMessage("{"))))
	large := bucket[json.RawMessage](t, s, BucketOptions{Name: "large"})
	want := value(DefaultMaxValueBytes)
	put(t, large, "k", want)
	if got, err := large.Get(ctx, "k"); err != nil || !bytes.Equal(got.Value, want) {
		t.Errorf("a value of %d bytes came back with %d, %v", len(want), len(got.Value), err)
	}
	_, err = large.Create(ctx, "other", want) // An external server's max_payload counts the header as well.
	if err != nil && !errors.Is(err, ErrTooLarge) {
		t.Errorf("Create at the bound: %v", err)
	}
}

func testOptions(t *testing.T, s *State) {
	bad := []BucketOptions{
		{},
		{Name: "Upper"},
		{Name: "a.b"},
		{Name: "a>"},
		{Name: strings.Repeat("n", 33)},
		{Name: "x", TTL: -1},
		{Name: "x", TTL: time.Millisecond},
		{Name: "x", History: 65},
		{Name: "x", History: -1},
		{Name: "x", MaxValueBytes: -1},
		{Name: "x", MaxValueBytes: 1 << 30},
	}
	for _, o := range bad {
		if _, err := OpenBucket[int](t.Context(), s, o); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	b := bucket[int](t, s, BucketOptions{Name: "adjusted", Async: true})
	for i := range 3 {
		put(t, b, "k", i)
	}
	b = bucket[int](t, s, BucketOptions{Name: "adjusted", History: 5}) // The new limits hold from now on.
	put(t, b, "k", 3)
	eventually(t, "two revisions", func() bool { h, _ := b.History(t.Context(), "k"); return len(h) == 2 })
}

func testCorrupt(t *testing.T, s *State) {
	ctx, strs := t.Context(), bucket[string](t, s, BucketOptions{Name: "corrupt"})
	ints := bucket[int](t, s, BucketOptions{Name: "corrupt"})
	rev, err := strs.Put(ctx, "k", "not a number")
	must(t, err)
	wantErr(t, ErrCorrupt, "Get", errOf(ints.Get(ctx, "k")))
	eventually(t, "All fails", func() bool { return errors.Is(errOf(ints.All(ctx)), ErrCorrupt) })
	m, err := ints.Mirror(ctx)
	must(t, err)
	eventually(t, "the mirror complains", func() bool { return errors.Is(m.Err(), ErrCorrupt) })
	if _, err := ints.Update(ctx, "k", 1, rev); err != nil {
		t.Fatal(err)
	}
	eventually(t, "mirror recovers", func() bool { e, _ := m.Get("k"); return e.Value == 1 && m.Err() == nil })
	if _, err := s.js.Publish(ctx, "$KV."+prefix+"corrupt.not=escaped", []byte("1")); err != nil {
		t.Fatal(err)
	}
	listAll(t, ints, 1) // Without the foreign key.
}

func testHistory(t *testing.T, s *State) {
	ctx, b := t.Context(), bucket[int](t, s, BucketOptions{Name: "history", History: 3})
	wantErr(t, ErrNotFound, "no history", errOf(b.History(ctx, "k")))
	for i := range 4 {
		put(t, b, "k", i)
	}
	must(t, b.Delete(ctx, "k", 0))
	var h []Entry[int]
	eventually(t, "three revisions, the last a deletion", func() bool {
		h, _ = b.History(ctx, "k")
		return len(h) == 3 && h[2].Deleted
	})
	var got []string
	for _, e := range h {
		got = append(got, fmt.Sprint(e.Value, e.Deleted))
	}
	if d := cmp.Diff([]string{"2 false", "3 false", "0 true"}, got); d != "" {
		t.Error(d)
	}
}

func testExpiry(t *testing.T, s *State) {
	ctx, b := t.Context(), bucket[int](t, s, BucketOptions{Name: "expiry", TTL: 1500 * time.Millisecond})
	rev, err := b.Put(ctx, "lease", 1)
	must(t, err)
	m, err := b.Mirror(ctx)
	must(t, err)
	eventually(t, "mirror has the entry", func() bool { _, ok := m.Get("lease"); return ok }) // Not at once with replicas.
	if _, err := b.Update(ctx, "lease", 2, rev); err != nil {
		t.Fatal(err)
	}
	put(t, b, "other", 3)
	eventually(t, "mirror has the other entry", func() bool { _, ok := m.Get("other"); return ok })
	eventually(t, "mirror forgets", func() bool { return len(m.All()) == 0 })
	wantErr(t, ErrNotFound, "Get after expiry", errOf(b.Get(ctx, "lease")))
	if _, err := b.Create(ctx, "lease", 4); err != nil {
		t.Errorf("Create after expiry: %v", err)
	}
	eventually(t, "mirror sees the new lease", func() bool { e, _ := m.Get("lease"); return e.Value == 4 })
	eventually(t, "mirror forgets the new lease", func() bool { return len(m.All()) == 0 })
}

func testWatch(t *testing.T, s *State) {
	ctx, b := t.Context(), bucket[int](t, s, BucketOptions{Name: "watch"})
	for i, key := range []string{"a", "b", "gone"} {
		put(t, b, key, i)
	}
	must(t, b.Delete(ctx, "gone", 0))
	// With replicas a watch may begin at one that lags: "synced" then comes before what it has not heard of yet, and
	// the key that is gone may show up and go.
	var got []string
	synced := 0
	for ev, err := range b.Watch(ctx) {
		must(t, err)
		switch {
		case ev.Synced:
			synced++
		case ev.Key != "gone":
			got = append(got, fmt.Sprintf("%s=%d deleted=%t", ev.Key, ev.Value, ev.Deleted))
		case !ev.Deleted && s.replicas <= 1:
			t.Error("a watch of the only server begins with what is gone")
		}
		switch {
		case len(got) == 2 && synced == 1 && (ev.Synced || ev.Key != "gone"):
			_, err = b.Put(ctx, "a", 7)
		case len(got) == 3 && ev.Key == "a":
			err = b.Delete(ctx, "b", 0)
		}
		must(t, err)
		if len(got) == 4 {
			break
		}
	}
	want := []string{"a=0 deleted=false", "b=1 deleted=false", "a=7 deleted=false", "b=0 deleted=true"}
	if d := cmp.Diff(want, got); d != "" || synced != 1 {
		t.Errorf("synced %d times, %s", synced, d)
	}
}

func testMirror(t *testing.T, s *State) {
	ctx, b := t.Context(), bucket[int](t, s, BucketOptions{Name: "mirror", Async: true})
	put(t, b, "z", 0)
	live, cancel := context.WithCancel(ctx)
	m, err := b.Mirror(live)
	must(t, err)
	eventually(t, "complete copy", func() bool { _, ok := m.Get("z"); return ok && m.Err() == nil }) // Replicas may lag.
	if _, ok := m.Get("nothing"); ok {
		t.Error("Get of a missing key succeeds")
	}
	changed := m.Changed()
	put(t, b, "a", 1)
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		t.Fatal("Changed stays silent")
	}
	eventually(t, "two entries", func() bool { return len(m.All()) == 2 })
	if all := m.All(); all[0].Key != "a" || all[1].Key != "z" {
		t.Errorf("All: %v", all)
	}
	const many = 1000 // More than the client buffers.
	for i := range many {
		put(t, b, fmt.Sprint("k", i), i)
	}
	eventually(t, "all entries", func() bool { return len(m.All()) == many+2 })
	listAll(t, b, many+2)
	must(t, b.Delete(ctx, "a", 0))
	eventually(t, "deletion", func() bool { _, ok := m.Get("a"); return !ok && m.Ended() == 1 })
	cancel()
	eventually(t, "the end", func() bool { return errors.Is(m.Err(), ErrUnavailable) })
	if _, ok := m.Get("z"); !ok {
		t.Error("an ended mirror forgot its last state")
	}
}

func testNotices(t *testing.T, s *State) {
	ctx := t.Context()
	mine, err := s.Subscribe(ctx, "policy.v1 *")
	must(t, err)
	other, err := s.Subscribe(ctx, "other")
	must(t, err)
	must(t, s.Publish(ctx, "policy.v1 *", 7))
	if d := cmp.Diff(Notice{Topic: "policy.v1 *", Origin: "a", Local: true, Revision: 7}, receive(t, mine)); d != "" {
		t.Error(d)
	}
	const last = 20_000 // Nobody reads meanwhile.
	for i := range uint64(last) {
		must(t, s.Publish(ctx, "policy.v1 *", i+1))
	}
	if err := s.Publish(ctx, "other", 1); err != nil { // Arrives in order, and is not held up.
		t.Fatal(err)
	}
	if n := receive(t, other); n.Revision != 1 {
		t.Errorf("other topic: %+v", n)
	}
	seen := 0
	for {
		seen++
		if receive(t, mine).Revision == last {
			break
		}
	}
	if seen > last/10 {
		t.Errorf("%d of %d notices delivered to a subscriber that did not read", seen, last)
	}
	wantErr(t, ErrInvalid, "empty topic", s.Publish(ctx, "", 1))
	for _, junk := range []string{"", "{", strings.Repeat(" ", maxNoticeBytes) + `{"revision":1}`} {
		must(t, s.nc.Publish(noticePrefix+"other", []byte(junk)))
	}
	must(t, s.Publish(ctx, "other", 2))
	if n := receive(t, other); n.Revision != 2 {
		t.Errorf("after junk: %+v", n)
	}
	short, cancel := context.WithCancel(ctx)
	ending, err := s.Subscribe(short, "other")
	must(t, err)
	cancel()
	if n, ok := <-ending; ok {
		t.Errorf("after the end: %+v", n)
	}
}

func testCancel(t *testing.T, s *State) {
	b := bucket[int](t, s, BucketOptions{Name: "cancel"})
	ctx, cancel := context.WithCancel(t.Context())
	for ev, err := range b.Watch(ctx) {
		must(t, err)
		if ev.Synced {
			cancel()
		}
	}
	cancel()
	if _, err := b.Put(ctx, "k", 1); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
		t.Errorf("Put: %v", err)
	}
	if _, err := b.All(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("All: %v", err)
	}
	if _, err := b.Mirror(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Mirror: %v", err)
	}
	if _, err := s.Subscribe(ctx, "t"); !errors.Is(err, context.Canceled) {
		t.Errorf("Subscribe: %v", err)
	}
}

func testHealth(t *testing.T, s *State) {
	if err := s.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
}
