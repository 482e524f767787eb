package gateway_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
)

// A switchable gate refuses the principals that were shut out.
type switchable struct {
	mu  sync.Mutex
	out map[string]bool
}

func (s *switchable) shut(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out[id] = true
}

func (s *switchable) Admit(_ context.Context, c *gateway.Call) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out[c.Principal.ID] {
		return &gateway.Error{Code: gateway.PermissionDenied, By: "switchable", Msg: "no more"}
	}
	return nil
}

func (s *switchable) View(_ *gateway.Principal, snap *gateway.Snapshot) *gateway.Snapshot {
	return snap
}

func TestRecheckEndsWhatIsNoLongerAllowed(t *testing.T) {
	began := make(chan string)
	r := one(t, func(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
		began <- c.Principal.ID
		<-ctx.Done()
		return nil, ctx.Err()
	})
	var counted atomic.Int32
	counting := gateFunc(func(*gateway.Call) error { counted.Add(1); return nil })
	gate := &switchable{out: map[string]bool{}}
	g, err := gateway.New(r, nil, []gateway.Gate{counting, gate})
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	type outcome struct {
		id  string
		err error
	}
	ends := make(chan outcome)
	for _, id := range []string{"alice", "bob", "alice"} {
		go func() {
			_, err := g.Do(ctx, &gateway.Call{Op: gateway.OpCall, Name: "demo.tool", Args: []byte(`{"a":1}`), Principal: &gateway.Principal{ID: id}})
			ends <- outcome{id, err}
		}()
		<-began
	}
	if n := g.Recheck(); n != 0 {
		t.Errorf("%d calls ended although nothing changed", n)
	}
	gate.shut("alice")
	if n := g.Recheck(); n != 2 {
		t.Errorf("%d calls ended, want alice's 2", n)
	}
	for range 2 {
		got := <-ends
		if e := new(gateway.Error); got.id != "alice" || !errors.As(got.err, &e) || e.Code != gateway.PermissionDenied || e.By != "switchable" {
			t.Errorf("%s's call ended with %v", got.id, got.err)
		}
	}
	cancel()
	if got := <-ends; got.id != "bob" || gateway.AsError(got.err).Code != gateway.Canceled {
		t.Errorf("%s's call ended with %v, want bob's cancelled", got.id, got.err)
	}
	if n := counted.Load(); n != 3 {
		t.Errorf("a gate that counts was asked %d times about 3 calls", n)
	}
	gate.shut("bob")
	if n := g.Recheck(); n != 0 {
		t.Errorf("%d calls still listed after all returned", n)
	}
}

// Calls come and go while others are ended: nothing is lost from a list.
func TestRecheckWhileCallsComeAndGo(t *testing.T) {
	r := one(t, func(context.Context, *gateway.Call) (*gateway.Result, error) { return &gateway.Result{}, nil })
	gate := &switchable{out: map[string]bool{}}
	g, err := gateway.New(r, nil, []gateway.Gate{gate})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				_, err := g.Do(t.Context(), &gateway.Call{Op: gateway.OpCall, Name: "demo.tool", Args: []byte(`{"a":1}`), Principal: &gateway.Principal{ID: "x"}})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 50 {
		g.Recheck()
	}
	wg.Wait()
	gate.shut("x")
	if n := g.Recheck(); n != 0 {
		t.Errorf("%d calls listed after all returned", n)
	}
}

func BenchmarkRunning(b *testing.B) {
	r := one(b, func(context.Context, *gateway.Call) (*gateway.Result, error) { return &gateway.Result{}, nil })
	for name, gate := range map[string]gateway.Gate{"without": admit(), "with": &switchable{}} {
		b.Run(name, func(b *testing.B) {
			g, err := gateway.New(r, nil, []gateway.Gate{gate})
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			b.ReportAllocs()
			for b.Loop() {
				call := gateway.Call{Op: gateway.OpCall, Name: "demo.tool", Args: []byte(`{"a":1}`), Principal: &gateway.Principal{ID: "x"}}
				if _, err := g.Do(ctx, &call); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A right that is taken away while a call is on its way in ends the call too.
func TestRecheckBetweenGates(t *testing.T) {
	r := one(t, func(context.Context, *gateway.Call) (*gateway.Result, error) {
		t.Error("the call went through")
		return &gateway.Result{}, nil
	})
	gate := &switchable{out: map[string]bool{}}
	var g *gateway.Gateway
	late := gateFunc(func(c *gateway.Call) error {
		gate.shut(c.Principal.ID)
		g.Recheck()
		return nil
	})
	g, err := gateway.New(r, nil, []gateway.Gate{gate, late})
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.Do(t.Context(), &gateway.Call{Op: gateway.OpCall, Name: "demo.tool", Args: []byte(`{"a":1}`), Principal: &gateway.Principal{ID: "x"}})
	if gateway.AsError(err).Code != gateway.PermissionDenied {
		t.Errorf("got %v", err)
	}
}

// TestRecheckWithholdsAnswers ends a call whose upstream takes the end of its
// context for the end of its work, as subscriptions do: the caller is refused
// all the same.
func TestRecheckWithholdsAnswers(t *testing.T) {
	began := make(chan struct{})
	r := one(t, func(ctx context.Context, _ *gateway.Call) (*gateway.Result, error) {
		close(began)
		<-ctx.Done()
		return gateway.TextResult("done"), nil
	})
	gate := &switchable{out: map[string]bool{}}
	g, err := gateway.New(r, nil, []gateway.Gate{gate})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := g.Do(t.Context(), &gateway.Call{Op: gateway.OpCall, Name: "demo.tool", Args: []byte(`{"a":1}`), Principal: &gateway.Principal{ID: "alice"}})
		ended <- err
	}()
	<-began
	gate.shut("alice")
	g.Recheck()
	if e, ok := errors.AsType[*gateway.Error](<-ended); !ok || e.Code != gateway.PermissionDenied {
		t.Errorf("the call ended with %v", e)
	}
}
