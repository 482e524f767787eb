// Package pause waits for a time that a context may cut short. It is no clock and no timer: who needs those has package
// time.
package pause

import (
	"context"
	"time"
)

// For waits for d, at most until ctx ends. It returns nil after d, and the context's cause where that came first or had
// come already.
func For(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
