package state

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

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
