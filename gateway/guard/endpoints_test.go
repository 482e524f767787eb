package guard_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/guard"
)

// A place is an endpoint as a test wants it.
type place struct {
	name  string
	calls atomic.Int64
	do    func(context.Context, *gateway.Call) (*gateway.Result, error)
	says  chan said
}

type said struct {
	catalog gateway.Catalog
	err     error
}

func (p *place) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	p.calls.Add(1)
	if p.do != nil {
		return p.do(ctx, call)
	}
	return gateway.TextResult(p.name), nil
}

func (p *place) Watch(ctx context.Context) iter.Seq2[gateway.Catalog, error] {
	return func(yield func(gateway.Catalog, error) bool) {
		for {
			select {
			case s := <-p.says:
				if !yield(s.catalog, s.err) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func newPlace(name string) *place { return &place{name: name, says: make(chan said, 8)} }

func offer(t *testing.T, names ...string) said {
	t.Helper()
	var c gateway.Catalog
	for _, name := range names {
		name, description, _ := strings.Cut(name, ":")
		tool, err := gateway.ParseTool(json.RawMessage(fmt.Sprintf(`{"name":%q,"description":%q,"inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}`, name, description)))
		if err != nil {
			t.Fatal(err)
		}
		c.Tools = append(c.Tools, tool)
	}
	return said{catalog: c}
}

// balanced returns endpoints that are there, until the test ends. It is called in
// a bubble.
func balanced(t *testing.T, all []guard.Endpoint, o guard.EndpointsOptions) *guard.Endpoints {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	o.Random = func() uint64 { mu.Lock(); defer mu.Unlock(); return random.Uint64() }
	o.Source = "shop"
	e, err := guard.NewEndpoints(all, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for range e.Watch(ctx) { // Its health needs it.
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	for _, p := range all {
		if p, ok := p.Up.(*place); ok {
			p.says <- offer(t, "a")
		}
	}
	synctest.Wait()
	return e
}

func ask(e *guard.Endpoints, who int, args string) (*gateway.Result, error) {
	readOnly := true
	tool := &gateway.Tool{Capability: gateway.Capability{Kind: gateway.KindTool, Name: "a", Origin: "a"}, Annotations: gateway.Annotations{ReadOnly: &readOnly}}
	return e.Do(context.Background(), &gateway.Call{
		Op: gateway.OpCall, Kind: gateway.KindTool, Args: json.RawMessage(args), Tool: tool, Target: &tool.Capability,
		Principal: &gateway.Principal{ID: fmt.Sprintf("p%d", who)},
	})
}

var errAway = &gateway.Error{Code: gateway.Unavailable, By: "upstream/shop", Msg: "away"}

// TestDistribution simulates many calls under each policy, over endpoints of
// which one has half the weight and another is slow.
func TestDistribution(t *testing.T) {
	for _, tt := range []struct {
		policy       guard.Policy
		concurrent   int
		slow         time.Duration // of the last endpoint; the others take a millisecond
		want         [3]float64    // shares of the calls
		within       float64
		fromArgument bool
	}{
		{policy: guard.RoundRobin, concurrent: 1, want: [3]float64{0.4, 0.2, 0.4}, within: 0.001},
		{policy: guard.LeastRequests, concurrent: 1, want: [3]float64{0.4, 0.2, 0.4}, within: 0.08},
		{policy: guard.LeastRequests, concurrent: 30, slow: 20 * time.Millisecond, want: [3]float64{0.62, 0.32, 0.06}, within: 0.08},
		{policy: guard.EWMA, concurrent: 30, slow: 20 * time.Millisecond, want: [3]float64{0.5, 0.45, 0.05}, within: 0.12},
		{policy: guard.Hash, concurrent: 1, want: [3]float64{0.4, 0.2, 0.4}, within: 0.05},
		{policy: guard.Hash, concurrent: 1, want: [3]float64{0.4, 0.2, 0.4}, within: 0.05, fromArgument: true},
	} {
		t.Run(fmt.Sprintf("%d/%d", tt.policy, tt.concurrent), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var places [3]*place
				var all []guard.Endpoint
				for i := range places {
					p := newPlace(fmt.Sprint(i))
					took := time.Millisecond
					if i == 2 && tt.slow > 0 {
						took = tt.slow
					}
					p.do = func(context.Context, *gateway.Call) (*gateway.Result, error) {
						<-time.After(took)
						return gateway.TextResult(p.name), nil
					}
					places[i] = p
					all = append(all, guard.Endpoint{Name: p.name, Up: p, Weight: [3]int{100, 50, 100}[i]})
				}
				o := guard.EndpointsOptions{Balance: guard.Balance{Policy: tt.policy}}
				if tt.fromArgument {
					o.Balance.Argument = "id"
				}
				e := balanced(t, all, o)
				const calls = 4000
				var at sync.Map
				var wg sync.WaitGroup
				for w := range tt.concurrent {
					wg.Go(func() {
						for i := range calls / tt.concurrent {
							who, args := i%1000+w*1000, `{}`
							if tt.fromArgument {
								who, args = 1, fmt.Sprintf(`{"x":[1,{"id":2}],"id":"%d"}`, who)
							}
							res, err := ask(e, who, args)
							if err != nil {
								t.Error(err)
								return
							}
							if before, ok := at.Swap(fmt.Sprint(who, args), res.Endpoint); ok && before != res.Endpoint && tt.policy == guard.Hash {
								t.Errorf("%d went to %s and to %s", who, before, res.Endpoint)
							}
						}
					})
				}
				wg.Wait()
				var got [3]float64
				for i, p := range places {
					got[i] = float64(p.calls.Load()) / calls
				}
				t.Logf("shares %.3f", got)
				for i := range got {
					if math.Abs(got[i]-tt.want[i]) > tt.within {
						t.Errorf("shares %.3f, want about %.2f", got, tt.want)
						break
					}
				}
			})
		})
	}
}

// TestHashMovesLittle takes an endpoint away: only its own callers go elsewhere.
func TestHashMovesLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		places := []*place{newPlace("a"), newPlace("b"), newPlace("c")}
		e := balanced(t, []guard.Endpoint{{Name: "a", Up: places[0]}, {Name: "b", Up: places[1]}, {Name: "c", Up: places[2]}},
			guard.EndpointsOptions{Balance: guard.Balance{Policy: guard.Hash}})
		before := map[int]string{}
		for i := range 500 {
			res, err := ask(e, i, `{}`)
			if err != nil {
				t.Fatal(err)
			}
			before[i] = res.Endpoint
		}
		places[1].says <- said{err: errors.New("gone")}
		synctest.Wait()
		for i := range 500 {
			res, err := ask(e, i, `{}`)
			if err != nil || res.Endpoint == "b" || before[i] != "b" && res.Endpoint != before[i] {
				t.Fatalf("%d went from %s to %s, %v", i, before[i], res.Endpoint, err)
			}
		}
	})
}

