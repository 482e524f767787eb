package server

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/audit"
)

// How much of the audit log those whom the Door refuses may fill: anybody can
// be refused as often as they like.
const (
	refusalsPerSecond = 50
	refusalsAtOnce    = 100
	refusalPatience   = 100 * time.Millisecond // for room in the queue of the audit log
)

// refusals records what the Door refuses, up to a rate. The surplus is counted,
// and its number recorded once a second.
type refusals struct {
	record  func(context.Context, audit.Event) error
	log     *slog.Logger
	limit   *rate.Limiter
	surplus atomic.Int64
}

func newRefusals(record func(context.Context, audit.Event) error, log *slog.Logger) *refusals {
	return &refusals{record: record, log: log, limit: rate.NewLimiter(refusalsPerSecond, refusalsAtOnce)}
}

// add records one refusal or counts it. That the client has gone makes no
// difference.
func (r *refusals) add(ctx context.Context, a auth.Attempt) {
	if !r.limit.Allow() {
		r.surplus.Add(1)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refusalPatience)
	defer cancel()
	err := r.record(ctx, audit.Event{
		Type: "door", Actor: a.Remote, Outcome: a.Code.String(), Reason: a.Reason, Detail: a.Via + " " + a.Method + " " + a.Path,
	})
	if err != nil {
		r.surplus.Add(1)
		r.log.ErrorContext(ctx, "audit record of a refusal is missing", slog.Any("cause", err))
	}
}

// run records the surplus until the context ends.
func (r *refusals) run(ctx context.Context) {
	if r == nil {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		r.summarize(context.WithoutCancel(ctx))
	}
}

func (r *refusals) summarize(ctx context.Context) {
	n := r.surplus.Swap(0)
	if n == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, refusalPatience)
	defer cancel()
	err := r.record(ctx, audit.Event{
		Type: "door", Actor: "gateway", Outcome: gateway.ResourceExhausted.String(),
		Reason: "more refusals than are recorded one by one", Detail: fmt.Sprintf("%d more refusals", n),
	})
	if err != nil {
		r.surplus.Add(n)
		r.log.ErrorContext(ctx, "audit record of refusals is missing", slog.Int64("refusals", n), slog.Any("cause", err))
	}
}
