package guard_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/guard"
)

// TestBulkhead fills the places and the queue: the next call is refused, those
// that wait go in their order, and one that waits for too long is refused.
func TestBulkhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		free := make(chan bool)
		up := guard.New(gateway.Func(func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
			<-free
			order = append(order, c.Name)
			return gateway.TextResult("ok"), nil
		}), guard.Options{Concurrency: guard.Concurrency{Max: 1, Queue: 3, Wait: time.Second}})
		errs := make(chan error, 10)
		begin := func(ctx context.Context, name string) {
			call := use(tool(t, name, writes))
			go func() {
				_, err := up.Do(ctx, call)
				errs <- err
			}()
			synctest.Wait()
		}
		leaves, leave := context.WithCancel(t.Context())
		begin(t.Context(), "a")
		begin(t.Context(), "b")
		begin(leaves, "c")
		begin(t.Context(), "d")
		if st := up.Stats(); st.Running != 1 || st.Queued != 3 || st.Limit != 1 {
			t.Errorf("%+v", st)
		}
		_, err := up.Do(t.Context(), use(tool(t, "e", writes)))
		if e := check(t, err, gateway.ResourceExhausted, "guard"); e.Retry < time.Second {
			t.Errorf("retry in %v", e.Retry)
		}
		leave()
		check(t, <-errs, gateway.Canceled, "caller")
		free <- true
		free <- true
		synctest.Wait()
		begin(t.Context(), "f")
		<-time.After(time.Second)
		check(t, <-errsAfter(errs, 2), gateway.ResourceExhausted, "guard")
		free <- true
		if err := <-errs; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"a", "b", "d"}, order); diff != "" {
			t.Error(diff)
		}
		if st := up.Stats(); st.Running != 0 || st.Queued != 0 || st.Rejected != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// errsAfter takes n results that are no errors from the channel.
func errsAfter(errs chan error, n int) chan error {
	for range n {
		if err := <-errs; err != nil {
			errs <- err
		}
	}
	return errs
}

// TestPlaces has calls that last, and calls whose callers are asked, keep no
// place from others.
func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := guard.New(gateway.Func(func(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
			if c.Ask != nil {
				return nil, func() error { _, err := c.Ask(ctx, gateway.Question{}); return err }()
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}), guard.Options{Concurrency: guard.Concurrency{Max: 2}})
		ctx, end := context.WithCancel(t.Context())
		task, asks := use(tool(t, "a", writes)), use(tool(t, "a", writes))
		task.Task = true
		asks.Ask = func(ctx context.Context, _ gateway.Question) (json.RawMessage, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		for _, c := range slices.Repeat([]*gateway.Call{task, asks, {Op: gateway.OpSubscribe}}, 5) {
			go up.Do(ctx, c)
			synctest.Wait()
		}
		if st := up.Stats(); st.Running != 0 || st.Rejected != 0 {
			t.Errorf("%+v", st)
		}
		for range 2 {
			go up.Do(ctx, use(tool(t, "a", writes)))
		}
		synctest.Wait()
		if st := up.Stats(); st.Running != 2 {
			t.Errorf("%+v", st)
		}
		end()
		synctest.Wait()
		if st := up.Stats(); st.Running != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestBulkheadHolds never lets more calls through than there are places,
// whatever they do.
func TestBulkheadHolds(t *testing.T) {
	const most = 4
	var now, peak atomic.Int64
	up := guard.New(gateway.Func(func(context.Context, *gateway.Call) (*gateway.Result, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for {
			old := peak.Load()
			if n <= old || peak.CompareAndSwap(old, n) {
				break
			}
		}
		return gateway.TextResult("ok"), nil
	}), guard.Options{Concurrency: guard.Concurrency{Max: most, Queue: 6, Wait: 100 * time.Microsecond}})
	call := use(tool(t, "a", writes))
	done := make(chan int)
	for range 16 {
		go func() {
			served := 0
			for i := range 2000 {
				ctx, cancel := context.WithCancel(t.Context())
				if i%3 == 0 {
					time.AfterFunc(time.Duration(i%50)*time.Microsecond, cancel)
				}
				if _, err := up.Do(ctx, call); err == nil {
					served++
				}
				cancel()
			}
			done <- served
		}()
	}
	served := 0
	for range 16 {
		served += <-done
	}
	st := up.Stats()
	if peak.Load() > most || st.Running != 0 || st.Queued != 0 || served == 0 {
		t.Errorf("%d at once, %d served, %+v", peak.Load(), served, st)
	}
}
