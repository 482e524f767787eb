package limits

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
)

var (
	echo  = capability(gateway.KindTool, "demo", "echo")
	other = capability(gateway.KindTool, "lab", "other")
	notes = capability(gateway.KindResource, "lab", "notes")
)

func capability(k gateway.Kind, source, name string) *gateway.Capability {
	return &gateway.Capability{Kind: k, Source: source, Name: source + "." + name, Object: k.String() + "/" + source + "/" + name}
}

func who(name string, roles ...string) *gateway.Principal {
	return &gateway.Principal{ID: "idp|user|" + name, Name: name, Roles: roles, Tenant: "t-" + name}
}

// A gauge is a gate in a bubble of time.
type gauge struct {
	*testing.T
	*Gate
}

func newGauge(t *testing.T, o Options, rules ...config.RateLimit) gauge {
	t.Helper()
	g, err := New(rules, o)
	if err != nil {
		t.Fatal(err)
	}
	return gauge{t, g}
}

// call makes a call and returns "" or when to try again.
func (g gauge) call(p *gateway.Principal, c *gateway.Capability) string {
	g.Helper()
	op := gateway.OpCall
	if c.Kind == gateway.KindResource {
		op = gateway.OpRead
	}
	return g.said(g.Admit(g.Context(), &gateway.Call{Op: op, Principal: p, Target: c}))
}

func (g gauge) list(p *gateway.Principal) string {
	g.Helper()
	return g.said(g.AdmitList(g.Context(), gateway.Listing{Principal: p, Kind: gateway.KindTool}))
}

func (g gauge) said(err error) string {
	g.Helper()
	if err == nil {
		return ""
	}
	e, ok := errors.AsType[*gateway.Error](err)
	if !ok || e.Code != gateway.ResourceExhausted || e.By != "limits" || e.Retry <= 0 {
		g.Fatalf("refused with %v", err)
	}
	rule, _ := errors.AsType[interface {
		error
		Rule() string
	}](e.Err)
	return fmt.Sprint(rule.Rule(), " ", e.Retry)
}

func (g gauge) calls(p *gateway.Principal, c *gateway.Capability, want ...string) {
	g.Helper()
	var got []string
	for range want {
		got = append(got, g.call(p, c))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		g.Errorf("calls of %s by %s (-want +got):\n%s", c.Name, p.Name, diff)
	}
}

func rate(text string) config.Rate {
	r, err := config.ParseRate(text)
	if err != nil {
		panic(err)
	}
	return r
}

// TestRetry: the time that a refusal names is when there is a token, no sooner.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGauge(t, Options{}, config.RateLimit{Name: "r", Per: "principal", Rate: rate("100/m"), Burst: 2})
		a := who("alice")
		g.calls(a, echo, "", "", "r 600ms", "r 600ms")
		time.Sleep(599 * time.Millisecond)
		g.calls(a, echo, "r 1ms")
		time.Sleep(time.Millisecond)
		g.calls(a, echo, "", "r 600ms")
		g.calls(who("bob"), echo, "", "")
		time.Sleep(time.Hour) // A bucket holds no more than its burst.
		g.calls(a, echo, "", "", "r 600ms")
		if got := g.list(a); got != "r 600ms" {
			t.Errorf("a list: %q", got)
		}
		if err := g.Admit(t.Context(), &gateway.Call{Op: gateway.OpInspect, Principal: a, Target: echo}); err != nil {
			t.Errorf("administration is refused: %v", err)
		}
	})
}

// TestAllOrNone: a call that one bucket refuses takes no token from the others.
func TestAllOrNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGauge(t, Options{},
			config.RateLimit{Name: "all", Per: "global", Rate: rate("3/m")},
			config.RateLimit{Name: "each", Per: "principal", Rate: rate("1/h")},
			config.RateLimit{Name: "tool", Per: "tool", Match: config.RateMatch{Tools: []string{"*.other"}}, Rate: rate("2/h"), Burst: 1})
		a := who("alice")
		g.calls(a, echo, "", "each 1h0m0s", "each 1h0m0s", "each 1h0m0s", "each 1h0m0s")
		g.calls(who("bob"), other, "")
		g.calls(who("carol"), other, "tool 30m0s") // She still has her token,
		g.calls(who("carol"), echo, "")            // and this is the third of all.
		g.calls(who("dave"), echo, "all 20s")
		g.calls(a, other, "each 1h0m0s") // Of several that are empty the one that takes longest counts.
	})
}

