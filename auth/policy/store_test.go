package policy

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

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
