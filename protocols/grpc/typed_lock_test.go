package grpc

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

	"github.com/trilith-gateway/trilith/gateway"
)

// memoryLocks keeps locks as the shared state does.
type memoryLocks struct {
	mu        sync.Mutex
	data      map[string][]byte
	revisions map[string]uint64
	away      error
	before    func() // called before the next Save
	saves     int
}

func newMemoryLocks() *memoryLocks {
	return &memoryLocks{data: map[string][]byte{}, revisions: map[string]uint64{}}
}

func (l *memoryLocks) Load(_ context.Context, source string) ([]byte, uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.data[source], l.revisions[source], l.away
}

func (l *memoryLocks) Save(_ context.Context, source string, data []byte, revision uint64) (uint64, error) {
	l.mu.Lock()
	before := l.before
	l.before = nil
	l.mu.Unlock()
	if before != nil {
		before()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.away != nil:
		return 0, l.away
	case l.revisions[source] != revision:
		return 0, ErrLockConflict
	}
	l.saves++
	l.data[source] = data
	l.revisions[source]++
	return l.revisions[source], nil
}

func (l *memoryLocks) setAway(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = err
}

// addTool adds a tool with these properties and waits for it.
func (w *world) addTool(t testing.TB, name, properties string) {
	t.Helper()
	def := `{"name":"` + name + `","inputSchema":{"type":"object","properties":{` + properties + `}}}`
	if err := w.funcs.AddTool(json.RawMessage(def), func(context.Context, *gateway.Call) (*gateway.Result, error) { return gateway.TextResult("x"), nil }); err != nil {
		t.Fatal(err)
	}
	w.settle(t, func(s *gateway.Snapshot) bool {
		tool := s.Tool("demo." + name)
		return tool != nil && string(tool.Input.JSON()) == `{"type":"object","properties":{`+properties+`}}`
	})
}

func (f *Frontend) numbers(t testing.TB, rpc string) map[string]int {
	t.Helper()
	for _, r := range f.types.Load().sources["demo"].module.RPCs {
		if r.Name == rpc {
			out := map[string]int{}
			for i := range r.Input.Fields().Len() {
				out[r.Input.Fields().Get(i).JSONName()] = int(r.Input.Fields().Get(i).Number())
			}
			return out
		}
	}
	return nil
}

// TestNodesAgree has two nodes that see tools in different orders, and write
// their lock at the same time.
func TestNodesAgree(t *testing.T) {
	l := newMemoryLocks()
	one, two := newWorld(t), newWorld(t)
	one.addTool(t, "x", `"b":{"type":"string"}`)
	two.addTool(t, "x", `"a":{"type":"string"},"b":{"type":"string"}`)
	a := frontend(t, one, Options{Registry: one.registry, Locks: l})
	b := frontend(t, two, Options{Registry: two.registry, Locks: l})
	l.before = func() { // While the first node is about to write, the second one does.
		if !b.update(t.Context()) {
			t.Error("the second node has no types")
		}
	}
	if !a.update(t.Context()) {
		t.Fatal("the first node has no types")
	}
	first, second := a.numbers(t, "X"), b.numbers(t, "X")
	if second["a"] != 1 || second["b"] != 2 || first["b"] != 2 {
		t.Errorf("numbers %v and %v", first, second)
	}
	one.addTool(t, "x", `"a":{"type":"string"},"b":{"type":"string"},"c":{"type":"string"}`)
	a.update(t.Context())
	two.addTool(t, "x", `"0":{"type":"string"},"a":{"type":"string"},"b":{"type":"string"}`)
	b.update(t.Context()) // With a revision that is no more.
	if first, second := a.numbers(t, "X"), b.numbers(t, "X"); first["c"] != 3 || second["0"] != 4 {
		t.Errorf("numbers %v and %v", first, second)
	}
	saves := l.saves
	c := frontend(t, two, Options{Registry: two.registry, Locks: l})
	c.update(t.Context())
	if l.saves != saves {
		t.Error("the lock was written when nothing was new")
	}
}

// TestLockAway has a state that cannot be written: the types stay as they were,
// other sources change, and the new ones come when it can be written again.
func TestLockAway(t *testing.T) {
	w, l := newWorld(t), newMemoryLocks()
	f := typed(t, w, Options{Locks: l})
	conn := dial(t, f)
	ctx, cancel := context.WithCancel(as(t.Context(), "alice"))
	defer cancel()
	call := func(method string) error {
		in, out := []byte("\x08\x28\x10\x02"), []byte(nil)
		return conn.Invoke(ctx, "/"+demoService+"/"+method, &in, &out, grpc.ForceCodecV2(raw{"proto"}))
	}
	l.setAway(errors.New("no leader"))
	w.addTool(t, "late", `"a":{"type":"integer"},"b":{"type":"integer"}`)
	if f.update(ctx) {
		t.Error("the lock was written")
	}
	if err := call("Late"); err == nil {
		t.Error("a method without a lock is served")
	}
	if err := call("Add"); err != nil {
		t.Errorf("an old method is not served: %v", err)
	}
	var following sync.WaitGroup
	following.Go(func() { f.Follow(ctx) })
	l.setAway(nil)
	late := time.Now().Add(20 * time.Second)
	for call("Late") != nil {
		if time.Now().After(late) {
			t.Fatal("the new method is never served")
		}
	}
	cancel()
	following.Wait()
}

