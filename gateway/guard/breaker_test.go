package guard_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/guard"
)

var usual = guard.Breaker{Failures: 8, Window: 10, Open: time.Second, MaxOpen: 30 * time.Second}

// TestBreakerOpensWithinTenCalls fails in each way that counts, after any
// history, and expects that the upstream is left alone by the eleventh call.
func TestBreakerOpensWithinTenCalls(t *testing.T) {
	for name, err := range map[string]error{
		"away": fails(gateway.Unavailable), "late": fails(gateway.DeadlineExceeded), "broken": fails(gateway.Internal),
		"a plain error": errPlain, "a deadline": context.DeadlineExceeded,
	} {
		t.Run(name, func(t *testing.T) {
			var bad atomic.Bool
			var reached atomic.Int64
			up := guard.New(gateway.Func(func(context.Context, *gateway.Call) (*gateway.Result, error) {
				if bad.Load() {
					reached.Add(1)
					return nil, err
				}
				return gateway.TextResult("ok"), nil
			}), guard.Options{Breaker: usual})
			call := use(tool(t, "a", writes))
			for range rand.IntN(30) {
				if _, err := up.Do(t.Context(), call); err != nil {
					t.Fatal(err)
				}
			}
			bad.Store(true)
			for range 30 {
				_, _ = up.Do(t.Context(), call)
			}
			if n := reached.Load(); n > 10 || n < 8 {
				t.Errorf("%d failing calls reached the upstream", n)
			}
			_, err := up.Do(t.Context(), call)
			if e := check(t, err, gateway.Unavailable, "guard"); e.Retry <= 0 || e.Retry > time.Second {
				t.Errorf("retry in %v", e.Retry)
			}
			if st := up.Stats(); st.Breaker != "open" || st.Opened != 1 || st.Refused < 20 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestBreakerMindsOnlyTheUpstream has calls fail in ways that a caller can
// bring about: none of them may take the source away from others.
func TestBreakerMindsOnlyTheUpstream(t *testing.T) {
	call := use(tool(t, "a", writes))
	calm := func(t *testing.T, up *guard.Source) {
		t.Helper()
		if st := up.Stats(); st.Breaker != "closed" || st.Opened != 0 {
			t.Errorf("%+v", st)
		}
	}
	for code := gateway.Canceled; int(code) < gateway.CodeCount; code++ {
		if code == gateway.Unavailable || code == gateway.DeadlineExceeded || code == gateway.Internal {
			continue
		}
		up := guard.New(&script{errs: []error{fails(code)}}, guard.Options{Breaker: usual})
		for range 30 {
			_, err := up.Do(t.Context(), call)
			check(t, err, code, "upstream/s")
		}
		calm(t, up)
	}
	for _, code := range []gateway.Code{gateway.Unavailable, gateway.DeadlineExceeded, gateway.Internal} {
		up := guard.New(&script{errs: []error{&gateway.Error{Code: code, By: "upstream/s", Answered: true}}}, guard.Options{Breaker: usual})
		for range 30 {
			_, err := up.Do(t.Context(), call)
			check(t, err, code, "upstream/s")
		}
		calm(t, up)
	}
	t.Run("a client that does not answer", func(t *testing.T) {
		up := guard.New(&script{errs: []error{&gateway.Error{Code: gateway.DeadlineExceeded, By: "client"}}}, guard.Options{Breaker: usual})
		for range 30 {
			_, _ = up.Do(t.Context(), call)
		}
		calm(t, up)
	})
	t.Run("a short deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			up := guard.New(hang, guard.Options{Breaker: usual, Most: time.Minute})
			for range 30 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				_, err := up.Do(ctx, call)
				check(t, err, gateway.DeadlineExceeded, "gateway")
				cancel()
			}
			calm(t, up)
		})
	})
	t.Run("leaving", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			up := guard.New(hang, guard.Options{Breaker: usual, Most: time.Minute})
			for range 30 {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				_, err := up.Do(ctx, call)
				check(t, err, gateway.Canceled, "caller")
			}
			calm(t, up)
		})
	})
}

