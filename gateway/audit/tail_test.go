package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/trilith-gateway/trilith/gateway"
)

func TestTail(t *testing.T) {
	dir := closedLog(t, 12) // log.open, 12 calls, log.close
	for _, test := range []struct {
		last int
		want []int64
	}{
		{0, nil},
		{2, []int64{13, 14}},
		{12, []int64{3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}},
		{100, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}},
		{-1, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}},
	} {
		var got []int64
		for r, err := range Tail(t.Context(), dir, test.last, false) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r.Seq)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("last %d (-want +got):\n%s", test.last, diff)
		}
	}
}

// TestNoLog holds that what is not there is not in order.
func TestNoLog(t *testing.T) {
	tail := func(dir string, follow bool) (err error) {
		for _, err = range Tail(t.Context(), dir, 3, follow) {
			if err == nil {
				t.Errorf("%s has a record", dir)
			}
		}
		return err
	}
	empty := t.TempDir()
	for _, dir := range []string{empty, filepath.Join(empty, "missing")} {
		if _, err := Verify(dir, Proofs{}); !errors.Is(err, ErrNoLog) || err.Error() != "no audit log in "+dir {
			t.Errorf("Verify(%s) returned %v", dir, err)
		}
		if err := tail(dir, false); !errors.Is(err, ErrNoLog) {
			t.Errorf("Tail(%s) returned %v", dir, err)
		}
	}
	if err := tail(filepath.Join(empty, "missing"), true); !errors.Is(err, ErrNoLog) {
		t.Errorf("following a missing directory returned %v", err)
	}

	// A log that was begun and has no record yet is one.
	signer, _, err := openSigner(empty, "n")
	if err != nil {
		t.Fatal(err)
	}
	save := func(s state) {
		t.Helper()
		p, err := sign(&s, time.Now(), signer)
		if err != nil {
			t.Fatal(err)
		}
		restore(t, map[string][]byte{filepath.Join(empty, pointName): p.note})
	}
	save(state{})
	mustVerify(t, empty)
	if err := tail(empty, false); err != nil {
		t.Error(err)
	}

	// One that had records is not.
	save(state{chain: chain{seq: 3}, tree: tree{n: 1, edge: make([]tlog.Hash, 1)}})
	if _, err := Verify(empty, Proofs{}); !errors.As(err, new(*Damage)) {
		t.Errorf("without its segments: %v", err)
	}
}

func TestTailStopsAtDamage(t *testing.T) {
	dir := closedLog(t, 6)
	all, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"{}\n", "{\n", strings.Repeat("x", maxLine+1)} {
		if err := os.WriteFile(all[1].path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		var last error
		n := 0
		for _, err := range Tail(t.Context(), dir, -1, false) {
			last = err
			n++
		}
		if damage := (*Damage)(nil); !errors.As(last, &damage) || damage.Line != 1 || n != int(all[1].first) {
			t.Errorf("%.10s: %d records, then %v", bad, n-1, last)
		}
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
			for r, err := range Tail(ctx, dir, -1, true) {
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
