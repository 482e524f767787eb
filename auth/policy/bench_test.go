package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
)

// benchPolicy returns a policy of n rules for many groups, and a principal that
// 40 of them are for.
func benchPolicy(b *testing.B, n int) (*Policy, *gateway.Principal) {
	b.Helper()
	var csv strings.Builder
	for i := range n {
		fmt.Fprintf(&csv, "p, group:g%d, *, tool/s%d/%s, call, %s\n", i/8, i%50, []string{"*", "read*", "t1"}[i%3], []string{"allow", "allow", "allow", "deny"}[i%4])
	}
	who := role("dev")
	for i := range 5 {
		who.Groups = append(who.Groups, fmt.Sprint("g", i*n/8/5))
	}
	return mustParse(b, csv.String()), who
}

func benchRegistry(b *testing.B) *gateway.Snapshot {
	b.Helper()
	var registry gateway.Registry
	for i := range 50 {
		var objects []string
		for j := range 20 {
			objects = append(objects, fmt.Sprintf("tool/t%d", j))
		}
		attach(b, &registry, fmt.Sprint("s", i), source(b, objects...))
	}
	return registry.Snapshot()
}

func BenchmarkPolicy(b *testing.B) {
	snap := benchRegistry(b)
	for _, n := range []int{100, 1000, 10_000} {
		p, who := benchPolicy(b, n)
		e := NewEnforcer(p, Options{})
		var call *gateway.Call
		for _, t := range e.View(who, snap).Tools {
			call = &gateway.Call{Op: gateway.OpCall, Object: t.Object, Target: &t.Capability, Principal: who}
		}
		if call == nil {
			b.Fatal("the principal sees nothing")
		}
		denied := &gateway.Call{Op: gateway.OpRead, Kind: gateway.KindResource, Name: "file:///x", Object: "resource/s1/file:///x", Principal: who}
		b.Run(fmt.Sprintf("Admit/rules=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := e.Admit(b.Context(), call); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("AdmitParallel/rules=%d", n), func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := e.Admit(b.Context(), call); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
		b.Run(fmt.Sprintf("AdmitTemplate/rules=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := e.Admit(b.Context(), denied); err == nil {
					b.Fatal("admitted")
				}
			}
		})
		b.Run(fmt.Sprintf("View/kept/rules=%d", n), func(b *testing.B) {
			for b.Loop() {
				e.View(who, snap)
			}
		})
		b.Run(fmt.Sprintf("View/new/rules=%d", n), func(b *testing.B) {
			g := e.current.Load().grantOf(who)
			for b.Loop() {
				g.view(snap)
			}
		})
		b.Run(fmt.Sprintf("Decide/rules=%d", n), func(b *testing.B) {
			for b.Loop() {
				if !e.Decide(who, call.Object, "call").Allowed {
					b.Fatal("denied")
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	var csv strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&csv, "p, group:g%d, *, tool/s%d/*, call, allow\n", i/8, i)
	}
	text := []byte(csv.String())
	for b.Loop() {
		if _, err := Parse("f", text); err != nil {
			b.Fatal(err)
		}
	}
}
