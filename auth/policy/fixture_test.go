package policy

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
)

func mustParse(t testing.TB, csv string) *Policy {
	t.Helper()
	p, err := Parse("policy.csv", []byte(csv))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// definitions returns a source with these tools, resources, templates and
// prompts, each named by its object without the source: "tool/name".
func source(t testing.TB, objects ...string) gateway.Catalog {
	t.Helper()
	var c gateway.Catalog
	var err error
	for _, o := range objects {
		kind, name, _ := strings.Cut(o, "/")
		member := map[string]string{"tool": "name", "prompt": "name", "resource": "uri", "template": "uriTemplate"}[kind]
		def, _ := json.Marshal(map[string]string{"name": name, member: name})
		switch kind {
		case "tool":
			var v *gateway.Tool
			v, err = gateway.ParseTool(def)
			c.Tools = append(c.Tools, v)
		case "resource":
			var v *gateway.Resource
			v, err = gateway.ParseResource(def)
			c.Resources = append(c.Resources, v)
		case "template":
			var v *gateway.Template
			v, err = gateway.ParseTemplate(def)
			c.Templates = append(c.Templates, v)
		case "prompt":
			var v *gateway.Prompt
			v, err = gateway.ParsePrompt(def)
			c.Prompts = append(c.Prompts, v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func attach(t testing.TB, r *gateway.Registry, name string, c gateway.Catalog, tags ...string) {
	t.Helper()
	up := gateway.Func(func(context.Context, *gateway.Call) (*gateway.Result, error) { return gateway.TextResult("ok"), nil })
	if err := r.Attach(name, up, c, gateway.Options{Prefix: name + ".", Tags: tags}); err != nil {
		t.Fatal(err)
	}
}

func decide(t testing.TB, e *Enforcer, who *gateway.Principal, object, action string) Decision {
	t.Helper()
	return e.Decide(t.Context(), Request{Principal: who, Object: object, Action: action})
}

func role(names ...string) *gateway.Principal {
	return &gateway.Principal{ID: "idp|user|alice", Issuer: "https://idp", Subject: "alice", Kind: "user", Roles: names}
}

// names returns everything that a view lists.
func names(s *gateway.Snapshot) string {
	var out []string
	for _, v := range s.Tools {
		out = append(out, v.Name)
	}
	for _, v := range s.Resources {
		out = append(out, v.URI)
	}
	for _, v := range s.Templates {
		out = append(out, v.URITemplate)
	}
	for _, v := range s.Prompts {
		out = append(out, v.Name)
	}
	return strings.Join(out, " ")
}
