package pin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// Bounds of reports: definitions of one catalog that are reported one by one,
// paths of one, and bytes of what it is called.
const (
	maxReports = 20
	maxPaths   = 10
	maxOrigin  = 200
)

// Guard returns an upstream that offers of what up does only what the mode
// permits. The name is the source's.
func (s *Store) Guard(name string, mode Mode, up gateway.Upstream) gateway.Upstream {
	return &guarded{Upstream: up, store: s, name: name, mode: cmp.Or(mode, Off), told: map[string]string{}}
}

// guarded is an upstream of a source.
type guarded struct {
	gateway.Upstream
	store *Store
	name  string
	mode  Mode

	offers map[string]*offer // by key; written by Watch with store.mu held
	told   map[string]string // by key: the hash that was reported last; Watch alone uses it
}

// An offer is a definition that the source offers now. Only state and served
// ever change; store.mu guards them.
type offer struct {
	what   *gateway.Capability // of the source's own catalog
	key    string
	hash   string
	hidden []string
	since  time.Time // when this node first saw it like that

	state  State
	served bool
}

// Standby passes on what the upstream has for when it is away.
func (g *guarded) Standby(away gateway.Upstream) gateway.Upstream {
	if s, ok := g.Upstream.(gateway.Standby); ok {
		return s.Standby(away)
	}
	return away
}

// Watch yields what the upstream offers and may be registered, again whenever
// either changes.
func (g *guarded) Watch(ctx context.Context) iter.Seq2[gateway.Catalog, error] {
	w, ok := g.Upstream.(gateway.Watcher)
	if !ok {
		return func(yield func(gateway.Catalog, error) bool) {
			yield(gateway.Catalog{}, fmt.Errorf("%T is no gateway.Watcher: it cannot say what it offers", g.Upstream))
		}
	}
	return func(yield func(gateway.Catalog, error) bool) {
		g.store.mu.Lock()
		g.store.live[g.name] = g
		g.store.mu.Unlock()
		defer func() {
			g.store.mu.Lock()
			if g.store.live[g.name] == g {
				delete(g.store.live, g.name)
			}
			g.store.mu.Unlock()
		}()
		ctx, stop := context.WithCancel(ctx)
		said := make(chan word)
		go func() {
			defer close(said)
			for c, err := range w.Watch(ctx) {
				select {
				case said <- word{c, err}:
				case <-ctx.Done():
					return
				}
			}
		}()
		defer func() {
			stop()
			for range said { // Until the upstream has stopped.
			}
		}()
		g.follow(ctx, said, yield)
	}
}

// A word is one thing that an upstream says about what it offers.
type word struct {
	catalog gateway.Catalog
	err     error
}

func (g *guarded) follow(ctx context.Context, said <-chan word, yield func(gateway.Catalog, error) bool) {
	var now *word // The last catalog; nil while the upstream is away.
	var admitted gateway.Catalog
	for {
		changed := g.store.mirror.Changed()
		if now != nil {
			if next := g.admit(ctx, now.catalog); !sameCatalog(next, admitted) {
				admitted = next
				if !yield(next, nil) {
					return
				}
			}
		}
		select {
		case w, ok := <-said:
			switch {
			case !ok:
				return
			case w.err != nil:
				now = nil
				if !yield(gateway.Catalog{}, w.err) {
					return
				}
			default:
				g.look(&w.catalog)
				now, admitted = &w, g.admit(ctx, w.catalog)
				if !yield(admitted, nil) {
					return
				}
			}
		case <-changed:
		}
	}
}

// look notes what a catalog offers.
func (g *guarded) look(c *gateway.Catalog) {
	now := time.Now().UTC()
	offers := map[string]*offer{}
	for what := range definitions(c) {
		hidden := Hidden(what.Definition)
		if g.mode == Off && hidden == nil {
			continue
		}
		o := &offer{
			what: what, key: key(g.name, what.Kind, what.Origin), hash: Hash(what.Kind, what.Definition), hidden: hidden, since: now,
		}
		if old := g.offers[o.key]; old != nil && old.hash == o.hash { // Watch alone writes it.
			o.since = old.since
		}
		offers[o.key] = o
	}
	for k := range g.told { // A source that makes up new names must not fill the memory.
		if offers[k] == nil {
			delete(g.told, k)
		}
	}
	g.store.mu.Lock()
	g.offers = offers
	g.store.mu.Unlock()
}

