package canary

import (
	"context"
	"iter"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/guard"
	"github.com/trilith-gateway/trilith/gateway/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A node is one that shares the state of a test.
type node struct {
	*Canaries

	end func()
}

func join(t *testing.T, s *state.State) *node {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	c, err := Open(ctx, s, slog.New(slog.DiscardHandler))
	if err != nil {
		end()
		t.Fatal(err)
	}
	n := &node{c, end}
	t.Cleanup(n.leave)
	return n
}

func (n *node) leave() {
	n.end()
	_ = n.Close()
}

// place is an upstream that offers nothing.
type place struct{ gateway.Func }

func (place) Watch(context.Context) iter.Seq2[gateway.Catalog, error] {
	return func(func(gateway.Catalog, error) bool) {}
}

// shop returns the endpoints of a source on a node.
func (n *node) shop(t *testing.T, of string) *guard.Endpoints {
	t.Helper()
	e, err := guard.NewEndpoints([]guard.Endpoint{{Name: "main", Up: place{}}, {Name: "next", Up: place{}, Role: guard.Canary}},
		guard.EndpointsOptions{Canary: guard.CanaryOptions{Percent: 5, Board: n.Board("shop", of)}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// becomes waits until the canary is in a phase and has a share.
func becomes(t *testing.T, e *guard.Endpoints, phase string, percent int) guard.CanaryStatus {
	t.Helper()
	late := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		st, ok := e.CanaryStatus()
		if ok && st.Phase == phase && st.Percent == percent {
			return st
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("it is %+v, not %s with %d", st, phase, percent)
		}
	}
}

// TestShared: what is decided on one node holds on the others, after a restart,
// and not for another configuration.
func TestShared(t *testing.T) {
	s, err := state.Open(t.Context(), state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	here, there := join(t, s), join(t, s)
	a, b := here.shop(t, "v1"), there.shop(t, "v1")
	becomes(t, a, guard.CanaryRunning, 5)
	if err := a.Shift(t.Context(), 40); err != nil {
		t.Fatal(err)
	}
	if st, _ := a.CanaryStatus(); st.Percent != 40 || time.Since(st.Since) > time.Minute {
		t.Errorf("on the node that answered it is %+v", st)
	}
	becomes(t, b, guard.CanaryRunning, 40)
	if err := b.Abort(t.Context(), "by hand"); err != nil {
		t.Fatal(err)
	}
	if st := becomes(t, a, guard.CanaryAborted, 0); st.Reason != "by hand" {
		t.Errorf("it is %+v", st)
	}
	if err := a.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	becomes(t, b, guard.CanaryPromoted, 100)
	there.leave()
	again := join(t, s)
	if st, _ := again.shop(t, "v1").CanaryStatus(); st.Phase != guard.CanaryPromoted {
		t.Errorf("after a restart it is %+v", st)
	}
	other := again.shop(t, "v2")
	if st, _ := other.CanaryStatus(); st.Phase != guard.CanaryRunning || st.Percent != 5 {
		t.Errorf("with another configuration it is %+v", st)
	}
	again.Board("shop", "v2").Aborted(guard.CanaryTurn{Phase: guard.CanaryAborted, Reason: "it failed", Since: time.Now()})
	becomes(t, other, guard.CanaryAborted, 0)
	if st, _ := a.CanaryStatus(); st.Phase != guard.CanaryPromoted {
		t.Errorf("on a node with the configuration before it is %+v", st)
	}
}

// TestAborts: that a canary aborted itself on one node holds on the others, unless
// somebody has decided otherwise meanwhile.
func TestAborts(t *testing.T) {
	s, err := state.Open(t.Context(), state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	here, there := join(t, s), join(t, s)
	a, b := here.shop(t, "v1"), there.shop(t, "v1")
	fails := func(n *node, revision uint64) {
		n.Board("shop", "v1").Aborted(guard.CanaryTurn{Phase: guard.CanaryAborted, Reason: "it failed", Since: time.Now(), Revision: revision})
	}
	fails(here, 0)
	for _, e := range []*guard.Endpoints{a, b} {
		if st := becomes(t, e, guard.CanaryAborted, 0); st.Reason != "it failed" {
			t.Errorf("it is %+v", st)
		}
	}
	if err := b.Shift(t.Context(), 30); err != nil {
		t.Fatal(err)
	}
	becomes(t, a, guard.CanaryRunning, 30)
	fails(here, 1) // As one that did not yet know of the shift.
	here.end()
	_ = here.Close() // It has been kept by now, or not.
	if st := becomes(t, b, guard.CanaryRunning, 30); st.Reason != "" {
		t.Errorf("it is %+v", st)
	}
	now, _ := there.Board("shop", "v1").Turn()
	fails(there, now.Revision)
	becomes(t, b, guard.CanaryAborted, 0)
	there.leave()
	fails(there, now.Revision) // Nobody is there any more.
}