// TestEjection takes an endpoint that fails out, for longer and longer, and back
// in when it does well again.
func TestEjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, bad := newPlace("good"), newPlace("bad")
		var broken atomic.Bool
		broken.Store(true)
		bad.do = func(context.Context, *gateway.Call) (*gateway.Result, error) {
			if broken.Load() {
				return nil, errAway
			}
			return gateway.TextResult("bad"), nil
		}
		e := balanced(t, []guard.Endpoint{{Name: "good", Up: good}, {Name: "bad", Up: bad}},
			guard.EndpointsOptions{Health: guard.Health{Failures: 3, Eject: time.Second, MaxEject: 4 * time.Second}})
		failed := func(calls int) (n int) {
			for i := range calls {
				if _, err := ask(e, i, `{}`); err != nil {
					n++
				}
			}
			return n
		}
		if n := failed(100); n != 3 {
			t.Errorf("%d of 100 calls failed, want 3", n)
		}
		for _, wait := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 4 * time.Second} {
			<-time.After(wait - time.Millisecond)
			if n := failed(10); n != 0 {
				t.Errorf("%d calls failed before %v were over", n, wait)
			}
			<-time.After(time.Millisecond)
			if n := failed(100); n != 1 {
				t.Errorf("%d calls failed after %v, want one trial", n, wait)
			}
		}
		broken.Store(false)
		<-time.After(4 * time.Second)
		if n := failed(100); n != 0 || e.Status()[1].Calls < 50 || !e.Status()[1].Until.IsZero() {
			t.Errorf("%d calls failed at the end: %+v", n, e.Status()[1])
		}
		good.says <- said{err: errors.New("gone")}
		bad.says <- said{err: errors.New("gone")}
		synctest.Wait()
		if n := failed(10); n != 0 {
			t.Errorf("%d calls failed where no endpoint is known to be there and all are", n)
		}
	})
}

