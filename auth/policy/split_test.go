package policy

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/state"
)

// FuzzSplit: a line without quotes has the fields and columns that a reader of CSV
// finds in it.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{"p, role:a, *, tool/x/y, call, allow", " p,a ,, b\t", ",", ", ,", "p,\u00a0a\u3000,b", "g, a, b", "p,\xff\xfe ,x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\"\r\n") || strings.TrimSpace(line) == "" {
			return // The former is not plain, the latter never split.
		}
		plain, quoted := parser{line: line}, parser{line: line}
		if err := plain.split(); err != nil {
			t.Fatal(err)
		}
		if err := quoted.splitQuoted(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(quoted.fields, plain.fields); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(quoted.columns, plain.columns); diff != "" {
			t.Error(diff)
		}
	})
}

// BenchmarkActivateVersion judges and puts in force a policy of nearly as many rules as
// there may be: parse, lint, checks, lock-out check and the writes.
func BenchmarkActivateVersion(b *testing.B) {
	st, err := state.Open(b.Context(), state.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	const first = "p, role:admin, *, admin/**, *, allow\n"
	s, err := OpenStore(b.Context(), st, StoreOptions{
		Initial: first, Snapshot: new(gateway.Registry).Snapshot, Toolsets: func() Toolsets { return nil },
		ReadOnly: func() bool { return false }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	var rules strings.Builder
	rules.WriteString(first)
	for i := range 99_990 {
		fmt.Fprintf(&rules, "p, role:r%d, *, tool/s%d/t%d, call, allow\n", i%1000, i%300, i)
	}
	root := &gateway.Principal{ID: "idp|user|root", Issuer: "idp", Subject: "root", Kind: "user", Roles: []string{"admin"}}
	checks, n := "role:admin read admin/policy allow\n", 0
	for b.Loop() {
		b.StopTimer()
		n++
		csv := rules.String() + fmt.Sprintf("p, role:x, *, tool/a/b%d, call, allow\n", n)
		d, err := s.CreateDraft(b.Context(), root.ID, "")
		if err == nil {
			d, err = s.SaveDraft(b.Context(), d.ID, d.Revision, Edit{CSV: &csv, Checks: &checks})
		}
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := s.Activate(b.Context(), d.ID, d.Revision, root); err != nil {
			b.Fatal(err)
		}
	}
}
