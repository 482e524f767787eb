package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

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
