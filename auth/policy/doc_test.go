package policy

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

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
	for _, block := range blocks(string(doc)) {
		switch block.kind {
		case "csv":
			if p, err = Parse("docs/policy.md", []byte(block.text)); err != nil {
				t.Fatal(err)
			}
			policies++
		case "yaml":
			text, err := ParseYAML("docs/policy.md", []byte(block.text))
			if err != nil {
				t.Fatal(err)
			}
			expected, err := ParseChecks("docs/policy.md", []byte(text.Checks))
			if err != nil || len(expected) == 0 {
				t.Fatal(err)
			}
			for _, f := range mustParse(t, text.CSV).Run(t.Context(), expected, new(gateway.Registry).Snapshot(), nil, time.Now()) {
				t.Errorf("docs/policy.md says otherwise: %s", f)
			}
		case "checks":
			expected, err := ParseChecks("docs/policy.md", []byte(block.text))
			if err != nil {
				t.Fatal(err)
			}
			checks += len(expected)
			var registry gateway.Registry
			for _, f := range p.Run(t.Context(), expected, registry.Snapshot(), nil, time.Now()) {
				t.Errorf("docs/policy.md says otherwise: %s", f)
			}
		}
	}
	if policies < 8 || checks < 3*policies {
		t.Errorf("found %d policies and %d checks", policies, checks)
	}
}

type block struct{ kind, text string }

// blocks returns the fenced blocks of a document.
func blocks(doc string) []block {
	var out []block
	open := false
	for line := range strings.Lines(doc) {
		fence, ok := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case ok && open:
			open = false
		case ok:
			out, open = append(out, block{kind: fence}), true
		case open:
			out[len(out)-1].text += line
		}
	}
	return out
}

func TestChecks(t *testing.T) {
	p := mustParse(t, `
p, role:a, t1, tool/s/*, call, allow
p, role:a, *,  tag:red,  *,    deny
p, role:b, *,  tool/**,  call, allow, "args.n < 5 && request.via == 'mcp' && now.getFullYear() == 2026 && cap.annotations.readOnlyHint"
`)
	for text, want := range map[string]string{
		"# none\n\n role:a tenant:t1 call tool/s/x allow\n":                                               "",
		"role:a call tool/s/x allow":                                                                      "no rule of policy.csv",
		"role:a tenant:t1 tag:red call tool/s/x allow":                                                    "denied by policy.csv:3",
		"role:b hint:readOnlyHint=true via:mcp now:2026-01-02T03:04:05Z\tcall tool/s/x  allow {\"n\": 1}": "",
		"role:b hint:readOnlyHint=false via:mcp now:2026-01-02T03:04:05Z call tool/s/x  allow {\"n\": 1}": "the condition of policy.csv:4 does not hold",
		"role:b hint:readOnlyHint=true via:mcp now:2025-01-02T03:04:05Z call tool/s/x  allow {\"n\": 1}":  "the condition of policy.csv:4 does not hold",
		"role:b via:mcp now:2026-01-02T03:04:05Z hint:readOnlyHint=true call tool/s/x allow":              "could not be evaluated: no such key: n",
		"call tool/s/x deny":                 "",
		"role:x tool/s/x allow":              `checks:1:1: "tool/s/x" is neither a fact nor an action`,
		"role:x call tool/s/x":               `checks:1:1: the check is not whole`,
		"role:x call tool/s/x maybe":         `checks:1:1: unknown effect "maybe" (use allow or deny)`,
		"role:x read tool/s/x allow":         `checks:1:1: read does not apply to "tool/s/x"`,
		"role:x call tool/s/x allow [1]":     `checks:1:1: what follows the effect is not a JSON object`,
		"user:x call tool/s/x allow":         `checks:1:1: "user:x" does not say who issued it (write user:<issuer>|x)`,
		"now:noon call tool/s/x allow":       `checks:1:1: "noon" is not a time`,
		"hint:nice=1 call tool/s/x allow":    `checks:1:1: unknown hint "nice=1"`,
		"# \xff":                             "checks: the checks are not valid UTF-8",
		strings.Repeat("#", maxCheckBytes+1): "checks: the checks are longer than 1 MiB",
	} {
		var got string
		checks, err := ParseChecks("checks", []byte(text))
		if err != nil {
			got = err.Error()
		} else if failures := p.Run(t.Context(), checks, new(gateway.Registry).Snapshot(), nil, time.Now()); len(failures) > 0 {
			got = failures[0].String()
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%.100s\ngot  %s\nwant %s", text, got, want)
		}
	}
	many := bytes.Repeat([]byte("call tool/s/x deny\n"), maxChecks+1)
	if _, err := ParseChecks("checks", many); err == nil {
		t.Error("too many checks were read")
	}
}

func FuzzChecks(f *testing.F) {
	f.Add([]byte("role:a tenant:t user:i|x scope:s via:mcp tag:t hint:readOnlyHint=true now:2026-01-02T03:04:05Z call tool/s/x allow {\"a\":1}\n# x\n"))
	f.Add([]byte("admin:x read admin/policy deny"))
	p := mustParse(f, "p, anyone, *, **, *, allow, args.a == 1\n")
	f.Fuzz(func(t *testing.T, text []byte) {
		checks, err := ParseChecks("f", text)
		if err == nil {
			p.Run(t.Context(), checks, new(gateway.Registry).Snapshot(), nil, time.Now())
		}
	})
}
