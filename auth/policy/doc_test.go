package policy

import (
	"os"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
)

// TestDoc holds every example of docs/policy.md to the checks behind it.
func TestDoc(t *testing.T) {
	doc, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	policies, checks := 0, 0
	var p *Policy
	var kind string
	var block strings.Builder
	for line := range strings.Lines(string(doc)) {
		fence, ok := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case ok && kind == "":
			kind = fence
		case ok && kind == "csv":
			if p, err = Parse("docs/policy.md", []byte(block.String())); err != nil {
				t.Fatal(err)
			}
			policies++
			kind = ""
			block.Reset()
		case ok:
			kind = ""
		case kind == "csv":
			block.WriteString(line)
		case kind == "checks":
			check(t, p, line)
			checks++
		}
	}
	if policies < 8 || checks < 3*policies {
		t.Errorf("found %d policies and %d checks", policies, checks)
	}
}

// check holds one line of a checks block: subjects, action, object, effect.
func check(t *testing.T, p *Policy, line string) {
	t.Helper()
	f := strings.Fields(line)
	if len(f) < 4 {
		t.Fatalf("not a check: %s", line)
	}
	who := &gateway.Principal{Kind: "user"}
	for _, s := range f[:len(f)-3] {
		switch kind, name, _ := strings.Cut(s, ":"); kind {
		case "user", "client":
			who.Kind = kind
			who.Issuer, who.Subject, _ = strings.Cut(name, "|")
		case "group":
			who.Groups = append(who.Groups, name)
		case "role":
			who.Roles = append(who.Roles, name)
		case "tenant":
			who.Tenant = name
		default:
			t.Fatalf("not a subject: %s", s)
		}
	}
	action, object, want := f[len(f)-3], f[len(f)-2], f[len(f)-1]
	if d := NewEnforcer(p, Options{}).Decide(who, object, action); d.Allowed != (want == "allow") {
		t.Errorf("docs/policy.md says %s, but: %s\n%s", want, d.Reason, line)
	}
}
