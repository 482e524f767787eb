package guard_test

import (
	"context"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/guard"
)

// TestWatchOfWhatCannotSay guards an upstream that is no Watcher: that is an
// error, not a source without capabilities.
func TestWatchOfWhatCannotSay(t *testing.T) {
	up := guard.New(gateway.Func(func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return gateway.TextResult("ok"), nil
	}), guard.Options{Most: time.Minute})
	said := 0
	for _, err := range up.Watch(t.Context()) {
		if said++; err == nil {
			t.Error("it offers a catalog")
		}
	}
	if said != 1 {
		t.Errorf("it said %d things, not 1", said)
	}
}
