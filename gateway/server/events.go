package server

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/state"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// eventAge is how long a client may take to come back for what it missed.
const eventAge = 10 * time.Minute

// openEvents returns where the streams of MCP sessions are kept: in memory for
// a gateway of one node, in the shared state for one of several, so that a
// client that lost one node can go on with any other.
func (s *Server) openEvents(ctx context.Context, cfg *config.Config) (mcp.EventStore, error) {
	if cfg.State.NATSURL == "" {
		return new(mcp.MemoryEvents), nil
	}
	log, err := state.OpenLog(ctx, s.state, state.LogOptions{Name: "events", MaxAge: eventAge, Async: true})
	if err != nil {
		return nil, err
	}
	return eventStore{log}, nil
}

// eventStore is a log of the shared state as the MCP door wants it.
type eventStore struct{ log *state.Log }

func (e eventStore) Append(ctx context.Context, stream string, data []byte) (uint64, error) {
	return e.log.Append(ctx, stream, data)
}

func (e eventStore) Read(ctx context.Context, stream string, after uint64, limit int) ([]mcp.Event, error) {
	entries, err := e.log.Read(ctx, stream, after, limit)
	if err != nil {
		return nil, gone(err)
	}
	events := make([]mcp.Event, len(entries))
	for i, entry := range entries {
		events[i] = mcp.Event(entry)
	}
	return events, nil
}

func (e eventStore) Follow(ctx context.Context, stream string, after uint64) iter.Seq2[mcp.Event, error] {
	return func(yield func(mcp.Event, error) bool) {
		for entry, err := range e.log.Follow(ctx, stream, after) {
			if !yield(mcp.Event(entry), gone(err)) {
				return
			}
		}
	}
}

func (e eventStore) Drop(ctx context.Context, stream string) error { return e.log.Drop(ctx, stream) }

// gone says in the door's terms that events were not kept.
func gone(err error) error {
	if errors.Is(err, state.ErrGone) {
		return fmt.Errorf("%w: %w", mcp.ErrEventsGone, err)
	}
	return err
}
