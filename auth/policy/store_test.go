package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/state"
)

const adminRules = "p, role:admin, *, admin/**, *, allow\n"

func newState(t testing.TB, o state.Options) *state.State {
	t.Helper()
	s, err := state.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newStore(t testing.TB, o StoreOptions) *Store {
	t.Helper()
	return storeIn(t, newState(t, state.Options{}), o)
}

func storeIn(t testing.TB, st *state.State, o StoreOptions) *Store {
	t.Helper()
	s, err := OpenStore(t.Context(), st, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func admin() *gateway.Principal {
	p := role("admin")
	p.ID, p.Subject = "idp|user|root", "root"
	return p
}

// put activates a text.
func put(t testing.TB, s *Store, csv, checks string) Version {
	t.Helper()
	v, err := tryPut(t.Context(), s, csv, checks)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func tryPut(ctx context.Context, s *Store, csv, checks string) (Version, error) {
	d, err := s.CreateDraft(ctx, "idp|user|author", "a comment")
	if err != nil {
		return Version{}, err
	}
	if d, err = s.SaveDraft(ctx, d.ID, d.Revision, Edit{CSV: &csv, Checks: &checks}); err != nil {
		return Version{}, err
	}
	v, err := s.Activate(ctx, d.ID, d.Revision, admin())
	if err != nil {
		return v, errors.Join(err, s.DiscardDraft(ctx, d.ID, d.Revision))
	}
	return v, nil
}

// TestVersions goes through the life of a policy: drafts, versions, a rollback.
func TestVersions(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := newStore(t, StoreOptions{Now: func() time.Time { return now }})
	ctx := t.Context()
	if _, err := s.Active(ctx); !errors.Is(err, ErrNotFound) {
		t.Fatalf("an empty store: %v", err)
	}
	one := put(t, s, adminRules+"p, role:a, *, tool/x/y, call, allow\n", "role:a call tool/x/y allow\n")
	now = now.Add(time.Hour)
	two := put(t, s, "# another\n"+adminRules+"p, role:b, *, tool/x/y, call, allow\n", "")
	got, err := s.Active(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(two, got); diff != "" {
		t.Errorf("in force (-want +got):\n%s", diff)
	}
	if two.Parent != one.ID || two.ID <= one.ID || two.By != "idp|user|root" || two.Author != "idp|user|author" || two.Comment != "a comment" || !two.Activated.Equal(now) || two.SHA256 != shaOf(two.CSV) {
		t.Errorf("%+v after %+v", two, one)
	}
	three, err := s.Rollback(ctx, one.ID, two.ID, admin())
	if err != nil {
		t.Fatal(err)
	}
	if three.CSV != one.CSV || three.Checks != one.Checks || three.Restores != one.ID || three.Parent != two.ID {
		t.Errorf("rolled back to %+v", three)
	}
	history, err := s.History(ctx, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for _, v := range history {
		ids = append(ids, v.ID)
		if v.CSV != "" {
			t.Error("the history has texts")
		}
	}
	if diff := cmp.Diff([]int64{three.ID, two.ID, one.ID}, ids); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if part, err := s.History(ctx, three.ID, 1); err != nil || len(part) != 1 || part[0].ID != two.ID {
		t.Errorf("the page before: %v, %v", part, err)
	}
	changes, err := s.Diff(ctx, one.ID, two.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(changes); got != "[- p, role:a, *, tool/x/y, call, allow + p, role:b, *, tool/x/y, call, allow]" {
		t.Errorf("difference %s", got)
	}
	if drafts, err := s.Drafts(ctx); err != nil || len(drafts) != 0 {
		t.Errorf("drafts are left: %v, %v", drafts, err)
	}
	if texts, err := s.texts.All(ctx); err != nil || len(texts) != 3 {
		t.Errorf("%d texts are kept, %v", len(texts), err)
	}
	for _, err := range []error{errOf(s.Version(ctx, 99)), errOf(s.Draft(ctx, "none")), errOf(s.Diff(ctx, 1, 99)), errOf(s.Rollback(ctx, 99, three.ID, admin())), s.DiscardDraft(ctx, "none", 1), errOf(s.SaveDraft(ctx, "none", 1, Edit{}))} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("error %v, want ErrNotFound", err)
		}
	}
}

func errOf[T any](_ T, err error) error { return err }

// TestNobodyOverwritesWhatTheyHaveNotSeen changes drafts and versions under the
// hands of others.
func TestNobodyOverwritesWhatTheyHaveNotSeen(t *testing.T) {
	s := newStore(t, StoreOptions{})
	ctx := t.Context()
	one := put(t, s, adminRules, "")
	mine, err := s.CreateDraft(ctx, "me", "")
	if err != nil {
		t.Fatal(err)
	}
	text := adminRules + "# mine\n"
	saved, err := s.SaveDraft(ctx, mine.ID, mine.Revision, Edit{CSV: &text})
	if err != nil {
		t.Fatal(err)
	}
	if saved.Base != one.ID || saved.CSV != text {
		t.Errorf("%+v", saved)
	}
	for _, err := range []error{
		errOf(s.SaveDraft(ctx, mine.ID, mine.Revision, Edit{})),
		errOf(s.Activate(ctx, mine.ID, mine.Revision, admin())),
		s.DiscardDraft(ctx, mine.ID, mine.Revision),
	} {
		conflict := new(ConflictError)
		if !errors.As(err, &conflict) || !errors.Is(err, ErrConflict) || conflict.Draft != mine.ID || conflict.Revision != saved.Revision {
			t.Errorf("error %v, want a conflict with revision %d", err, saved.Revision)
		}
	}
	two := put(t, s, adminRules+"# theirs\n", "")
	conflict := new(ConflictError)
	if _, err := s.Activate(ctx, saved.ID, saved.Revision, admin()); !errors.As(err, &conflict) || conflict.Version != two.ID {
		t.Errorf("activated over version %d: %v", two.ID, err)
	}
	if _, err := s.Rollback(ctx, one.ID, one.ID, admin()); !errors.As(err, &conflict) || conflict.Version != two.ID {
		t.Errorf("rolled back over version %d: %v", two.ID, err)
	}
	if saved, err = s.SaveDraft(ctx, saved.ID, saved.Revision, Edit{Rebase: true}); err != nil || saved.Base != two.ID || saved.CSV != text {
		t.Fatalf("%+v, %v", saved, err)
	}
	if _, err := s.Activate(ctx, saved.ID, saved.Revision, admin()); err != nil {
		t.Error(err)
	}
}

// TestOneWins activates many drafts of one version at once.
func TestOneWins(t *testing.T) {
	s := newStore(t, StoreOptions{})
	base := put(t, s, adminRules, "")
	var wg sync.WaitGroup
	results := make([]error, 8)
	var drafts []Draft
	for i := range results {
		d, err := s.CreateDraft(t.Context(), "me", "")
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("%sp, role:r%d, *, tool/x/y, call, allow\n", adminRules, i)
		if d, err = s.SaveDraft(t.Context(), d.ID, d.Revision, Edit{CSV: &text}); err != nil {
			t.Fatal(err)
		}
		drafts = append(drafts, d)
	}
	for i, d := range drafts {
		wg.Go(func() { _, results[i] = s.Activate(t.Context(), d.ID, d.Revision, admin()) })
	}
	wg.Wait()
	winner := -1
	for i, err := range results {
		switch {
		case err == nil && winner >= 0:
			t.Errorf("drafts %d and %d were both activated over version %d", winner, i, base.ID)
		case err == nil:
			winner = i
		case !errors.Is(err, ErrConflict):
			t.Error(err)
		}
	}
	now, err := s.Active(t.Context())
	if err != nil || winner < 0 || !strings.Contains(now.CSV, fmt.Sprintf("role:r%d,", winner)) || now.Parent != base.ID {
		t.Errorf("draft %d won, in force is %+v, %v", winner, now, err)
	}
}

// TestActivateRefuses activates what must not come into force.
func TestActivateRefuses(t *testing.T) {
	sets := Toolsets{"known": having("x")}
	s := newStore(t, StoreOptions{Toolsets: func() Toolsets { return sets }})
	first := put(t, s, adminRules, "")
	for name, c := range map[string]struct {
		csv, checks string
		want        string
		is          error
	}{
		"no policy":              {"p, x\n", "", "draft:1:4: the rule has 1 fields", nil},
		"no checks":              {adminRules, "call me maybe", "checks:1:1:", nil},
		"unknown toolset":        {adminRules + "p, anyone, *, toolset:moon, call, allow\n", "", "draft:2:15: no toolset is named", nil},
		"check that fails":       {adminRules, "role:a call tool/x/y allow\n", "checks:1: role:a call tool/x/y allow: no rule", nil},
		"empty":                  {"", "", "no subject is left", ErrLockout},
		"nobody is admin":        {"p, role:a, *, **, *, allow\n", "", "no subject is left", ErrLockout},
		"only under a condition": {"p, role:admin, *, admin/**, *, allow, now > timestamp('2020-01-01T00:00:00Z')\n", "", "no subject is left", ErrLockout},
		"all are denied":         {adminRules + "p, anyone, *, **, *, deny\n", "", "no subject is left", ErrLockout},
		"only some areas":        {"p, role:admin, *, admin/policy, *, allow\n", "", "no subject is left", ErrLockout},
		"another is admin":       {"p, role:other, *, admin/**, *, allow\n", "", "you could not change it again: no rule", ErrLockout},
		"not this one any more":  {adminRules + "p, user:https://idp|root, *, admin/policy, admin, deny\n", "", "you could not change it again: denied by", ErrLockout},
		"in another tenant":      {"p, role:admin, t1, admin/**, *, allow\n", "", "you could not change it again: no rule", ErrLockout},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tryPut(t.Context(), s, c.csv, c.checks)
			if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if now, err := s.Active(t.Context()); err != nil || now.ID != first.ID {
				t.Errorf("in force is version %d, %v", now.ID, err)
			}
		})
	}
	// An admin by way of several roles is one.
	put(t, s, "g, group:ops, role:a\ng, group:ops, role:b\np, role:a, *, admin/*, read, allow\np, role:b, *, \"admin/{policy,keys,sessions,sources,audit,limits,traffic}\", admin, allow\ng, role:admin, role:b\n", "")
	sets = nil
	if _, err := s.Rollback(t.Context(), first.ID, 0, admin()); !errors.Is(err, ErrConflict) {
		t.Error(err)
	}
	if _, err := s.Rollback(t.Context(), first.ID, first.ID+1, nil); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}

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

// TestReadOnly keeps the history of a policy that comes from a file.
func TestReadOnly(t *testing.T) {
	readOnly := true
	s := newStore(t, StoreOptions{ReadOnly: func() bool { return readOnly }})
	ctx := t.Context()
	one, err := s.Record(ctx, "# from a file\n", "policy.csv")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.Record(ctx, "# from a file\n", "policy.csv"); err != nil || again.ID != one.ID {
		t.Errorf("recorded again as %d, %v", again.ID, err)
	}
	two, err := s.Record(ctx, "# edited\n", "policy.csv")
	if err != nil || two.Parent != one.ID || two.Author != "policy.csv" {
		t.Errorf("%+v, %v", two, err)
	}
	for _, err := range []error{errOf(s.CreateDraft(ctx, "me", "")), errOf(s.Activate(ctx, "x", 1, admin())), errOf(s.Rollback(ctx, one.ID, two.ID, admin()))} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("error %v, want ErrReadOnly", err)
		}
	}
	readOnly = false
	d, err := s.CreateDraft(ctx, "me", "")
	if err != nil || d.CSV != "# edited\n" {
		t.Errorf("the draft begins with %q, %v", d.CSV, err)
	}
}

// TestStoreIsBounded stores too much.
func TestStoreIsBounded(t *testing.T) {
	s := newStore(t, StoreOptions{})
	ctx := t.Context()
	if _, err := s.CreateDraft(ctx, "me", strings.Repeat("x", maxComment+1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a long comment: %v", err)
	}
	var d Draft
	for range maxDrafts {
		var err error
		if d, err = s.CreateDraft(ctx, "me", ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.CreateDraft(ctx, "me", ""); !errors.Is(err, ErrTooMany) {
		t.Errorf("one draft too many: %v", err)
	}
	long := strings.Repeat("#", maxBytes+1)
	if _, err := s.SaveDraft(ctx, d.ID, d.Revision, Edit{CSV: &long}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a long policy: %v", err)
	}
	if _, err := (packed{CSV: []byte("x")}).text(); err == nil {
		t.Error("a text was made of nothing")
	}
	bomb, _ := squeeze(long)
	if _, err := (packed{CSV: bomb}).text(); err == nil {
		t.Error("a stored text may be longer than a policy")
	}
}

func TestLint(t *testing.T) {
	var registry gateway.Registry
	attach(t, &registry, "s", source(t, "tool/read", "tool/drop", "resource/file:///a/../b", "template/file:///{+path}"), "red")
	s := newStore(t, StoreOptions{Snapshot: registry.Snapshot, Toolsets: func() Toolsets { return Toolsets{"reads": having("read"), "none": having("zzz")} }})
	report := s.Lint(t.Context(), "draft", Text{CSV: `
p, role:a, *, tool/s/read, call, allow
p, role:a, *, tool/s/gone, call, allow
p, role:a, *, tag:blue, call, allow
p, role:a, *, tag:red, call, allow
p, role:a, *, toolset:none, call, allow
p, role:a, *, resource/s/file:///x, read, allow
p, role:a, *, resource/u/**, read, allow
p, role:a, *, admin/policy, read, allow
p, role:b, *, tool/s/drop, call, allow
p, role:b, *, tool/s/**, call, deny
p, role:c, *, "tool/s/{read,drop}", call, allow
p, role:c, t, tool/s/*, *, deny
p, anyone, *, tool/s/read, list, deny
g, group:x, role:nothing
g, group:y, role:a
`})
	var got []string
	for _, p := range report.Warnings {
		got = append(got, p.String())
	}
	want := []string{
		`draft:3:15: nothing in the registry is "tool/s/gone" now (check the name; a source that is away also looks like this)`,
		`draft:4:15: nothing in the registry is "tag:blue" now (check the name; a source that is away also looks like this)`,
		`draft:6:15: nothing in the registry is "toolset:none" now (check the name; a source that is away also looks like this)`,
		`draft:8:15: nothing in the registry is "resource/u/**" now (check the name; a source that is away also looks like this)`,
		`draft:10:1: the rule allows nothing: line 11 denies all of it (remove one of the two)`,
		`draft:15:1: no rule says anything about role:nothing (check the name of the role)`,
	}
	if diff := cmp.Diff(want, got); diff != "" || report.Err() != nil {
		t.Errorf("%v (-want +got):\n%s", report.Err(), diff)
	}
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
