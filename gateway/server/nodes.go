package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/state"
	graphqldoor "github.com/trilith-gateway/trilith/protocols/graphql"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// The topics of requests between the doors of nodes, and the keys of the log
// of what they tell each other.
const (
	topicMCP     = "mcp"
	topicMCPLong = "mcp/long" // requests that take as long as calls

	// topicGraphQL is that of answers to what calls ask through GraphQL.
	topicGraphQL = "graphql"

	// topicAdmin is that of what the administration of one node asks the others.
	topicAdmin = "admin"

	toldKept = "kept" // for nodes that start later too
	toldOnce = "once"
)

// toldMost is how much of what was told is kept for nodes that start later.
const toldMost = 1 << 14

// A cluster joins the MCP doors of this node to those of the others.
type cluster struct {
	s    *Server
	told *state.Log
}

// openCluster lets the MCP doors of the nodes that share a state speak to each
// other. A node with a state of its own has no others.
func (s *Server) openCluster(ctx context.Context, cfg *config.Config) error {
	if cfg.State.NATSURL == "" {
		return nil
	}
	told, err := state.OpenLog(ctx, s.state, state.LogOptions{
		Name: "sessions", MaxAge: mcp.SessionLifetime, MaxPerKey: toldMost, MaxEntryBytes: 64 << 10, Async: true,
	})
	if err != nil {
		return err
	}
	s.cluster = &cluster{s, told}
	return nil
}

// serve answers the other nodes until the server is closed.
func (c *cluster) serve(ctx context.Context) error {
	if c == nil {
		return nil
	}
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	c.s.onClose(func() error { end(); return nil })
	for _, topic := range []string{topicMCP, topicMCPLong} {
		if err := c.s.state.Serve(ctx, topic, c.answer); err != nil {
			return err
		}
	}
	return c.s.state.Serve(ctx, topicGraphQL, c.s.graphql.Answer)
}

// run hears what the nodes tell each other until the context ends.
func (c *cluster) run(ctx context.Context) {
	if c == nil {
		return
	}
	var both sync.WaitGroup
	for _, key := range []string{toldKept, toldOnce} {
		both.Go(func() { c.follow(ctx, key) })
	}
	both.Wait()
}

func (c *cluster) follow(ctx context.Context, key string) {
	for ctx.Err() == nil {
		for e, err := range c.told.Follow(ctx, key, 0) {
			if err != nil {
				c.s.log.WarnContext(ctx, "what other nodes say of sessions may have been missed", slog.Any("cause", err))
				continue
			}
			if f, data, err := c.frontend(e.Data); err == nil {
				f.Hear(data)
			}
		}
		select { // It ended because entries were dropped: from the oldest again.
		case <-time.After(calm):
		case <-ctx.Done():
		}
	}
}

func (c *cluster) answer(ctx context.Context, data []byte) ([]byte, error) {
	f, data, err := c.frontend(data)
	if err != nil {
		return nil, err
	}
	return f.Answer(ctx, data)
}

// frontend returns which of this node's doors a message is for: it begins with
// the name of a toolset, or nothing, and a line feed.
func (c *cluster) frontend(data []byte) (*mcp.Frontend, []byte, error) {
	name, data, _ := bytes.Cut(data, []byte{'\n'})
	if len(name) == 0 {
		return c.s.mcp, data, nil
	}
	if c.s.toolsets != nil {
		if e := c.s.toolsets.table.Load().sets[string(name)]; e != nil {
			return e.mcp, data, nil
		}
	}
	return nil, nil, fmt.Errorf("no toolset %.64q here", name)
}

// of returns the cluster as the door of a toolset sees it; "" is the main one.
func (c *cluster) of(toolset string) mcp.Cluster {
	if c == nil {
		return nil
	}
	return doors{c, toolset + "\n"}
}

// doors are those of one endpoint on all nodes.
type doors struct {
	*cluster
	prefix string
}

func (d doors) Node() string { return d.s.state.Instance() }

func (d doors) Request(ctx context.Context, node string, long bool, data []byte) ([]byte, error) {
	topic := topicMCP
	if long {
		topic = topicMCPLong
	}
	answer, err := d.s.state.Request(ctx, node, topic, append([]byte(d.prefix), data...))
	if errors.Is(err, state.ErrNoNode) {
		return nil, fmt.Errorf("%w: %w", mcp.ErrNodeGone, err)
	}
	return answer, err
}

func (d doors) Tell(ctx context.Context, kept bool, data []byte) error {
	key := toldOnce
	if kept {
		key = toldKept
	}
	_, err := d.told.Append(ctx, key, append([]byte(d.prefix), data...))
	return err
}

// askers are the GraphQL doors of all nodes.
type askers struct{ *cluster }

func (a askers) Node() string { return a.s.state.Instance() }

func (a askers) Request(ctx context.Context, node string, data []byte) ([]byte, error) {
	answer, err := a.s.state.Request(ctx, node, topicGraphQL, data)
	if errors.Is(err, state.ErrNoNode) {
		return nil, fmt.Errorf("%w: %w", graphqldoor.ErrNodeGone, err)
	}
	return answer, err
}
