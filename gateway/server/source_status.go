package server

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/gateway/config"
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

// describe fills in how a source's guards and sessions do.
func (m *sources) describe(into *adminv1.Source) {
	m.mu.Lock()
	r := m.current[into.GetName()]
	m.mu.Unlock()
	if r == nil {
		return
	}
	into.Kind, into.Tags, into.Pin = kindOf(&r.config), r.config.Tags, cmp.Or(r.config.Pin, "off")
	if r.guard != nil {
		into.Guard = guardStatus(r.guard.Stats())
	}
	if r.stats != nil {
		into.Pool = poolStatus(r.stats())
	}
	if r.wire != nil {
		if into.GetPool() == nil {
			into.Pool = &adminv1.SourcePool{}
		}
		w := r.wire()
		into.Pool.ConnectionsIdle, into.Pool.ConnectionsOpened, into.Pool.ConnectionsReused = count(w.Idle), total(w.Opened), total(w.Reused)
	}
}

// kindOf returns what a source is, as the configuration has it.
func kindOf(c *config.Source) string {
	if kind, remote := c.Remote(); remote != nil {
		return kind
	}
	switch {
	case c.MCP != nil:
		return "mcp"
	case c.Demo:
		return "demo"
	}
	return "program"
}

// addresses returns where the endpoints of a source are, by name.
func (m *sources) addresses(name string) map[string]string {
	m.mu.Lock()
	r := m.current[name]
	m.mu.Unlock()
	if r == nil {
		return nil
	}
	out := map[string]string{}
	if c := r.config.MCP; c != nil && c.Command != "" {
		out["main"] = filepath.Base(c.Command)
	} else if _, remote := r.config.Remote(); remote != nil && remote.URL != "" {
		out["main"] = publicAddress(remote.URL)
	}
	for _, e := range r.config.Endpoints {
		out[e.Name] = publicAddress(e.URL)
	}
	return out
}

// publicAddress returns a URL without what may be secret in it.
func publicAddress(at string) string {
	u, err := url.Parse(at)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return u.String()
}

func guardStatus(g guard.Stats) *adminv1.SourceGuard {
	return &adminv1.SourceGuard{
		Breaker: g.Breaker, Opened: total(g.Opened), Refused: total(g.Refused),
		Running: count(g.Running), Queued: count(g.Queued), Limit: count(g.Limit), Rejected: total(g.Rejected),
		Retries: total(g.Retries), Hedges: total(g.Hedges), Fallbacks: total(g.Fallbacks),
		CacheHits: total(g.CacheHits), CacheMisses: total(g.CacheMisses), CacheStale: total(g.CacheStale), CacheJoined: total(g.CacheJoined),
		CacheEntries: int64(g.CacheEntries), CacheBytes: g.CacheBytes,
	}
}

func poolStatus(s mcp.UpstreamStats) *adminv1.SourcePool {
	return &adminv1.SourcePool{
		Open: count(s.Open), Busy: count(s.Busy), Idle: count(s.Idle), Spare: count(s.Spare),
		Opened: total(s.Opened), Lost: total(s.Lost), Failed: total(s.Failed),
		Expired: total(s.Expired), Evicted: total(s.Evicted), Refused: total(s.Refused),
	}
}

// count and total are numbers as messages have them.
func count(n int) int32 { return int32(min(n, math.MaxInt32)) } //nolint:gosec // It is bounded.

func total(n uint64) int64 { return int64(min(n, math.MaxInt64)) } //nolint:gosec // It is bounded.

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
