package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/audit"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/toolset"
)

// withToolsets returns the configuration of these tests: three toolsets over the
// demo and the lab.
func withToolsets(t testing.TB) func(*config.Config) {
	edit := withPolicy(t, labPolicy)
	return func(cfg *config.Config) {
		edit(cfg)
		cfg.Sources[0].Tags = []string{"safe"}
		cfg.Toolsets = []config.Toolset{
			{Name: "some", Description: "A few tools.", Tools: []string{"demo.add", "lab.f*"}, Resources: []string{"lab://**"}},
			{Name: "safe", Tags: []string{"safe"}},
			{Name: "find", Sources: []string{"demo", "lab"}, Search: true},
		}
	}
}

// An endpoint speaks MCP of one era to one path of the gateway.
type endpoint struct {
	*rig
	persona, path string
	legacy        bool
	session       string
	asked         int // requests so far: each has an id of its own
}

const initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"0"}}}`

// open begins the session that the legacy era needs.
func (e *endpoint) open(t *testing.T) *endpoint {
	t.Helper()
	if !e.legacy {
		return e
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.URL()+e.path, strings.NewReader(initialize))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	req.Header.Set("Authorization", "Bearer "+e.token(t, e.persona))
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if e.session = res.Header.Get("Mcp-Session-Id"); res.StatusCode != http.StatusOK || e.session == "" {
		t.Fatalf("initialize: %s, session %q", res.Status, e.session)
	}
	return e
}

// ask sends one request and returns the result or the error, as JSON.
func (e *endpoint) ask(t *testing.T, method, params string) (result, failure json.RawMessage) {
	t.Helper()
	h := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	h.Set("MCP-Protocol-Version", "2025-11-25")
	if e.session != "" {
		h.Set("Mcp-Session-Id", e.session)
	}
	if !e.legacy {
		h.Set("MCP-Protocol-Version", "2026-07-28")
		h.Set("Mcp-Method", method)
		var p struct{ Name, URI string }
		decode(t, "{"+params+"}", &p)
		if name := p.Name + p.URI; name != "" {
			h.Set("Mcp-Name", name)
		}
		meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
		params = strings.TrimPrefix(params+","+meta, ",")
	}
	e.asked++
	req := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{%s}}`, e.asked, method, params)
	status, body := e.send(t, e.persona, http.MethodPost, e.path, h, req)
	var a struct {
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	if status != http.StatusOK {
		return nil, json.RawMessage(body)
	}
	decode(t, body, &a)
	return a.Result, a.Error
}

// list returns the names or URIs of a list.
func (e *endpoint) list(t *testing.T, method string) []string {
	t.Helper()
	result, failure := e.ask(t, method, "")
	if failure != nil {
		t.Fatalf("%s: %s", method, failure)
	}
	var lists map[string]json.RawMessage
	decode(t, string(result), &lists)
	kind, _, _ := strings.Cut(method, "/")
	var all []struct{ Name, URI string }
	decode(t, string(lists[kind]), &all)
	out := []string{}
	for _, c := range all {
		if c.URI != "" {
			c.Name = c.URI
		}
		out = append(out, c.Name)
	}
	return out
}