// admit judges every offer by the approvals of now and returns the part of the
// catalog that may be registered.
func (g *guarded) admit(ctx context.Context, c gateway.Catalog) gateway.Catalog {
	served := map[*gateway.Capability]bool{}
	var news []*offer
	g.store.mu.Lock()
	for _, o := range g.offers {
		o.state, o.served = g.judge(o)
		served[o.what] = o.served
		if g.told[o.key] != o.hash && (g.mode == Off || o.state == Quarantined || o.state == Changed) {
			g.told[o.key] = o.hash
			news = append(news, o)
		}
	}
	g.store.mu.Unlock()
	g.report(ctx, news)
	if g.mode == Off {
		return c
	}
	return gateway.Catalog{
		Tools:     kept(c.Tools, func(t *gateway.Tool) bool { return served[&t.Capability] }),
		Resources: kept(c.Resources, func(r *gateway.Resource) bool { return served[&r.Capability] }),
		Templates: kept(c.Templates, func(t *gateway.Template) bool { return served[&t.Capability] }),
		Prompts:   kept(c.Prompts, func(p *gateway.Prompt) bool { return served[&p.Capability] }),
	}
}

// judge says where an offer stands, and whether it may be registered.
func (g *guarded) judge(o *offer) (State, bool) {
	if g.mode == Off {
		return Approved, true
	}
	e, known := g.store.mirror.Get(o.key)
	st := e.Value.judge(known, o.hash)
	return st, st == Approved || st != Rejected && g.mode == Warn
}

// report tells of offers that nobody has approved.
func (g *guarded) report(ctx context.Context, news []*offer) {
	if g.store.o.Report == nil {
		return
	}
	slices.SortFunc(news, func(a, b *offer) int { return cmp.Compare(a.key, b.key) })
	for i, o := range news {
		if i == maxReports {
			g.store.o.Report(ctx, Report{Source: g.name, Served: o.served, More: len(news) - i})
			return
		}
		r := Report{
			Source: g.name, Kind: o.what.Kind, Origin: visible(o.what.Origin, maxOrigin), State: o.state, Hash: o.hash,
			Served: o.served, Hidden: o.hidden,
		}
		if o.state == Changed {
			e, _ := g.store.mirror.Get(o.key)
			for _, c := range Diff(e.Value.Definition, o.what.Definition) {
				r.Paths = append(r.Paths, c.Path)
			}
			r.Paths = r.Paths[:min(len(r.Paths), maxPaths)]
		}
		g.store.o.Report(ctx, r)
	}
}

func kept[T any](all []*T, keep func(*T) bool) []*T {
	var out []*T
	for _, v := range all {
		if keep(v) {
			out = append(out, v)
		}
	}
	return out
}

// sameCatalog reports whether two parts of one catalog are the same.
func sameCatalog(a, b gateway.Catalog) bool {
	return slices.Equal(a.Tools, b.Tools) && slices.Equal(a.Resources, b.Resources) &&
		slices.Equal(a.Templates, b.Templates) && slices.Equal(a.Prompts, b.Prompts)
}

// definitions are all capabilities of a catalog.
func definitions(c *gateway.Catalog) iter.Seq[*gateway.Capability] {
	return func(yield func(*gateway.Capability) bool) {
		for _, t := range c.Tools {
			if !yield(&t.Capability) {
				return
			}
		}
		for _, r := range c.Resources {
			if !yield(&r.Capability) {
				return
			}
		}
		for _, t := range c.Templates {
			if !yield(&t.Capability) {
				return
			}
		}
		for _, p := range c.Prompts {
			if !yield(&p.Capability) {
				return
			}
		}
	}
}

// Refresh has the upstream look again what it offers, if it can.
func (g *guarded) Refresh() {
	if r, ok := g.Upstream.(interface{ Refresh() }); ok {
		r.Refresh()
	}
}

// Close closes the upstream, if it can be closed.
func (g *guarded) Close() error {
	if c, ok := g.Upstream.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
