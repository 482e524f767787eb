package server

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/trilith-gateway/trilith/auth/connect"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/demo"
	"github.com/trilith-gateway/trilith/gateway/guard"
	"github.com/trilith-gateway/trilith/gateway/pin"
	"github.com/trilith-gateway/trilith/gateway/toolset"
	"github.com/trilith-gateway/trilith/protocols/egress"
	"github.com/trilith-gateway/trilith/protocols/graphql/upstream"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// sources runs one upstream for each configured source and keeps the registry
// as they say.
type sources struct {
	registry *gateway.Registry
	log      *slog.Logger

	mu      sync.Mutex
	ctx     context.Context //nolint:containedctx // that of run, nil before and after.
	current map[string]*running
	tasks   sync.WaitGroup
}

// running is one source.
type running struct {
	config    config.Source     // the zero Source for one that the embedding program gave
	secrets   [sha256.Size]byte // of what its secrets were when it was made
	up        gateway.Upstream
	guard     *guard.Source             // what is around it; nil for fixtures
	stats     func() mcp.UpstreamStats  // nil for what has no sessions
	wire      func() egress.Connections // of all endpoints; nil for what has no connections
	endpoints *guard.Endpoints          // nil where it has one
	provider  connect.Provider          // where its users connect; nil where they do not
	away      atomic.Pointer[error]     // as in SourceStatus
	options   gateway.Options
	cancel    context.CancelFunc
	done      chan struct{} // closed when its loop has ended
	said      chan struct{} // closed when it has first said what it offers, or that it is away
}

// loadSources makes the upstreams of the configuration. They connect once the
// server runs.
func (s *Server) loadSources(_ context.Context, cfg *config.Config) error {
	s.sources = &sources{registry: s.registry, log: s.log, current: map[string]*running{}}
	s.onClose(s.sources.close)
	next, err := s.makeSources(cfg, nil)
	if err != nil {
		return err
	}
	for name, up := range s.options.Sources {
		if _, ok := up.(gateway.Watcher); !ok {
			return fmt.Errorf("source %q: %T is no gateway.Watcher: it cannot say what it offers", name, up)
		}
		safe, ok := up.(*guard.Source)
		if !ok {
			var err error
			if safe, err = s.guarded(config.Source{Name: name, Guard: config.DefaultGuard()}, up, cfg.Limits.CallTimeout); err != nil {
				return err
			}
		}
		next[name] = newRunning(config.Source{}, safe, gateway.Options{Prefix: name + "."})
		next[name].guard = safe
	}
	if d := s.options.Dev; d != nil && d.Conformance {
		f := new(gateway.Funcs)
		if err := demo.Conformance(f); err != nil {
			return err
		}
		// The suite knows its fixtures by their bare names.
		next["conformance"] = newRunning(config.Source{}, f, gateway.Options{})
	}
	s.sources.current = next
	return nil
}

// makeSources returns the sources that the configuration wants, taking those
// that have not changed from old. It starts nothing.
func (s *Server) makeSources(cfg *config.Config, old map[string]*running) (map[string]*running, error) {
	next := map[string]*running{}
	for _, c := range cfg.Sources {
		if _, given := s.options.Sources[c.Name]; given {
			return nil, fmt.Errorf("source %q is configured and given by the program", c.Name)
		}
		have, err := s.resolve(c)
		if err != nil {
			return nil, fmt.Errorf("source %q: %w", c.Name, err)
		}
		if r := old[c.Name]; r != nil && reflect.DeepEqual(r.config, c) && r.secrets == have.digest() {
			next[c.Name] = r
			continue
		}
		o, err := sourceOptions(c)
		if err != nil {
			return nil, fmt.Errorf("source %q: %w", c.Name, err)
		}
		ups, safe, endpoints, err := s.makeGuarded(c, have, cfg.Limits.CallTimeout)
		if err != nil {
			return nil, fmt.Errorf("source %q: %w", c.Name, err)
		}
		r := newRunning(c, s.pins.Guard(c.Name, pin.Mode(c.Pin), safe), o)
		r.guard, r.endpoints = safe, endpoints
		r.secrets = have.digest()
		if u, ok := ups[0].(*mcp.Upstream); ok {
			r.stats = u.Stats
		}
		r.wire = wireOf(ups)
		if u, ok := ups[0].(interface{ Provider() connect.Provider }); ok {
			r.provider = u.Provider()
		}
		next[c.Name] = r
	}
	for name, r := range old {
		if r.config.Name == "" {
			next[name] = r
		}
	}
	return next, nil
}

// sourceOptions says how the capabilities of a source enter the registry. They
// are the same for every kind.
func sourceOptions(c config.Source) (gateway.Options, error) {
	o := gateway.Options{Tags: c.Tags, MaxTools: c.MaxTools}
	if c.Prefix {
		o.Prefix = c.Name + "."
	}
	include, err := toolset.NewPatterns(c.Include...)
	if err != nil {
		return o, fmt.Errorf("include: %w", err)
	}
	exclude, err := toolset.NewPatterns(c.Exclude...)
	if err != nil {
		return o, fmt.Errorf("exclude: %w", err)
	}
	if !include.Empty() || !exclude.Empty() {
		o.Keep = func(c *gateway.Capability) bool {
			return (include.Empty() || include.Match(c.Origin)) && !exclude.Match(c.Origin)
		}
	}
	if len(c.Overrides) > 0 {
		o.Overrides = map[string]gateway.Override{}
	}
	for _, v := range c.Overrides {
		o.Overrides[v.Of] = gateway.Override{
			Name: v.Name, Title: v.Title, Description: v.Description, Tags: v.Tags,
			ReadOnly: hint(v.ReadOnly), Destructive: hint(v.Destructive), Idempotent: hint(v.Idempotent),
		}
	}
	return o, nil
}

