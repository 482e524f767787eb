package state

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// following is a Follow on a goroutine of its own.
type following struct {
	told chan LogEntry
	errs chan error // Closed at the end.
	stop context.CancelFunc
}

func follow(t *testing.T, l *Log, key string, after uint64) *following {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &following{told: make(chan LogEntry), errs: make(chan error, 100), stop: cancel}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(f.errs)
		for e, err := range l.Follow(ctx, key, after) {
			if err != nil {
				f.errs <- err
				continue
			}
			select {
			case f.told <- e:
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return f
}

func (f *following) want(t *testing.T, data ...string) {
	t.Helper()
	for _, want := range data {
		if got := string(receive(t, f.told).Data); got != want {
			t.Fatalf("followed %q, want %q", got, want)
		}
	}
}

func (f *following) wantEnd(t *testing.T, want error) {
	t.Helper()
	wantErr(t, want, "the follower", receive(t, f.errs))
	if err, ok := <-f.errs; ok {
		t.Errorf("the follower goes on: %v", err)
	}
}

func testFollow(t *testing.T, s *State) {
	l := openLog(t, s, LogOptions{Name: "follow", Async: true})
	first := appendTo(t, l, "k", "one")
	appendTo(t, l, "k", "two")
	whole, rest, empty := follow(t, l, "k", 0), follow(t, l, "k", first), follow(t, l, "new", 0)
	whole.want(t, "one", "two")
	rest.want(t, "two")
	appendTo(t, l, "k", "three")
	appendTo(t, l, "new", "first")
	whole.want(t, "three")
	rest.want(t, "three")
	empty.want(t, "first")
	must(t, l.Drop(t.Context(), "k"))
	for _, junk := range []string{"", "x", "18446744073709551616"} {
		must(t, s.nc.PublishMsg(&nats.Msg{
			Subject: livePrefix + "follow.k", Data: []byte("junk"), Header: nats.Header{jetstream.SequenceHeader: {junk}},
		}))
	}
	rest.stop()
	if err, ok := <-rest.errs; ok && !errors.Is(err, ErrGone) {
		t.Errorf("a follower that was stopped: %v", err)
	}
	empty.stop()
	for e := range l.Follow(t.Context(), "new", 0) {
		if string(e.Data) != "first" {
			t.Errorf("followed %q", e.Data)
		}
		break
	}
	for _, err := range l.Follow(t.Context(), "", 0) {
		wantErr(t, ErrInvalid, "empty key", err)
	}
}

// testFollowTogether has many writers, and followers that begin at any moment: each tells all, in the order of the numbers.
func testFollowTogether(t *testing.T, s *State) {
	l := openLog(t, s, LogOptions{Name: "together", Async: true})
	const writers, each = 4, 50
	var wg sync.WaitGroup
	counts := make([][]uint64, 3)
	for i := range counts {
		wg.Go(func() {
			for e, err := range l.Follow(t.Context(), "many", 0) {
				if err != nil {
					t.Error(err)
					return
				}
				if counts[i] = append(counts[i], e.Seq); len(counts[i]) == writers*each {
					return
				}
			}
		})
	}
	for range writers {
		wg.Go(func() {
			for range each {
				if _, err := l.Append(t.Context(), "many", []byte("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, seqs := range counts {
		if !slices.IsSorted(seqs) || len(slices.Compact(seqs)) != writers*each {
			t.Errorf("followed %d numbers: %v", len(seqs), seqs)
		}
	}
}

func testFollowGone(t *testing.T, s *State) {
	l := openLog(t, s, LogOptions{Name: "gone", MaxPerKey: 2, Async: true})
	seq := appendTo(t, l, "k", "0")
	f := follow(t, l, "k", seq)
	appendTo(t, l, "k", "1")
	f.want(t, "1")
	appendTo(t, l, "k", "2")
	appendTo(t, l, "k", "3")
	f.want(t, "2", "3")
	follow(t, l, "k", seq).wantEnd(t, ErrGone)
	follow(t, l, "k", 1<<40).wantEnd(t, ErrGone)
}

// testFollowSlowly: a follower whose buffer overflows reads what it missed as long as that is kept, and says so
// otherwise.
func testFollowSlowly(t *testing.T, s *State) {
	const many = 200
	for keep, fine := range map[int]bool{2 * many: true, many / 2: false} {
		l := openLog(t, s, LogOptions{Name: fmt.Sprint("slow", keep), MaxPerKey: keep, Async: true})
		var told, appended []string
		var last error
		appendTo(t, l, "k", "first")
		for e, err := range l.Follow(t.Context(), "k", 0) {
			if last = err; err != nil {
				break
			}
			told = append(told, string(e.Data))
			for len(appended) < many { // All while the follower is busy with the first entry.
				appended = append(appended, fmt.Sprint(len(appended)))
				appendTo(t, l, "k", appended[len(appended)-1])
			}
			if len(told) == many+1 {
				break
			}
		}
		if want := append([]string{"first"}, appended...); !slices.Equal(told, want[:len(told)]) {
			t.Errorf("keeping %d: told %v", keep, told)
		}
		if complete := len(told) == many+1; complete != fine || !fine && !errors.Is(last, ErrGone) {
			t.Errorf("keeping %d: told %d of %d, then %v", keep, len(told), many+1, last)
		}
	}
}

// TestFollowerLooks: what a server never told a follower, it finds.
func TestFollowerLooks(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	l := openLog(t, s, LogOptions{Name: "deaf"})
	cfg := s.streamConfigOf(t, l)
	cfg.RePublish = nil
	_, err := s.js.UpdateStream(t.Context(), cfg)
	must(t, err)
	f := follow(t, l, "k", 0)
	for i := range 3 {
		appendTo(t, l, "k", fmt.Sprint(i))
		f.want(t, fmt.Sprint(i))
	}
}