// TestBreakerMindsTheTimeLimit is the counterpart: the limit is the gateway's
// own, with and without a caller that can be asked.
func TestBreakerMindsTheTimeLimit(t *testing.T) {
	for name, ask := range map[string]func(context.Context, gateway.Question) (json.RawMessage, error){
		"quiet": nil, "asks": func(context.Context, gateway.Question) (json.RawMessage, error) { return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := guard.New(hang, guard.Options{Breaker: usual, Most: time.Minute})
				call := use(tool(t, "a", writes))
				call.Ask = ask
				for range 10 {
					_, _ = up.Do(t.Context(), call)
				}
				if st := up.Stats(); st.Opened != 1 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// TestBreakerRecovers follows a breaker through its states: it stays open for
// longer each time that a probe fails, and closes at the first that does not.
func TestBreakerRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bad atomic.Bool
		bad.Store(true)
		var reached atomic.Int64
		up := guard.New(gateway.Func(func(context.Context, *gateway.Call) (*gateway.Result, error) {
			reached.Add(1)
			if bad.Load() {
				return nil, fails(gateway.Unavailable)
			}
			return gateway.TextResult("ok"), nil
		}), guard.Options{Breaker: usual})
		call := use(tool(t, "a", writes))
		for range 8 {
			_, _ = up.Do(t.Context(), call)
		}
		last := time.Duration(0)
		for range 10 {
			_, err := up.Do(t.Context(), call)
			e := check(t, err, gateway.Unavailable, "guard")
			if e.Retry > usual.MaxOpen || e.Retry < min(last, 20*time.Second) {
				t.Errorf("open for %v after %v", e.Retry, last)
			}
			last = e.Retry
			<-time.After(e.Retry)
			before := reached.Load()
			if st := up.Stats(); st.Breaker != "half-open" {
				t.Errorf("%+v", st)
			}
			_, err = up.Do(t.Context(), call)
			check(t, err, gateway.Unavailable, "upstream/s")
			if reached.Load() != before+1 {
				t.Error("no probe")
			}
		}
		bad.Store(false)
		<-time.After(usual.MaxOpen)
		for range 20 {
			if _, err := up.Do(t.Context(), call); err != nil {
				t.Fatal(err)
			}
		}
		if st := up.Stats(); st.Breaker != "closed" || st.Opened != 11 {
			t.Errorf("%+v", st)
		}
		bad.Store(true)
		<-time.After(2 * usual.MaxOpen)
		for range 8 {
			_, _ = up.Do(t.Context(), call)
		}
		_, err := up.Do(t.Context(), call)
		if e := check(t, err, gateway.Unavailable, "guard"); e.Retry > usual.Open {
			t.Errorf("after it was well for long it is open for %v", e.Retry)
		}
	})
}

// TestProbe lets one call at a time through, hands the place on where a probe's
// caller leaves, and takes a question for a sign of life.
func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan error)
		var reached atomic.Int64
		up := guard.New(gateway.Func(func(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
			reached.Add(1)
			if c.Ask != nil {
				_, _ = c.Ask(ctx, gateway.Question{})
			}
			select {
			case err := <-answer:
				return nil, err
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}), guard.Options{Breaker: usual})
		call := use(tool(t, "a", writes))
		for range 8 {
			go up.Do(t.Context(), call)
			answer <- fails(gateway.Unavailable)
		}
		<-time.After(usual.Open)
		leaves, leave := context.WithCancel(t.Context())
		go up.Do(leaves, call)
		synctest.Wait()
		if _, err := up.Do(t.Context(), call); reached.Load() != 9 {
			t.Errorf("two probes at once: %v", err)
		}
		if _, err := up.Do(t.Context(), &gateway.Call{Op: gateway.OpSubscribe}); reached.Load() != 9 {
			t.Errorf("a subscription is a probe: %v", err)
		}
		leave()
		synctest.Wait()
		asks := *call
		asked, answered := make(chan bool), make(chan bool)
		asks.Ask = func(context.Context, gateway.Question) (json.RawMessage, error) {
			close(asked)
			<-answered
			return nil, nil
		}
		go up.Do(t.Context(), &asks)
		<-asked
		if st := up.Stats(); st.Breaker != "closed" || reached.Load() != 10 {
			t.Errorf("%+v after %d calls", st, reached.Load())
		}
		close(answered)
		answer <- nil
	})
}

