package guard_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/guard"
)

var soon = guard.Hedge{After: 100 * time.Millisecond, Max: 2, Budget: 10}

// TestHedge has the first calls hang or fail in turn, and says how many are made
// and what comes of them.
func TestHedge(t *testing.T) {
	type step struct {
		after time.Duration // 0 hangs
		err   error
	}
	late := step{}
	for name, c := range map[string]struct {
		hint  string
		steps []step
		calls int64
		code  gateway.Code // 0 for a result
		took  time.Duration
	}{
		"fast":              {reads, []step{{after: 50 * time.Millisecond}}, 1, 0, 50 * time.Millisecond},
		"the second wins":   {reads, []step{late, {after: 50 * time.Millisecond}}, 2, 0, 150 * time.Millisecond},
		"the third wins":    {reads, []step{late, late, {after: 50 * time.Millisecond}}, 3, 0, 250 * time.Millisecond},
		"the first wins":    {reads, []step{{after: 120 * time.Millisecond}, late}, 2, 0, 120 * time.Millisecond},
		"no more than that": {reads, []step{late, late, late, late}, 3, gateway.DeadlineExceeded, time.Second},
		"the second fails":  {reads, []step{{after: 180 * time.Millisecond}, {after: 50 * time.Millisecond, err: errPlain}}, 2, 0, 180 * time.Millisecond},
		"the first fails":   {reads, []step{{after: 120 * time.Millisecond, err: errPlain}, {after: 50 * time.Millisecond}}, 2, 0, 150 * time.Millisecond},
		"fails fast":        {reads, []step{{after: 20 * time.Millisecond, err: errPlain}}, 1, gateway.Internal, 20 * time.Millisecond},
		"a write":           {repeats, []step{{after: 500 * time.Millisecond}}, 1, 0, 500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls, ended atomic.Int64
				up := guard.New(gateway.Func(func(ctx context.Context, _ *gateway.Call) (*gateway.Result, error) {
					defer ended.Add(1)
					s := c.steps[calls.Add(1)-1]
					if s.after == 0 {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					select {
					case <-time.After(s.after):
						if s.err != nil {
							return nil, s.err
						}
						return gateway.TextResult("ok"), nil
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				}), guard.Options{Hedge: soon, Trusted: true, Most: time.Second, Breaker: usual})
				start := time.Now()
				_, err := up.Do(t.Context(), use(tool(t, "a", c.hint)))
				if e := gateway.AsError(err); (e == nil) != (c.code == 0) || e != nil && e.Code != c.code {
					t.Errorf("%v", err)
				}
				if calls.Load() != c.calls || time.Since(start) != c.took {
					t.Errorf("%d calls in %v", calls.Load(), time.Since(start))
				}
				if ended.Load() != calls.Load() {
					t.Error("a call is still under way")
				}
			})
		})
	}
}

// TestHedgeSaysNothingOfTheSlower has the slower of two calls end without that
// being held against the source.
func TestHedgeSaysNothingOfTheSlower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		up := guard.New(gateway.Func(func(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
			if calls.Add(1)%2 == 1 {
				return hang(ctx, c)
			}
			return gateway.TextResult("ok"), nil
		}), guard.Options{Hedge: guard.Hedge{After: time.Second, Max: 1, Budget: 100}, Trusted: true, Breaker: guard.Breaker{Failures: 1, Open: time.Hour, MaxOpen: time.Hour}})
		for range 20 {
			if _, err := up.Do(t.Context(), use(tool(t, "a", reads))); err != nil {
				t.Fatal(err)
			}
		}
		if st := up.Stats(); st.Hedges != 20 || st.Opened != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestHedgeBounds makes no second call once the caller has been shown something,
// nor beyond the budget, and passes a panic on as an error.
func TestHedgeBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		slow := gateway.Func(func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
			calls.Add(1)
			if c.Progress != nil {
				c.Progress(gateway.Progress{})
			}
			<-time.After(150 * time.Millisecond)
			return gateway.TextResult("ok"), nil
		})
		up := guard.New(slow, guard.Options{Hedge: soon, Trusted: true})
		shown := use(tool(t, "a", reads))
		shown.Progress = func(gateway.Progress) {}
		shown.Ask = func(context.Context, gateway.Question) (json.RawMessage, error) { return nil, nil }
		if _, err := up.Do(t.Context(), shown); err != nil || calls.Load() != 1 {
			t.Errorf("%d calls, %v", calls.Load(), err)
		}
		for range 100 {
			_, _ = up.Do(t.Context(), use(tool(t, "a", reads)))
		}
		if n := up.Stats().Hedges; n < 19 || n > 21 {
			t.Errorf("%d hedges", n)
		}
		up = guard.New(gateway.Func(func(context.Context, *gateway.Call) (*gateway.Result, error) { panic("oh") }), guard.Options{Hedge: soon, Trusted: true})
		_, err := up.Do(t.Context(), use(tool(t, "a", reads)))
		check(t, err, gateway.Internal, "gateway")
	})
}
