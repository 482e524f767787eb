package guard_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/guard"
)

// TestFallback fails in every way and says what answers: a call that may have
// changed something is not made again elsewhere unless it never got there.
func TestFallback(t *testing.T) {
	text, other := guard.Fallback{Text: "closed"}, guard.Fallback{Tool: "t.b"}
	task := use(tool(t, "a", reads))
	task.Task = true
	for name, c := range map[string]struct {
		call *gateway.Call
		err  error
		away bool
		fall guard.Fallback
		want bool
	}{
		"away":                   {use(tool(t, "a", reads)), fails(gateway.Unavailable), false, text, true},
		"away, a write":          {use(tool(t, "a", writes)), fails(gateway.Unavailable), false, text, true},
		"broken":                 {use(tool(t, "a", reads)), fails(gateway.Internal), false, text, true},
		"late":                   {use(tool(t, "a", reads)), context.DeadlineExceeded, false, text, true},
		"full":                   {use(tool(t, "a", reads)), &gateway.Error{Code: gateway.ResourceExhausted, By: "guard"}, false, text, true},
		"wrong arguments":        {use(tool(t, "a", reads)), fails(gateway.InvalidArgument), false, text, false},
		"not allowed there":      {use(tool(t, "a", reads)), fails(gateway.PermissionDenied), false, text, false},
		"a task":                 {task, fails(gateway.Unavailable), false, text, false},
		"other":                  {use(tool(t, "a", reads)), fails(gateway.Unavailable), false, other, true},
		"other, a repeat":        {use(tool(t, "a", repeats)), fails(gateway.Unavailable), false, other, true},
		"other, a write":         {use(tool(t, "a", writes)), fails(gateway.Unavailable), false, other, false},
		"other, a write refused": {use(tool(t, "a", writes)), &gateway.Error{Code: gateway.Unavailable, By: "guard"}, false, other, true},
		"other, a write away":    {use(tool(t, "a", writes)), fails(gateway.Unavailable), true, other, true},
		"other, a resource":      {&gateway.Call{Op: gateway.OpRead}, fails(gateway.Unavailable), false, other, false},
	} {
		t.Run(name, func(t *testing.T) {
			var went *gateway.Call
			up := guard.New(&script{errs: []error{c.err}}, guard.Options{
				Trusted: true, Rules: []guard.Rule{{Match: match("a"), Fallback: c.fall}},
				Road: func(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
					went = call
					return gateway.TextResult("ok"), nil
				},
			})
			do := up.Do
			if c.away {
				do = up.Standby(&script{errs: []error{c.err}}).Do
			}
			res, err := do(t.Context(), c.call)
			if got := err == nil && res.Served == gateway.ServedFallback; got != c.want {
				t.Fatalf("%v %v", res, err)
			}
			if c.fall == other && c.want && (went.Name != "t.b" || went.Principal != c.call.Principal || went.Target != nil) {
				t.Errorf("%+v", went)
			}
			if n := up.Stats().Fallbacks; (n == 1) != c.want {
				t.Errorf("%d are counted", n)
			}
		})
	}
}

// TestFallbackEnds has two tools stand in for each other, and the other one be
// refused: the caller learns of the failure of what it asked for.
func TestFallbackEnds(t *testing.T) {
	calls := 0
	var up *guard.Source
	up = guard.New(gateway.Func(func(context.Context, *gateway.Call) (*gateway.Result, error) {
		calls++
		return nil, fails(gateway.Unavailable)
	}), guard.Options{Trusted: true, Rules: []guard.Rule{{Match: match("*"), Fallback: guard.Fallback{Tool: "a"}}}, Road: func(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
		again := use(tool(t, c.Name, reads))
		return up.Do(ctx, again)
	}})
	_, err := up.Do(t.Context(), use(tool(t, "b", reads)))
	if check(t, err, gateway.Unavailable, "upstream/s"); calls != 2 {
		t.Errorf("%d calls", calls)
	}
	up = guard.New(&script{errs: []error{fails(gateway.Unavailable)}}, guard.Options{Trusted: true, Rules: []guard.Rule{{Match: match("*"), Fallback: guard.Fallback{Tool: "a"}}}, Road: func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return nil, &gateway.Error{Code: gateway.PermissionDenied, By: "policy", Err: errors.New("no")}
	}})
	_, err = up.Do(t.Context(), use(tool(t, "b", reads)))
	check(t, err, gateway.Unavailable, "upstream/s")
}

// TestStandby answers from memory while the source is away, and refuses what it
// has no answer to. It takes none of that for an outcome.
func TestStandby(t *testing.T) {
	p := minute
	p.Stale = time.Hour
	up := guard.New(&script{errs: []error{nil}}, guard.Options{Cache: p, Breaker: usual, Retry: thrice, Trusted: true})
	if _, err := up.Do(t.Context(), use(tool(t, "a", reads))); err != nil {
		t.Fatal(err)
	}
	away := up.Standby(&script{errs: []error{fails(gateway.Unavailable)}})
	res, err := away.Do(t.Context(), use(tool(t, "a", reads)))
	if err != nil || res.Served != gateway.ServedCache {
		t.Errorf("%+v %v", res, err)
	}
	for range 20 {
		_, err = away.Do(t.Context(), use(tool(t, "b", reads)))
		check(t, err, gateway.Unavailable, "upstream/s")
	}
	if st := up.Stats(); st.Opened != 0 || st.Retries != 0 {
		t.Errorf("%+v", st)
	}
}
