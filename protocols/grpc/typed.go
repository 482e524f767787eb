package grpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/schema/protoschema"
	"github.com/trilith-gateway/trilith/schema/transcode"
)

// ErrLockConflict says that a lock was changed by somebody else meanwhile.
var ErrLockConflict = errors.New("the lock has changed")

// A LockStore keeps the locks of sources, which all nodes share. It is safe for
// concurrent use.
type LockStore interface {
	// Load returns the lock of a source, as [protoschema.Lock.JSON] has written it,
	// and its revision; nil and 0 where there is none.
	Load(ctx context.Context, source string) (data []byte, revision uint64, err error)

	// Save writes a lock whose revision is still that, 0 for one that does not yet
	// exist, and returns the new one. It fails with [ErrLockConflict] where it is
	// not.
	Save(ctx context.Context, source string, data []byte, revision uint64) (uint64, error)
}

// types are the typed services at one moment. They are immutable.
type types struct {
	sources map[string]*typedSource // by name
	methods map[string]*typedMethod // by full name, with a slash in front

	problems map[string]string // why the types of a source are not as they should be
}

// A typedSource is the service of one source.
type typedSource struct {
	module   *protoschema.Module
	service  string                         // its full name
	tools    []*gateway.Tool                // what the module was made of
	prompts  []*gateway.Prompt              //
	byKey    map[string]*gateway.Capability // by the key of a method
	methods  []*typedMethod
	revision uint64 // of the lock that the module was made with
	lock     *protoschema.Lock
}

// A typedMethod is one RPC.
type typedMethod struct {
	full       string // its full name, with a slash in front
	op         gateway.Op
	kind       gateway.Kind
	name       string // of the tool or prompt in the registry
	structured bool   // the response is the structured content, not the whole result
	stream     bool
	in, out    *transcode.Plan
}

// Patience with a lock that cannot be read or written.
const (
	retryFirst   = time.Second
	retryMost    = time.Minute
	lockAttempts = 8
)

// Follow keeps the typed services as the registry is, until the context ends.
// Without a registry in the options there are none. A source whose types cannot
// be made, as when its lock cannot be written, keeps those that it had, and is
// tried again.
func (f *Frontend) Follow(ctx context.Context) {
	if f.options.Registry == nil {
		return
	}
	pause := retryFirst
	for {
		changed := f.options.Registry.Changed()
		var again <-chan time.Time
		stop := func() bool { return true }
		if f.update(ctx) {
			pause = retryFirst
		} else {
			t := time.NewTimer(pause)
			again, stop, pause = t.C, t.Stop, min(2*pause, retryMost)
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
			stop()
			return
		}
		stop()
	}
}

// Refresh makes the typed services as the registry is now. Where
// [Frontend.Follow] runs it only matters to who cannot wait for it.
func (f *Frontend) Refresh(ctx context.Context) {
	if f.options.Registry != nil {
		f.update(ctx)
	}
}

// update makes the types of the sources that have changed, and reports whether
// all could be made.
func (f *Frontend) update(ctx context.Context) (whole bool) {
	f.updates.Lock()
	defer f.updates.Unlock()
	old := f.types.Load()
	next := &types{sources: map[string]*typedSource{}, methods: map[string]*typedMethod{}, problems: map[string]string{}}
	offers := offersOf(f.options.Registry.Snapshot())
	for name, away := range f.options.Registry.Sources() {
		if _, offered := offers[name]; !offered && away != nil && old.sources[name] != nil {
			next.sources[name] = old.sources[name] // Calls are told that it is away.
		}
	}
	whole = true
	taken := &packages{of: map[string]string{}}
	for name, s := range old.sources {
		taken.of[s.module.Package] = name
	}
	for _, o := range offers.sorted() {
		s, err := f.typedSource(ctx, old.sources[o.source], taken, o)
		if err != nil {
			whole = false
			f.options.Logger.WarnContext(ctx, "the typed gRPC service is not up to date", slog.String("source", o.source), slog.Any("cause", err))
			next.problems[o.source] = "is not up to date: " + clip(err.Error(), maxMessage)
			s = old.sources[o.source]
		}
		if s != nil {
			next.sources[o.source] = s
			taken.of[s.module.Package] = o.source
		}
	}
	services := map[string]bool{}
	for _, name := range sortedKeys(next.sources) {
		s := next.sources[name]
		if services[s.module.Package] { // No method of one may ever be answered by the other.
			f.options.Logger.WarnContext(ctx, "two sources have one package of gRPC types; the second has no typed service",
				slog.String("source", name), slog.String("package", s.module.Package))
			next.problems[name] = "another source has its package, " + s.module.Package
			delete(next.sources, name)
			continue
		}
		services[s.module.Package] = true
		for _, m := range s.methods {
			next.methods[m.full] = m
		}
	}
	f.types.Store(next)
	return whole
}

