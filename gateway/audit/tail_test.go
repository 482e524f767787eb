package audit

import (
	"context"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

func TestTail(t *testing.T) {
	dir := closedLog(t) // log.open, 12 calls, log.close
	for _, test := range []struct {
		r    Range
		want []int64
	}{
		{Range{From: 12}, []int64{12, 13, 14}},
		{Range{Last: 2}, []int64{13, 14}},
		{Range{From: 14, Last: 5}, []int64{14}},
		{Range{From: 15}, nil},
		{Range{From: 4, Last: 12}, []int64{4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}},
	} {
		var got []int64
		for r, err := range Tail(t.Context(), dir, test.r) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r.Seq)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.r, diff)
		}
	}
	for range Tail(t.Context(), t.TempDir(), Range{Last: 3}) {
		t.Error("an empty directory has a record")
	}
	for _, err := range Tail(t.Context(), dir+"/missing", Range{}) {
		if err == nil {
			t.Error("a missing directory has a record")
		}
	}
}

func TestTailStopsAtDamage(t *testing.T) {
	dir := closedLog(t)
	all, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(all[1].path, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var last error
	n := 0
	for _, err := range Tail(t.Context(), dir, Range{}) {
		last = err
		n++
	}
	if last == nil || n != int(all[1].first) {
		t.Errorf("%d records, then %v", n-1, last)
	}
}

func TestFollow(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var got []int64
		done := make(chan struct{})
		go func() {
			defer close(done)
			for r, err := range Tail(ctx, dir, Range{Follow: true}) {
				if err != nil {
					t.Error(err)
					return
				}
				got = append(got, r.Seq)
			}
		}()
		l := mustOpen(t, Options{Dir: dir, SegmentBytes: 1 << 10})
		for i := range 30 {
			do(t.Context(), l, testCall(fmt.Sprint(i)), gateway.TextResult(""), nil)
			<-time.After(70 * time.Millisecond)
		}
		mustClose(t, l)
		<-time.After(time.Second)
		cancel()
		<-done
		if len(got) != 32 || got[0] != 1 || got[31] != 32 {
			t.Errorf("followed %v", got)
		}
	})
	if r := mustVerify(t, dir); r.Segments < 5 {
		t.Errorf("%+v", r)
	}
}
