package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"

	"github.com/trilith-gateway/trilith/gateway"
)

// An oracle decides with a plain Casbin enforcer that shares no code with the
// package: Casbin reads the CSV, g() follows the roles, and doublestar matches
// the patterns as they stand in the rules.
type oracle struct {
	csv    string
	tenant string
	*casbin.Enforcer
}

const oracleModel = `
[request_definition]
r = sub, dom, obj, norm, act
[policy_definition]
p = sub, dom, obj, act, eft
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = (p.dom == "*" || p.dom == r.dom) && (p.act == "*" || p.act == r.act) && g(r.sub, p.sub, r.dom) && glob(r.obj, r.norm, p.obj, p.eft)
`

// lines reads CSV for Casbin.
type lines string

func (l lines) LoadPolicy(m model.Model) error {
	for line := range strings.Lines(string(l)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, ", ") // No field of these tests holds a comma.
		if err := m.AddPolicy(f[0], f[0], f[1:]); err != nil {
			return err
		}
	}
	return nil
}
func (lines) SavePolicy(model.Model) error                              { return nil }
func (lines) AddPolicy(string, string, []string) error                  { return nil }
func (lines) RemovePolicy(string, string, []string) error               { return nil }
func (lines) RemoveFilteredPolicy(string, string, int, ...string) error { return nil }

