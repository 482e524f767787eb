package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway/admin"
	"github.com/trilith-gateway/trilith/gateway/state"
)

// peerPatience is how long administration waits for the answers of other nodes.
const peerPatience = 3 * time.Second

// peerLife is how long a node that ended without a word is asked.
const peerLife = 30 * time.Minute

// sessionPrefix is how much of a node's instance stands in front of the ids of
// its sessions, in bytes.
const sessionPrefix = 8

// peers are the other nodes of the cluster, as administration asks them.
type peers struct {
	s     *Server
	nodes *state.Bucket[peer] // by instance
}

// A peer is what a node says of itself while it runs.
type peer struct {
	Name string `json:"name"`
}

// openPeers returns the other nodes, or nil where this node has a state of its
// own.
func (s *Server) openPeers(ctx context.Context) (*peers, error) {
	if s.cluster == nil {
		return nil, nil //nolint:nilnil // as said.
	}
	nodes, err := state.OpenBucket[peer](ctx, s.state, state.BucketOptions{Name: "peers", TTL: peerLife})
	if err != nil {
		return nil, err
	}
	return &peers{s, nodes}, nil
}

// serve answers the administration of other nodes until the server is closed.
func (p *peers) serve(ctx context.Context, o admin.Options) error {
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	p.s.onClose(func() error { end(); return nil })
	return p.s.state.Serve(ctx, topicAdmin, func(_ context.Context, question []byte) ([]byte, error) {
		return admin.AnswerPeer(o, question)
	})
}

// run tells the other nodes of this one until the context ends.
func (p *peers) run(ctx context.Context) {
	if p == nil {
		return
	}
	self := p.s.state.Instance()
	tick := time.NewTicker(peerLife / 3)
	defer tick.Stop()
	for ctx.Err() == nil {
		if _, err := p.nodes.Put(ctx, self, peer{p.s.state.Name()}); err != nil && ctx.Err() == nil {
			p.s.log.WarnContext(ctx, "the other nodes were not told of this one", slog.Any("cause", err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), peerPatience)
	defer cancel()
	if err := p.nodes.Delete(ctx, self, 0); err != nil {
		p.s.log.WarnContext(ctx, "the other nodes were not told that this one ends", slog.Any("cause", err))
	}
}

// AskAll implements [admin.Peers].
func (p *peers) AskAll(ctx context.Context, question []byte) (answers [][]byte, missing []string) {
	ctx, cancel := context.WithTimeout(ctx, peerPatience)
	defer cancel()
	all, err := p.nodes.All(ctx)
	if err != nil {
		p.s.log.WarnContext(ctx, "the other nodes are unknown", slog.Any("cause", err))
		return nil, []string{"all others"}
	}
	var mu sync.Mutex
	var asked sync.WaitGroup
	for _, e := range all {
		if e.Key == p.s.state.Instance() {
			continue
		}
		asked.Go(func() {
			answer, err := p.s.state.Request(ctx, e.Key, topicAdmin, question)
			if errors.Is(err, state.ErrNoNode) { // It ended without a word.
				_ = p.nodes.Delete(ctx, e.Key, e.Revision) // The next who asks tries again.
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				p.s.log.WarnContext(ctx, "a node has not answered", slog.String("node", e.Value.Name), slog.Any("cause", err))
				missing = append(missing, e.Value.Name)
				return
			}
			answers = append(answers, answer)
		})
	}
	asked.Wait()
	return answers, missing
}
