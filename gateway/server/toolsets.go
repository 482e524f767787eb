package server

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/toolset"
	graphqldoor "github.com/trilith-gateway/trilith/protocols/graphql"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// toolsetPath is the path of a toolset's endpoint.
func toolsetPath(name string) string { return "/mcp/" + name }

// toolsets serves one MCP endpoint for each toolset. Which there are may change
// at any time.
type toolsets struct {
	table atomic.Pointer[toolsetTable]
	index *toolset.Index // of all tools, for those that search

	mu      sync.Mutex
	ctx     context.Context //nolint:containedctx // that of run, nil before and after.
	indexed bool            // whether the index runs
	tasks   sync.WaitGroup
}

// A toolsetTable is the toolsets of one configuration, with the Door that knows
// their paths. It is never changed.
type toolsetTable struct {
	sets    map[string]*toolsetEndpoint
	shown   []graphqldoor.Toolset
	door    *auth.Door
	handler http.Handler // the Door before them all
}

// A toolsetEndpoint is one toolset. It survives changes of the configuration
// that do not concern it, and its clients' sessions with it.
type toolsetEndpoint struct {
	config config.Toolset
	set    *toolset.Toolset
	road   *gateway.Gateway
	mcp    *mcp.Frontend
	search *toolset.Search // nil where the tools themselves are served
	cancel context.CancelFunc
}

func (s *Server) openToolsets(cfg *config.Config) error {
	s.toolsets = &toolsets{index: toolset.NewIndex(s.registry, s.log)}
	t, err := s.makeToolsets(cfg)
	if err != nil {
		return err
	}
	s.toolsets.table.Store(t)
	s.onClose(s.toolsets.close)
	return nil
}

// makeToolsets returns the toolsets that the configuration wants, taking those
// that have not changed from the ones in force. It starts nothing.
func (s *Server) makeToolsets(cfg *config.Config) (*toolsetTable, error) {
	if s.toolsets == nil {
		return nil, nil //nolint:nilnil // Without doors there are none.
	}
	var old map[string]*toolsetEndpoint
	if t := s.toolsets.table.Load(); t != nil {
		old = t.sets
	}
	next := &toolsetTable{sets: map[string]*toolsetEndpoint{}}
	for _, c := range cfg.Toolsets {
		e := old[c.Name]
		if e == nil || !reflect.DeepEqual(e.config, c) {
			var err error
			if e, err = s.makeToolset(c); err != nil {
				return nil, err
			}
		}
		if err := s.knowSources(cfg, c); err != nil {
			return nil, err
		}
		next.sets[c.Name] = e
	}
	next.list()
	door := s.doorOptions
	door.Endpoints = endpoints(cfg)
	var err error
	if next.door, err = auth.NewDoor(door); err != nil {
		return nil, err
	}
	next.handler = next.door.Handler(http.HandlerFunc(next.serve))
	return next, nil
}

func newToolset(c config.Toolset) (*toolset.Toolset, error) {
	return toolset.New(toolset.Options{
		Name: c.Name, Tools: c.Tools, Resources: c.Resources, Prompts: c.Prompts, Tags: c.Tags, Sources: c.Sources,
	})
}

func (s *Server) makeToolset(c config.Toolset) (*toolsetEndpoint, error) {
	set, err := newToolset(c)
	if err != nil {
		return nil, err
	}
	gw, err := s.road(s.registry, set)
	if err != nil {
		return nil, err
	}
	e := &toolsetEndpoint{config: c, set: set, road: gw}
	options := s.mcpOptions
	options.Instructions, options.Tasks = c.Description, s.tasksOf(c.Name)
	options.SessionKey, options.Cluster = keyOf(s.mcpOptions.SessionKey, c.Name), s.cluster.of(c.Name)
	if c.Search {
		if e.search, err = toolset.NewSearch(c.Name, gw, s.toolsets.index, s.observers(), s.audit.Gate()); err != nil {
			return nil, err
		}
		gw = e.search.Gateway()
		options.Instructions = strings.TrimSpace(c.Description + "\n\n" + toolset.Instructions)
	}
	e.mcp = mcp.NewFrontend(gw, options)
	return e, nil
}

