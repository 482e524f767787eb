package config

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
)

// TestSettle gives events at some times and looks when settle returns.
func TestSettle(t *testing.T) {
	every := func(d time.Duration, n int) (at []time.Duration) {
		for i := range n {
			at = append(at, time.Duration(i)*d)
		}
		return at
	}
	for _, c := range []struct {
		name   string
		events []time.Duration
		want   time.Duration
	}{
		{"no event", nil, recheck},
		{"one edit", every(0, 1), quiet},
		{"written twice", []time.Duration{0, quiet / 2}, quiet/2 + quiet},
		{"never quiet", every(quiet/2, 1000), patience},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				events := make(chan fsnotify.Event, len(c.events))
				start := time.Now()
				for _, after := range c.events {
					time.AfterFunc(after, func() { events <- fsnotify.Event{} })
				}
				if !settle(t.Context(), events, nil) {
					t.Fatal("settle says that the context is done")
				}
				if took := time.Since(start); took != c.want {
					t.Errorf("settled after %s, want %s", took, c.want)
				}
			})
		})
	}
}

func TestSettleEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if settle(ctx, nil, nil) {
		t.Error("settle goes on after its context is done")
	}
}
