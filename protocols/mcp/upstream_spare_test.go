//go:build unix

package mcp_test

import (
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// watch follows an upstream as long as the test runs.
func watch(t *testing.T, u *mcp.Upstream) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range u.Watch(t.Context()) {
		}
	}()
	t.Cleanup(func() { u.Close(); <-done })
}

// TestPoolSpares keeps sessions open for principals to come: the next one takes
// a program that runs already, and one that dies is replaced.
func TestPoolSpares(t *testing.T) {
	before := goleak.IgnoreCurrent()
	o := program(t, "mischief")
	o.Sessions, o.MinSessions, o.MaxSessions, o.Idle = "principal", 2, 3, time.Hour
	u := openUpstream(t, o)
	watch(t, u)
	until(t, func() bool { return u.Stats() == mcp.UpstreamStats{Open: 3, Spare: 2, Opened: 3} })
	running := childProcesses(t)

	ada := pidFor(t, u, "ada")
	if !slices.Contains(running, ada) {
		t.Errorf("ada has %s, a new program", ada)
	}
	if s := u.Stats(); s.Spare != 1 || s.Idle != 1 || s.Opened != 3 {
		t.Errorf("%+v, want one spare and no new one", s)
	}
	bob, eve := pidFor(t, u, "bob"), pidFor(t, u, "eve")
	if !slices.Contains(running, bob) || slices.Contains(running, eve) {
		t.Errorf("bob has %s, eve %s, of %v", bob, eve, running)
	}
	if pidFor(t, u, "ada") != ada {
		t.Error("ada has another program now")
	}
	if s := u.Stats(); s.Spare != 0 || s.Idle != 3 || s.Opened != 4 {
		t.Errorf("%+v, want no spares", s)
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

// TestPoolSpareLost kills spares.
func TestPoolSpareLost(t *testing.T) {
	o := program(t, "mischief")
	o.Sessions, o.MinSessions, o.Idle = "principal", 1, 10*time.Millisecond
	u := openUpstream(t, o)
	watch(t, u)
	until(t, func() bool { return u.Stats().Open == 2 })
	for range 3 {
		lost := u.Stats().Lost
		for _, pid := range childProcesses(t) {
			n, err := strconv.Atoi(pid)
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		until(t, func() bool { s := u.Stats(); return s.Lost == lost+2 && s.Open == 2 && s.Spare == 1 })
	}
	ada := pidFor(t, u, "ada") // Hers expires, and another spare takes its place.
	gone(t, ada)
	until(t, func() bool { s := u.Stats(); return s.Expired == 1 && s.Spare == 1 && s.Open == 2 })
}

// TestPoolSparesStateless keeps none for a server that has no sessions.
func TestPoolSparesStateless(t *testing.T) {
	u := openUpstream(t, mcp.UpstreamOptions{URL: serveFixture(t) + "/mcp", Sessions: "principal", MinSessions: 8})
	watch(t, u)
	until(t, func() bool { return u.Stats().Open > 0 })
	call := toolCall("echo", `{"text":"hi"}`)
	call.Principal = &gateway.Principal{ID: "ada"}
	if _, err := u.Do(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	if s := u.Stats(); s != (mcp.UpstreamStats{Open: 1, Opened: 1}) {
		t.Errorf("%+v", s)
	}
}