// An offer is what a source offers that can be typed.
type offer struct {
	source  string
	tools   []*gateway.Tool
	prompts []*gateway.Prompt
}

type offers map[string]*offer

func offersOf(s *gateway.Snapshot) offers {
	all := offers{}
	of := func(source string) *offer {
		o := all[source]
		if o == nil {
			o = &offer{source: source}
			all[source] = o
		}
		return o
	}
	for _, t := range s.Tools {
		o := of(t.Source)
		o.tools = append(o.tools, t)
	}
	for _, p := range s.Prompts {
		o := of(p.Source)
		o.prompts = append(o.prompts, p)
	}
	return all
}

func (o offers) sorted() []*offer {
	all := make([]*offer, 0, len(o))
	for _, name := range sortedKeys(o) {
		all = append(all, o[name])
	}
	return all
}

// is reports whether the source was made of the same definitions.
func (s *typedSource) is(o *offer) bool {
	return s != nil &&
		slices.EqualFunc(s.tools, o.tools, func(a, b *gateway.Tool) bool { return sameCapability(&a.Capability, &b.Capability) }) &&
		slices.EqualFunc(s.prompts, o.prompts, func(a, b *gateway.Prompt) bool { return sameCapability(&a.Capability, &b.Capability) })
}

func sameCapability(a, b *gateway.Capability) bool {
	return a == b || a.Name == b.Name && string(a.Definition) == string(b.Definition)
}

