package toolset

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// An Index finds the tools of a registry by words. All principals share it:
// what a caller may not see is left out of its answers, not of the index. It is
// safe for concurrent use.
type Index struct {
	registry *gateway.Registry
	log      *slog.Logger
	ranking  atomic.Pointer[ranking]
	once     sync.Once
	built    chan struct{} // closed when there is a ranking
}

// NewIndex returns an index of a registry's tools, which [Index.Run] builds. A
// nil logger discards.
func NewIndex(r *gateway.Registry, log *slog.Logger) *Index {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Index{registry: r, log: log, built: make(chan struct{})}
}

// calm is how long an index waits after it was built before it is built again.
const calm = 100 * time.Millisecond

// Run builds the index, and builds it again whenever the tools change, until the
// context ends. While it is being built the one before answers.
func (x *Index) Run(ctx context.Context) {
	var seen *gateway.Snapshot
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		changed := x.registry.Changed()
		now := x.registry.Snapshot()
		if seen == nil || !seen.SameTools(now) {
			x.build(ctx, now)
		}
		seen = now
		wait.Reset(calm)
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
		select {
		case <-wait.C:
		case <-ctx.Done():
			return
		}
	}
}

func (x *Index) build(ctx context.Context, s *gateway.Snapshot) {
	start := time.Now()
	x.ranking.Store(rank(s.Tools))
	x.once.Do(func() { close(x.built) })
	if len(s.Tools) > maxTools {
		x.log.WarnContext(ctx, "some tools cannot be searched for", slog.Int("tools", len(s.Tools)), slog.Int("most", maxTools))
	}
	x.log.DebugContext(ctx, "tools indexed", slog.Int("tools", len(s.Tools)), slog.Duration("took", time.Since(start)))
}

// find returns the tools of a view that have any word of the query, the best
// first. Before the index has been built it waits.
func (x *Index) find(ctx context.Context, view *gateway.Snapshot, query string) ([]*gateway.Tool, error) {
	select {
	case <-x.built:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	var out []*gateway.Tool
	for _, name := range x.ranking.Load().find(query) {
		if t := view.Tool(name); t != nil {
			out = append(out, t)
		}
	}
	return out, nil
}
