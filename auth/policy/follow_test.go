package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway/state"
)

// TestFollow puts versions in force on one node and follows them on another.
func TestFollow(t *testing.T) {
	st := newState(t, state.Options{})
	s := storeIn(t, st, StoreOptions{})
	other := storeIn(t, st, StoreOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan *InForce, 10)
	done := make(chan struct{})
	first := put(t, s, adminRules, "")
	go func() {
		defer close(done)
		for now, err := range other.Follow(ctx) {
			if err != nil {
				if ctx.Err() == nil {
					t.Error(err)
				}
				continue
			}
			seen <- now
		}
	}()
	if now := <-seen; now.Version.ID != first.ID || now.Policy.Rules() != 1 {
		t.Errorf("first %+v", now.Version)
	}
	began := time.Now()
	second := put(t, s, adminRules+"p, role:a, *, tool/x/y, call, allow\n", "")
	if now := <-seen; now.Version.ID != second.ID || now.Policy.Rules() != 2 {
		t.Errorf("then %+v", now.Version)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("another node heard of it after %v", took)
	}
	cancel()
	<-done
}

// TestManyRules activates 100,000 rules while calls are decided.
func TestManyRules(t *testing.T) {
	var csv strings.Builder
	csv.WriteString(adminRules)
	for i := range 99_000 {
		fmt.Fprintf(&csv, "p, group:team-%d, *, tool/source-%d/tool_%d, call, allow\n", i%5000, i%300, i)
	}
	s := newStore(t, StoreOptions{})
	v := put(t, s, csv.String(), "group:team-1 call tool/source-1/tool_1 allow\n")
	now, err := s.Load(t.Context())
	if err != nil || now.Policy.Rules() != 99_001 || now.Version.SHA256 != v.SHA256 {
		t.Fatalf("%v", err)
	}
}

// TestFollowWhileTheStateIsAway closes the state under a follower: it is told so,
// once, and is told no other policy.
func TestFollowWhileTheStateIsAway(t *testing.T) {
	st := newState(t, state.Options{})
	s := storeIn(t, st, StoreOptions{})
	first := put(t, s, adminRules, "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	e := NewEnforcer(mustParse(t, ""), Options{})
	var faults []error
	for now, err := range s.Follow(ctx) {
		if err != nil {
			faults = append(faults, err)
			continue
		}
		e.Set(now.Policy)
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(faults) != 1 || !errors.Is(faults[0], state.ErrUnavailable) {
		t.Errorf("faults %v", faults)
	}
	if e.Policy().Version() != first.SHA256[:16] || e.Check(t.Context(), Request{Principal: admin(), Object: "admin/policy", Action: "admin"}) != nil {
		t.Errorf("in force is %s", e.Policy().Version())
	}
	if _, err := s.Load(ctx); !errors.Is(err, state.ErrUnavailable) {
		t.Error(err)
	}
}
