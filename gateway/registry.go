package gateway

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// A Catalog is what one source offers, by its own names.
type Catalog struct {
	Tools     []*Tool
	Resources []*Resource
	Templates []*Template
	Prompts   []*Prompt

	// Notes say what of the source is not among them, or not as the source has it.
	Notes []Note
}

// A Watcher is an [Upstream] that says what it offers. Watch yields the
// catalog at once and whenever it changes, and an error when the upstream is
// away: its capabilities then leave the registry until the next catalog. The
// sequence ends with the context.
type Watcher interface {
	Watch(context.Context) iter.Seq2[Catalog, error]
}

// A Standby is an [Upstream] that has answers to some calls while it is away,
// such as from a cache. Standby is given what refuses every call, and returns
// what takes the calls of a withdrawn source instead.
type Standby interface {
	Standby(away Upstream) Upstream
}

// A Registry is the one shared set of capabilities. Readers take a snapshot
// without a lock; writers replace the snapshot whole. The zero Registry is
// empty and ready to use.
type Registry struct {
	mu      sync.Mutex // held by writers
	sources map[string]*source
	state   atomic.Pointer[registryState]
}

type registryState struct {
	snap    *Snapshot
	changed chan struct{} // closed when this state is replaced
}

type source struct {
	Catalog // as registered
	up      Upstream
	cause   error // why it is withdrawn, or nil

	offered Catalog // as the source said it
	options Options
	clashed bool // some of it is left out because another source has the name
	notes   []Note
}

// Options say how a source's capabilities enter the registry.
type Options struct {
	Prefix string   // put before the names of tools and prompts, such as "demo."; "" for none
	Tags   []string // given to every capability

	// Keep reports whether a capability, as the source says it, is registered at
	// all; nil keeps everything. Overrides replace what the source says, by origin.
	Keep      func(*Capability) bool
	Overrides map[string]Override

	// MaxTools is how many tools the source may register; with more, it registers
	// none and says so. 0 sets no bound.
	MaxTools int

	// Admin says that the source's tools administer the gateway. The policy knows
	// each by its area, what stands before the first dot of its name:
	// "policy.activate" is "admin/policy". Only OpAdmin uses them.
	Admin bool
}

// Snapshot returns the capabilities as they are now.
func (r *Registry) Snapshot() *Snapshot { return r.load().snap }

// Changed returns a channel that is closed when the current snapshot is
// replaced.
func (r *Registry) Changed() <-chan struct{} { return r.load().changed }

func (r *Registry) load() *registryState {
	if s := r.state.Load(); s != nil {
		return s
	}
	r.state.CompareAndSwap(nil, &registryState{emptySnapshot, make(chan struct{})})
	return r.state.Load()
}

// Attach replaces everything that the named source offers, in one step. It
// takes copies with the names that the options give, leaving the catalog as it
// is. What cannot be registered (a name that is not valid, or one that another
// source has) is left out, and each is named in the error; the rest serves.
func (r *Registry) Attach(name string, up Upstream, c Catalog, o Options) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := maps.Clone(r.sources)
	if next == nil {
		next = map[string]*source{}
	}
	a := attachment{name: name, options: o, taken: owners(next, name)}
	next[name] = &source{Catalog: a.register(c), up: up, offered: c, options: o, clashed: a.clashed, notes: a.notes}
	r.publish(next)
	return errors.Join(a.problems...)
}

// Withdraw takes the named source's capabilities out of every list, until the
// next Attach. Calls on them are still resolved, so that whoever may use them
// is told that they are unavailable rather than gone. The cause is for the
// operator.
func (r *Registry) Withdraw(name string, cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, ok := r.sources[name]
	if !ok || old.cause != nil {
		return
	}
	next := maps.Clone(r.sources)
	gone := *old
	gone.up, gone.cause = away{name, cause}, cause
	if s, ok := old.up.(Standby); ok {
		gone.up = s.Standby(gone.up)
	}
	next[name] = &gone
	r.publish(next)
}