// TestSourceAway has a source that goes away: its methods stay, and say so.
func TestSourceAway(t *testing.T) {
	w := newWorld(t)
	f := typed(t, w, Options{})
	up := gateway.Func(func(context.Context, *gateway.Call) (*gateway.Result, error) { return gateway.TextResult("x"), nil })
	tool, err := gateway.ParseTool(json.RawMessage(`{"name":"t","inputSchema":{"type":"object"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.registry.Attach("other", up, gateway.Catalog{Tools: []*gateway.Tool{tool}}, gateway.Options{}); err != nil {
		t.Fatal(err)
	}
	f.update(t.Context())
	if len(f.types.Load().methods) == 0 || f.types.Load().sources["other"] == nil {
		t.Fatal("no types")
	}
	demo := f.types.Load().sources["demo"]
	conn := dial(t, f)
	call := func() string {
		in, out := []byte(nil), []byte(nil)
		err := conn.Invoke(as(t.Context(), "alice"), "/trilith.other.v1.OtherService/T", &in, &out, grpc.ForceCodecV2(raw{"proto"}))
		if err == nil {
			return "OK"
		}
		return gateway.AsError(err).Code.String() + " " + err.Error()
	}
	if got := call(); got != "OK" {
		t.Error(got)
	}
	w.registry.Withdraw("other", errors.New("gone"))
	f.update(t.Context())
	if got := call(); got != `INTERNAL rpc error: code = Unavailable desc = "t" is not available now` {
		t.Error(got)
	}
	w.registry.Detach("other")
	f.update(t.Context())
	if got := call(); got != "INTERNAL rpc error: code = Unimplemented desc = there is no such method" {
		t.Error(got)
	}
	if f.types.Load().sources["demo"] != demo {
		t.Error("a source that did not change was made anew")
	}
}

// TestPackages has sources whose names make one package.
func TestPackages(t *testing.T) {
	w := newWorld(t)
	f := typed(t, w, Options{})
	for i, name := range []string{"My.Source", "my-source", "my_source"} {
		tool, err := gateway.ParseTool(json.RawMessage(`{"name":"t","inputSchema":{"type":"object"}}`))
		if err != nil {
			t.Fatal(err)
		}
		up := gateway.Func(func(context.Context, *gateway.Call) (*gateway.Result, error) { return gateway.TextResult("x"), nil })
		if err := w.registry.Attach(name, up, gateway.Catalog{Tools: []*gateway.Tool{tool}}, gateway.Options{Prefix: name + "."}); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			f.update(t.Context())
		}
	}
	got := map[string]string{}
	for name, s := range f.types.Load().sources {
		got[name] = s.module.Package
	}
	want := map[string]string{"demo": "trilith.demo.v1", "My.Source": "trilith.my_source.v1", "my-source": "trilith.my_source_2.v1", "my_source": "trilith.my_source_3.v1"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// attach adds a source with one tool, which answers with the name of the source.
func (w *world) attach(t testing.TB, source, tool string) {
	t.Helper()
	made, err := gateway.ParseTool(json.RawMessage(`{"name":"` + tool + `","inputSchema":{"type":"object"}}`))
	if err != nil {
		t.Fatal(err)
	}
	up := gateway.Func(func(context.Context, *gateway.Call) (*gateway.Result, error) { return gateway.TextResult(source), nil })
	if err := w.registry.Attach(source, up, gateway.Catalog{Tools: []*gateway.Tool{made}}, gateway.Options{Prefix: source + "."}); err != nil {
		t.Fatal(err)
	}
}

// TestPackagesKept adds a source while a node is down whose name makes the
// package that another source has, and comes before it.
func TestPackagesKept(t *testing.T) {
	w, l := newWorld(t), newMemoryLocks()
	w.attach(t, "my_source", "t")
	typed(t, w, Options{Locks: l})
	w.attach(t, "my-source", "t")
	f := typed(t, w, Options{Locks: l})
	if d := cmp.Diff("trilith.my_source.v1", f.types.Load().sources["my_source"].module.Package); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff("trilith.my_source_2.v1", f.types.Load().sources["my-source"].module.Package); d != "" {
		t.Error(d)
	}
}

// TestPackagesClash has two nodes that gave two sources one package at the same
// time: calls to the service of the one never reach the other.
func TestPackagesClash(t *testing.T) {
	w, l := newWorld(t), newMemoryLocks()
	one, two := newWorld(t), newWorld(t)
	one.attach(t, "my-source", "b")
	two.attach(t, "my_source", "a")
	typed(t, one, Options{Locks: l})
	typed(t, two, Options{Locks: l})
	w.attach(t, "my-source", "b")
	w.attach(t, "my_source", "a")
	f := typed(t, w, Options{Locks: l})
	now := f.types.Load()
	for full, m := range now.methods {
		if strings.HasPrefix(full, "/trilith.my_source.v1.") && !strings.HasPrefix(m.name, "my-source.") {
			t.Errorf("%s calls %s", full, m.name)
		}
	}
	if now.sources["my-source"] == nil || now.sources["my_source"] != nil {
		t.Error("not the first of two sources has the service")
	}
}