func newOracle(t testing.TB, csv string, who *gateway.Principal) *oracle {
	t.Helper()
	for _, s := range subjects(who) {
		csv += fmt.Sprintf("\ng, caller, %s, *\n", s)
	}
	m, err := model.NewModelFromString(oracleModel)
	if err != nil {
		t.Fatal(err)
	}
	e, err := casbin.NewEnforcer(m, lines(csv))
	if err != nil {
		t.Fatal(err)
	}
	e.AddNamedDomainMatchingFunc("g", "glob", func(a, b string) bool { return b == "*" || a == b })
	if err := e.BuildRoleLinks(); err != nil {
		t.Fatal(err)
	}
	e.AddFunction("glob", func(a ...any) (any, error) {
		obj, norm, pattern, deny := a[0].(string), a[1].(string), a[2].(string), a[3] == "deny"
		raw, err := doublestar.Match(pattern, obj)
		if err != nil {
			return false, err
		}
		normal, err := doublestar.Match(pattern, norm)
		if deny {
			return raw || normal, err
		}
		exact := !strings.ContainsAny(pattern, `*?{\`)
		return raw && (normal || exact), err
	})
	return &oracle{csv, who.Tenant, e}
}

func (o *oracle) allows(t testing.TB, object, act string) bool {
	t.Helper()
	ok, err := o.Enforce("caller", o.tenant, object, normalize(object), act)
	if err != nil {
		t.Fatalf("%v\n%s", err, o.csv)
	}
	return ok
}

// pick returns one of the words.
func pick(r *rand.Rand, words ...string) string { return words[r.IntN(len(words))] }

func randomObject(r *rand.Rand) string {
	source := pick(r, "s1", "s2", "files")
	switch r.IntN(4) {
	case 0, 1:
		return "tool/" + source + "/" + pick(r, "read", "write", "a.b", "delete", "..", "a/b", "a")
	case 2:
		return "prompt/" + source + "/" + pick(r, "read", "x", "a.b")
	}
	return "resource/" + source + "/" + pick(r, "file:///", "https://h/", "urn:x:", "mem://Box/", "file:/") +
		pick(r, "a", "a/b", "a/b/c", "a//b", "a/../b", "../a", "%61", "a%2Fb", "a%2fb%2F..", "{+path}", "a*b", "[x]", "ä", "%", "%zz", "a?x=..", "", ".", "a/./b", `a\b`)
}

func randomPattern(r *rand.Rand) string {
	switch r.IntN(8) {
	case 0:
		return "**"
	case 1:
		return pick(r, "tool/*/read", "*/s1/**", "**/read", "prompt/**", "resource/**/b", "*/*/*", "tool/s?/*", "**/a/**")
	case 2:
		return pick(r, "tool/s1", "resource/files", "tool/files", "prompt/s2") + "/**"
	case 3:
		return "resource/files/" + pick(r, "file:///", "https://h/", "file:/", "mem://Box/") + pick(r, "**", "*", "a/**", "a/*", "**/b", "a/**/c", "?", `a\*b`, `\{+path\}`, "*b")
	case 4:
		return "tool/" + pick(r, "s1", "s2", "*") + "/" + pick(r, "*", "re*", "*e", "a.*", "?", "delete", "a/*", ".*", "r?ad")
	}
	object := randomObject(r)
	for _, special := range []string{`\`, "*", "{", "}", "[", "]"} {
		object = strings.ReplaceAll(object, special, `\`+special)
	}
	return object
}

var (
	someRoles    = []string{"role:r1", "role:r2", "role:r3", "role:r4", "role:r5"}
	someSubjects = append([]string{"user:i|alice", "client:i|bot", "group:g1", "group:g2", "anyone", "authenticated"}, someRoles...)
)

func randomPolicy(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(25) {
		object := randomPattern(r)
		act := "*"
		switch kind, _, _ := strings.Cut(object, "/"); {
		case r.IntN(3) == 0:
		case kind == "tool":
			act = "call"
		case kind == "prompt":
			act = pick(r, "get", "complete")
		case kind == "resource":
			act = pick(r, "read", "subscribe", "complete")
		default:
			act = pick(r, "call", "read", "get", "subscribe", "complete")
		}
		fmt.Fprintf(&b, "p, %s, %s, %s, %s, %s\n", pick(r, someSubjects...), pick(r, "*", "*", "*", "t1", "t2"), object, act, pick(r, "allow", "allow", "allow", "deny"))
	}
	for range r.IntN(8) {
		from := r.IntN(len(someSubjects))
		to := r.IntN(len(someRoles))
		if from-(len(someSubjects)-len(someRoles)) >= to {
			continue // Only from lower roles to higher, so there is no cycle.
		}
		fmt.Fprintf(&b, "g, %s, %s, %s\n", someSubjects[from], someRoles[to], pick(r, "*", "*", "t1", "t2"))
	}
	return b.String()
}

func randomPrincipal(r *rand.Rand) *gateway.Principal {
	p := &gateway.Principal{Issuer: "i", Subject: pick(r, "alice", "bot", "zed"), Kind: pick(r, "user", "client", "anonymous"), Tenant: pick(r, "", "t1", "t2", "t3")}
	for _, g := range []string{"g1", "g2", "g3"} {
		if r.IntN(3) == 0 {
			p.Groups = append(p.Groups, g)
		}
	}
	for _, s := range someRoles {
		if r.IntN(4) == 0 {
			p.Roles = append(p.Roles, strings.TrimPrefix(s, "role:"))
		}
	}
	p.ID = p.Issuer + "|" + p.Kind + "|" + p.Subject
	return p
}

var everyOp = []gateway.Op{gateway.OpCall, gateway.OpRead, gateway.OpGet, gateway.OpComplete, gateway.OpSubscribe}

// TestDifferential holds all three ways to a decision against plain Casbin, in
// random policies.
func TestDifferential(t *testing.T) {
	d := differential{T: t}
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 7))
		d.csv = randomPolicy(r)
		d.e = NewEnforcer(mustParse(t, d.csv), Options{})
		snap, listed := randomSnapshot(t, r)
		for range 4 {
			d.who = randomPrincipal(r)
			d.oracle = newOracle(t, d.csv, d.who)
			d.views(snap, listed)
			for range 20 {
				d.object(randomObject(r))
			}
		}
	}
	if d.decisions < 40_000 || d.allowed < d.decisions/20 || d.allowed > d.decisions*19/20 {
		t.Errorf("%d of %d decisions are to allow: the test tests little", d.allowed, d.decisions)
	}
}

type differential struct {
	*testing.T
	csv                string
	e                  *Enforcer
	who                *gateway.Principal
	oracle             *oracle
	decisions, allowed int
}

// views holds what is listed and what is known of capabilities.
func (d *differential) views(snap *gateway.Snapshot, listed []*gateway.Capability) {
	d.Helper()
	view, g := d.e.View(d.who, snap), d.e.current.Load().grantOf(d.who)
	for _, c := range listed {
		op := mainOp(c.Object)
		want := d.oracle.allows(d.T, c.Object, op.String())
		if may := g.of(c)&action(op) != 0; may != want || sees(view, c) != want {
			d.Fatalf("View %t, Admit %t for %s, Casbin %t, of %+v in\n%s", sees(view, c), may, c.Object, want, d.who, d.csv)
		}
		d.decisions += 2
	}
}

// object holds every action on an object that may be listed nowhere.
func (d *differential) object(object string) {
	d.Helper()
	g := d.e.current.Load().grantOf(d.who)
	may := g.decide(object)
	for _, op := range everyOp {
		want := d.oracle.allows(d.T, object, op.String())
		slow := d.e.Decide(d.who, object, op.String())
		if got := may&action(op) != 0; got != want || slow.Allowed != want {
			d.Fatalf("%s on %s: compiled %t, Decide %+v, Casbin %t, of %+v in\n%s", op, object, got, slow, want, d.who, d.csv)
		}
		if deny := g.denying(object, action(op)); !want && (deny == nil) != (slow.Rule == "") {
			d.Fatalf("%s on %s: denied by %v, Decide says %+v, in\n%s", op, object, deny, slow, d.csv)
		}
		d.decisions++
		if want {
			d.allowed++
		}
	}
}

// randomSnapshot returns a snapshot and what it lists.
func randomSnapshot(t testing.TB, r *rand.Rand) (*gateway.Snapshot, []*gateway.Capability) {
	t.Helper()
	sources := map[string]map[string]bool{}
	for range 30 {
		kind, rest, _ := strings.Cut(randomObject(r), "/")
		name, origin, _ := strings.Cut(rest, "/")
		if sources[name] == nil {
			sources[name] = map[string]bool{}
		}
		sources[name][kind+"/"+origin] = true
	}
	var registry gateway.Registry
	uris := map[string]bool{} // unique in the registry
	for name, set := range sources {
		var objects []string
		for o := range set {
			if !uris[o] || !strings.HasPrefix(o, "resource/") {
				objects = append(objects, o)
			}
			uris[o] = true
		}
		slices.Sort(objects)
		attach(t, &registry, name, source(t, objects...))
	}
	var out []*gateway.Capability
	snap := registry.Snapshot()
	snap.Filter(func(c *gateway.Capability) bool { out = append(out, c); return true })
	return snap, out
}

func sees(view *gateway.Snapshot, want *gateway.Capability) bool {
	found := false
	view.Filter(func(c *gateway.Capability) bool { found = found || c == want; return true })
	return found
}

func FuzzDecide(f *testing.F) {
	f.Add("tool/s1/*", "tool/s1/read", true)
	f.Add("resource/f/file:///a/**", "resource/f/file:///a/../b", true)
	f.Add("resource/f/{a,b*}/\\*?", "resource/f/a/*%2F", false)
	f.Add("**/a", "resource/x/mem://%zz//a", false)
	f.Fuzz(func(t *testing.T, pattern, object string, deny bool) {
		if strings.ContainsAny(pattern, ",\"") || strings.TrimSpace(pattern) != pattern || pattern == "" || strings.ContainsAny(pattern, "\r\n") || len(object) > maxObject {
			return // What CSV would take apart; see FuzzParse.
		}
		csv := "p, anyone, *, " + pattern + ", *, allow\n"
		if deny {
			csv = "p, anyone, *, **, *, allow\np, anyone, *, " + pattern + ", *, deny\n"
		}
		p, err := Parse("f", []byte(csv))
		if err != nil {
			return
		}
		who := role()
		e := NewEnforcer(p, Options{})
		want := newOracle(t, csv, who).allows(t, object, "read")
		got := e.current.Load().grantOf(who).decide(object)&action(gateway.OpRead) != 0
		if d := e.Decide(who, object, "read"); got != want || d.Allowed != want {
			t.Fatalf("pattern %q, object %q (%q): compiled %t, Decide %t, Casbin %t", pattern, object, normalize(object), got, d.Allowed, want)
		}
		if n := normalize(object); normalize(n) != n && !strings.Contains(n, "%") && !strings.ContainsAny(object, "?#%") {
			t.Fatalf("%q becomes %q and then %q", object, n, normalize(n))
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("# c\np, role:a, *, tool/s/*, call, allow\ng, user:i|x, role:a, t\n"))
	f.Add([]byte("p, \"role:a,b\", , \"tool/{a,b}/\\\\*\", *, deny\r\ng,role:a,role:b\ng,role:b,role:a"))
	f.Fuzz(func(t *testing.T, csv []byte) {
		p, err := Parse("f", csv)
		if err != nil {
			if problems, ok := err.(Problems); !ok || len(problems) == 0 || len(problems) > maxProblems { //nolint:errorlint // it is returned as it is.
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		// Casbin has exactly the rules that were parsed.
		rules, err := p.casbin.GetPolicy()
		if err != nil || len(rules) != p.Rules() {
			t.Fatalf("%d rules, Casbin has %d, %v", p.Rules(), len(rules), err)
		}
		NewEnforcer(p, Options{}).Decide(role("a"), "tool/s/x", "call")
	})
}