// TestEndpointProbe gives no calls to an endpoint that does not answer its probe.
func TestEndpointProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPlace("a"), newPlace("b")
		var down atomic.Bool
		e := balanced(t, []guard.Endpoint{{Name: "a", Up: a}, {Name: "b", Up: b, Probe: func(ctx context.Context) error {
			if down.Load() {
				<-ctx.Done() // It hangs.
				return ctx.Err()
			}
			return nil
		}}}, guard.EndpointsOptions{Health: guard.Health{Interval: time.Second, Timeout: 100 * time.Millisecond}})
		share := func() (n int) {
			for i := range 100 {
				if res, err := ask(e, i, `{}`); err != nil {
					t.Error(err)
				} else if res.Endpoint == "b" {
					n++
				}
			}
			return n
		}
		if n := share(); n != 50 {
			t.Errorf("it got %d", n)
		}
		down.Store(true)
		<-time.After(1200 * time.Millisecond)
		if n := share(); n != 0 {
			t.Errorf("it got %d while it was away", n)
		}
		down.Store(false)
		<-time.After(1200 * time.Millisecond)
		if n := share(); n != 50 {
			t.Errorf("it got %d afterwards", n)
		}
	})
}

// TestCanary gives a share to a canary, and rolls one back that turns bad, by
// errors, by what its tools say, or by being slow.
func TestCanary(t *testing.T) {
	for name, bad := range map[string]func() (*gateway.Result, error){
		"away":   func() (*gateway.Result, error) { return nil, errAway },
		"failed": func() (*gateway.Result, error) { return gateway.ErrorResult("no"), nil },
		"slow": func() (*gateway.Result, error) {
			<-time.After(100 * time.Millisecond)
			return gateway.TextResult("late"), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stable, canary := newPlace("main"), newPlace("new")
				var broken atomic.Bool
				stable.do = func(context.Context, *gateway.Call) (*gateway.Result, error) {
					<-time.After(10 * time.Millisecond)
					return gateway.TextResult("ok"), nil
				}
				canary.do = func(context.Context, *gateway.Call) (*gateway.Result, error) {
					if broken.Load() {
						return bad()
					}
					<-time.After(10 * time.Millisecond)
					return gateway.TextResult("ok"), nil
				}
				e := balanced(t, []guard.Endpoint{{Name: "main", Up: stable}, {Name: "new", Up: canary, Role: guard.Canary}},
					guard.EndpointsOptions{Canary: guard.CanaryOptions{Percent: 20, Calls: 10, Window: 20 * time.Second}, Health: guard.Health{Failures: -1}})
				for i := range 2000 {
					if _, err := ask(e, i, `{}`); err != nil {
						t.Fatal(err)
					}
				}
				st, ok := e.CanaryStatus()
				if n := canary.calls.Load(); !ok || st.Phase != guard.CanaryRunning || n < 340 || n > 460 {
					t.Fatalf("it got %d of 2000: %+v", n, st)
				}
				broken.Store(true)
				before := canary.calls.Load()
				for i := range 2000 {
					_, _ = ask(e, i, `{}`) // Some fail, until it is rolled back.
				}
				if st, _ = e.CanaryStatus(); st.Phase != guard.CanaryAborted || st.Percent != 0 || st.Reason == "" {
					t.Errorf("it is %+v", st)
				}
				t.Logf("aborted after %d calls: %s", canary.calls.Load()-before, st.Reason)
				if n := canary.calls.Load() - before; n > 300 {
					t.Errorf("it got %d calls more", n)
				}
				before = canary.calls.Load()
				for i := range 200 {
					if _, err := ask(e, i, `{}`); err != nil {
						t.Error(err)
					}
				}
				if canary.calls.Load() != before {
					t.Error("it gets calls after it was aborted")
				}
				broken.Store(false)
				if err := e.Shift(t.Context(), 50); err != nil {
					t.Error(err)
				}
				for i := range 200 {
					_, _ = ask(e, i, `{}`) // As before.
				}
				if n := canary.calls.Load() - before; n < 70 || n > 130 {
					t.Errorf("it got %d of 200 at half", n)
				}
				if err := errors.Join(e.Promote(t.Context()), e.Shift(t.Context(), 101)); !errors.Is(err, guard.ErrShare) {
					t.Error("a share beyond all is taken")
				}
				before = stable.calls.Load()
				for i := range 100 {
					_, _ = ask(e, i, `{}`) // As before.
				}
				if st, _ = e.CanaryStatus(); stable.calls.Load() != before || st.Phase != guard.CanaryPromoted {
					t.Errorf("the others get calls after it was promoted: %+v", st)
				}
				if err := e.Abort(t.Context(), "by hand"); err != nil {
					t.Error(err)
				}
				if st, _ = e.CanaryStatus(); st.Phase != guard.CanaryAborted || st.Reason != "by hand" {
					t.Errorf("it is %+v", st)
				}
			})
		})
	}
}

