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
	must(t, err)
	rev, err := ba.Create(ctx, "version", "one")
	must(t, err)
	eventually(t, "b mirrors what a wrote", func() bool { e, _ := m.Get("version"); return e.Value == "one" })
	if _, err := bb.Update(ctx, "version", "two", rev); err != nil {
		t.Fatal(err)
	}
	wantErr(t, ErrConflict, "a overwrites what b wrote", errOf(ba.Update(ctx, "version", "three", rev)))

	atA, err := a.Subscribe(ctx, "changed")
	must(t, err)
	atB, err := b.Subscribe(ctx, "changed")
	must(t, err)
	must(t, a.Publish(ctx, "changed", 5))
	want := Notice{Topic: "changed", Origin: "a", Revision: 5}
	if got := receive(t, atB); got != want {
		t.Errorf("at b: %+v", got)
	}
	want.Local = true
	if got := receive(t, atA); got != want {
		t.Errorf("at a: %+v", got)
	}

	// A busy neighbour must not hide the one notice that comes from elsewhere.
	must(t, b.Publish(ctx, "changed", 6))
	must(t, b.nc.Flush())
	for i := range uint64(1000) {
		must(t, a.Publish(ctx, "changed", 100+i))
	}
	eventually(t, "the notice of b", func() bool { return receive(t, atA) == Notice{Topic: "changed", Origin: "b", Revision: 6} })
}

func TestSameNameIsNotLocal(t *testing.T) {
	url := startNATS(t).url
	a, b := open(t, Options{URL: url, Name: "twin"}), open(t, Options{URL: url, Name: "twin"})
	ch, err := a.Subscribe(t.Context(), "t")
	must(t, err)
	must(t, b.Publish(t.Context(), "t", 1))
	if n := receive(t, ch); n.Local {
		t.Errorf("a took a notice of its namesake for its own: %+v", n)
	}
}

func TestReplicasNeedACluster(t *testing.T) {
	s := open(t, Options{URL: startCluster(t, 1), Replicas: 3})
	_, err := OpenBucket[int](t.Context(), s, BucketOptions{Name: "x"})
	if err == nil || errors.Is(err, ErrUnavailable) {
		t.Errorf("three replicas on one server: %v", err)
	}
}

// TestServerRestart takes the server away and checks that all is said and that everything goes on afterwards.
func TestServerRestart(t *testing.T) {
	t.Parallel()
	ctx, n := t.Context(), startNATS(t)
	s := open(t, Options{URL: n.url, Name: "a"})
	b := bucket[int](t, s, BucketOptions{Name: "kept"})
	brief := bucket[int](t, s, BucketOptions{Name: "brief", TTL: time.Second})
	for i := range 3 {
		put(t, b, fmt.Sprint("k", i), i)
	}
	kept, err := b.Mirror(ctx)
	must(t, err)
	vanishing, err := brief.Mirror(ctx)
	must(t, err)
	notices, err := s.Subscribe(ctx, "t")
	must(t, err)
	put(t, brief, "k", 1)
	eventually(t, "the short-lived entry", func() bool { _, ok := vanishing.Get("k"); return ok })

	n.stop(t)
	eventually(t, "the mirror says that it is stale", func() bool { return errors.Is(kept.Err(), ErrUnavailable) })
	if _, ok := kept.Get("k1"); !ok {
		t.Error("the mirror forgot its last state")
	}
	start := time.Now()
	wantErr(t, ErrUnavailable, "Put while the server is away", errOf(b.Put(ctx, "k0", 9)))
	wantErr(t, ErrUnavailable, "Publish while the server is away", s.Publish(ctx, "t", 1))
	wantErr(t, ErrUnavailable, "Healthy while the server is away", s.Healthy(ctx))
	if d := time.Since(start); d > 5*opTimeout {
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
	put(t, b, "k0", 10)
	must(t, b.Delete(ctx, "k1", 0))
	eventually(t, "changes after the restart", func() bool {
		e, _ := kept.Get("k0")
		_, ok := kept.Get("k1")
		return e.Value == 10 && !ok
	})
	must(t, s.Publish(ctx, "t", 2))
	if got := receive(t, notices); got.Revision != 2 || got.Missed {
		t.Errorf("notice after the restart: %+v", got)
	}
}

// TestCloseWithoutServer: Close must not wait for a server that is gone.
func TestCloseWithoutServer(t *testing.T) {
	n := startNATS(t)
	s := open(t, Options{URL: n.url})
	m, err := bucket[int](t, s, BucketOptions{Name: "x"}).Mirror(t.Context())
	must(t, err)
	n.stop(t)
	eventually(t, "the loss", func() bool { return m.Err() != nil })
	start := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > 15*time.Second {
		t.Errorf("Close took %v", d)
	}
}