// typedSource returns the types of a source: those that there are, or new ones
// made with its lock, which is written before they are shown to anybody. Taken
// are the packages of other sources.
func (f *Frontend) typedSource(ctx context.Context, was *typedSource, taken *packages, o *offer) (made *typedSource, err error) {
	if was.is(o) {
		return was, nil
	}
	defer func() {
		if p := recover(); p != nil { // The schemas come from elsewhere.
			made, err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	methods, byKey := methodsOf(o)
	var lock *protoschema.Lock
	var revision uint64
	if was != nil {
		lock, revision = was.lock, was.revision
	}
	for range lockAttempts {
		if lock == nil {
			if lock, revision, err = f.loadLock(ctx, taken, o.source); err != nil {
				return nil, err
			}
		}
		next := lock.Clone()
		module, err := protoschema.Compile(methods, next)
		if err != nil {
			return nil, err
		}
		if next.Changed() || revision == 0 {
			revision, err = f.saveLock(ctx, next, revision)
			if errors.Is(err, ErrLockConflict) { // Another node was first; its names and numbers hold.
				lock = nil
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		s := &typedSource{module: module, tools: o.tools, prompts: o.prompts, byKey: byKey, lock: next, revision: revision}
		s.service = module.Package + "." + module.Service
		s.methods = s.plans()
		return s, nil
	}
	return nil, fmt.Errorf("%w, again and again", ErrLockConflict)
}

// loadLock returns the lock of a source, a new one where there is none.
func (f *Frontend) loadLock(ctx context.Context, taken *packages, source string) (*protoschema.Lock, uint64, error) {
	if f.options.Locks == nil {
		return protoschema.NewLock(source, taken.free(source)), 0, nil
	}
	data, revision, err := f.options.Locks.Load(ctx, source)
	if err != nil {
		return nil, 0, err
	}
	if data == nil {
		if err := f.readPackages(ctx, taken); err != nil {
			return nil, 0, err
		}
		return protoschema.NewLock(source, taken.free(source)), 0, nil
	}
	lock, err := protoschema.ParseLock(data)
	if err == nil && lock.Source != source {
		err = fmt.Errorf("the lock is that of source %q", lock.Source)
	}
	return lock, revision, err
}

// packages are those that sources have.
type packages struct {
	of   map[string]string // the source of each
	read bool              // with those of sources that have a lock and no types
}

// readPackages adds the packages of sources that have a lock and no types yet, as
// all have when a node starts: a new source must not take one of them.
func (f *Frontend) readPackages(ctx context.Context, taken *packages) error {
	if taken.read {
		return nil
	}
	typed := f.types.Load().sources
	for name := range f.options.Registry.Sources() {
		if typed[name] != nil {
			continue
		}
		data, _, err := f.options.Locks.Load(ctx, name)
		if err != nil {
			return err
		}
		if data == nil {
			continue
		}
		pkg := protoschema.PackageOf(name)
		if lock, err := protoschema.ParseLock(data); err == nil {
			pkg = lock.Package
		}
		taken.of[pkg] = name
	}
	taken.read = true
	return nil
}

// free returns the package of a source that has no lock: one that no other source
// has.
func (p *packages) free(source string) string {
	want := protoschema.PackageOf(source)
	name := want
	for i := 2; p.of[name] != "" && p.of[name] != source; i++ {
		name = fmt.Sprintf("%s_%d.v1", strings.TrimSuffix(want, ".v1"), i)
	}
	return name
}

func (f *Frontend) saveLock(ctx context.Context, lock *protoschema.Lock, revision uint64) (uint64, error) {
	if f.options.Locks == nil {
		return 1, nil
	}
	data, err := lock.JSON()
	if err != nil {
		return 0, err
	}
	return f.options.Locks.Save(ctx, lock.Source, data, revision)
}

// methodsOf returns the methods of a source's tools and prompts, and what each
// is made of.
func methodsOf(o *offer) ([]protoschema.Method, map[string]*gateway.Capability) {
	methods := make([]protoschema.Method, 0, len(o.tools)+len(o.prompts))
	byKey := make(map[string]*gateway.Capability, cap(methods))
	for _, t := range o.tools {
		m := method(&t.Capability, "tool/", "")
		m.Input, m.Output = t.Input.JSON(), t.Output.JSON()
		if m.Output == nil {
			m.Output = json.RawMessage(resultSchema)
		}
		methods, byKey[m.Key] = append(methods, m), &t.Capability
	}
	for _, p := range o.prompts {
		m := method(&p.Capability, "prompt/", "Prompt")
		m.Input, m.Output, m.Unary = promptSchema(p), json.RawMessage(messagesSchema), true
		methods, byKey[m.Key] = append(methods, m), &p.Capability
	}
	return methods, byKey
}

func method(c *gateway.Capability, kind, suffix string) protoschema.Method {
	name := strings.TrimPrefix(c.Name, c.Source+".")
	text := c.Description
	if text == "" {
		text = c.Title
	}
	return protoschema.Method{Key: kind + name, Name: name + suffix, Comment: text}
}

// plans returns the methods of the source.
func (s *typedSource) plans() []*typedMethod {
	compiler := transcode.NewCompiler(transcode.Options{
		Dialect: transcode.ToolJSON, Absent: s.module.Absent, Inline: s.module.Inline, Whole: s.module.Whole,
	})
	structured := map[string]bool{}
	for _, t := range s.tools {
		structured[t.Name] = t.Output != nil
	}
	methods := make([]*typedMethod, 0, len(s.module.RPCs))
	for _, r := range s.module.RPCs {
		c := s.byKey[r.Key]
		m := &typedMethod{
			full: "/" + s.service + "/" + r.Name, op: gateway.OpCall, kind: c.Kind, name: c.Name, stream: r.Stream,
			in: compiler.Plan(r.Input), out: compiler.Plan(r.Output),
		}
		if c.Kind == gateway.KindPrompt {
			m.op = gateway.OpGet
		} else {
			m.structured = structured[c.Name]
		}
		methods = append(methods, m)
	}
	return methods
}
