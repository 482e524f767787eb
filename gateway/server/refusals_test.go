package server

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/audit"
)

// TestRefusalsAreBounded knocks at the door a thousand times at once: a hundred
// records and one with the number of the others, and later refusals again one
// by one.
func TestRefusalsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []string
		r := newRefusals(func(_ context.Context, e audit.Event) error {
			all = append(all, e.Outcome+" "+e.Detail)
			return nil
		}, slog.New(slog.DiscardHandler))
		attempt := auth.Attempt{Via: "http", Method: "GET", Path: "/mcp", Code: gateway.Unauthenticated}
		for range 1000 {
			r.add(t.Context(), attempt)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { r.run(ctx) })
		<-time.After(2500 * time.Millisecond)
		cancel()
		running.Wait()
		r.add(t.Context(), attempt)
		if len(all) != 102 {
			t.Fatalf("%d records", len(all))
		}
		want := []string{"UNAUTHENTICATED http GET /mcp", "RESOURCE_EXHAUSTED 900 more refusals", "UNAUTHENTICATED http GET /mcp"}
		if diff := cmp.Diff(want, all[99:]); diff != "" {
			t.Errorf("last records (-want +got):\n%s", diff)
		}
	})
}

// TestRefusalsDoNotWait refuses while the audit log takes nothing.
func TestRefusalsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRefusals(func(ctx context.Context, _ audit.Event) error {
			<-ctx.Done()
			return ctx.Err()
		}, slog.New(slog.DiscardHandler))
		start := time.Now()
		r.add(t.Context(), auth.Attempt{})
		if d := time.Since(start); d > refusalPatience {
			t.Errorf("waited %v", d)
		}
		if n := r.surplus.Load(); n != 1 {
			t.Errorf("%d refusals are counted, not 1", n)
		}
	})
}