// TestMatch: which rules count what.
func TestMatch(t *testing.T) {
	for name, test := range map[string]struct {
		rule               config.RateLimit
		echo, notes, lists bool // whether they are counted for an agent
		person             bool // whether the call of another role is
	}{
		"everything":     {config.RateLimit{Per: "global"}, true, true, true, true},
		"tools":          {config.RateLimit{Per: "principal", Match: config.RateMatch{Tools: []string{"demo.*"}}}, true, false, false, true},
		"other tools":    {config.RateLimit{Per: "principal", Match: config.RateMatch{Tools: []string{"lab.*"}}}, false, false, false, false},
		"per tool":       {config.RateLimit{Per: "tool"}, true, false, false, true},
		"per source":     {config.RateLimit{Per: "source"}, true, true, false, true},
		"of a source":    {config.RateLimit{Per: "tenant", Match: config.RateMatch{Sources: []string{"lab"}}}, false, true, false, false},
		"of a role":      {config.RateLimit{Per: "principal", Match: config.RateMatch{Roles: []string{"x", "agent"}}}, true, true, true, false},
		"per role":       {config.RateLimit{Per: "role"}, true, true, true, true},
		"per agent role": {config.RateLimit{Per: "role", Match: config.RateMatch{Roles: []string{"agent"}}}, true, true, true, false},
		"lists":          {config.RateLimit{Per: "principal", Match: config.RateMatch{Actions: []string{"list"}}}, false, false, true, false},
		"reads":          {config.RateLimit{Per: "principal", Match: config.RateMatch{Actions: []string{"read", "get"}}}, false, true, false, false},
	} {
		test.rule.Name, test.rule.Rate = "r", rate("1/d")
		for what, c := range map[string]struct {
			want bool
			do   func(gauge) string
		}{
			"echo":   {test.echo, func(g gauge) string { return g.call(who("a", "agent"), echo) }},
			"notes":  {test.notes, func(g gauge) string { return g.call(who("a", "agent"), notes) }},
			"lists":  {test.lists, func(g gauge) string { return g.list(who("a", "agent")) }},
			"person": {test.person, func(g gauge) string { return g.call(who("a", "person"), echo) }},
		} {
			g := newGauge(t, Options{}, test.rule)
			if first := c.do(g); first != "" {
				t.Errorf("%s: the first of %s: %s", name, what, first)
			}
			if again := c.do(g) != ""; again != c.want {
				t.Errorf("%s: %s is counted: %v", name, what, again)
			}
		}
	}
}

// TestRoles: roles that the policy adds count, and each has a bucket.
func TestRoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGauge(t, Options{Roles: func(p *gateway.Principal) []string { return append([]string{"linked"}, p.Roles...) }},
			config.RateLimit{Name: "r", Per: "role", Rate: rate("2/h")})
		g.calls(who("alice", "x"), echo, "")
		g.calls(who("bob", "y"), echo, "")
		g.calls(who("carol", "z"), echo, "r 30m0s") // All have the linked one.
	})
}

// TestSet: rules change while buckets keep what they lack, and a rule that is
// faster now does not make callers wait for the old debt.
func TestSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := config.RateLimit{Name: "r", Per: "principal", Rate: rate("2/d")}
		g := newGauge(t, Options{}, slow)
		g.calls(who("a"), echo, "", "", "r 12h0m0s")
		if err := g.Set([]config.RateLimit{slow, {Name: "q", Per: "global", Rate: rate("9/m")}}); err != nil {
			t.Fatal(err)
		}
		g.calls(who("a"), echo, "r 12h0m0s")
		if err := g.Set([]config.RateLimit{{Name: "r", Per: "principal", Rate: rate("10/s")}}); err != nil {
			t.Fatal(err)
		}
		g.calls(who("a"), echo, "r 100ms")
		if err := g.Set(nil); err != nil {
			t.Fatal(err)
		}
		g.calls(who("a"), echo, "", "", "")
		for _, bad := range []config.RateLimit{
			{Name: "b", Per: "moon", Rate: rate("1/s")},
			{Name: "b", Per: "global"},
			{Name: "b", Per: "global", Rate: rate("1/s"), Match: config.RateMatch{Tools: []string{"["}}},
		} {
			if g.Set([]config.RateLimit{bad}) == nil || Check([]config.RateLimit{bad}) == nil {
				t.Errorf("%+v is taken", bad)
			}
		}
		if Check(make([]config.RateLimit, maxRules+1)) == nil {
			t.Error("too many rules are taken")
		}
	})
}

// TestConcurrent: of many at once exactly the burst is admitted.
func TestConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGauge(t, Options{},
			config.RateLimit{Name: "a", Per: "global", Rate: rate("500/d")}, config.RateLimit{Name: "b", Per: "principal", Rate: rate("300/d")})
		var admitted [2]int
		var wg sync.WaitGroup
		for i := range admitted {
			wg.Go(func() {
				p := who(fmt.Sprint(i))
				for range 1000 {
					if g.Admit(t.Context(), &gateway.Call{Op: gateway.OpCall, Principal: p, Target: echo}) == nil {
						admitted[i]++
					}
				}
			})
		}
		wg.Wait()
		if admitted[0]+admitted[1] != 500 || max(admitted[0], admitted[1]) > 300 {
			t.Errorf("admitted %v", admitted)
		}
		st := g.Status()
		if a, b := st.Rules[0], st.Rules[1]; a.Admitted != 500 || b.Admitted != 500 || a.Refused+b.Refused != 1500 {
			t.Errorf("counted %+v", st.Rules)
		}
	})
}

