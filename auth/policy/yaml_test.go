package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestYAML(t *testing.T) {
	text := Text{
		CSV: `# a comment
p, group:eng, *, "tool/github/{a,b}", call, allow, "args.s == ""x, y"" && principal.name != 'ä'"
g, group:leads, role:admin
p, "role:it's #1: {}", acme, **, *, deny
g, group:eng, role:admin, acme
p, role:true, *, toolset:null, call, allow
`,
		Checks: "# what must hold\ngroup:eng call tool/github/a allow {\"s\": \"x, y\"}\n\n  role:x call tool/a/b deny\n",
	}
	got, err := text.YAML()
	if err != nil {
		t.Fatal(err)
	}
	want := `rules:
  - subject: "group:eng"
    object: "tool/github/{a,b}"
    action: call
    effect: allow
    when: "args.s == \"x, y\" && principal.name != 'ä'"
  - subject: "role:it's #1: {}"
    tenant: "acme"
    object: "**"
    action: "*"
    effect: deny
  - subject: "role:true"
    object: "toolset:null"
    action: call
    effect: allow
roles:
  - subject: "group:leads"
    role: "role:admin"
  - subject: "group:eng"
    role: "role:admin"
    tenant: "acme"
checks:
  - "# what must hold"
  - "group:eng call tool/github/a allow {\"s\": \"x, y\"}"
  - ""
  - "  role:x call tool/a/b deny"
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	back, err := ParseYAML("policy.yaml", got)
	if err != nil {
		t.Fatal(err)
	}
	sameText(t, text, back.Text)
	if _, err := (Text{CSV: "p, x"}).YAML(); err == nil {
		t.Error("what is no policy was exported")
	}
}

// sameText fails unless both texts say the same.
func sameText(t testing.TB, a, b Text) {
	t.Helper()
	p, q := mustParse(t, a.CSV), mustParse(t, b.CSV)
	if d := Diff(p, q); len(d) > 0 {
		t.Errorf("the policy came back with %v", d)
	}
	if strings.TrimSuffix(a.Checks, "\n") != strings.TrimSuffix(b.Checks, "\n") {
		t.Errorf("checks %q came back as %q", a.Checks, b.Checks)
	}
}

func TestYAMLByHand(t *testing.T) {
	back, err := ParseYAML("policy.yaml", []byte(`
roles: [{subject: group:a, role: role:b}]
# more
rules:
- {subject: role:b, object: tool/x/*, action: call, effect: allow, tenant: 7}
- subject: anyone
  object: tool/x/y
  action: '*'
  effect: deny
  when: |-
    args.n > 1
checks:
`))
	if err != nil {
		t.Fatal(err)
	}
	want := "g, group:a, role:b, *\np, role:b, 7, tool/x/*, call, allow\np, anyone, *, tool/x/y, *, deny, args.n > 1\n"
	if diff := cmp.Diff(want, back.CSV); diff != "" || back.Checks != "" {
		t.Errorf("checks %q (-want +got):\n%s", back.Checks, diff)
	}
	for line, want := range [][2]int{{0, 1}, {2, 10}, {5, 4}, {6, 3}, {4, 1}} {
		if l, c := back.RulePlace(line); line > 0 && (l != want[0] || c != want[1]) {
			t.Errorf("line %d stands at %d:%d, want %d:%d", line, l, c, want[0], want[1])
		}
	}
	if !back.HasChecks {
		t.Error("a document with the key checks has none")
	}
	if empty, err := ParseYAML("f", nil); err != nil || empty.Text != (Text{}) || empty.HasChecks {
		t.Errorf("nothing is %+v, %v", empty, err)
	}
	for yaml, want := range map[string]string{
		"rules:\n  - subject: anyone\n    object: tool/x/y\n    action: fly\n    effect: allow\n": `f:2:5: unknown action "fly"`,
		"checks:\n  - call me\n":             `f:2:5: the check is not whole`,
		"rules:\n  - {subjekt: anyone}":      `f:2:6: unknown key "subjekt" (use subject, tenant, object, action, effect, when)`,
		"rule: []":                           `f:1:1: unknown key "rule" (use rules, roles and checks)`,
		"rules: x":                           `f:1:8: rules is not a list`,
		"- a":                                `f:1:1: not a mapping`,
		"rules:\n- a":                        `f:2:3: not a mapping`,
		"rules:\n- {subject: [a]}":           `f:2:13: not a text`,
		"rules:\n- {subject: \"a\\nb\"}":     `f:2:4: subject has a control character`,
		"a: &x 1\nrules: *x":                 `anchors, aliases`,
		"rules: !!seq []":                    `anchors, aliases`,
		"rules: []\n---\nrules: []":          `more than one YAML document`,
		"rules: []\nrules: []":               `f:2:1: `,
		"rules: [":                           `not valid YAML`,
		"rules: " + strings.Repeat("[", 100): `nested too deep`,
		"rules:\n" + strings.Repeat(" ", 200) + "- - x": `nested too deep`,
		"checks:\n- \"a\\nb\"":                          `a check is one line`,
		strings.Repeat("#", maxBytes+1):                 `longer than 16 MiB`,
	} {
		if _, err := ParseYAML("f", []byte(yaml)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v, want %q", yaml, err, want)
		}
	}
}

// FuzzRoundTrip takes policies through CSV and YAML and back.
func FuzzRoundTrip(f *testing.F) {
	f.Add("p, anyone, t, \"tool/{a,b}/\\\\*\", *, deny, \"args.x == \"\"y\"\"\"\ng, group:a b, role:c: d\n", "role:x call tool/a/b allow {\"a\": 1}\n# x\n")
	f.Add("p, role:- x, , tag:yes, call, allow\np, role:\u2028\u00e4, *, resource/s/a: b #c, *, allow\n", "\t\n")
	f.Fuzz(func(t *testing.T, csv, checks string) {
		p, err := Parse("f", []byte(csv))
		if err != nil {
			return
		}
		again, err := Parse("f", p.CSV())
		if err != nil {
			t.Fatalf("%v\n%s", err, p.CSV())
		}
		if d := Diff(p, again); len(d) > 0 {
			t.Fatalf("CSV came back with %v", d)
		}
		if _, err := ParseChecks("f", []byte(checks)); err != nil || strings.ContainsAny(checks, "\r") {
			checks = ""
		}
		text := Text{CSV: csv, Checks: checks}
		yaml, err := text.YAML()
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseYAML("f", yaml)
		if err != nil {
			t.Fatalf("%v\n%s", err, yaml)
		}
		sameText(t, text, back.Text)
	})
}

func FuzzYAML(f *testing.F) {
	f.Add([]byte("rules:\n- {subject: anyone, object: tool/a/b, action: call, effect: allow}\nroles: []\nchecks: [\"call tool/a/b allow\"]\n"))
	f.Add([]byte("rules:\n  - subject: >-\n      anyone\n    tenant: ~\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		text, err := ParseYAML("f", data)
		if err != nil {
			if problems, ok := err.(Problems); !ok || len(problems) == 0 { //nolint:errorlint // it is returned as it is.
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		mustParse(t, text.CSV)
	})
}
