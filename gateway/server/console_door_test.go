package server_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
)

// TestToolsetsGraphQL lists the toolsets that have something for the caller, and narrows lists to them.
func TestToolsetsGraphQL(t *testing.T) {
	r := start(t, map[string]gateway.Upstream{"lab": lab(t)}, func(cfg *config.Config) {
		withToolsets(t)(cfg)
		cfg.Toolsets = append(cfg.Toolsets, config.Toolset{Name: "none", Tools: []string{"nowhere.*"}})
	})
	const list = `{toolsets{name description path search tools resources prompts}}`
	poll(t, func() bool { return strings.Contains(r.playGraphQL(t, "dev", list), `"name":"some"`) })
	dev := r.playGraphQL(t, "dev", list)
	for _, want := range []string{`{"name":"find","description":null,"path":"/mcp/find","search":true,`, `"name":"safe"`, `"name":"some","description":"A few tools.","path":"/mcp/some","search":false`} {
		if !strings.Contains(dev, want) {
			t.Errorf("dev has no %s: %s", want, dev)
		}
	}
	if strings.Contains(dev, `"none"`) {
		t.Errorf("dev is told of a toolset with nothing in it: %s", dev)
	}
	if guest := r.playGraphQL(t, "guest", list); strings.Contains(guest, `"some"`) {
		t.Errorf("guest is told of a toolset with nothing for them: %s", guest)
	}
	if got := r.playGraphQL(t, "dev", `{tools(filter:{toolset:"some",source:"demo"}){totalCount nodes{name}} prompts(filter:{toolset:"some"}){totalCount} resources(filter:{toolset:"safe"}){totalCount}}`); !strings.Contains(got, `"tools":{"totalCount":1,"nodes":[{"name":"demo.add"}]},"prompts":{"totalCount":0},"resources":{"totalCount":1}`) {
		t.Errorf("within toolsets: %s", got)
	}
	for _, name := range []string{"none", "unknown"} {
		if got := r.playGraphQL(t, "dev", `{tools(filter:{toolset:"`+name+`"}){totalCount}}`); !strings.Contains(got, `{"totalCount":0}`) {
			t.Errorf("in toolset %s: %s", name, got)
		}
	}
}

// TestViewer says what the caller may administer and which session of a browser it is in, and tells when that changes.
func TestViewer(t *testing.T) {
	r := start(t, nil, nil)
	const viewer = `{viewer{session admin{area read admin}}}`
	for persona, want := range map[string]string{"guest": `"admin":[]`, "dev": `"admin":[]`, "admin": `{"area":"audit","read":true,"admin":true},{"area":"keys",`} {
		if got := r.playGraphQL(t, persona, viewer); !strings.Contains(got, want) || !strings.Contains(got, `"session":null`) {
			t.Errorf("%s: %s", persona, got)
		}
	}
	b := r.tab(t)
	b.signIn("admin", "/auth/login?return=/graphql/ui/")
	var me struct {
		Data struct {
			Viewer struct{ Session string }
			Admin  struct {
				Sessions struct{ Nodes []struct{ ID, Kind string } }
			}
		}
	}
	_, text := b.query(`{viewer{session} admin{sessions{nodes{id kind}}}}`)
	if err := json.Unmarshal([]byte(text), &me); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(me.Data.Admin.Sessions.Nodes, struct{ ID, Kind string }{me.Data.Viewer.Session, "login"}) {
		t.Errorf("one's own session is none of those: %s", text)
	}
	if me.Data.Viewer.Session == b.cookies[sessionCookie] {
		t.Error("the session is named by what gives access to it")
	}
	poll(t, func() bool {
		_, text := b.query(`{admin{auditRecords(filter:{session:"` + me.Data.Viewer.Session + `",op:"read",object:"admin/sessions"}){nodes}}}`)
		return strings.Contains(text, `"login":"`+me.Data.Viewer.Session+`"`)
	})

	events := r.subscription(t, "dev", `subscription{capabilitiesChanged{tools viewer}}`)
	activateCSV(t, r, devPolicyText+"p, role:dev, *, admin/traffic, read, allow\n")
	for {
		line, ok := <-events
		if !ok {
			t.Fatal("the subscription ended")
		}
		if strings.Contains(line, `"viewer":true`) {
			break
		}
	}
	if got := r.playGraphQL(t, "dev", viewer); !strings.Contains(got, `"admin":[{"area":"traffic","read":true,"admin":false}]`) {
		t.Errorf("dev, who may see traffic now: %s", got)
	}
}

// devPolicyText is a policy with which the personas may do what they always may.
const devPolicyText = `p, role:admin, *, **, *, allow
p, role:admin, *, admin/**, *, allow
p, role:dev, *, tool/demo/*, call, allow
`

