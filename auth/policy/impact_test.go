package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

func sequence(calls ...Recorded) iter.Seq2[Recorded, error] {
	return func(yield func(Recorded, error) bool) {
		for _, c := range calls {
			if !yield(c, nil) {
				return
			}
		}
	}
}

func TestImpact(t *testing.T) {
	e := NewEnforcer(mustParse(t, `
p, role:a, *, tool/s/*,    call, allow
p, role:b, *, tool/s/pay,  call, allow, args.amount < 100
p, role:c, *, tool/s/read, call, allow
p, role:d, *, tool/s/pay,  call, allow, args.amount < 100
p, role:e, *, tool/s/pay,  call, allow
`), Options{})
	draft := mustParse(t, `
p, role:a, *, tool/s/read, call, allow
p, role:b, *, tool/s/pay,  call, allow, args.amount < 10
p, role:c, *, tool/s/*,    call, allow
p, role:d, *, tool/s/*,    call, allow, args.amount < 100
p, role:e, *, tool/s/pay,  call, allow
p, role:e, *, tool/s/pay,  call, deny, args.amount > 5 && request.via == 'mcp'
p, anyone, *, tool/s/old,  call, deny, now > timestamp('2026-01-02T00:00:00Z')
`)
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	n := 0
	call := func(who, object string, allowed bool, args string) Recorded {
		n++
		return Recorded{
			ID: fmt.Sprint("c", n), Time: at.Add(time.Duration(n) * time.Hour), Object: object, Action: "call", Via: "mcp", Allowed: allowed,
			Principal: gateway.Principal{ID: "i|user|" + who, Kind: "user", Roles: []string{who}}, ArgsKnown: args != "", Args: json.RawMessage(args),
		}
	}
	var calls []Recorded
	for range 5 {
		calls = append(calls, call("a", "tool/s/write", true, ""))
	}
	calls = append(
		calls,
		call("a", "tool/s/read", true, ""), // the same
		call("b", "tool/s/pay", true, `{"amount":5}`), // the same
		call("b", "tool/s/pay", true, `{"amount":50}`),
		call("b", "tool/s/pay", true, ""),
		call("b", "tool/s/pay", false, ""),
		call("c", "tool/s/write", false, ""),
		call("d", "tool/s/pay", true, ""), // the same condition
		call("e", "tool/s/pay", true, ""),
		call("x", "tool/s/pay", false, ""), // the same
		Recorded{ID: "no", Time: at, Action: "call"},
		Recorded{ID: "no", Time: at, Action: "fly", Object: "tool/s/x", Principal: gateway.Principal{ID: "x"}},
	)
	got, err := e.Impact(t.Context(), draft, sequence(calls...))
	if err != nil {
		t.Fatal(err)
	}
	line := func(c Change) string {
		return fmt.Sprint(c.Count, " ", c.Principal, " ", c.Action, " ", c.Object, " ", c.Before, "→", c.After, " [", c.BeforeRule, "] [", c.AfterRule, "] ", c.Examples)
	}
	var lines []string
	for _, c := range got.Changes {
		lines = append(lines, line(c))
	}
	want := []string{
		"5 i|user|a call tool/s/write allowed→denied [p, role:a, *, tool/s/*, call, allow] [] [c1 c2 c3]",
		"1 i|user|b call tool/s/pay allowed→denied [p, role:b, *, tool/s/pay, call, allow, args.amount < 100] [] [c8]",
		"1 i|user|b call tool/s/pay allowed→undecidable [] [] [c9]",
		"1 i|user|b call tool/s/pay denied→undecidable [] [] [c10]",
		"1 i|user|c call tool/s/write denied→allowed [] [p, role:c, *, tool/s/*, call, allow] [c11]",
		"1 i|user|e call tool/s/pay allowed→undecidable [p, role:e, *, tool/s/pay, call, allow] [] [c13]",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Calls != 14 || got.Changed != 7 || got.Undecidable != 3 || got.Skipped != 2 || got.Omitted != 0 || !got.From.Equal(at.Add(time.Hour)) || !got.To.Equal(at.Add(14*time.Hour)) {
		t.Errorf("%+v", got)
	}
	if c := got.Changes[0]; !c.First.Equal(at.Add(time.Hour)) || !c.Last.Equal(at.Add(5*time.Hour)) {
		t.Errorf("from %v to %v", c.First, c.Last)
	}
}

func TestIdentify(t *testing.T) {
	for id, want := range map[string]string{
		"https://id|user|alice":        "user https://id alice",
		"config|anonymous|anonymous":   "anonymous config anonymous",
		"https://id|client|a|user|b":   "client https://id a|user|b",
		"https://id|user|x|client|bot": "user https://id x|client|bot",
		"nobody":                       "  ",
	} {
		p := gateway.Principal{ID: id}
		Identify(&p)
		if got := p.Kind + " " + p.Issuer + " " + p.Subject; got != want {
			t.Errorf("%s is %q, want %q", id, got, want)
		}
	}
}

// TestImpactEnds breaks the sequence off, and has more changes than are kept.
func TestImpactEnds(t *testing.T) {
	e := NewEnforcer(mustParse(t, "p, anyone, *, **, *, allow\n"), Options{})
	draft := mustParse(t, "")
	lost := errors.New("the log is damaged")
	calls := func(n int, end error) iter.Seq2[Recorded, error] {
		return func(yield func(Recorded, error) bool) {
			for i := range n {
				if !yield(Recorded{Action: "call", Object: fmt.Sprint("tool/s/t", i), Principal: gateway.Principal{ID: "x"}}, nil) {
					return
				}
			}
			if end != nil {
				yield(Recorded{}, end)
			}
		}
	}
	got, err := e.Impact(t.Context(), draft, calls(maxChanges+7, lost))
	if !errors.Is(err, lost) || got.Changed != maxChanges+7 || len(got.Changes) != maxChanges || got.Omitted != 7 {
		t.Errorf("%d changed, %d listed, %d omitted, %v", got.Changed, len(got.Changes), got.Omitted, err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := e.Impact(gone, draft, calls(5, nil)); !errors.Is(err, context.Canceled) || got.Calls != 0 {
		t.Errorf("%d calls, %v", got.Calls, err)
	}
}

// TestImpactAgrees replays random calls: what is said to change is what the two
// policies decide.
func TestImpactAgrees(t *testing.T) {
	changed := 0
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 13))
		snap, listed := randomSnapshot(t, r)
		o := Options{Toolsets: testToolsets, Snapshot: func() *gateway.Snapshot { return snap }}
		before := randomPolicy(r)
		after := strings.Replace(before, "allow", pick(r, "allow", "deny"), 1+r.IntN(3)) + randomPolicy(r)
		was, err := Parse("before", []byte(before))
		if err != nil {
			t.Fatal(err)
		}
		is, err := Parse("after", []byte(after))
		if err != nil {
			continue // Two random policies may make a circle of roles.
		}
		e, next := NewEnforcer(was, o), NewEnforcer(is, o)
		for range 20 {
			f := randomFacts(r)
			c := Recorded{ID: "1", Time: f.now, Principal: *randomPrincipal(r), Object: randomObject(r), Action: pick(r, everyWord...), Via: f.via, ArgsKnown: true, Args: json.RawMessage(f.args)}
			if len(listed) > 0 && r.IntN(2) == 0 {
				c.Object = listed[r.IntN(len(listed))].Object
			}
			request := Request{Principal: &c.Principal, Object: c.Object, Action: c.Action, Args: c.Args, Via: c.Via, Time: c.Time}
			a, b := e.Check(t.Context(), request) == nil, next.Check(t.Context(), request) == nil
			got, err := e.Impact(t.Context(), is, sequence(c))
			if err != nil || got.Undecidable > 0 || (got.Changed == 1) != (a != b) || a != b && got.Changes[0].After != outcomeOf(b) {
				t.Fatalf("%+v: before %t, after %t, impact %+v, %v\n%s\n%s", c, a, b, got, err, before, after)
			}
			changed += got.Changed
		}
	}
	if changed < 20 {
		t.Errorf("%d calls changed: the test tests little", changed)
	}
}

func BenchmarkImpact(b *testing.B) {
	p, who := benchPolicy(b, 10_000)
	draft, _ := benchPolicy(b, 9_000)
	e := NewEnforcer(p, Options{})
	call := Recorded{ID: "1", Principal: *who, Object: "tool/s1/t1", Action: "call"}
	calls := make([]Recorded, 1000)
	for i := range calls {
		calls[i] = call
	}
	for b.Loop() {
		if _, err := e.Impact(b.Context(), draft, sequence(calls...)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/call")
}
