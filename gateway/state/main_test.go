package state

import (
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
	goleak.VerifyTestMain(m)
}

// eventually polls until ok or fails the test after ten seconds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within ten seconds", what)
		}
	}
}

// receive waits for a value, at most ten seconds.
func receive[V any](t *testing.T, ch <-chan V) V {
	t.Helper()
	select {
	case v, ok := <-ch:
		if !ok {
			t.Fatal("channel closed")
		}
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nothing received within ten seconds")
	}
	panic("unreachable")
}
