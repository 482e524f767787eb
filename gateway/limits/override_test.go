package limits

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openState(t *testing.T) *state.State {
	t.Helper()
	s, err := state.Open(t.Context(), state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func openOverrides(t *testing.T, s *state.State) *Overrides {
	t.Helper()
	o, err := OpenOverrides(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestOverrides: an override takes the place of all rules of its kind for one
// key, on every node, until it is removed or expires.
func TestOverrides(t *testing.T) {
	s := openState(t)
	here, there := openOverrides(t, s), openOverrides(t, s)
	g := newGauge(t, Options{Overrides: here},
		config.RateLimit{Name: "each", Per: "principal", Rate: rate("1/d")},
		config.RateLimit{Name: "echo", Per: "principal", Match: config.RateMatch{Tools: []string{"demo.echo"}}, Rate: rate("1/d")})
	elsewhere := newGauge(t, Options{Overrides: there}, config.RateLimit{Name: "each", Per: "principal", Rate: rate("1/d")})
	set := func(x Override) uint64 {
		t.Helper()
		x.Expires = time.Now().Add(time.Hour)
		revision, err := here.Set(t.Context(), x, 0)
		if err != nil {
			t.Fatal(err)
		}
		return revision
	}
	g.calls(who("bob"), echo, "", "each 24h0m0s")
	set(Override{Per: "principal", Key: who("alice").ID, Rate: rate("3/d")})
	g.calls(who("alice"), echo, "", "", "", "override 8h0m0s")
	set(Override{Per: "principal", Key: who("alice").ID, Unlimited: true})
	g.calls(who("alice"), echo, "", "", "", "", "")
	set(Override{Per: "role", Key: "agent", Rate: rate("2/d")})
	set(Override{Per: "tool", Key: "lab.other", Rate: rate("1/d")})
	set(Override{Per: "source", Key: "lab", Rate: rate("1/d")})
	set(Override{Per: "tenant", Key: "t-carol", Rate: rate("1/d")})
	g.calls(who("alice", "agent"), echo, "", "", "override 12h0m0s")
	g.calls(who("alice"), other, "", "override 24h0m0s")
	g.calls(who("alice"), notes, "override 24h0m0s") // Of the source.
	g.calls(who("carol"), echo, "", "each 24h0m0s")
	last := set(Override{Per: "global", Rate: rate("1/d")})
	g.calls(who("dave"), echo, "")
	g.calls(who("erin"), echo, "override 24h0m0s")
	if got := g.list(who("erin")); got != "override 24h0m0s" {
		t.Errorf("a list: %q", got)
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		if _, revision := there.All(); revision == last {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the other node does not know of it")
		}
	}
	elsewhere.calls(who("alice"), echo, "", "override 24h0m0s")

	if _, err := here.Remove(t.Context(), "global", "", last-1); !errors.Is(err, ErrConflict) {
		t.Errorf("removing by an old revision: %v", err)
	}
	if _, err := here.Set(t.Context(), Override{Per: "global", Rate: rate("1/s"), Expires: time.Now().Add(time.Hour)}, last-1); !errors.Is(err, ErrConflict) {
		t.Errorf("setting by an old revision: %v", err)
	}
	if _, err := here.Remove(t.Context(), "global", "", last); err != nil {
		t.Error(err)
	}
	if _, err := here.Remove(t.Context(), "global", "", 0); !errors.Is(err, ErrNotFound) {
		t.Errorf("removing nothing: %v", err)
	}
	g.calls(who("erin"), echo, "")
	if all, _ := here.All(); len(all) != 5 {
		t.Errorf("overrides %+v", all)
	}
}

// TestOverrideExpires: one that has ended counts no more, and is forgotten at the
// next change.
func TestOverrideExpires(t *testing.T) {
	o := openOverrides(t, openState(t))
	g := newGauge(t, Options{Overrides: o})
	if _, err := o.Set(t.Context(), Override{Per: "global", Rate: rate("1/d"), Expires: time.Now().Add(time.Hour)}, 0); err != nil {
		t.Fatal(err)
	}
	g.calls(who("a"), echo, "", "override 24h0m0s")
	soon := time.Now().Add(time.Second)
	if _, err := o.Set(t.Context(), Override{Per: "global", Rate: rate("1/d"), Expires: soon}, 0); err != nil {
		t.Fatal(err)
	}
	timer := time.NewTimer(time.Until(soon))
	<-timer.C
	g.calls(who("a"), echo, "", "")
	if _, err := o.Set(t.Context(), Override{Per: "role", Key: "r", Unlimited: true, Expires: time.Now().Add(time.Hour)}, 0); err != nil {
		t.Fatal(err)
	}
	if all, _ := o.All(); len(all) != 1 || all[0].Per != "role" {
		t.Errorf("overrides %+v", all)
	}
}

// TestFirstOverride: of two that set the first override at once, by what both have
// seen, one learns of the other.
func TestFirstOverride(t *testing.T) {
	o := openOverrides(t, openState(t))
	_, seen := o.All()
	x := Override{Per: "global", Rate: rate("1/d"), Expires: time.Now().Add(time.Hour)}
	if _, err := o.Set(t.Context(), x, seen); err != nil || seen == 0 {
		t.Errorf("the first, by revision %d: %v", seen, err)
	}
	if _, err := o.Set(t.Context(), x, seen); !errors.Is(err, ErrConflict) {
		t.Errorf("the second: %v", err)
	}
}

// TestBadOverrides: what no override is is refused.
func TestBadOverrides(t *testing.T) {
	o := openOverrides(t, openState(t))
	hour := time.Now().Add(time.Hour)
	for _, bad := range []Override{
		{},
		{Per: "moon", Key: "k", Unlimited: true, Expires: hour},
		{Per: "role", Unlimited: true, Expires: hour},
		{Per: "global", Key: "k", Unlimited: true, Expires: hour},
		{Per: "role", Key: strings.Repeat("k", 257), Unlimited: true, Expires: hour},
		{Per: "role", Key: "a\u202eb", Unlimited: true, Expires: hour},
		{Per: "role", Key: "k", Reason: strings.Repeat("r", 1001), Unlimited: true, Expires: hour},
		{Per: "role", Key: "k", Expires: hour},
		{Per: "role", Key: "k", Rate: rate("1/s"), Unlimited: true, Expires: hour},
		{Per: "role", Key: "k", Unlimited: true, Burst: 1, Expires: hour},
		{Per: "role", Key: "k", Unlimited: true},
		{Per: "role", Key: "k", Unlimited: true, Expires: hour.Add(-2 * time.Hour)},
		{Per: "role", Key: "k", Unlimited: true, Expires: hour.AddDate(1, 1, 0)},
	} {
		if _, err := o.Set(t.Context(), bad, 0); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	full := make([]Override, maxOverrides)
	for i := range full {
		full[i] = Override{Per: "role", Key: string(rune('a' + i)), Unlimited: true, Expires: hour}
	}
	if _, err := o.bucket.Put(t.Context(), stateKey, stored{full}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Set(t.Context(), Override{Per: "tool", Key: "k", Unlimited: true, Expires: hour}, 0); !errors.Is(err, ErrTooMany) {
		t.Errorf("one too many: %v", err)
	}
	if _, err := o.Set(t.Context(), Override{Per: "role", Key: "a", Rate: rate("1/s"), Expires: hour}, 0); err != nil {
		t.Errorf("in place of one: %v", err)
	}
}