// TestMirror copies what changes nothing, and loses copies rather than wait.
func TestMirror(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		main, mirror := newPlace("main"), newPlace("new")
		release := make(chan struct{})
		mirror.do = func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
			if call.Progress != nil || call.Ask != nil || string(call.Args) != `{"n":1}` {
				t.Errorf("a copy is %+v", call)
			}
			select {
			case <-release:
			case <-ctx.Done():
			}
			return nil, errAway
		}
		e := balanced(t, []guard.Endpoint{{Name: "main", Up: main}, {Name: "new", Up: mirror, Role: guard.Mirror}}, guard.EndpointsOptions{Trusted: true})
		marked := 0
		for i := range 200 {
			res, err := ask(e, i, `{"n":1}`)
			if err != nil || res.Endpoint != "main" {
				t.Fatalf("%+v, %v", res, err)
			}
			if res.Mirrored == "new" {
				marked++
			}
		}
		if dropped := int(e.DroppedCopies()); marked+dropped != 200 || marked < 60 || dropped == 0 {
			t.Errorf("%d copies, %d lost", marked, dropped)
		}
		close(release)
		synctest.Wait()
		if n := mirror.calls.Load(); int(n) != marked {
			t.Errorf("the mirror got %d of %d", n, marked)
		}
		changes := &gateway.Tool{Capability: gateway.Capability{Kind: gateway.KindTool, Name: "a", Origin: "a"}}
		before := mirror.calls.Load()
		if _, err := e.Do(t.Context(), &gateway.Call{Op: gateway.OpCall, Tool: changes, Target: &changes.Capability}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if mirror.calls.Load() != before {
			t.Error("a call that may change something is copied")
		}
	})
}

// TestMirrorPanics: a mirror that panics has failed, and gets the next copy.
func TestMirrorPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		main, mirror := newPlace("main"), newPlace("new")
		mirror.do = func(context.Context, *gateway.Call) (*gateway.Result, error) { panic("broken") }
		e := balanced(t, []guard.Endpoint{{Name: "main", Up: main}, {Name: "new", Up: mirror, Role: guard.Mirror}}, guard.EndpointsOptions{Trusted: true})
		for i := range 10 {
			if res, err := ask(e, i, `{"n":1}`); err != nil || res.Mirrored != "new" {
				t.Fatalf("%+v, %v", res, err)
			}
			synctest.Wait()
		}
		if st := e.Status()[1]; st.Calls != 10 || st.Failed != 10 || st.Running != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestStick has what goes on go on where it began.
