package guard_test

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/guard"
)

// TestAdaptive calls a source that can do forty calls at once, and then only
// four, beyond which each takes the longer the more there are. The limit grows
// while there is room and shrinks when there is none.
func TestAdaptive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, room atomic.Int64
		room.Store(40)
		up := guard.New(gateway.Func(func(ctx context.Context, _ *gateway.Call) (*gateway.Result, error) {
			n := now.Add(1)
			defer now.Add(-1)
			crowd := max(1, float64(n)/float64(room.Load()))
			select {
			case <-time.After(time.Duration(crowd * float64(20*time.Millisecond))):
				return gateway.TextResult("ok"), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}), guard.Options{Concurrency: guard.Concurrency{Max: 500, Min: 2, Queue: 1000, Wait: time.Second, Adaptive: true}})
		ctx, end := context.WithTimeout(t.Context(), time.Minute)
		defer end()
		var wg sync.WaitGroup
		call := use(tool(t, "a", writes))
		for range 60 {
			wg.Go(func() {
				for ctx.Err() == nil {
					_, _ = up.Do(ctx, call)
				}
			})
		}
		<-time.After(25 * time.Second)
		before := up.Stats()
		room.Store(4)
		<-time.After(30 * time.Second)
		after := up.Stats()
		t.Logf("%d with room for 40, %d with room for 4", before.Limit, after.Limit)
		if before.Limit <= 24 || after.Limit >= before.Limit/2 || after.Limit < 2 || after.Running > after.Limit+1 || after.Queued == 0 {
			t.Errorf("%+v, then %+v", before, after)
		}
		wg.Wait()
		if st := up.Stats(); st.Running != 0 || st.Queued != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestAdaptivePlaces is TestBulkhead and TestPlaces for it.
func TestAdaptivePlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := guard.New(gateway.Func(func(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
			if c.Ask != nil {
				_, _ = c.Ask(ctx, gateway.Question{})
			}
			return hang(ctx, c)
		}), guard.Options{Concurrency: guard.Concurrency{Max: 2, Min: 1, Queue: 1, Wait: time.Second, Adaptive: true}})
		ctx, end := context.WithCancel(t.Context())
		asks := use(tool(t, "a", writes))
		asks.Ask = func(ctx context.Context, _ gateway.Question) (json.RawMessage, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		for range 5 {
			go up.Do(ctx, asks)
			go up.Do(ctx, &gateway.Call{Op: gateway.OpSubscribe})
			synctest.Wait()
		}
		for range 2 {
			go up.Do(ctx, use(tool(t, "a", writes)))
		}
		synctest.Wait()
		errs := make(chan error)
		go func() {
			_, err := up.Do(ctx, use(tool(t, "a", writes)))
			errs <- err
		}()
		synctest.Wait()
		if st := up.Stats(); st.Running != 2 || st.Queued != 1 {
			t.Errorf("%+v", st)
		}
		_, err := up.Do(ctx, use(tool(t, "a", writes)))
		check(t, err, gateway.ResourceExhausted, "guard")
		check(t, <-errs, gateway.ResourceExhausted, "guard")
		end()
		synctest.Wait()
		if st := up.Stats(); st.Running != 0 || st.Queued != 0 || st.Rejected != 2 {
			t.Errorf("%+v", st)
		}
	})
}
