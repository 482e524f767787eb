package server_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/auth/policy"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
)

// TestPolicyNamesToolsets gives rights by a toolset, and changes what is in it.
func TestPolicyNamesToolsets(t *testing.T) {
	edit := withPolicy(t, "p, role:admin, *, toolset:lab, call, allow\n")
	r := start(t, map[string]gateway.Upstream{"lab": lab(t)}, func(cfg *config.Config) {
		edit(cfg)
		cfg.Toolsets = []config.Toolset{{Name: "lab", Tools: []string{"lab.f*"}}}
	})
	sees := func() string {
		var out []string
		for _, tool := range r.Gateway().View(admin).Tools {
			out = append(out, tool.Name)
		}
		return strings.Join(out, " ")
	}
	first := sees()
	if first == "" || strings.Contains(first, "demo.") {
		t.Fatalf("the toolset of the lab lets an admin see %q", first)
	}
	next := *r.config
	next.Toolsets = []config.Toolset{{Name: "lab", Tools: []string{"demo.add"}}}
	if err := r.Reload(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	if got := sees(); got != "demo.add" {
		t.Errorf("after the toolset changed an admin sees %q", got)
	}
	without := next
	without.Toolsets = nil
	if err := r.Reload(t.Context(), &without); err == nil || !strings.Contains(err.Error(), `:1:19: no toolset is named "lab"`) {
		t.Errorf("a toolset that the policy names was taken away: %v", err)
	}
	if err := os.WriteFile(r.config.Policy.File, []byte("p, role:admin, *, toolset:moon, call, allow\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(t.Context(), &next); err == nil || !strings.Contains(err.Error(), `no toolset is named "moon" (the configuration has lab)`) {
		t.Errorf("the policy names a toolset that nobody has: %v", err)
	}
	if got := sees(); got != "demo.add" {
		t.Errorf("after both were refused an admin sees %q", got)
	}
}

// TestPolicyNamesNoToolset starts with a policy that the configuration does not
// fit.
func TestPolicyNamesNoToolset(t *testing.T) {
	cfg := config.Default()
	cfg.Listen.HTTP, cfg.Listen.GRPC, cfg.Data = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
	withPolicy(t, "p, anyone, *, toolset:lab, *, deny\n")(cfg)
	s, err := server.New(t.Context(), cfg, server.Options{Dev: &server.Dev{}})
	if err == nil {
		_ = s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "the configuration has no toolsets") {
		t.Errorf("error %v", err)
	}
}

// TestConditionInEveryDoor calls a tool through each door with arguments that a
// condition allows, and with others.
func TestConditionInEveryDoor(t *testing.T) {
	r := start(t, map[string]gateway.Upstream{"lab": lab(t)}, withPolicy(t, "p, role:dev, *, tool/demo/add, call, allow, args.a + args.b <= 10.0\n"))
	for _, door := range []struct {
		name   string
		call   func(a, b string) string
		denied string
	}{
		{"mcp", func(a, b string) string {
			return r.playMCP(t, "dev", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"demo.add","arguments":{"a":`+a+`,"b":`+b+`},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`)
		}, "PERMISSION_DENIED"},
		{"graphql", func(a, b string) string {
			return r.playGraphQL(t, "dev", `mutation{callTool(name:"demo.add",arguments:{a:`+a+`,b:`+b+`}){isError}}`)
		}, "PERMISSION_DENIED"},
		{"grpc", func(a, b string) string {
			return r.playGRPC(t, "dev", "CallTool\n"+`{"name":"demo.add","argumentsJson":"{\"a\":`+a+`,\"b\":`+b+`}"}`)
		}, "PermissionDenied"},
		{"rest", func(a, b string) string {
			return r.playREST(t, "dev", "POST /v1/tools/demo.add:call\n"+`{"a":`+a+`,"b":`+b+`}`)
		}, "PERMISSION_DENIED"},
	} {
		if got := door.call("3", "7"); strings.Contains(got, door.denied) || strings.Contains(got, "rror\":") && !strings.Contains(got, `"isError":false`) {
			t.Errorf("%s: 3 + 7 is allowed, but %s", door.name, got)
		}
		if got := door.call("4", "7"); !strings.Contains(got, door.denied) {
			t.Errorf("%s: 4 + 7 is not allowed, but %s", door.name, got)
		}
	}
	var denied int
	for _, rec := range r.records(t, 8) {
		if rec.Code == "OK" {
			continue
		}
		denied++
		if rec.Code != "PERMISSION_DENIED" || rec.By != "policy" || !strings.Contains(rec.Cause, "the condition of") {
			t.Errorf("the record through %s says %s by %s: %s", rec.Via, rec.Code, rec.By, rec.Cause)
		}
	}
	if denied != 4 {
		t.Errorf("%d records of refusals, want 4", denied)
	}
}

// TestPolicyVersions puts versions in force that one node activates, in a cluster
// of two, and hands over from versions to a file and back.
func TestPolicyVersions(t *testing.T) {
	r := start(t, map[string]gateway.Upstream{"lab": lab(t)}, nil)
	store := server.Policies(r.Server)
	root := &gateway.Principal{ID: "i|user|root", Kind: "user", Roles: []string{"admin"}}
	activate := func(csv string) policy.Version {
		t.Helper()
		d, err := store.CreateDraft(t.Context(), "me", "")
		if err != nil {
			t.Fatal(err)
		}
		if d.Base == 0 && !strings.Contains(d.CSV, "built-in policy") {
			t.Errorf("the first draft begins with %q", d.CSV)
		}
		if d, err = store.SaveDraft(t.Context(), d.ID, d.Revision, policy.Edit{CSV: &csv}); err != nil {
			t.Fatal(err)
		}
		v, err := store.Activate(t.Context(), d.ID, d.Revision, root)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	sees := func(tool string) bool { return r.Gateway().View(admin).Tool(tool) != nil }
	const admins = "p, role:admin, *, admin/**, *, allow\n"
	one := activate(admins + "p, role:admin, *, tool/demo/echo, call, allow\n")
	poll(t, func() bool { return sees("demo.echo") && !sees("demo.add") })
	two := activate(admins + "p, role:admin, *, tool/demo/add, call, allow\n")
	poll(t, func() bool { return !sees("demo.echo") && sees("demo.add") })
	if _, err := store.Rollback(t.Context(), one.ID, two.ID, root); err != nil {
		t.Fatal(err)
	}
	poll(t, func() bool { return sees("demo.echo") && !sees("demo.add") })

	// A file takes over, and the versions note what it says.
	next := *r.config
	withPolicy(t, "p, role:admin, *, tool/lab/**, call, allow\n")(&next)
	if err := r.Reload(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	if sees("demo.echo") || !sees("lab.fail") {
		t.Error("the file is not the policy")
	}
	if _, err := store.CreateDraft(t.Context(), "me", ""); !errors.Is(err, policy.ErrReadOnly) {
		t.Errorf("a draft while a file is the policy: %v", err)
	}
	poll(t, func() bool {
		v, err := store.Active(t.Context())
		return err == nil && v.Author == "file:policy.csv" && strings.Contains(v.CSV, "tool/lab/**")
	})

	// Without it, what it said last is the policy, and can be changed.
	if err := r.Reload(t.Context(), r.config); err != nil {
		t.Fatal(err)
	}
	if !sees("lab.fail") {
		t.Error("the last version is not the policy")
	}
	activate(admins + "p, role:admin, *, tool/demo/echo, call, allow\n")
	poll(t, func() bool { return sees("demo.echo") && !sees("lab.fail") })
}

// TestFirstPolicy starts a gateway that has no policy: its first key may
// administer it, and nothing else is allowed.
func TestFirstPolicy(t *testing.T) {
	cfg := config.Default()
	cfg.Listen.HTTP, cfg.Listen.GRPC, cfg.Data = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
	cfg.Auth.Anonymous = &config.Principal{Roles: []string{"admin"}}
	s, err := server.New(t.Context(), cfg, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	first := &gateway.Principal{ID: "key|client|first", Issuer: "key", Kind: "client", Subject: "first"}
	for _, c := range []struct {
		who            *gateway.Principal
		object, action string
		want           bool
	}{
		{first, "admin/policy", "admin", true},
		{first, "tool/x/y", "call", false},
		{admin, "admin/policy", "admin", false},
		{admin, "tool/x/y", "call", false},
	} {
		err := server.Policy(s).Check(t.Context(), policy.Request{Principal: c.who, Object: c.object, Action: c.action})
		if (err == nil) != c.want {
			t.Errorf("%s %s: %v", c.action, c.object, err)
		}
	}
}