// knowSources refuses a toolset of sources that nobody has.
func (s *Server) knowSources(cfg *config.Config, t config.Toolset) error {
	for _, name := range t.Sources {
		_, given := s.options.Sources[name]
		if !given && !slices.ContainsFunc(cfg.Sources, func(c config.Source) bool { return c.Name == name }) {
			return fmt.Errorf("toolset %q: no source is named %q", t.Name, name)
		}
	}
	return nil
}

// ServeHTTP serves the toolset that the path names, to those whom the Door lets
// in.
func (t *toolsets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.table.Load().handler.ServeHTTP(w, r)
}

// serveMetadata serves the metadata of all endpoints, of the toolsets too.
func (t *toolsets) serveMetadata(w http.ResponseWriter, r *http.Request) {
	t.table.Load().door.Metadata().ServeHTTP(w, r)
}

func (t *toolsetTable) serve(w http.ResponseWriter, r *http.Request) {
	e := t.sets[r.PathValue("toolset")]
	if e == nil {
		http.NotFound(w, r)
		return
	}
	e.mcp.ServeHTTP(w, r)
}

// shown returns the toolsets as the GraphQL door lists them, by name.
func (t *toolsets) shown() []graphqldoor.Toolset {
	if t == nil {
		return nil
	}
	return t.table.Load().shown
}

// list makes what shown returns.
func (t *toolsetTable) list() {
	for _, name := range slices.Sorted(maps.Keys(t.sets)) {
		e := t.sets[name]
		t.shown = append(t.shown, graphqldoor.Toolset{
			Name: name, Description: e.config.Description, Path: toolsetPath(name), Search: e.config.Search,
			View: func(s *gateway.Snapshot) *gateway.Snapshot { return e.set.View(nil, s) },
		})
	}
}

// run keeps what searches up to date and ends with the context.
func (t *toolsets) run(ctx context.Context) {
	if t == nil {
		return
	}
	t.mu.Lock()
	t.ctx = ctx
	t.start(t.table.Load())
	t.mu.Unlock()
	<-ctx.Done()
	t.mu.Lock()
	t.ctx = nil
	t.mu.Unlock()
	t.tasks.Wait()
}

// start runs the searches that do not run yet. t.mu is held and t.ctx is set.
func (t *toolsets) start(table *toolsetTable) {
	for _, e := range table.sets {
		if e.search == nil || e.cancel != nil {
			continue
		}
		if !t.indexed {
			t.indexed = true
			ctx := t.ctx
			t.tasks.Go(func() { t.index.Run(ctx) })
		}
		var ctx context.Context
		ctx, e.cancel = context.WithCancel(t.ctx)
		t.tasks.Go(func() { e.search.Run(ctx) })
	}
}

// replace serves the next toolsets, then ends the streams of those that are no
// longer there or have changed: their clients connect again. It reports whether
// there were any.
func (t *toolsets) replace(next *toolsetTable) (ended bool) {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var ending sync.WaitGroup
	old := t.table.Swap(next)
	if t.ctx != nil {
		t.start(next)
	}
	for name, e := range old.sets {
		if next.sets[name] == e {
			continue
		}
		ended = true
		if e.cancel != nil {
			e.cancel()
		}
		ending.Go(func() { _ = e.mcp.Close() }) // It never fails, but waits for slow readers.
	}
	ending.Wait()
	return ended
}

// recheck ends the calls of all toolsets that are no longer allowed, and
// returns how many.
func (t *toolsets) recheck() (ended int) {
	if t == nil {
		return 0
	}
	for _, e := range t.table.Load().sets {
		ended += e.road.Recheck()
	}
	return ended
}

// close ends the streams of all toolsets.
func (t *toolsets) close() error {
	if t == nil {
		return nil
	}
	var ending sync.WaitGroup
	for _, e := range t.table.Load().sets {
		ending.Go(func() { _ = e.mcp.Close() }) // It never fails, but waits for slow readers.
	}
	ending.Wait()
	return nil
}