// away is a limiter that cannot be reached.
type away struct{}

func (away) Take(context.Context, []Bucket) (time.Duration, int, error) {
	return 0, 0, errors.New("connection refused")
}

// TestAway: calls that cannot be counted are refused.
func TestAway(t *testing.T) {
	g := newGauge(t, Options{Limiter: away{}}, config.RateLimit{Name: "r", Per: "global", Rate: rate("1/s")})
	e := gateway.AsError(g.Admit(t.Context(), &gateway.Call{Op: gateway.OpCall, Principal: who("a"), Target: echo}))
	if e == nil || e.Code != gateway.Unavailable || strings.Contains(e.Msg, "connection") {
		t.Errorf("got %v", e)
	}
}

// TestMillion: as many principals as there like to be keep memory bounded, and
// those that have used up their tokens do not get them back by that.
func TestMillion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(0)
		g := newGauge(t, Options{Limiter: table}, config.RateLimit{Name: "r", Per: "principal", Rate: rate("10/h")})
		flood := who("flood")
		for range 10 {
			g.calls(flood, echo, "")
		}
		before := heap()
		for i := range 1_000_000 {
			p := &gateway.Principal{ID: fmt.Sprint("idp|user|", i, strings.Repeat("x", 100))}
			if err := g.Admit(t.Context(), &gateway.Call{Op: gateway.OpCall, Principal: p, Target: echo}); err != nil {
				t.Fatal(err)
			}
		}
		grown := heap() - before
		t.Logf("%d buckets take %d MB", len(table.slots), grown>>20)
		if len(table.slots) > DefaultBuckets || len(table.index) != len(table.slots) || grown > 64<<20 {
			t.Errorf("%d buckets, %d in the index, %d bytes", len(table.slots), len(table.index), grown)
		}
		g.calls(flood, echo, "r 6m0s")
		time.Sleep(time.Hour) // All are full again, and make room.
		many := len(table.slots)
		for i := range 1000 {
			g.calls(who(fmt.Sprint("later", i)), echo, "")
		}
		if len(table.slots) != many {
			t.Errorf("%d buckets became %d although all were full", many, len(table.slots))
		}
		runtime.KeepAlive(g)
	})
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestLongKey: a key of any length is kept in bounded space, apart from others.
func TestLongKey(t *testing.T) {
	table := NewTable(10)
	long := strings.Repeat("x", 1<<20)
	for _, key := range []string{long, long + "y"} {
		b := []Bucket{{&Limit{Interval: time.Hour, Burst: 1}, key}}
		if wait, _, _ := table.Take(t.Context(), b); wait != 0 {
			t.Error("the first call has to wait")
		}
		if wait, _, _ := table.Take(t.Context(), b); wait == 0 {
			t.Error("the second call need not wait")
		}
	}
	for _, s := range table.States() {
		if len(s.Key) > maxKey {
			t.Errorf("a key of %d bytes", len(s.Key))
		}
	}
}

// BenchmarkAdmit is a call that rules of every kind count.
func BenchmarkAdmit(b *testing.B) {
	every := []config.RateLimit{
		{Name: "everybody", Per: "principal", Rate: rate("1000000/s"), Burst: 1e9},
		{Name: "search", Per: "tool", Match: config.RateMatch{Tools: []string{"demo.*"}}, Rate: rate("1000000/s"), Burst: 1e9},
		{Name: "everything", Per: "global", Rate: rate("1000000/s"), Burst: 1e9},
		{Name: "agents", Per: "role", Match: config.RateMatch{Roles: []string{"agent"}}, Rate: rate("1000000/s"), Burst: 1e9},
	}
	ctx := b.Context()
	for name, rules := range map[string][]config.RateLimit{"none": nil, "one": every[:1], "three": every[:3], "four": every} {
		g, err := New(rules, Options{})
		if err != nil {
			b.Fatal(err)
		}
		call := &gateway.Call{Op: gateway.OpCall, Principal: who("alice", "agent", "person"), Target: echo}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := g.Admit(ctx, call); err != nil {
					b.Fatal(err)
				}
			}
		})
		if allocs := testing.AllocsPerRun(100, func() { _ = g.Admit(ctx, call) }); allocs != 0 {
			b.Errorf("%s: %v allocations", name, allocs)
		}
	}
}
