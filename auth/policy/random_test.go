package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// having is the toolset of everything whose own name has a part.
type having string

func (h having) Selects(c *gateway.Capability) bool { return strings.Contains(c.Origin, string(h)) }

var testToolsets = Toolsets{"ea": having("ea"), "a": having("/a"), "path": having("path")}

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
