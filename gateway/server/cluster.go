package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/state"
)

// capabilities is the topic of notices that a node's capabilities changed.
const capabilities = "capabilities"

// calm is how long a node waits for more changes before it tells the others.
const calm = 100 * time.Millisecond

// A node is what each node of a cluster says of itself in the shared state.
type node struct {
	Policy string    `json:"policy"` // the version of the policy in force
	Since  time.Time `json:"since"`
}

// announceEvents tells the other nodes when capabilities change here, but not
// when only who sees them does.
func (s *Server) announceEvents(ctx context.Context) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	var told *gateway.Snapshot
	for {
		changed := s.registry.Changed()
		if now := s.registry.Snapshot(); told == nil || !now.SameTools(told) || !now.SameResources(told) || !now.SamePrompts(told) {
			if err := s.state.Publish(ctx, capabilities, now.Generation); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "other nodes were not told of a change", slog.Any("cause", err))
			}
			told = now
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
		wait.Reset(calm)
		select {
		case <-wait.C:
		case <-ctx.Done():
			return
		}
	}
}

// followEvents has the sources of this node look again when another node's
// capabilities changed, and warns when nodes enforce different policies.
func (s *Server) followEvents(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { s.followCapabilities(ctx) })
	both.Go(func() { s.followPolicies(ctx) })
	both.Wait()
}

// followCapabilities lists the sources again when another node has seen a
// change: not every source tells every node. What has not changed is not
// announced again, so that nodes do not keep each other busy.
func (s *Server) followCapabilities(ctx context.Context) {
	notices, err := s.state.Subscribe(ctx, capabilities)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		s.log.ErrorContext(ctx, "changes on other nodes go unnoticed", slog.Any("cause", err))
		return
	}
	for n := range notices {
		if !n.Local {
			s.log.DebugContext(ctx, "capabilities changed on another node", slog.String("node", n.Origin))
			s.sources.refresh()
		}
	}
}

// openNodes returns the bucket in which nodes say what they enforce. The end of
// ctx does not interrupt it: an embedded engine that is closed while it makes a
// bucket leaves goroutines behind.
func (s *Server) openNodes(ctx context.Context) (*state.Bucket[node], error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	return state.OpenBucket[node](ctx, s.state, state.BucketOptions{Name: "nodes"})
}

func (s *Server) followPolicies(ctx context.Context) {
	nodes, err := s.openNodes(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		s.log.ErrorContext(ctx, "policies of other nodes are unknown", slog.Any("cause", err))
		return
	}
	s.publishPolicy(ctx, s.policy.Policy().Version())
	for e, err := range nodes.Watch(ctx) {
		switch mine := s.policy.Policy().Version(); {
		case err != nil && ctx.Err() != nil:
			return
		case err != nil:
			s.log.WarnContext(ctx, "policies of other nodes are unknown", slog.Any("cause", err))
		case s.config.Load().Policy.File == "": // Then they all follow the same versions.
		case !e.Synced && !e.Deleted && e.Key != s.state.Name() && e.Value.Policy != mine:
			s.log.WarnContext(ctx, "nodes enforce different policies",
				slog.String("node", e.Key), slog.String("theirs", e.Value.Policy), slog.String("ours", mine))
		}
	}
}

// publishPolicy says in the shared state which policy this node enforces.
func (s *Server) publishPolicy(ctx context.Context, version string) {
	nodes, err := s.openNodes(ctx)
	if err == nil {
		_, err = nodes.Put(ctx, s.state.Name(), node{Policy: version, Since: time.Now().UTC()})
	}
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "policy version is not published", slog.Any("cause", err))
	}
}