// TestToolsetEndpoints speaks to the endpoint of each toolset, in both eras.
func TestToolsetEndpoints(t *testing.T) {
	r := start(t, map[string]gateway.Upstream{"lab": lab(t)}, withToolsets(t))
	for _, legacy := range []bool{false, true} {
		name := map[bool]string{false: "modern", true: "legacy"}[legacy]
		t.Run(name, func(t *testing.T) {
			some := (&endpoint{rig: r, persona: "dev", path: "/mcp/some", legacy: legacy}).open(t)
			if diff := cmp.Diff([]string{"demo.add", "lab.fail"}, some.list(t, "tools/list")); diff != "" {
				t.Errorf("tools (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"lab://notes"}, some.list(t, "resources/list")); diff != "" {
				t.Errorf("resources (-want +got):\n%s", diff)
			}
			if got := some.list(t, "prompts/list"); len(got) != 0 {
				t.Errorf("prompts %v", got)
			}
			if result, failure := some.ask(t, "tools/call", `"name":"demo.add","arguments":{"a":1,"b":2}`); !strings.Contains(string(result), "3") {
				t.Errorf("demo.add: %s %s", result, failure)
			}
			// What is outside reads like what does not exist anywhere.
			_, outside := some.ask(t, "tools/call", `"name":"demo.echo","arguments":{}`)
			_, nowhere := some.ask(t, "tools/call", `"name":"demo.nope","arguments":{}`)
			if want := strings.ReplaceAll(string(nowhere), "nope", "echo"); len(outside) == 0 || string(outside) != want {
				t.Errorf("demo.echo: %s, want %s", outside, want)
			}
			if _, failure := some.ask(t, "prompts/get", `"name":"demo.greet","arguments":{"name":"A"}`); failure == nil {
				t.Error("a prompt outside was rendered")
			}

			find := (&endpoint{rig: r, persona: "dev", path: "/mcp/find", legacy: legacy}).open(t)
			if diff := cmp.Diff([]string{"call_tool", "search_tools"}, find.list(t, "tools/list")); diff != "" {
				t.Errorf("tools of a search (-want +got):\n%s", diff)
			}
			var found struct {
				Structured struct {
					Tools []named `json:"tools"`
				} `json:"structuredContent"`
			}
			poll(t, func() bool {
				result, failure := find.ask(t, "tools/call", `"name":"search_tools","arguments":{"query":"add two numbers"}`)
				if failure != nil {
					t.Fatal(string(failure))
				}
				decode(t, string(result), &found)
				return len(found.Structured.Tools) > 0
			})
			if got := names(found.Structured.Tools); got[0] != "demo.add" {
				t.Errorf("found %v", got)
			}
			direct, _ := some.ask(t, "tools/call", `"name":"demo.add","arguments":{"a":1,"b":2}`)
			through, failure := find.ask(t, "tools/call", `"name":"call_tool","arguments":{"name":"demo.add","arguments":{"a":1,"b":2}}`)
			if diff := cmp.Diff(string(direct), string(through)); diff != "" {
				t.Errorf("call_tool answers differently (-direct +through), %s:\n%s", failure, diff)
			}
		})
	}
}

// TestToolsetNotCallableMeansNotListed is the rule of all doors for the
// endpoint of a toolset, as every persona.
func TestToolsetNotCallableMeansNotListed(t *testing.T) {
	r := start(t, map[string]gateway.Upstream{"lab": lab(t)}, withToolsets(t))
	all := r.Gateway().View(admin).Tools
	for _, persona := range []string{"admin", "dev", "guest"} {
		for _, path := range []string{"/mcp/some", "/mcp/safe", "/mcp/find"} {
			t.Run(persona+path, func(t *testing.T) {
				e := &endpoint{rig: r, persona: persona, path: path}
				listed := e.list(t, "tools/list")
				var callable []string
				for _, name := range append([]string{"call_tool", "search_tools"}, names(definitionsOf(all))...) {
					if name == "lab.hang" || name == "lab.panic" {
						continue
					}
					_, failure := e.ask(t, "tools/call", `"name":"`+name+`","arguments":{}`)
					if !strings.Contains(string(failure), "no tool named") && !strings.Contains(string(failure), "policy") {
						callable = append(callable, name)
					}
				}
				listed = slices.DeleteFunc(listed, func(n string) bool { return n == "lab.hang" || n == "lab.panic" })
				slices.Sort(listed)
				slices.Sort(callable)
				if !slices.Equal(callable, listed) {
					t.Errorf("(-callable +listed):\n%s", cmp.Diff(callable, listed))
				}
			})
		}
	}
	// Through call_tool the same: what guests cannot call they do not find.
	guest := &endpoint{rig: r, persona: "guest", path: "/mcp/find"}
	for _, tool := range all {
		result, failure := guest.ask(t, "tools/call", `"name":"call_tool","arguments":{"name":"`+tool.Name+`","arguments":{}}`)
		if refused := strings.Contains(string(failure), "no tool named"); refused == (tool.Name == "demo.echo") {
			t.Errorf("%s: %s %s", tool.Name, result, failure)
		}
	}
	result, _ := guest.ask(t, "tools/call", `"name":"search_tools","arguments":{"query":"add fail raw count echo lab demo tests","limit":20}`)
	for _, tool := range all {
		if strings.Contains(string(result), tool.Name) && tool.Name != "demo.echo" {
			t.Errorf("a guest finds %s", tool.Name)
		}
	}
}

func definitionsOf(tools []*gateway.Tool) (out []named) {
	for _, t := range tools {
		out = append(out, named{t.Name})
	}
	return out
}

// TestToolsetAudit holds that a call through call_tool leaves two records: its
// own, and that of the real tool, which names it as its parent.
func TestToolsetAudit(t *testing.T) {
	r := start(t, map[string]gateway.Upstream{"lab": lab(t)}, withToolsets(t))
	e := &endpoint{rig: r, persona: "guest", path: "/mcp/find"}
	e.ask(t, "tools/call", `"name":"call_tool","arguments":{"name":"demo.echo","arguments":{"text":"x"}}`)
	e.ask(t, "tools/call", `"name":"call_tool","arguments":{"name":"lab.raw","arguments":{}}`)
	e.ask(t, "tools/call", `"name":"call_tool","arguments":{"name":"demo.echo","arguments":{"text":1}}`)
	type line struct{ Name, Object, Code, By, Principal string }
	var got []line
	var records []audit.Record
	for _, rec := range r.records(t, 6) {
		got = append(got, line{rec.Name, rec.Object, rec.Code, rec.By, rec.Principal.Name})
		records = append(records, rec)
	}
	const via = "tool/toolset:find/call_tool"
	want := []line{
		{"demo.echo", "tool/demo/echo", "OK", "", "Gus Guest"},
		{"call_tool", via, "OK", "", "Gus Guest"},
		{"lab.raw", "tool/lab/raw", "NOT_FOUND", "policy", "Gus Guest"},
		{"call_tool", via, "NOT_FOUND", "policy", "Gus Guest"},
		{"demo.echo", "tool/demo/echo", "INVALID_ARGUMENT", "arguments", "Gus Guest"},
		{"call_tool", via, "INVALID_ARGUMENT", "arguments", "Gus Guest"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("records (-want +got):\n%s", diff)
	}
	for i := 0; i < len(records); i += 2 {
		if records[i].Parent != records[i+1].ID || records[i+1].Parent != "" {
			t.Errorf("record of %s has parent %q, want %q", records[i].Name, records[i].Parent, records[i+1].ID)
		}
	}
}

// TestToolsetPaths tries to reach a toolset, or past it, by other paths.
func TestToolsetPaths(t *testing.T) {
	r := start(t, map[string]gateway.Upstream{"lab": lab(t)}, withToolsets(t))
	h := func() http.Header {
		return http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	}
	for path, want := range map[string]int{
		"/mcp/some": 200, "/mcp/some?x=/mcp/safe": 200, "/mcp/%73ome": 200,
		"/mcp/nope": 404, "/mcp/SOME": 404, "/mcp/": 404, "/mcp/some/": 404, "/mcp/some/x": 404, "/mcp/{toolset}": 404,
		"/mcp/some%2F": 404, "/mcp/some%00": 404, "/mcp/%2e%2e%2fmcp": 404, "/mcp/safe%2F..%2Fsome": 404, "/mcp/some%20": 404, "/mcp/some;v=1": 404,
	} {
		if code, answer := r.send(t, "dev", http.MethodPost, path, h(), initialize); code != want {
			t.Errorf("POST %s: %d %s, want %d", path, code, answer, want)
		}
	}
	// A session belongs to the endpoint that began it.
	e := (&endpoint{rig: r, persona: "dev", path: "/mcp/some", legacy: true}).open(t)
	for _, path := range []string{"/mcp/safe", "/mcp"} {
		e.path = path
		if result, failure := e.ask(t, "tools/list", ""); result != nil || !strings.Contains(string(failure), "Session not found") {
			t.Errorf("%s takes the session of another endpoint: %s %s", path, result, failure)
		}
	}
	// Who has no token does not learn which toolsets there are.
	for _, path := range []string{"/mcp/some", "/mcp/nope"} {
		if code, _ := r.send(t, "nobody", http.MethodPost, path, h(), initialize); code != http.StatusUnauthorized {
			t.Errorf("POST %s without a token: %d", path, code)
		}
	}
	// Each endpoint is a resource of its own (RFC 9728).
	code, doc := r.send(t, "nobody", http.MethodGet, "/.well-known/oauth-protected-resource/mcp/some", nil, "")
	if want := `"resource":"` + r.URL() + `/mcp/some"`; code != http.StatusOK || !strings.Contains(doc, want) {
		t.Errorf("metadata: %d %s, want %s", code, doc, want)
	}
	if code, _ := r.send(t, "nobody", http.MethodGet, "/.well-known/oauth-protected-resource/mcp/nope", nil, ""); code != http.StatusNotFound {
		t.Errorf("metadata of no toolset: %d", code)
	}
}

// TestToolsetReload changes the toolsets of a running gateway.
func TestToolsetReload(t *testing.T) {
	r := start(t, map[string]gateway.Upstream{"lab": lab(t)}, withToolsets(t))
	next := *r.config
	next.Toolsets = []config.Toolset{
		{Name: "some", Tools: []string{"demo.echo"}},
		{Name: "new", Tools: []string{"demo.add"}},
		{Name: "seek", Sources: []string{"demo"}, Search: true},
	}
	if err := r.Reload(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	at := func(path string) *endpoint { return &endpoint{rig: r, persona: "dev", path: path} }
	for path, want := range map[string][]string{
		"/mcp/some": {"demo.echo"}, "/mcp/new": {"demo.add"}, "/mcp/seek": {"call_tool", "search_tools"},
	} {
		if diff := cmp.Diff(want, at(path).list(t, "tools/list")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
		if _, doc := r.send(t, "nobody", http.MethodGet, "/.well-known/oauth-protected-resource"+path, nil, ""); !strings.Contains(doc, path+`"`) {
			t.Errorf("metadata of %s: %s", path, doc)
		}
	}
	if _, failure := at("/mcp/find").ask(t, "tools/list", ""); failure == nil {
		t.Error("a toolset that was taken out still serves")
	}
	poll(t, func() bool {
		result, _ := at("/mcp/seek").ask(t, "tools/call", `"name":"search_tools","arguments":{"query":"echo"}`)
		return strings.Contains(string(result), "demo.echo")
	})

	bad := next
	bad.Toolsets = append(slices.Clone(next.Toolsets), config.Toolset{Name: "bad", Sources: []string{"nowhere"}})
	if err := r.Reload(t.Context(), &bad); err == nil || !strings.Contains(err.Error(), `no source is named "nowhere"`) {
		t.Errorf("reload of a toolset of no source: %v", err)
	}
	if got := at("/mcp/new").list(t, "tools/list"); len(got) != 1 {
		t.Errorf("after a bad reload /mcp/new lists %v", got)
	}
}

// TestToolsetInstructions holds that a toolset says what it is for.
func TestToolsetInstructions(t *testing.T) {
	r := start(t, nil, func(cfg *config.Config) {
		cfg.Toolsets = []config.Toolset{{Name: "a", Description: "For tests.", Tools: []string{"**"}, Search: true}}
	})
	result, failure := (&endpoint{rig: r, persona: "dev", path: "/mcp/a"}).ask(t, "server/discover", "")
	var d struct{ Instructions string }
	decode(t, string(result), &d)
	if want := "For tests.\n\n" + toolset.Instructions; d.Instructions != want {
		t.Errorf("instructions %q, want %q (%s)", d.Instructions, want, failure)
	}
}
