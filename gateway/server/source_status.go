package server

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/trilith-gateway/trilith/gateway/guard"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// SourceStatus is how one source does.
type SourceStatus struct {
	Name     string
	Err      error              // why it is away, or what of it could not be offered; nil otherwise, and until it has been reached
	Sessions *mcp.UpstreamStats // with an MCP server; nil where the source is something else
	Guard    *guard.Stats       // what its guards have done; nil for fixtures
}

// Sources returns how every source does now, by name. It is safe for
// concurrent use.
func (s *Server) Sources() []SourceStatus { return s.sources.status() }

func (m *sources) status() []SourceStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]SourceStatus, 0, len(m.current))
	for name, r := range m.current {
		st := SourceStatus{Name: name}
		if err := r.away.Load(); err != nil {
			st.Err = *err
		}
		if r.stats != nil {
			stats := r.stats()
			st.Sessions = &stats
		}
		if r.guard != nil {
			stats := r.guard.Stats()
			st.Guard = &stats
		}
		all = append(all, st)
	}
	slices.SortFunc(all, func(a, b SourceStatus) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// reportEvery is how often the log says how sessions with sources do.
const reportEvery = time.Minute

// report logs the sessions of each source where anything has changed since the
// last time, until the context ends.
func (m *sources) report(ctx context.Context) {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	last := map[string]mcp.UpstreamStats{}
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, s := range m.status() {
			if s.Sessions == nil || *s.Sessions == last[s.Name] {
				continue
			}
			last[s.Name] = *s.Sessions
			m.log.InfoContext(ctx, "sessions with a source", slog.String("source", s.Name), slog.Any("sessions", *s.Sessions))
		}
	}
}
