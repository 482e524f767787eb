package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cel.dev/cel-go/cel"
	"github.com/bmatcuk/doublestar/v4"
	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"

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
