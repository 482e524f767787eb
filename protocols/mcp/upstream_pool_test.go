//go:build unix

package mcp_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/gatewaytest"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// pidFor calls the tool "pid" for a principal.
func pidFor(t *testing.T, u *mcp.Upstream, who string) string {
	t.Helper()
	call := toolCall("pid", `{}`)
	call.Principal = &gateway.Principal{ID: who}
	res, err := u.Do(t.Context(), call)
	if err != nil {
		t.Fatalf("%s: %v", who, err)
	}
	var r struct{ Content []struct{ Text string } }
	if err := json.Unmarshal(res.Raw, &r); err != nil {
		t.Fatal(err)
	}
	return r.Content[0].Text
}

// TestPool checks that each principal has a program of its own, that there are
// never more of them than is allowed, and that nothing is left of those that
// gave way or expired.
func TestPool(t *testing.T) {
	before, files := goleak.IgnoreCurrent(), openFiles(t)
	o := program(t, "mischief")
	o.Sessions, o.MaxSessions, o.Idle = "principal", 2, time.Hour
	u := openUpstream(t, o)
	ada, bob := pidFor(t, u, "ada"), pidFor(t, u, "bob")
	if ada == bob || pidFor(t, u, "ada") != ada {
		t.Errorf("ada has %s, bob %s", ada, bob)
	}
	eve := pidFor(t, u, "eve")
	gone(t, bob)
	if now := pidFor(t, u, "ada"); now != ada {
		t.Errorf("ada, who called last, had to give way to eve: %s, was %s", now, ada)
	}
	if diff := u.Stats(); diff != (mcp.UpstreamStats{Open: 2, Idle: 2, Opened: 3, Evicted: 1}) {
		t.Errorf("%+v", diff)
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	gone(t, ada)
	gone(t, eve)
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
	if now := openFiles(t); now > files {
		t.Errorf("%d files are open, were %d", now, files)
	}
}

// TestPoolFull checks that callers for whom no session is left are told so, and
// that those that have one are not disturbed.
func TestPoolFull(t *testing.T) {
	o := program(t, "fixture")
	o.Sessions, o.MaxSessions = "principal", 1
	u := openUpstream(t, o)
	call := func(who, tool string) error {
		c := toolCall(tool, `{}`)
		c.Principal = &gateway.Principal{ID: who}
		_, err := u.Do(t.Context(), c)
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := call("ada", gatewaytest.ToolWait); gateway.AsError(err).Code != gateway.Unavailable {
			t.Errorf("ada's call: %v", err)
		}
	})
	until(t, func() bool { return u.Stats().Busy == 1 })
	if err := call("bob", gatewaytest.ToolGrow); err == nil || gateway.AsError(err).Code != gateway.ResourceExhausted {
		t.Errorf("bob's call: %v", err)
	}
	if err := call("ada", gatewaytest.ToolGrow); err != nil {
		t.Errorf("ada's other call: %v", err)
	}
	if n := u.Stats().Refused; n != 1 {
		t.Errorf("%d calls were refused", n)
	}
	u.Close()
	wg.Wait()
}

// TestPoolExpiry checks that sessions end that nobody uses.
func TestPoolExpiry(t *testing.T) {
	o := program(t, "mischief")
	o.Sessions, o.Idle = "principal", 10*time.Millisecond
	u := openUpstream(t, o)
	const rounds = 5
	for n := range rounds {
		gone(t, pidFor(t, u, fmt.Sprint("principal", n)))
	}
	until(t, func() bool { return u.Stats() == mcp.UpstreamStats{Opened: rounds, Expired: rounds} })
	until(t, func() bool { return len(childProcesses(t)) == 0 })
}

// until waits for what must come to be.
func until(t *testing.T, holds func() bool) {
	t.Helper()
	deadline, tick := time.NewTimer(patience), time.NewTicker(time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("it does not come to be")
		}
	}
}
