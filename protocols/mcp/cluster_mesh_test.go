package mcp_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// A mesh joins frontends as nodes of one cluster. What is told is heard at once.
type mesh struct {
	mu    sync.Mutex
	nodes map[string]*mcp.Frontend
	cut   bool // no request arrives
}

// A meshNode is the cluster as one node sees it.
type meshNode struct {
	m    *mesh
	name string
}

func (n meshNode) Node() string { return n.name }

func (n meshNode) Request(ctx context.Context, node string, _ bool, data []byte) ([]byte, error) {
	n.m.mu.Lock()
	f, cut := n.m.nodes[node], n.m.cut
	n.m.mu.Unlock()
	switch {
	case cut:
		<-ctx.Done()
		return nil, ctx.Err()
	case f == nil:
		return nil, fmt.Errorf("%w: %s", mcp.ErrNodeGone, node)
	}
	return f.Answer(ctx, data)
}

func (n meshNode) Tell(_ context.Context, _ bool, data []byte) error {
	n.m.mu.Lock()
	defer n.m.mu.Unlock()
	for _, f := range n.m.nodes {
		f.Hear(data)
	}
	return nil
}

// kill ends a node for the others, which cannot reach it any more.
func (m *mesh) kill(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.nodes, name)
}

// pair returns two nodes of one cluster, "a" and "b", that share what nodes
// share, and have the tools of newAsking.
func pair(t testing.TB) (a, b *fixture, m *mesh) {
	t.Helper()
	return pairWith(t, 50*time.Millisecond)
}

// pairWith is pair with a time after which quiet streams are looked after.
func pairWith(t testing.TB, keepAlive time.Duration) (a, b *fixture, m *mesh) {
	t.Helper()
	m = &mesh{nodes: map[string]*mcp.Frontend{}}
	events := new(mcp.MemoryEvents)
	node := func(name string) *fixture {
		f, _ := newAsking(t, mcp.FrontendOptions{
			SessionKey: [32]byte{7}, Events: events, Cluster: meshNode{m, name}, KeepAlive: keepAlive,
		})
		m.mu.Lock()
		defer m.mu.Unlock()
		m.nodes[name] = f.frontend
		return f
	}
	return node("a"), node("b"), m
}

// questionIn returns the id of the question that an event is.
func questionIn(t testing.TB, event string) string {
	t.Helper()
	tp := &tap{t: t, data: make(chan string, 1)}
	tp.data <- event
	return tp.question("elicitation/create")
}
