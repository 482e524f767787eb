package guard_test

import (
	"context"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/guard"
)

// own is an upstream that bounds its calls itself, as one of MCP does.
type own struct{ res *gateway.Result }

func (own) Limit() time.Duration                                         { return time.Second }
func (o own) Do(context.Context, *gateway.Call) (*gateway.Result, error) { return o.res, nil }

// BenchmarkGuard is what the decorators add to a call: those that are on by
// default, for what cannot be repeated and for what can, and each by itself.
func BenchmarkGuard(b *testing.B) {
	walls := guard.Concurrency{Max: 1024, Queue: 1024, Wait: time.Second}
	usually := guard.Options{Most: time.Minute, Retry: thrice, Breaker: usual, Concurrency: walls, Trusted: true}
	ruled := usually
	ruled.Rules = []guard.Rule{{Match: match("x*", "y*"), Effect: guard.ReadOnly}}
	for _, c := range []struct {
		name string
		o    guard.Options
		hint string
	}{
		{"none", guard.Options{}, writes},
		{"default", usually, writes},
		{"default/repeatable", usually, reads},
		{"default/rules", ruled, writes},
		{"breaker", guard.Options{Breaker: usual}, writes},
		{"bulkhead", guard.Options{Concurrency: walls}, writes},
		{"adaptive", guard.Options{Concurrency: guard.Concurrency{Max: 1024, Adaptive: true}}, writes},
		{"hedge", guard.Options{Hedge: soon, Trusted: true}, reads},
		{"cache", guard.Options{Cache: minute, Trusted: true}, reads},
		{"retry", guard.Options{Retry: thrice, Trusted: true}, reads},
	} {
		b.Run(c.name, func(b *testing.B) {
			up := guard.New(own{gateway.TextResult("ok")}, c.o)
			call := use(tool(b, "a", c.hint))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := up.Do(b.Context(), call); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
