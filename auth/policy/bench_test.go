package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

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
	for _, n := range []int{100, 10_000, 100_000} {
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
			g, sets := e.current.Load().grantOf(who), new(Toolsets)
			for b.Loop() {
				g.view(snap, sets)
			}
		})
		b.Run(fmt.Sprintf("Decide/rules=%d", n), func(b *testing.B) {
			for b.Loop() {
				if !decide(b, e, who, call.Object, "call").Allowed {
					b.Fatal("denied")
				}
			}
		})
	}
}

// BenchmarkConditions decides calls of which the last word is a condition's.
func BenchmarkConditions(b *testing.B) {
	snap := benchRegistry(b)
	tool := snap.Tool("s1.t1")
	for name, condition := range map[string]string{"args": "args.amount < 100", "groups": "'dev' in principal.groups"} {
		e := NewEnforcer(mustParse(b, "p, anyone, *, tool/s1/*, call, allow, "+condition+"\n"), Options{})
		who := role()
		who.Groups = []string{"ops", "dev"}
		call := &gateway.Call{Op: gateway.OpCall, Object: tool.Object, Target: &tool.Capability, Tool: tool, Principal: who, Args: json.RawMessage(`{"from":"a","to":"b","amount":12}`)}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := e.Admit(b.Context(), call); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPrincipal compiles the grant of a principal that was not seen before.
func BenchmarkPrincipal(b *testing.B) {
	p, who := benchPolicy(b, 100_000)
	snap := benchRegistry(b)
	b.Run("grant", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			newCompiled(p, new(Toolsets)).grant(who)
		}
	})
	b.Run("list", func(b *testing.B) {
		sets := new(Toolsets)
		b.ReportAllocs()
		for b.Loop() {
			newCompiled(p, sets).grant(who).view(snap, sets)
		}
	})
}

// BenchmarkActivate builds a policy of 100,000 rules from its text and puts it in
// force.
func BenchmarkActivate(b *testing.B) {
	var csv strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&csv, "p, group:g%d, *, tool/s%d/*, call, allow\n", i/8, i)
	}
	text := []byte(csv.String())
	e := NewEnforcer(mustParse(b, ""), Options{})
	for b.Loop() {
		p, err := Parse("f", text)
		if err != nil {
			b.Fatal(err)
		}
		e.Set(p)
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

// BenchmarkAdmitWhileActivating decides calls while policies of 100,000 rules are
// built and put in force, and reports the longest that one call took.
func BenchmarkAdmitWhileActivating(b *testing.B) {
	p, who := benchPolicy(b, 100_000)
	snap := benchRegistry(b)
	e := NewEnforcer(p, Options{})
	text := p.CSV()
	var call *gateway.Call
	for _, t := range e.View(who, snap).Tools {
		call = &gateway.Call{Op: gateway.OpCall, Object: t.Object, Target: &t.Capability, Principal: who}
	}
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				done <- n
				return
			default:
			}
			next, err := Parse("f", text)
			if err != nil {
				b.Error(err)
			}
			e.Set(next)
		}
	}()
	var longest time.Duration
	for b.Loop() {
		began := time.Now()
		if err := e.Admit(b.Context(), call); err != nil {
			b.Fatal(err)
		}
		longest = max(longest, time.Since(began))
	}
	close(stop)
	b.ReportMetric(float64(<-done), "activations")
	b.ReportMetric(float64(longest.Microseconds()), "µs-longest")
}

func BenchmarkYAML(b *testing.B) {
	p, _ := benchPolicy(b, 10_000)
	yaml, err := Text{CSV: string(p.CSV())}.YAML()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(yaml)))
	for b.Loop() {
		if _, err := ParseYAML("f", yaml); err != nil {
			b.Fatal(err)
		}
	}
}