// hint returns what the configuration says of a tool, or nil where it leaves
// that to the source.
func hint(text string) *bool {
	if text != "yes" && text != "no" {
		return nil
	}
	yes := text == "yes"
	return &yes
}

func newRunning(c config.Source, up gateway.Upstream, o gateway.Options) *running {
	return &running{config: c, up: up, options: o, said: make(chan struct{}), done: make(chan struct{})}
}

// makeUpstream makes the upstream of one source: the one place that knows
// every kind.
func (s *Server) makeUpstream(c config.Source, have secrets) (gateway.Upstream, error) {
	switch {
	case c.MCP != nil:
		return s.makeMCP(c.Name, c.MCP, have)
	case c.OpenAPI != nil:
		return s.makeOpenAPI(c.Name, c.OpenAPI, have)
	case c.HTTP != nil:
		return s.makeHTTP(c.Name, c.HTTP, have)
	case c.GraphQL != nil:
		return s.makeGraphQL(c.Name, c.GraphQL, have)
	case c.GRPC != nil:
		return s.makeGRPC(c.Name, c.GRPC, have)
	case c.Demo:
		f := new(gateway.Funcs)
		return f, demo.Tools(f)
	default:
		return nil, fmt.Errorf("no kind is set")
	}
}

func (s *Server) makeMCP(name string, c *config.MCP, have secrets) (gateway.Upstream, error) {
	command := c.Command
	if command != "" && filepath.Base(command) != command && !filepath.IsAbs(command) {
		command = filepath.Join(c.Dir, command)
	}
	return mcp.NewUpstream(mcp.UpstreamOptions{
		Name: name, URL: c.URL, Headers: have.Headers, OAuth: have.OAuth, AllowPrivate: c.AllowPrivate,
		Command: command, Args: c.Args, Env: have.Env, Dir: c.Dir,
		Timeout: c.Timeout, Era: c.Era, Sessions: c.Sessions, MinSessions: c.MinSessions, MaxSessions: c.MaxSessions, Idle: c.Idle,
		Version: s.options.Version, Logger: s.log,
	})
}

func (s *Server) makeGraphQL(name string, c *config.GraphQL, have secrets) (gateway.Upstream, error) {
	return upstream.New(upstream.Options{
		HTTP: s.egressOptions(name, &c.Remote, have), Schema: c.Schema, Documents: c.Documents, Depth: c.Depth, Fields: c.Fields,
		Subscriptions: c.Subscriptions, MaxEvents: c.MaxEvents, MaxTime: c.MaxTime, Interval: c.Refresh,
	})
}

// run starts every source and ends with the context, when all have ended.
func (m *sources) run(ctx context.Context) {
	m.mu.Lock()
	m.ctx = ctx
	for name, r := range m.current {
		m.start(name, r)
	}
	m.mu.Unlock()
	m.report(ctx)
	m.mu.Lock()
	m.ctx = nil
	m.mu.Unlock()
	m.tasks.Wait()
}

// start runs one source. m.mu is held and m.ctx is set.
func (m *sources) start(name string, r *running) {
	ctx, cancel := context.WithCancel(m.ctx)
	r.cancel = cancel
	m.tasks.Go(func() {
		defer close(r.done)
		defer cancel()
		m.follow(ctx, name, r)
	})
}

// follow keeps the registry as one source says, until the context ends.
func (m *sources) follow(ctx context.Context, name string, r *running) {
	var once sync.Once
	m.registry.Follow(ctx, name, r.up, r.options, func(err error) {
		once.Do(func() { close(r.said) })
		r.away.Store(nil)
		if err != nil {
			r.away.Store(&err)
			m.log.WarnContext(ctx, "source", slog.String("source", name), slog.Any("cause", err))
		}
	})
	if c, ok := r.up.(io.Closer); ok {
		if err := c.Close(); err != nil {
			m.log.WarnContext(ctx, "close source", slog.String("source", name), slog.Any("cause", err))
		}
	}
}

// replace ends the sources that next does not have, then starts the new ones:
// a source that changed is away for as long as it takes to start again.
func (m *sources) replace(next map[string]*running) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, old := range m.current {
		if next[name] != old && old.cancel != nil {
			old.cancel()
			<-old.done
		}
	}
	for name, r := range next {
		if m.current[name] != r && m.ctx != nil {
			m.start(name, r)
		}
	}
	m.current = next
}

// refresh has every source that can look again what it offers.
func (m *sources) refresh() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.current {
		if up, ok := r.up.(interface{ Refresh() }); ok {
			up.Refresh()
		}
	}
}

// provider returns where the users of a source connect, and for what, or nil.
func (m *sources) provider(name string) (connect.Provider, connect.Server) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.current[name]
	if r == nil || r.provider == nil {
		return nil, connect.Server{}
	}
	_, remote := r.config.Remote()
	return r.provider, connectedTo(&r.config, remote.OAuth)
}

// settled waits until every source has said something, and reports whether
// that was before the context ended.
func (m *sources) settled(ctx context.Context) bool {
	m.mu.Lock()
	all := maps.Clone(m.current)
	m.mu.Unlock()
	for _, r := range all {
		select {
		case <-r.said:
		case <-r.done:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// close frees the upstreams that never ran.
func (m *sources) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.current {
		if c, ok := r.up.(io.Closer); ok && r.cancel == nil {
			_ = c.Close() // It holds nothing yet.
		}
	}
	return nil
}
