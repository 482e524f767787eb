package pause

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("the end")
		ctx, end := context.WithCancelCause(t.Context())
		began := time.Now()
		if err := For(ctx, time.Minute); err != nil || time.Since(began) != time.Minute {
			t.Errorf("a minute: %v after %v", err, time.Since(began))
		}
		if err := For(ctx, -1); err != nil || time.Since(began) != time.Minute {
			t.Errorf("no time: %v after %v", err, time.Since(began))
		}
		time.AfterFunc(time.Second, func() { end(cause) })
		if err := For(ctx, time.Hour); !errors.Is(err, cause) || time.Since(began) != time.Minute+time.Second {
			t.Errorf("cut short: %v after %v", err, time.Since(began))
		}
		for _, d := range []time.Duration{0, time.Hour} {
			if err := For(ctx, d); !errors.Is(err, cause) || time.Since(began) != time.Minute+time.Second {
				t.Errorf("%v after the end: %v after %v", d, err, time.Since(began))
			}
		}
	})
}
