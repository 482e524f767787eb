package state

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
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

func testHealth(t *testing.T, s *State) {
	if err := s.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
}