func TestStick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []guard.Endpoint
		for _, name := range []string{"a", "b"} {
			p := newPlace(name)
			p.do = func(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
				switch {
				case call.Rejoin != nil:
					if string(call.Rejoin) != `{"task":"`+name+`"}` {
						t.Errorf("%s is rejoined with %s", name, call.Rejoin)
					}
				case call.Resume != nil:
					if call.Resume.State != "state:of:"+name {
						t.Errorf("%s is resumed with %s", name, call.Resume.State)
					}
				case call.Began != nil:
					call.Began(json.RawMessage(`{"task":"` + name + `"}`))
				default:
					return &gateway.Result{Input: &gateway.InputRequest{State: "state:of:" + name}}, nil
				}
				return gateway.TextResult(name), nil
			}
			all = append(all, guard.Endpoint{Name: name, Up: p})
		}
		e := balanced(t, all, guard.EndpointsOptions{})
		for range 4 {
			var kept json.RawMessage
			began, err := e.Do(t.Context(), &gateway.Call{Op: gateway.OpCall, Task: true, Began: func(h json.RawMessage) { kept = h }})
			if err != nil {
				t.Fatal(err)
			}
			if again, err := e.Do(t.Context(), &gateway.Call{Op: gateway.OpCall, Task: true, Rejoin: kept}); err != nil || again.Endpoint != began.Endpoint {
				t.Errorf("%s went on at %+v, %v", began.Endpoint, again, err)
			}
			waits, err := e.Do(t.Context(), &gateway.Call{Op: gateway.OpCall})
			if err != nil {
				t.Fatal(err)
			}
			if again, err := e.Do(t.Context(), &gateway.Call{Op: gateway.OpCall, Resume: &gateway.Resume{State: waits.Input.State}}); err != nil || again.Endpoint != waits.Endpoint {
				t.Errorf("%s went on at %+v, %v", waits.Endpoint, again, err)
			}
		}
		for _, call := range []*gateway.Call{
			{Rejoin: json.RawMessage(`{"endpoint":"c"}`)},
			{Rejoin: json.RawMessage(`[]`)},
			{Resume: &gateway.Resume{State: "forged"}},
			{Resume: &gateway.Resume{State: "endpoint:c:x"}},
		} {
			if _, err := e.Do(t.Context(), call); gateway.AsError(err) == nil || gateway.AsError(err).Code != gateway.NotFound {
				t.Errorf("a call that goes on nowhere: %v", err)
			}
		}
	})
}

// TestMerge yields what the first stable endpoint offers, and notes how others
// differ.
func TestMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := newPlace("a"), newPlace("b"), newPlace("c")
		e, err := guard.NewEndpoints([]guard.Endpoint{{Name: "c", Up: c, Role: guard.Canary}, {Name: "a", Up: a}, {Name: "b", Up: b}}, guard.EndpointsOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		next, stop := iter.Pull2(e.Watch(ctx))
		defer stop()
		want := func(tools string, notes int, away bool) {
			t.Helper()
			c, err, ok := next()
			var names []string
			for _, tool := range c.Tools {
				names = append(names, tool.Name+":"+tool.Description)
			}
			if !ok || strings.Join(names, " ") != tools || len(c.Notes) != notes || (err != nil) != away {
				t.Fatalf("got %v, %v, %v", names, c.Notes, err)
			}
		}
		c.says <- offer(t, "x:new")
		want("x:new", 0, false)
		b.says <- offer(t, "x:old", "y:old")
		want("x:old y:old", 2, false)
		a.says <- offer(t, "x:old")
		want("x:old", 2, false) // y at b, x at c.
		a.says <- said{err: errors.New("gone")}
		want("x:old y:old", 2, false)
		b.says <- said{err: errors.New("gone")}
		want("x:new", 0, false)
		c.says <- said{err: errors.New("gone")}
		want("", 0, true)
	})
}

// TestEndpointOptions refuses endpoints that make no sense.
func TestEndpointOptions(t *testing.T) {
	p := newPlace("a")
	for name, all := range map[string][]guard.Endpoint{
		"none":            nil,
		"no stable":       {{Name: "a", Up: p, Role: guard.Canary}},
		"one name twice":  {{Name: "a", Up: p}, {Name: "a", Up: p}},
		"no name":         {{Up: p}},
		"without a watch": {{Name: "a", Up: gateway.Func(p.Do)}},
		"too many":        make([]guard.Endpoint, 100),
	} {
		if _, err := guard.NewEndpoints(all, guard.EndpointsOptions{}); err == nil {
			t.Errorf("%s: they are taken", name)
		}
	}
}