// activateCSV puts a policy in force.
func activateCSV(t *testing.T, r *rig, csv string) {
	t.Helper()
	var d struct{ CreatePolicyDraft draft }
	r.query(t, "admin", `mutation{createPolicyDraft(comment:"c"){id revision}}`, nil, &d)
	var saved struct{ SavePolicyDraft struct{ Draft draft } }
	r.query(t, "admin", `mutation($id:ID!,$revision:SafeInt!,$csv:String!){savePolicyDraft(id:$id,revision:$revision,csv:$csv){draft{id revision}}}`,
		map[string]any{"id": d.CreatePolicyDraft.ID, "revision": d.CreatePolicyDraft.Revision, "csv": csv}, &saved)
	var active struct{ ActivatePolicy struct{ ID int64 } }
	r.query(t, "admin", `mutation($id:ID!,$revision:SafeInt!){activatePolicy(id:$id,revision:$revision){id}}`,
		map[string]any{"id": saved.SavePolicyDraft.Draft.ID, "revision": saved.SavePolicyDraft.Draft.Revision}, &active)
}

// subscription follows a subscription and returns the lines of its events.
func (r *rig) subscription(t *testing.T, persona, query string) <-chan string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+"/graphql", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"text/event-stream"}, "Authorization": {"Bearer " + r.token(t, persona)}}
	res, err := alone(nil).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			if data, ok := strings.CutPrefix(s.Text(), "data: "); ok {
				lines <- data
			}
		}
	}()
	return lines
}

// TestRefusalNamesRecord: an administrator finds the rule behind a refusal by what the refused caller was told.
func TestRefusalNamesRecord(t *testing.T) {
	r := start(t, nil, withPolicy(t, devPolicyText+"p, role:dev, *, tool/demo/add, call, deny\n"))
	for _, query := range []string{`mutation{callTool(name:"demo.add",arguments:{a:1,b:2}){isError}}`, `{admin{policy{csv}}}`, `mutation{callTool(name:"demo.add",arguments:5){isError}}`} {
		text := r.playGraphQL(t, "dev", query)
		_, id, _ := strings.Cut(text, `"call":"`)
		if id, _, _ = strings.Cut(id, `"`); len(id) != 32 {
			t.Fatalf("%s: %s", query, text)
		}
		if strings.Contains(text, "role:dev") {
			t.Errorf("the caller is told the rule: %s", text)
		}
		var found struct {
			Admin struct {
				AuditRecords struct {
					Nodes []struct{ ID, Rule, Policy, Code, By string }
				}
			}
		}
		poll(t, func() bool {
			r.query(t, "admin", `query($id:String){admin{auditRecords(filter:{id:$id}){nodes}}}`, map[string]any{"id": id}, &found)
			return len(found.Admin.AuditRecords.Nodes) == 1
		})
		rec := found.Admin.AuditRecords.Nodes[0]
		if rec.ID != id || rec.Code == "OK" || rec.By == "policy" && rec.Policy == "" || strings.Contains(query, "a:1") && !strings.Contains(rec.Rule, "deny") {
			t.Errorf("%s is on record as %+v", query, rec)
		}
	}
}

// TestFollowSources: who follows the sources is told what they are, without credentials, and what becomes of them.
func TestFollowSources(t *testing.T) {
	back := start(t, map[string]gateway.Upstream{"lab": lab(t)}, withPolicy(t, everything))
	mcpSource, o := behind(t, back)
	mcpSource.URL += "?key=secret"
	policy := withPolicy(t, devPolicyText)
	front := startWith(t, o, func(cfg *config.Config) {
		policy(cfg)
		cfg.Sources = []config.Source{{Name: "tools", Prefix: true, Demo: true, Tags: []string{"safe"}}, {Name: "behind", Prefix: true, Pin: "warn", MCP: mcpSource}}
	})
	events := front.subscription(t, "admin", `subscription{sources{name kind tags pin available tools endpoints{name role address weight present} canary{phase}}}`)
	wait := func(what ...string) {
		t.Helper()
		var last string
		for line := range events {
			last = line
			if strings.Contains(line, "secret") {
				t.Fatalf("told: %s", line)
			}
			if !slices.ContainsFunc(what, func(s string) bool { return !strings.Contains(line, s) }) {
				return
			}
		}
		t.Fatalf("nobody says %q, but at the end %s", what, last)
	}
	wait(`{"name":"behind","kind":"mcp","tags":[],"pin":"warn"`, `{"name":"tools","kind":"demo","tags":["safe"],"pin":"off","available":true`, `"endpoints":[]`,
		`"endpoints":[{"name":"main","role":"stable","address":"http://127.0.0.1:`)
	if got := front.playGraphQL(t, "dev", `{admin{sources{name}}}`); !strings.Contains(got, "PERMISSION_DENIED") {
		t.Errorf("dev: %s", got)
	}
}
