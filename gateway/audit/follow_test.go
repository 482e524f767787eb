package audit

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

// TestFollowersMissNothing writes many records at once, into many segments: every follower is told each, in order.
func TestFollowersMissNothing(t *testing.T) {
	const callers, calls, followers = 8, 400, 3
	l := mustOpen(t, Options{Dir: t.TempDir(), SegmentBytes: 256 << 10})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all sync.WaitGroup
	for range followers {
		tail := l.Tail(ctx, Filter{Types: []string{TypeCall}})
		all.Go(func() {
			var last int64
			n := 0
			for r, err := range tail {
				parsed, wrong := ParseRecord(r.Line)
				if err != nil || wrong != nil || r.LeftOut != 0 || r.Seq <= last || parsed.Seq != r.Seq {
					t.Errorf("record %d behind %d, %d left out: %v, %v", r.Seq, last, r.LeftOut, err, wrong)
					return
				}
				last = r.Seq
				if n++; n == callers*calls {
					return
				}
			}
			t.Errorf("%d records", n)
		})
	}
	for range callers {
		all.Go(func() {
			for i := range calls {
				do(ctx, l, testCall(fmt.Sprint(i)), gateway.TextResult(""), nil)
			}
		})
	}
	all.Wait()
}

// TestSlowFollower holds that who falls far behind is told how many records of theirs were left out, and goes on in
// order.
func TestSlowFollower(t *testing.T) {
	l := mustOpen(t, Options{Dir: t.TempDir()})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const most = 2 * (lagMost + lagLeast)
	write := func(n int) {
		for i := range n {
			do(ctx, l, testCall([]string{"even", "odd"}[i%2]), gateway.TextResult(""), nil)
		}
	}
	tail := l.Tail(ctx, Filter{What: "*/odd"})
	write(2)
	var got, leftOut, last int64
	for r, err := range tail {
		if err != nil || r.Seq <= last || r.Name != "odd" {
			t.Fatalf("%+v behind %d: %v", r, last, err)
		}
		last, leftOut = r.Seq, leftOut+r.LeftOut
		if got++; got == 1 {
			write(most)
		}
		if got+leftOut == 1+most/2 {
			break
		}
	}
	// The first one ahead of the lag was on its way when the rest was written.
	if want := int64(most-lagLeast) / 2; leftOut < want-1 || leftOut > want+1 || got < lagLeast/2 {
		t.Errorf("%d records, %d left out, want %d", got, leftOut, want)
	}
	if err := ctx.Err(); err != nil {
		t.Error(err)
	}
}

// TestTailIsToldAtOnce holds that a follower is woken by the writer, and not by a clock.
func TestTailIsToldAtOnce(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := mustOpen(t, Options{Dir: dir})
		ctx, cancel := context.WithCancel(t.Context())
		told := make(chan int64)
		done := make(chan struct{})
		tail := l.Tail(ctx, Filter{})
		go func() {
			defer close(done)
			for r, err := range tail {
				if err != nil {
					t.Error(err)
					return
				}
				told <- r.Seq
			}
		}()
		for i := range int64(3) {
			<-time.After(time.Hour)
			began := time.Now()
			do(ctx, l, testCall("x"), gateway.TextResult(""), nil)
			if seq := <-told; seq != i+2 || time.Since(began) != gatherFor {
				t.Errorf("record %d was told after %s", seq, time.Since(began))
			}
		}
		cancel()
		<-done
		mustClose(t, l)
	})
}

// TestSeek reads from every kind of place of a large segment, as it is and compressed.
func TestSeek(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, Options{Dir: dir})
	const last = 2000
	for range last - 2 { // log.open and log.close are records, too.
		do(t.Context(), l, testCall("x"), gateway.TextResult(""), nil)
	}
	mustClose(t, l)
	all, err := segments(dir)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	for _, packed := range []bool{false, true} {
		if packed {
			if err := pack(t.Context(), &all[0]); err != nil {
				t.Fatal(err)
			}
		}
		for _, from := range []int64{1, 2, 3, 99, 777, 1000, 1500, last - 1, last, last + 1} {
			tail := &tail{dir: dir, from: from}
			first := int64(0)
			var got []int64
			for r, err := range follow(t.Context(), tail, nil) {
				if err != nil {
					t.Fatal(err)
				}
				if first == 0 {
					first = int64(tail.lines.number)
				}
				got = append(got, r.Seq)
			}
			var want []int64
			for seq := from; seq <= last; seq++ {
				want = append(want, seq)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("from %d, packed %t (-want +got):\n%s", from, packed, diff)
			}
			if len(got) > 0 && first != got[0] {
				t.Errorf("from %d, packed %t: the first line is %d", from, packed, first)
			}
		}
		for _, n := range []int{0, 1, 700, last, last + 1} {
			got := 0
			for r, err := range Tail(t.Context(), dir, n, false) {
				if err != nil {
					t.Fatal(err)
				}
				if got++; got == 1 && r.Seq != max(1, last+1-int64(n)) {
					t.Errorf("the last %d begin with %d", n, r.Seq)
				}
			}
			if got != min(n, last) {
				t.Errorf("of the last %d, there are %d", n, got)
			}
		}
	}
	if _, err := Verify(dir, Proofs{}); err != nil {
		t.Error(err)
	}
}

// TestSeekReadsLittle holds that the end of a segment is found without reading what stands before it.
func TestSeekReadsLittle(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, Options{Dir: dir})
	for range 2000 {
		do(t.Context(), l, testCall("x"), gateway.TextResult(""), nil)
	}
	mustClose(t, l)
	tail := &tail{dir: dir, from: 1990}
	defer tail.close()
	r, err := tail.next()
	if err != nil {
		t.Fatal(err)
	}
	if r.Seq > 1990 || r.Seq < 1990-seekLeast/100 { // No line is shorter.
		t.Errorf("reading from record 1990 begins with %d", r.Seq)
	}
}
