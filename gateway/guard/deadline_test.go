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

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := gateway.Func(func(ctx context.Context, _ *gateway.Call) (*gateway.Result, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		up := guard.New(hangs, guard.Options{Most: time.Minute})
		start := time.Now()
		_, err := up.Do(t.Context(), &gateway.Call{Op: gateway.OpCall})
		if e := gateway.AsError(err); e == nil || e.Code != gateway.DeadlineExceeded || time.Since(start) != time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start = time.Now()
		if _, err := up.Do(ctx, &gateway.Call{Op: gateway.OpSubscribe}); err == nil || time.Since(start) != time.Hour {
			t.Errorf("a subscription ended after %v: %v", time.Since(start), err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start = time.Now()
		if _, err := up.Do(ctx, &gateway.Call{Op: gateway.OpCall, Task: true}); err == nil || time.Since(start) != time.Hour {
			t.Errorf("a task ended after %v: %v", time.Since(start), err)
		}
	})
}

func TestDeadlineStandsStillWhileTheCallerIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := guard.New(gateway.Func(func(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
			for range 3 {
				if _, err := c.Ask(ctx, gateway.Question{Method: "roots/list"}); err != nil {
					return nil, err
				}
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}), guard.Options{Most: time.Minute})
		start := time.Now()
		_, err := up.Do(t.Context(), &gateway.Call{Op: gateway.OpCall, Ask: func(context.Context, gateway.Question) (json.RawMessage, error) {
			<-time.After(time.Hour)
			return json.RawMessage(`{}`), nil
		}})
		if e := gateway.AsError(err); e == nil || e.Code != gateway.DeadlineExceeded || time.Since(start) != 3*time.Hour+time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}