// TestBreakerAfterPanic counts a panic as a failure and passes it on.
func TestBreakerAfterPanic(t *testing.T) {
	up := guard.New(gateway.Func(func(context.Context, *gateway.Call) (*gateway.Result, error) { panic("oh") }),
		guard.Options{Breaker: usual, Concurrency: guard.Concurrency{Max: 1}})
	for range 8 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is gone")
				}
			}()
			_, _ = up.Do(t.Context(), use(tool(t, "a", writes)))
		}()
	}
	if st := up.Stats(); st.Breaker != "open" || st.Running != 0 {
		t.Errorf("%+v", st)
	}
}

// TestBreakerOfItsOwn has one tool fail: by rule or by PerTool, others are not
// touched, and the breakers of tools that went are forgotten.
func TestBreakerOfItsOwn(t *testing.T) {
	one, other := tool(t, "bad.one", writes), tool(t, "good", writes)
	f := new(gateway.Funcs)
	for _, c := range []*gateway.Tool{one, other} {
		if err := f.AddTool(c.Definition, func(context.Context, *gateway.Call) (*gateway.Result, error) { return nil, nil }); err != nil {
			t.Fatal(err)
		}
	}
	up := &picky{f, "bad.one"}
	per := usual
	per.PerTool = true
	for name, o := range map[string]guard.Options{
		"rule":     {Breaker: usual, Rules: []guard.Rule{{Match: match("x", "bad.*"), Breaker: &usual}}},
		"per tool": {Breaker: per},
	} {
		t.Run(name, func(t *testing.T) {
			s := guard.New(up, o)
			for range 20 {
				_, _ = s.Do(t.Context(), use(one))
				if _, err := s.Do(t.Context(), use(other)); err != nil {
					t.Fatal(err)
				}
			}
			_, err := s.Do(t.Context(), use(one))
			check(t, err, gateway.Unavailable, "guard")
			if st := s.Stats(); st.Breaker != "open" || st.Opened != 1 {
				t.Errorf("%+v", st)
			}
			for range s.Watch(t.Context()) {
				break
			}
			_, err = s.Do(t.Context(), use(one))
			check(t, err, gateway.Unavailable, "guard")
		})
	}
	s := guard.New(&picky{new(gateway.Funcs), "bad.one"}, guard.Options{Breaker: per})
	for range 20 {
		_, _ = s.Do(t.Context(), use(one))
	}
	for range s.Watch(t.Context()) {
		break
	}
	if st := s.Stats(); st.Breaker != "closed" || st.Opened != 1 {
		t.Errorf("of tools that went: %+v", st)
	}
}

// picky fails the calls of one tool.
type picky struct {
	*gateway.Funcs
	bad string
}

func (p *picky) Do(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
	if c.Tool.Origin == p.bad {
		return nil, fails(gateway.Internal)
	}
	return gateway.TextResult("ok"), nil
}

// TestBreakerUnderLoad changes the upstream's mind while many call. At the end
// the breaker closes, and nothing is left behind.
func TestBreakerUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bad atomic.Bool
		up := guard.New(gateway.Func(func(ctx context.Context, _ *gateway.Call) (*gateway.Result, error) {
			select {
			case <-time.After(time.Duration(rand.IntN(20)) * time.Millisecond):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			if bad.Load() {
				return nil, fails(gateway.Unavailable)
			}
			return gateway.TextResult("ok"), nil
		}), guard.Options{
			Most: 15 * time.Millisecond, Breaker: usual, Trusted: true, Concurrency: guard.Concurrency{Max: 8, Queue: 8, Wait: 5 * time.Millisecond},
			Retry: guard.Retry{Attempts: 3, Backoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond, Budget: 20},
		})
		calls := []*gateway.Call{use(tool(t, "a", reads)), use(tool(t, "b", writes)), use(tool(t, "c", repeats))}
		var wg sync.WaitGroup
		for i := range 24 {
			wg.Go(func() {
				for n := range 200 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rand.IntN(30))*time.Millisecond)
					_, _ = up.Do(ctx, calls[n%len(calls)])
					cancel()
					if i == 0 && n%25 == 0 {
						bad.Store(!bad.Load())
					}
					<-time.After(time.Millisecond)
				}
			})
		}
		wg.Wait()
		bad.Store(false)
		for range 20 {
			<-time.After(usual.MaxOpen)
			_, _ = up.Do(t.Context(), calls[0])
		}
		if st := up.Stats(); st.Breaker != "closed" || st.Running != 0 || st.Queued != 0 || st.Opened == 0 {
			t.Errorf("%+v", st)
		}
	})
}
