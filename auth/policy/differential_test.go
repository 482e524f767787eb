package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cel.dev/cel-go/cel"
	"github.com/bmatcuk/doublestar/v4"
	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway"
)

// An oracle decides with a plain Casbin enforcer that shares no code with the
// package: Casbin reads the CSV, g() follows the roles, doublestar matches the
// patterns as they stand in the rules, and CEL sees plain maps.
type oracle struct {
	csv    string
	who    *gateway.Principal
	snap   *gateway.Snapshot
	facts  facts
	object string
	*casbin.Enforcer
}

// facts are what conditions read besides the principal.
type facts struct {
	args string
	via  string
	now  time.Time
}

const oracleModel = `
[request_definition]
r = sub, dom, obj, act
[policy_definition]
p = sub, dom, obj, act, eft, cond
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = (p.dom == "*" || p.dom == r.dom) && acts(r.obj, r.act, p.act) && g(r.sub, p.sub, r.dom) && about(r.obj, p.obj, p.eft) && cond(r.act, p.cond, p.eft)
`

// lines reads CSV for Casbin.
type lines string

func (l lines) LoadPolicy(m model.Model) error {
	for line := range strings.Lines(string(l)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, ", ") // No field of these tests holds both.
		if f[0] == "p" {
			f = append(f, "")[:7]
			f[3], f[6] = strings.Trim(f[3], `"`), strings.Trim(f[6], `"`)
		}
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

func newOracle(t testing.TB, csv string, who *gateway.Principal, snap *gateway.Snapshot) *oracle {
	t.Helper()
	o := &oracle{csv: csv, who: who, snap: snap}
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
	e.AddFunction("acts", func(a ...any) (any, error) { return o.acts(a[0].(string), a[1].(string), a[2].(string)), nil })
	e.AddFunction("about", func(a ...any) (any, error) { return o.about(a[0].(string), a[1].(string), a[2] == "deny") })
	e.AddFunction("cond", func(a ...any) (any, error) {
		if a[1] == "" || a[0] == "list" {
			return a[1] == "" || a[2] == "allow", nil
		}
		holds, err := o.evaluate(a[0].(string), a[1].(string))
		if err != nil {
			holds = a[2] == "deny"
		}
		return holds, nil
	})
	o.Enforcer = e
	return o
}

func (o *oracle) acts(object, asked, word string) bool {
	shows := map[string]string{"call": "tool/", "read": "resource/", "get": "prompt/"}[word]
	return word == "*" || word == asked || asked == "list" && shows != "" && strings.HasPrefix(object, shows)
}

func (o *oracle) about(object, pattern string, deny bool) (bool, error) {
	if name, ok := strings.CutPrefix(pattern, "tag:"); ok {
		return slices.Contains(o.tags(object), name), nil
	}
	if name, ok := strings.CutPrefix(pattern, "toolset:"); ok {
		return o.inToolset(object, name, deny), nil
	}
	if strings.HasPrefix(object, "admin/") && !deny && !strings.HasPrefix(pattern, "admin/") {
		return false, nil
	}
	raw, err := doublestar.Match(pattern, object)
	if err != nil {
		return false, err
	}
	normal, err := doublestar.Match(pattern, normalize(object))
	if deny {
		return raw || normal, err
	}
	exact := !strings.ContainsAny(pattern, `*?{\`)
	return raw && (normal || exact), err
}

// named returns the capability of that object, or the template behind it.
func (o *oracle) named(object string) *gateway.Capability {
	var found *gateway.Capability
	o.snap.Filter(func(c *gateway.Capability) bool {
		if c.Object == object {
			found = c
		}
		return true
	})
	if rest, ok := strings.CutPrefix(object, "resource/"); ok && found == nil {
		source, uri, _ := strings.Cut(rest, "/")
		for _, t := range slices.Backward(o.snap.Templates) {
			if t.Source == source && t.Matches(uri) {
				found = &t.Capability
			}
		}
	}
	return found
}

func (o *oracle) tags(object string) []string {
	if c := o.named(object); c != nil {
		return c.Tags
	}
	return nil
}

func (o *oracle) inToolset(object, name string, deny bool) bool {
	if strings.HasPrefix(object, "admin/") {
		return false
	}
	part, ok := testToolsets[name].(having)
	if !ok {
		return deny
	}
	origin := func(object string) string { return strings.SplitN(object, "/", 3)[2] }
	own := origin(object)
	if c := o.named(object); c != nil {
		own = c.Origin
	}
	if strings.HasPrefix(object, "resource/") && deny && (strings.Contains(origin(object), string(part)) || strings.Contains(origin(normalize(object)), string(part))) {
		return true
	}
	return strings.Contains(own, string(part))
}

// having is the toolset of everything whose own name has a part.
type having string

func (h having) Selects(c *gateway.Capability) bool { return strings.Contains(c.Origin, string(h)) }

var testToolsets = Toolsets{"ea": having("ea"), "a": having("/a"), "path": having("path")}

var oracleEnv = sync.OnceValues(func() (*cel.Env, error) {
	object := cel.MapType(cel.StringType, cel.DynType)
	return cel.NewEnv(cel.Variable("principal", object), cel.Variable("args", object), cel.Variable("request", object), cel.Variable("cap", object), cel.Variable("now", cel.TimestampType))
})

var oraclePrograms sync.Map // condition → cel.Program

func oracleProgram(condition string) cel.Program {
	if p, ok := oraclePrograms.Load(condition); ok {
		return p.(cel.Program)
	}
	env, err := oracleEnv()
	if err != nil {
		panic(err)
	}
	ast, issues := env.Compile(condition)
	if issues.Err() != nil {
		panic(issues.Err())
	}
	program, err := env.Program(ast)
	if err != nil {
		panic(err)
	}
	oraclePrograms.Store(condition, program)
	return program
}

func (o *oracle) evaluate(act, condition string) (bool, error) {
	args := map[string]any{}
	if o.facts.args != "" {
		if err := json.Unmarshal([]byte(o.facts.args), &args); err != nil {
			panic(err)
		}
	}
	kind, rest, _ := strings.Cut(o.object, "/")
	source, name, _ := strings.Cut(rest, "/")
	seen := map[string]any{"name": name, "kind": kind, "source": source, "tags": o.tags(o.object)}
	if c := o.named(o.object); c != nil {
		seen["name"], seen["kind"] = c.Name, c.Kind.String()
	}
	if kind == "admin" {
		seen = map[string]any{"name": "", "kind": "", "source": "", "tags": []string{}}
	}
	value, _, err := oracleProgram(condition).Eval(map[string]any{
		"principal": map[string]any{"kind": o.who.Kind, "tenant": o.who.Tenant, "groups": o.who.Groups, "roles": o.who.Roles, "scopes": o.who.Scopes, "subject": o.who.Subject},
		"args":      args,
		"request":   map[string]any{"via": o.facts.via, "op": act, "object": o.object},
		"cap":       seen,
		"now":       o.facts.now,
	})
	if err != nil {
		return false, err
	}
	holds, ok := value.Value().(bool)
	if !ok {
		return false, errors.New("not a bool")
	}
	return holds, nil
}

func (o *oracle) allows(t testing.TB, object, act string) bool {
	t.Helper()
	o.object = object
	ok, err := o.Enforce("caller", o.who.Tenant, object, act)
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
		if r.IntN(4) == 0 {
			return "admin/" + pick(r, Areas()...)
		}
		return "prompt/" + source + "/" + pick(r, "read", "x", "a.b")
	}
	return "resource/" + source + "/" + pick(r, "file:///", "https://h/", "urn:x:", "mem://Box/", "file:/") +
		pick(r, "a", "a/b", "a/b/c", "a//b", "a/../b", "../a", "%61", "a%2Fb", "a%2fb%2F..", "{+path}", "a*b", "[x]", "ä", "%", "%zz", "a?x=..", "", ".", "a/./b", `a\b`)
}

func randomPattern(r *rand.Rand) string {
	switch r.IntN(11) {
	case 0:
		return "**"
	case 8:
		return pick(r, "tag:red", "tag:blue", "tag:none")
	case 9:
		return pick(r, "toolset:ea", "toolset:a", "toolset:path", "toolset:unknown")
	case 10:
		return pick(r, "admin/**", "admin/*", "admin/policy", "admin/{policy,keys}")
	case 1:
		return pick(r, "tool/*/read", "*/s1/**", "**/read", "prompt/**", "resource/**/b", "*/*/*", "**/policy", "tool/s?/*", "**/a/**")
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

// quoted returns a field of CSV.
func quoted(field string) string {
	if strings.Contains(field, ",") {
		return `"` + field + `"`
	}
	return field
}

var someConditions = []string{
	"args.n < 3", "args.n >= 2 && args.s == 'x'", "has(args.n)", "args.l.exists(i,i == 'b')", "size(args.l) > 1", "args.o.deep.x == null", "args.yes",
	"principal.tenant == 't1'", "'g1' in principal.groups", "'r2' in principal.roles || args.n == 1", "principal.kind != 'client'", "size(principal.scopes) == 0",
	"request.via == 'mcp'", "request.op in ['call','read']", "request.object.startsWith('tool/')", "cap.source == 's1'", "cap.name.contains('read')", "'red' in cap.tags", "cap.kind == 'template'",
	"now.getHours() < 12", "now > timestamp('2026-01-01T00:00:00Z')", "args.s.matches('^x+$')", "args.n == args.l[1]", "args == {}", "type(args.n) == double", "args.l == ['a','b']",
	"args.o == {'deep': {'x': null}}", "string(args.n) == '1'", "int(args.n) / 0 == 1", "args.all(k,k != 'n')",
}

// randomFacts returns what conditions read.
func randomFacts(r *rand.Rand) facts {
	members := []string{`"n":1`, `"n":2.5`, `"n":"1"`, `"s":"x"`, `"s":"xx"`, `"l":["a","b"]`, `"l":[2.5,1]`, `"o":{"deep":{"x":null}}`, `"o":{}`, `"yes":true`, `"yes":"true"`}
	var some []string
	for _, i := range r.Perm(len(members))[:r.IntN(6)] {
		name, _, _ := strings.Cut(members[i], ":")
		if !slices.ContainsFunc(some, func(m string) bool { return strings.HasPrefix(m, name) }) {
			some = append(some, members[i])
		}
	}
	f := facts{args: "{" + strings.Join(some, ",") + "}", via: pick(r, "mcp", "rest"), now: time.Date(2024+r.IntN(4), 5, 6, r.IntN(24), 0, 0, 0, time.UTC)}
	if r.IntN(5) == 0 {
		f.args = ""
	}
	return f
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
		case kind == "admin":
			act = pick(r, "read", "admin")
		default:
			act = pick(r, "call", "read", "get", "subscribe", "complete")
		}
		if act != "*" && !strings.HasPrefix(object, "admin/") && r.IntN(6) == 0 {
			act = "list"
		}
		condition := ""
		if r.IntN(3) == 0 {
			condition = `, "` + pick(r, someConditions...) + `"`
		}
		fmt.Fprintf(&b, "p, %s, %s, %s, %s, %s%s\n", pick(r, someSubjects...), pick(r, "*", "*", "*", "t1", "t2"), quoted(object), act, pick(r, "allow", "allow", "allow", "deny"), condition)
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

var everyWord = []string{"call", "read", "get", "complete", "subscribe", "list", "admin"}

// TestDifferential holds all ways to a decision against plain Casbin, in random
// policies.
func TestDifferential(t *testing.T) {
	d := differential{T: t}
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 7))
		d.csv = randomPolicy(r)
		snap, listed := randomSnapshot(t, r)
		d.e = NewEnforcer(mustParse(t, d.csv), Options{Toolsets: testToolsets, Snapshot: func() *gateway.Snapshot { return snap }})
		for range 4 {
			d.who = randomPrincipal(r)
			d.oracle = newOracle(t, d.csv, d.who, snap)
			d.oracle.facts = randomFacts(r)
			d.views(snap, listed)
			for range 20 {
				d.object(randomObject(r))
			}
			for _, c := range listed {
				d.object(c.Object)
			}
		}
	}
	if d.decisions < 40_000 || d.allowed < d.decisions/20 || d.allowed > d.decisions*19/20 || d.conditional < 1000 {
		t.Errorf("%d of %d decisions are to allow, %d by conditions: the test tests little", d.allowed, d.decisions, d.conditional)
	}
}

type differential struct {
	*testing.T
	csv    string
	e      *Enforcer
	who    *gateway.Principal
	oracle *oracle

	decisions, allowed, conditional int
}

// views holds what is listed, and calls of what is.
func (d *differential) views(snap *gateway.Snapshot, listed []*gateway.Capability) {
	d.Helper()
	view := d.e.View(d.who, snap)
	for _, c := range listed {
		if want := d.oracle.allows(d.T, c.Object, "list"); sees(view, c) != want {
			d.Fatalf("View %t for %s, Casbin %t, of %+v in\n%s", !want, c.Object, want, d.who, d.csv)
		}
		op := mainOp(c.Object)
		call := &gateway.Call{Op: op, Kind: c.Kind, Name: c.Name, Object: c.Object, Target: c, Tool: toolOf(snap, c), Principal: d.who, Args: json.RawMessage(d.oracle.facts.args), Via: d.oracle.facts.via}
		d.e.now = func() time.Time { return d.oracle.facts.now }
		want := d.oracle.allows(d.T, c.Object, op.String())
		for range 2 { // What was decided before is decided the same.
			call.Rule = ""
			err := d.e.Admit(d.Context(), call)
			if (call.Rule != "") != want || want && !strings.Contains(call.Rule, "allow") {
				d.Fatalf("the rule that decides on %s is %q, Casbin %t, of %+v in\n%s", c.Object, call.Rule, want, d.who, d.csv)
			}
			if (err == nil) != want {
				d.Fatalf("Admit %v for %s, Casbin %t, of %+v, %+v in\n%s", err, c.Object, want, d.who, d.oracle.facts, d.csv)
			}
			if err != nil && (gateway.AsError(err).Code == gateway.PermissionDenied) != sees(view, c) {
				d.Fatalf("%s is listed %t, and refused with %v, in\n%s", c.Object, sees(view, c), err, d.csv)
			}
		}
		d.decisions += 2
	}
}

// object holds every action on an object that may be listed nowhere.
func (d *differential) object(object string) {
	d.Helper()
	for _, word := range everyWord {
		want := d.oracle.allows(d.T, object, word)
		request := Request{Principal: d.who, Object: object, Action: word, Args: json.RawMessage(d.oracle.facts.args), Via: d.oracle.facts.via, Time: d.oracle.facts.now}
		slow := d.e.Decide(d.Context(), request)
		err := d.e.Check(d.Context(), request)
		if (err == nil) != want || slow.Allowed != want {
			d.Fatalf("%s on %s: compiled %v, Decide %+v, Casbin %t, of %+v, %+v in\n%s", word, object, err, slow, want, d.who, d.oracle.facts, d.csv)
		}
		if err != nil {
			// A condition of a rule that denies is not asked where nothing allows.
			if why := d.denial(err); (why.Rule == "") != (slow.Rule == "") && !conditional(slow) {
				d.Fatalf("%s on %s: %+v, but Decide says %+v, in\n%s", word, object, why, slow, d.csv)
			}
		}
		d.decisions++
		if want {
			d.allowed++
		}
		if conditional(slow) {
			d.conditional++
		}
	}
}

// conditional reports whether a rule with a condition decided.
func conditional(d Decision) bool { return strings.Count(d.Rule, ", ") > 5 }

func (d *differential) denial(err error) Decision {
	d.Helper()
	cause, ok := errors.AsType[denial](err)
	if !ok {
		d.Fatalf("no denial: %v", err)
	}
	return cause.question.decision(false)
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
		if kind != "admin" {
			sources[name][kind+"/"+origin] = true
		}
	}
	if sources["files"] == nil {
		sources["files"] = map[string]bool{}
	}
	sources["files"]["template/file:///{+path}"] = true
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
		attach(t, &registry, name, source(t, objects...), [][]string{nil, {"red"}, {"red", "blue"}}[r.IntN(3)]...)
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
	f.Add("tool/s1/*", "tool/s1/read", true, "", "")
	f.Add("resource/f/file:///a/**", "resource/f/file:///a/../b", true, "args.a == 1", `{"a":1}`)
	f.Add("resource/f/{a,b*}/\\*?", "resource/f/a/*%2F", false, "args.a.b[0] > args.c", `{"a":{"b":[1e3]},"c":1.5}`)
	f.Add("**/a", "resource/x/mem://%zz//a", false, "has(args.x) || request.via == 'mcp'", `{}`)
	f.Add("toolset:a", "resource/x/mem://x/../a", true, "args.l.all(x,x in ['a','b'])", `{"l":["a",null]}`)
	f.Add("tag:red", "tool/x/y", false, "size(args.s) < 3", `{"s":"\u00e4"}`)
	f.Add("admin/*", "admin/policy", false, "cap.source == ''", ``)
	f.Fuzz(func(t *testing.T, pattern, object string, deny bool, condition, args string) {
		if strings.ContainsAny(pattern, ",\"") || strings.TrimSpace(pattern) != pattern || pattern == "" || strings.ContainsAny(pattern, "\r\n") || len(object) > maxObject ||
			strings.ContainsAny(condition, "\"\r\n") || strings.Contains(condition, ", ") || strings.TrimSpace(condition) != condition {
			return // What CSV would take apart; see FuzzParse.
		}
		if strings.HasPrefix(object, "admin/") && strings.ContainsAny(pattern, `{\`) || !sameJSON(args) {
			return // What the oracle cannot tell.
		}
		if kind, rest, _ := strings.Cut(object, "/"); kind != "admin" && (actionsOf(kind) == nil || !strings.Contains(rest, "/")) {
			return // What no registry names.
		}
		end := "\n"
		if condition != "" {
			end = `, "` + condition + "\"\n"
		}
		csv := "p, anyone, *, " + pattern + ", *, allow" + end
		if deny {
			csv = "p, anyone, *, **, *, allow\np, anyone, *, admin/**, *, allow\np, anyone, *, " + pattern + ", *, deny" + end
		}
		p, err := Parse("f", []byte(csv))
		if err != nil {
			return
		}
		env, err := oracleEnv()
		if err != nil {
			t.Fatal(err)
		}
		if _, issues := env.Compile(condition); condition != "" && issues.Err() != nil {
			return
		}
		who := role()
		e := NewEnforcer(p, Options{Toolsets: testToolsets})
		o := newOracle(t, csv, who, e.snapshot())
		o.facts = facts{args: args, now: time.Unix(1, 0)}
		want := o.allows(t, object, "read")
		request := Request{Principal: who, Object: object, Action: "read", Args: json.RawMessage(args), Time: o.facts.now}
		got := e.Check(t.Context(), request) == nil
		if d := e.Decide(t.Context(), request); got != want || d.Allowed != want {
			t.Fatalf("pattern %q, object %q (%q), condition %q, args %s: compiled %t, Decide %t, Casbin %t", pattern, object, normalize(object), condition, args, got, d.Allowed, want)
		}
		if n := normalize(object); normalize(n) != n && !strings.Contains(n, "%") && !strings.ContainsAny(object, "?#%") {
			t.Fatalf("%q becomes %q and then %q", object, n, normalize(n))
		}
	})
}

// sameJSON reports whether encoding/json reads the arguments as conditions do:
// without duplicates and numbers that a double does not hold.
func sameJSON(args string) bool {
	if args == "" {
		return true
	}
	if v := jsontext.Value(args); !v.IsValid() || v.Kind() != '{' {
		return false
	}
	for _, number := range regexp.MustCompile(`[-+.0-9eE]{15,}|[eE][-+]?[0-9]{2,}`).FindAllString(args, -1) {
		if number != "" {
			return false
		}
	}
	return true
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
		decide(t, NewEnforcer(p, Options{}), role("a"), "tool/s/x", "call")
	})
}
