package state

import (
	"errors"
	"flag"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// childDir makes this test binary the victim of TestKilledProcessLosesNothing.
var childDir = flag.String("state.child", "", "directory to write to until killed")

func TestMain(m *testing.M) {
	flag.Parse()
	if *childDir != "" {
		os.Exit(writeUntilKilled(*childDir))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		removeServerBinary()
		os.Exit(code)
	}))
}

// must ends the test on an error that is not its subject.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, want error, what string, got error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

// errOf is the error of a call with two results.
func errOf[V any](_ V, err error) error { return err }

func put[V any](t *testing.T, b *Bucket[V], key string, v V) uint64 {
	t.Helper()
	rev, err := b.Put(t.Context(), key, v)
	must(t, err)
	return rev
}

// eventually polls until ok or fails the test after thirty seconds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within thirty seconds", what)
		}
	}
}

// receive waits for a value, at most thirty seconds.
func receive[V any](t *testing.T, ch <-chan V) V {
	t.Helper()
	select {
	case v, ok := <-ch:
		if !ok {
			t.Fatal("channel closed")
		}
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("nothing received within thirty seconds")
	}
	panic("unreachable")
}
