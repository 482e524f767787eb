package guard_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/guard"
)

// way returns the decorators on its caller's stack, outermost first.
func way() []string {
	pc := make([]uintptr, 64)
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc)])
	var out []string
	for {
		f, more := frames.Next()
		if _, name, ok := strings.Cut(f.Function, "gateway/guard."); ok {
			if name, _, ok = strings.Cut(name, ".Do"); ok {
				out = append([]string{name}, out...)
			}
		}
		if !more {
			return out
		}
	}
}

// TestOrder is the order of the decorators, that docs/guard.md explains: of all,
// and of both halves for a source with several endpoints. A hedged attempt runs
// on a goroutine of its own, whose stack begins there.
func TestOrder(t *testing.T) {
	for name, c := range map[string]struct {
		hedge    guard.Hedge
		adaptive bool
		want     []string
	}{
		"all":         {want: []string{"(*Source)", "falling", "caching", "deadline", "retrying", "breaking", "walled"}},
		"adaptive":    {adaptive: true, want: []string{"(*Source)", "falling", "caching", "deadline", "retrying", "breaking", "adapting"}},
		"with hedges": {hedge: soon, want: []string{"hedging", "breaking", "walled"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := guard.Options{
				Most: time.Minute, Cache: minute, Retry: thrice, Hedge: c.hedge, Breaker: usual, Trusted: true,
				Concurrency: guard.Concurrency{Max: 1, Adaptive: c.adaptive},
				Rules:       []guard.Rule{{Match: match("*"), Fallback: guard.Fallback{Text: "x"}}},
			}
			var got []string
			end := gateway.Func(func(context.Context, *gateway.Call) (*gateway.Result, error) {
				got = way()
				return gateway.TextResult("ok"), nil
			})
			if _, err := guard.New(end, o).Do(t.Context(), use(tool(t, "a", reads))); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if c.hedge.Max > 0 {
				return
			}
			outer, inner := o.Split()
			endpoint := guard.New(end, inner)
			between := gateway.Func(func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) { return endpoint.Do(ctx, call) })
			if _, err := guard.New(between, outer).Do(t.Context(), use(tool(t, "a", reads))); err != nil {
				t.Fatal(err)
			}
			split := append(append([]string{}, c.want[:5]...), append([]string{"(*Source)"}, c.want[5:]...)...)
			if diff := cmp.Diff(split, got); diff != "" {
				t.Errorf("split: %s", diff)
			}
		})
	}
}
