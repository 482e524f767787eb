package gatewaytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/trilith-gateway/trilith/gateway"
)

// begun makes a call in the background and returns its outcome to come, once
// the call is on its way to the upstream or has ended.
func (r *road) begun(ctx context.Context, call *gateway.Call) <-chan *gateway.Error {
	done, started := make(chan *gateway.Error, 1), make(chan struct{}, 2)
	go func() {
		_, err := r.within(context.WithValue(ctx, startKey{}, started), call)
		done <- err
		started <- struct{}{}
	}()
	<-started
	return done
}

type startKey struct{}

// starter is the last gate: it tells who waits for it that a call has passed.
type starter struct{}

func (starter) Admit(ctx context.Context, _ *gateway.Call) error {
	if started, ok := ctx.Value(startKey{}).(chan struct{}); ok {
		started <- struct{}{}
	}
	return nil
}

func soon[T any](t *testing.T, ch <-chan T, what string) (v T) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v = <-ch:
	case <-timer.C:
		t.Fatalf("%s: nothing after %v", what, patience)
	}
	return v
}

func testCancel(t *testing.T, r *road) {
	ctx, cancel := context.WithCancel(t.Context())
	done := r.begun(ctx, tool(ToolWait, `{}`))
	r.parts(t, tool(ToolEcho, `{"text":"meanwhile"}`))
	cancel()
	if err := soon(t, done, "a cancelled call"); err == nil || err.Code != gateway.Canceled {
		t.Errorf("a cancelled call: %v", err)
	}
	r.parts(t, tool(ToolEcho, `{"text":"afterwards"}`))
}

func testDeadline(t *testing.T, r *road) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := soon(t, r.begun(ctx, tool(ToolWait, `{}`)), "a call with a deadline"); err == nil || err.Code != gateway.DeadlineExceeded {
		t.Errorf("a call with a deadline: %v", err)
	}
}

func testConcurrent(t *testing.T, r *road) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	slow := r.begun(ctx, tool(ToolWait, `{}`))
	const callers, calls = 16, 8
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for j := range calls {
				said := fmt.Sprintf("%d of %d", j, i)
				res, err := r.do(t, tool(ToolEcho, `{"text":"`+said+`"}`))
				if err != nil {
					t.Errorf("echo: %v", err)
					return
				}
				if !strings.Contains(string(res.Raw), `"`+said+`"`) {
					t.Errorf("%q was answered %s", said, res.Raw)
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-slow:
		t.Errorf("a slow call ended: %v", err)
	default:
	}
	cancel()
	if err := soon(t, slow, "a slow call, cancelled"); err == nil || err.Code != gateway.Canceled {
		t.Errorf("a slow call, cancelled: %v", err)
	}
}

// testClose checks that nothing is left of an upstream that was used and closed.
func testClose(t *testing.T, open func(t *testing.T) gateway.Upstream, lacks []Lack) {
	before := goleak.IgnoreCurrent()
	t.Run("Use", func(t *testing.T) {
		up := open(t)
		r := connect(t, up)
		r.lacks = lacks
		r.parts(t, tool(ToolEcho, `{"text":"x"}`))
		running := r.begun(t.Context(), tool(ToolWait, `{}`))
		c, ok := up.(io.Closer)
		if !ok {
			return
		}
		r.parts(t, tool(ToolEcho, `{"text":"y"}`))
		for range 2 {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		if err := soon(t, running, "a call that runs at Close"); err == nil || err.Code != gateway.Unavailable {
			t.Errorf("a call that runs at Close: %v", err)
		}
		_, err := up.Do(t.Context(), &gateway.Call{
			Op: gateway.OpCall, Kind: gateway.KindTool, Name: source + "." + ToolEcho, Principal: Caller(),
			Target: &gateway.Capability{Kind: gateway.KindTool, Name: source + "." + ToolEcho, Origin: ToolEcho, Source: source},
		})
		if e, ok := errors.AsType[*gateway.Error](err); !ok || e.Code != gateway.Unavailable {
			t.Errorf("a call after Close: %v", err)
		}
	})
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}