// Detach forgets the named source.
func (r *Registry) Detach(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.sources[name]; !ok {
		return
	}
	next := maps.Clone(r.sources)
	delete(next, name)
	r.publish(next)
}

// Refresh publishes the same capabilities as a new snapshot: it tells those
// who wait for changes that views may differ, as after a change of policy.
func (r *Registry) Refresh() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.publish(maps.Clone(r.sources))
}

// Follow keeps the named source as its upstream says: attached with each
// catalog, withdrawn with each error. It returns when the context ends, and
// detaches the source. Report is told the outcome of every change: nil, why the
// source is away, or what could not be registered.
func (r *Registry) Follow(ctx context.Context, name string, up Upstream, o Options, report func(error)) {
	w, ok := up.(Watcher)
	if !ok {
		report(fmt.Errorf("source %q cannot say what it offers", name))
		return
	}
	defer r.Detach(name)
	for c, err := range w.Watch(ctx) {
		if err == nil {
			err = r.Attach(name, up, c, o)
		} else {
			r.Withdraw(name, err)
		}
		report(err)
	}
}

// publish swaps in the snapshot made of the sources. r.mu is held; sources is
// the caller's own map.
func (r *Registry) publish(sources map[string]*source) {
	readmit(sources)
	var here, gone Catalog
	ups, downs := map[string]Upstream{}, map[string]Upstream{}
	for name, s := range sources {
		into := &here
		if s.cause == nil {
			ups[name] = s.up
		} else {
			into = &gone
			downs[name] = s.up
		}
		into.Tools = append(into.Tools, s.Tools...)
		into.Resources = append(into.Resources, s.Resources...)
		into.Templates = append(into.Templates, s.Templates...)
		into.Prompts = append(into.Prompts, s.Prompts...)
	}
	r.sources = sources
	old := r.load()
	snap := newSnapshot(old.snap.Generation+1, here, ups)
	if len(downs) > 0 {
		snap.away = newSnapshot(snap.Generation, gone, downs)
	}
	r.state.Store(&registryState{snap, make(chan struct{})})
	close(old.changed)
}

// readmit registers anew what was left out of a source because another one
// had the name, now that the other one may have gone.
func readmit(sources map[string]*source) {
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		s := sources[name]
		if !s.clashed {
			continue
		}
		a := attachment{name: name, options: s.options, taken: owners(sources, name)}
		again := *s
		again.Catalog = a.register(s.offered)
		again.clashed, again.notes = a.clashed, a.notes
		sources[name] = &again
	}
}

// owners returns who has each key, without the named source.
func owners(sources map[string]*source, without string) map[string]*Capability {
	taken := map[string]*Capability{}
	for name, s := range sources {
		if name == without {
			continue
		}
		for c := range s.all() {
			taken[c.key()] = c
		}
	}
	return taken
}

func (c *Catalog) all() iter.Seq[*Capability] {
	return func(yield func(*Capability) bool) {
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

// away is the upstream of a withdrawn source.
type away struct {
	source string
	cause  error
}

func (a away) Do(_ context.Context, call *Call) (*Result, error) {
	return nil, &Error{Code: Unavailable, By: "upstream/" + a.source, Msg: quoteName(call.Name) + " is not available now", Err: a.cause}
}

// Sources returns the names of all sources with the reason why each is
// withdrawn, or nil, sorted by name.
func (r *Registry) Sources() iter.Seq2[string, error] {
	r.mu.Lock()
	sources := r.sources
	r.mu.Unlock()
	return func(yield func(string, error) bool) {
		for _, name := range slices.Sorted(maps.Keys(sources)) {
			if !yield(name, sources[name].cause) {
				return
			}
		}
	}
}

// Notes returns what of the named source is not registered, or not as the
// source has it: what its upstream said of it, then what the options did. There
// are at most 10,000. The caller must not change them.
func (r *Registry) Notes(name string) []Note {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sources[name]; s != nil {
		return s.notes
	}
	return nil
}
