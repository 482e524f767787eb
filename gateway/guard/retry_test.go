package guard_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/guard"
)

var thrice = guard.Retry{Attempts: 3, Backoff: 100 * time.Millisecond, MaxBackoff: 2 * time.Second, Budget: 20}

// TestRetry makes calls of every kind fail twice and counts the attempts.
func TestRetry(t *testing.T) {
	away := fails(gateway.Unavailable)
	resume := use(tool(t, "a", reads))
	resume.Resume = &gateway.Resume{}
	task := use(tool(t, "a", reads))
	task.Task = true
	for name, c := range map[string]struct {
		call     *gateway.Call
		err      error
		rule     guard.Effect
		distrust bool
		want     int64
	}{
		"reads":             {call: use(tool(t, "a", reads)), err: away, want: 3},
		"repeats":           {call: use(tool(t, "a", repeats)), err: away, want: 3},
		"writes":            {call: use(tool(t, "a", writes)), err: away, want: 1},
		"claims to read":    {call: use(tool(t, "a", reads)), err: away, distrust: true, want: 1},
		"is known to read":  {call: use(tool(t, "a", writes)), err: away, distrust: true, rule: guard.ReadOnly, want: 3},
		"is known to write": {call: use(tool(t, "a", reads)), err: away, rule: guard.Changes, want: 1},
		"a resource":        {call: &gateway.Call{Op: gateway.OpRead}, err: away, distrust: true, want: 3},
		"a subscription":    {call: &gateway.Call{Op: gateway.OpSubscribe}, err: away, want: 1},
		"a task":            {call: task, err: away, want: 1},
		"a resumed call":    {call: resume, err: away, want: 1},
		"late":              {call: use(tool(t, "a", reads)), err: fails(gateway.DeadlineExceeded), want: 3},
		"broken":            {call: use(tool(t, "a", reads)), err: fails(gateway.Internal), want: 1},
		"wrong arguments":   {call: use(tool(t, "a", reads)), err: fails(gateway.InvalidArgument), want: 1},
		"busy":              {call: use(tool(t, "a", reads)), err: fails(gateway.ResourceExhausted), want: 1},
		"busy for a second": {call: use(tool(t, "a", reads)), err: failsFor(gateway.ResourceExhausted, time.Second), want: 3},
		"busy for an hour":  {call: use(tool(t, "a", reads)), err: failsFor(gateway.ResourceExhausted, time.Hour), want: 1},
		"a mute client":     {call: use(tool(t, "a", reads)), err: &gateway.Error{Code: gateway.Unavailable, By: "client"}, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := &script{errs: []error{c.err, c.err, nil}}
				o := guard.Options{Retry: thrice, Trusted: !c.distrust}
				if c.rule != guard.Unknown {
					o.Rules = []guard.Rule{{Match: match("a"), Effect: c.rule}}
				}
				s := guard.New(up, o)
				_, err := s.Do(t.Context(), c.call)
				if n := up.calls.Load(); n != c.want || (err == nil) != (c.want == 3) {
					t.Errorf("%d attempts, %v", n, err)
				}
				if n := s.Stats().Retries; n != uint64(c.want)-1 {
					t.Errorf("%d retries are counted", n)
				}
			})
		})
	}
}

// TestRetryWaits has each wait grow, and be no shorter than what the upstream
// asked for.
func TestRetryWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			err         error
			least, most time.Duration
		}{
			{fails(gateway.Unavailable), 1, 300 * time.Millisecond},
			{failsFor(gateway.Unavailable, time.Second), 2 * time.Second, 2*time.Second + 75*time.Millisecond},
		} {
			up := guard.New(&script{errs: []error{c.err}}, guard.Options{Retry: thrice, Trusted: true})
			start := time.Now()
			_, err := up.Do(t.Context(), use(tool(t, "a", reads)))
			check(t, err, gateway.Unavailable, "upstream/s")
			if took := time.Since(start); took < c.least || took > c.most {
				t.Errorf("%v took %v", c.err, took)
			}
		}
	})
}

