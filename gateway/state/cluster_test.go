package state

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestNodesShareAnEngine(t *testing.T) {
	ctx, url := t.Context(), startNATS(t).url
	a, b := open(t, Options{URL: url, Name: "a"}), open(t, Options{URL: url, Name: "b"})
	ba, bb := bucket[string](t, a, BucketOptions{Name: "policy"}), bucket[string](t, b, BucketOptions{Name: "policy"})

	m, err := bb.Mirror(ctx)
	if err != nil {
		t.Fatal(err)
	}
	rev, err := ba.Create(ctx, "version", "one")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "b mirrors what a wrote", func() bool { e, _ := m.Get("version"); return e.Value == "one" })
	if _, err := bb.Update(ctx, "version", "two", rev); err != nil {
		t.Fatal(err)
	}
	if _, err := ba.Update(ctx, "version", "three", rev); !errors.Is(err, ErrConflict) {
		t.Errorf("a overwrites what b wrote: %v", err)
	}

	atA, err := a.Subscribe(ctx, "changed")
	if err != nil {
		t.Fatal(err)
	}
	atB, err := b.Subscribe(ctx, "changed")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Publish(ctx, "changed", 5); err != nil {
		t.Fatal(err)
	}
	want := Notice{Topic: "changed", Origin: "a", Revision: 5}
	if got := receive(t, atB); got != want {
		t.Errorf("at b: %+v", got)
	}
	want.Local = true
	if got := receive(t, atA); got != want {
		t.Errorf("at a: %+v", got)
	}

	// A busy neighbour must not hide the one notice that comes from elsewhere.
	if err := b.Publish(ctx, "changed", 6); err != nil {
		t.Fatal(err)
	}
	if err := b.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(1000) {
		if err := a.Publish(ctx, "changed", 100+i); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the notice of b", func() bool { return receive(t, atA) == Notice{Topic: "changed", Origin: "b", Revision: 6} })
}

func TestSameNameIsNotLocal(t *testing.T) {
	url := startNATS(t).url
	a, b := open(t, Options{URL: url, Name: "twin"}), open(t, Options{URL: url, Name: "twin"})
	ch, err := a.Subscribe(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), "t", 1); err != nil {
		t.Fatal(err)
	}
	if n := receive(t, ch); n.Local {
		t.Errorf("a took a notice of its namesake for its own: %+v", n)
	}
}

func TestReplicasNeedACluster(t *testing.T) {
	s := open(t, Options{URL: startNATS(t).url, Replicas: 3})
	_, err := OpenBucket[int](t.Context(), s, BucketOptions{Name: "x"})
	if err == nil || errors.Is(err, ErrUnavailable) {
		t.Errorf("three replicas on one server: %v", err)
	}
}

// TestServerRestart takes the server away and checks that all is said and that everything goes on afterwards.
func TestServerRestart(t *testing.T) {
	ctx, n := t.Context(), startNATS(t)
	s := open(t, Options{URL: n.url, Name: "a"})
	b := bucket[int](t, s, BucketOptions{Name: "kept"})
	brief := bucket[int](t, s, BucketOptions{Name: "brief", TTL: 300 * time.Millisecond})
	for i := range 3 {
		if _, err := b.Put(ctx, fmt.Sprint("k", i), i); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := b.Mirror(ctx)
	if err != nil {
		t.Fatal(err)
	}
	vanishing, err := brief.Mirror(ctx)
	if err != nil {
		t.Fatal(err)
	}
	notices, err := s.Subscribe(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := brief.Put(ctx, "k", 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the short-lived entry", func() bool { _, ok := vanishing.Get("k"); return ok })

	n.stop(t)
	eventually(t, "the mirror says that it is stale", func() bool { return errors.Is(kept.Err(), ErrUnavailable) })
	if _, ok := kept.Get("k1"); !ok {
		t.Error("the mirror forgot its last state")
	}
	start := time.Now()
	if _, err := b.Put(ctx, "k0", 9); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Put while the server is away: %v", err)
	}
	if err := s.Publish(ctx, "t", 1); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Publish while the server is away: %v", err)
	}
	if err := s.Healthy(ctx); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Healthy while the server is away: %v", err)
	}
	if d := time.Since(start); d > 2*opTimeout {
		t.Errorf("three requests without a server took %v", d)
	}

	n.start(t)
	if got := receive(t, notices); !got.Missed {
		t.Errorf("first notice after the interruption: %+v", got)
	}
	eventually(t, "the mirror is current again", func() bool { return kept.Err() == nil && vanishing.Err() == nil })
	if e, ok := kept.Get("k0"); !ok || e.Value != 0 {
		t.Errorf("the failed write: %+v, %t", e, ok)
	}
	eventually(t, "the entry that expired meanwhile", func() bool { return len(vanishing.All()) == 0 })
	if _, err := b.Put(ctx, "k0", 10); err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(ctx, "k1", 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "changes after the restart", func() bool {
		e, _ := kept.Get("k0")
		_, ok := kept.Get("k1")
		return e.Value == 10 && !ok
	})
	if err := s.Publish(ctx, "t", 2); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, notices); got.Revision != 2 || got.Missed {
		t.Errorf("notice after the restart: %+v", got)
	}
}

// TestCloseWithoutServer: Close must not wait for a server that is gone.
func TestCloseWithoutServer(t *testing.T) {
	n := startNATS(t)
	s := open(t, Options{URL: n.url})
	m, err := bucket[int](t, s, BucketOptions{Name: "x"}).Mirror(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n.stop(t)
	eventually(t, "the loss", func() bool { return m.Err() != nil })
	start := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("Close took %v", d)
	}
}
