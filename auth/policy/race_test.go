package policy

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

// TestNoStaleDecision swaps policies while calls are admitted, lists are
// filtered and decisions explained. What begins after Set returned must follow
// the new policy.
func TestNoStaleDecision(t *testing.T) {
	var registry gateway.Registry
	attach(t, &registry, "demo", source(t, "tool/a", "tool/b"))
	snap := registry.Snapshot()
	tool := snap.Tool("demo.a")
	with := mustParse(t, "p, group:eng, *, tool/demo/*, call, allow\n")
	without := mustParse(t, "p, group:eng, *, tool/demo/*, call, allow\np, anyone, *, tool/demo/a, *, deny\n")
	e := NewEnforcer(with, Options{})

	// Odd while "without" is surely in force, even while it may not be.
	var revoked atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i := range 4 {
		who := role()
		who.ID, who.Groups = fmt.Sprint(i), []string{"eng"}
		wg.Go(func() {
			for !stop.Load() {
				before := revoked.Load()
				err := e.Admit(t.Context(), &gateway.Call{Op: gateway.OpCall, Kind: gateway.KindTool, Object: tool.Object, Target: &tool.Capability, Principal: who})
				sees := e.View(who, snap).Tool("demo.a") != nil
				d := decide(t, e, who, tool.Object, "call")
				if before%2 == 1 && revoked.Load() == before && (err == nil || sees || d.Allowed) {
					t.Errorf("after the rule was removed: Admit %v, View %t, Decide %+v", err, sees, d)
					return
				}
			}
		})
	}
	for range 150 {
		e.Set(without)
		revoked.Add(1)
		for range 5 {
			if err := e.Admit(t.Context(), &gateway.Call{Op: gateway.OpCall, Object: tool.Object, Target: &tool.Capability, Principal: &gateway.Principal{ID: "0", Groups: []string{"eng"}}}); err == nil {
				t.Fatal("a call was admitted after Set")
			}
		}
		revoked.Add(1)
		e.Set(with)
	}
	stop.Store(true)
	wg.Wait()
}

// TestCachesAreBounded asks for more principals, grants and snapshots than are
// remembered.
func TestCachesAreBounded(t *testing.T) {
	csv := "p, role:dev, *, tool/demo/a, call, allow\n"
	for i := range 3 * maxGrants {
		csv += fmt.Sprintf("p, group:g%d, *, tool/demo/b, call, allow\n", i)
	}
	e := NewEnforcer(mustParse(t, csv), Options{})
	var registry gateway.Registry
	attach(t, &registry, "demo", source(t, "tool/a", "tool/b"))
	for i := range 3 * maxPrincipals {
		who := &gateway.Principal{ID: fmt.Sprint("p", i), Groups: []string{fmt.Sprint("g", i%(4*maxGrants))}}
		want := ""
		if i%(4*maxGrants) < 3*maxGrants {
			want = "demo.b"
		}
		if i%1000 == 0 {
			registry.Refresh()
		}
		if got := names(e.View(who, registry.Snapshot())); got != want {
			t.Fatalf("principal %d sees %q, want %q", i, got, want)
		}
	}
	c := e.current.Load()
	n := 0
	for i := range c.shards {
		n += len(c.shards[i].principals.young) + len(c.shards[i].principals.old)
	}
	if n > 2*maxPrincipals || len(c.grants.young)+len(c.grants.old) > 2*maxGrants || len(c.views) > maxSnapshots {
		t.Errorf("%d principals, %d grants and views of %d snapshots are remembered", n, len(c.grants.young)+len(c.grants.old), len(c.views))
	}
	g := c.grantOf(role("dev"))
	for range 2*maxKnown + 1 {
		g.of(&gateway.Capability{}, &target{object: newObject("tool/demo/a")})
	}
	if g.count.Load() > maxKnown {
		t.Errorf("%d decisions are remembered", g.count.Load())
	}
}

// TestNoTwoPrincipalsForOne finds principals under one hash.
func TestNoTwoPrincipalsForOne(t *testing.T) {
	p := mustParse(t, "p, role:a, *, tool/demo/a, call, allow\np, anyone, t, tool/demo/b, call, allow\n")
	c := newCompiled(p, new(Toolsets))
	hash := c.hash(role("a"))
	for _, who := range []*gateway.Principal{role("a"), role("b"), {ID: role().ID, Tenant: "t"}} {
		// Whatever stood there under the same hash, it is not taken for who.
		k := &known{id: "other", grant: &grant{}}
		if k.is(who) {
			t.Error("two principals are the same")
		}
		c.shards[hash%uint64(len(c.shards))].principals.put(c.hash(who), k)
		got := map[string]bool{}
		for _, r := range c.grantOf(who).rules {
			got[r.fields[2]] = true
		}
		want := map[string]bool{}
		if len(who.Roles) == 1 && who.Roles[0] == "a" {
			want["tool/demo/a"] = true
		}
		if who.Tenant == "t" {
			want["tool/demo/b"] = true
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", who, diff)
		}
	}
}

func TestTenantIsNoSubject(t *testing.T) {
	c := newCompiled(mustParse(t, "p, role:x, *, tool/demo/a, call, allow\n"), new(Toolsets))
	with := role("x")
	with.Tenant = "a"
	c.grantOf(with)
	without := role()
	for _, tenant := range []string{"a", "a\x00role:x", "role:x", "\x00\x00a"} {
		without.Tenant = tenant
		if n := len(c.grantOf(without).rules); n != 0 {
			t.Errorf("tenant %q has %d rules", tenant, n)
		}
	}
}