// TestRetryEnds gives up where the caller's time does not last for the wait,
// and when the caller leaves in the middle of it.
func TestRetryEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &script{errs: []error{failsFor(gateway.Unavailable, time.Second)}}
		s := guard.New(up, guard.Options{Retry: thrice, Trusted: true, Most: 500 * time.Millisecond})
		start := time.Now()
		_, err := s.Do(t.Context(), use(tool(t, "a", reads)))
		if check(t, err, gateway.Unavailable, "upstream/s"); up.calls.Load() != 1 || time.Since(start) != 0 {
			t.Errorf("%d attempts in %v", up.calls.Load(), time.Since(start))
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second/2, cancel)
		s = guard.New(up, guard.Options{Retry: thrice, Trusted: true})
		_, err = s.Do(ctx, use(tool(t, "a", reads)))
		if check(t, err, gateway.Unavailable, "upstream/s"); up.calls.Load() != 2 || time.Since(start) != time.Second/2 {
			t.Errorf("%d attempts in %v", up.calls.Load(), time.Since(start))
		}
	})
}

// TestAttemptTimeout bounds each attempt, and all of them.
func TestAttemptTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := thrice
		p.Timeout = time.Second
		calls := 0
		up := guard.New(gateway.Func(func(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
			if calls++; calls == 3 {
				return gateway.TextResult("ok"), nil
			}
			return hang(ctx, c)
		}), guard.Options{Retry: p, Trusted: true, Most: time.Minute})
		start := time.Now()
		if _, err := up.Do(t.Context(), use(tool(t, "a", reads))); err != nil || time.Since(start) < 2*time.Second || time.Since(start) > 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		up = guard.New(limited{}, guard.Options{Retry: p, Trusted: true, Most: 1500 * time.Millisecond})
		start = time.Now()
		_, err := up.Do(t.Context(), use(tool(t, "a", reads)))
		if check(t, err, gateway.DeadlineExceeded, "gateway"); time.Since(start) > 1500*time.Millisecond {
			t.Errorf("after %v", time.Since(start))
		}
	})
}

// limited hangs and says that it bounds its calls.
type limited struct{}

func (limited) Limit() time.Duration { return time.Second }
func (limited) Do(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
	return hang(ctx, c)
}

// TestRetryNeverAfterAWord shows the caller something and then fails: the call
// is not made again.
func TestRetryNeverAfterAWord(t *testing.T) {
	for name, word := range map[string]func(*gateway.Call){
		"progress": func(c *gateway.Call) { c.Progress(gateway.Progress{}) },
		"log":      func(c *gateway.Call) { c.Log(gateway.LogMessage{}) },
		"ask":      func(c *gateway.Call) { _, _ = c.Ask(t.Context(), gateway.Question{}) },
		"began":    func(c *gateway.Call) { c.Began(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			calls, told := 0, 0
			up := guard.New(gateway.Func(func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
				calls++
				word(c)
				return nil, fails(gateway.Unavailable)
			}), guard.Options{Retry: thrice, Trusted: true})
			call := use(tool(t, "a", reads))
			call.Progress, call.Log = func(gateway.Progress) { told++ }, func(gateway.LogMessage) { told++ }
			call.Ask = func(context.Context, gateway.Question) (json.RawMessage, error) { told++; return nil, nil }
			call.Began = func(json.RawMessage) { told++ }
			if _, err := up.Do(t.Context(), call); err == nil || calls != 1 || told != 1 {
				t.Errorf("%d attempts, %d words, %v", calls, told, err)
			}
		})
	}
}

// TestRetryBudget fails for a thousand calls: no more than ten retries and a
// fifth as many as calls are made.
func TestRetryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &script{errs: []error{fails(gateway.Unavailable)}}
		s := guard.New(up, guard.Options{Retry: thrice, Trusted: true})
		for range 1000 {
			_, _ = s.Do(t.Context(), use(tool(t, "a", reads)))
		}
		if n := up.calls.Load() - 1000; n < 200 || n > 210 {
			t.Errorf("%d retries", n)
		}
	})
}

// TestRetryMeetsTheBreaker has every attempt count, and none pass an open
// breaker.
func TestRetryMeetsTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &script{errs: []error{fails(gateway.Unavailable)}}
		s := guard.New(up, guard.Options{Retry: thrice, Trusted: true, Breaker: guard.Breaker{Failures: 8, Window: 10, Open: time.Minute, MaxOpen: time.Minute}})
		for range 10 {
			_, _ = s.Do(t.Context(), use(tool(t, "a", reads)))
		}
		if n := up.calls.Load(); n != 8 {
			t.Errorf("%d attempts reached the upstream", n)
		}
	})
}
