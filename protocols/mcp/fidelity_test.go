package mcp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// TestFidelity has servers say what is hard to keep, over every transport that
// sources have, and reads it with raw clients over every transport of the door.
// What the server said arrives byte for byte; to it come only the members that
// the client's revision demands and the server's does not.
func TestFidelity(t *testing.T) {
	c, err := readCorpus()
	if err != nil {
		t.Fatal(err)
	}
	for i, up := range []struct {
		name   string
		modern bool
		open   func(t *testing.T) mcp.UpstreamOptions
	}{
		{"http", true, func(t *testing.T) mcp.UpstreamOptions {
			return mcp.UpstreamOptions{URL: serve(t, c.overHTTP(true, false))}
		}},
		{"http events", true, func(t *testing.T) mcp.UpstreamOptions {
			return mcp.UpstreamOptions{URL: serve(t, c.overHTTP(true, true))}
		}},
		{"http of old", false, func(t *testing.T) mcp.UpstreamOptions {
			return mcp.UpstreamOptions{URL: serve(t, c.overHTTP(false, false))}
		}},
		{"http events of old", false, func(t *testing.T) mcp.UpstreamOptions {
			return mcp.UpstreamOptions{URL: serve(t, c.overHTTP(false, true))}
		}},
		{"http+sse", false, func(t *testing.T) mcp.UpstreamOptions { return mcp.UpstreamOptions{URL: serve(t, c.overSSE())} }},
		{"pipe", true, func(t *testing.T) mcp.UpstreamOptions { return program(t, "corpus") }},
		{"pipe of old", false, func(t *testing.T) mcp.UpstreamOptions { return program(t, "corpus of old") }},
	} {
		t.Run(up.name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			f, err := frontendOf(ctx, openUpstream(t, up.open(t)))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				f.Close()
				stop()
			})
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r = r.WithContext(auth.With(r.Context(), principal("alice")))
				if strings.HasPrefix(r.URL.Path, "/sse") || strings.HasPrefix(r.URL.Path, "/messages") {
					f.SSE().ServeHTTP(w, r)
					return
				}
				f.ServeHTTP(w, r)
			}))
			t.Cleanup(func() {
				f.Close() // It ends the streams.
				srv.Close()
			})
			for j, cl := range rawClients() {
				t.Run(cl.name, func(t *testing.T) {
					ask := cl.dial(t, f, srv)
					for _, s := range c {
						if s.kind != "definitions" && (!s.long || i == 0 || j == 0) {
							checkSaying(t, c, &s, up.modern, cl, ask)
						}
					}
					checkLists(t, c, cl, ask)
				})
			}
		})
	}
}

// An asker sends a request and returns the response.
type asker func(method, params string) []byte

// checkSaying asks for one saying and compares.
func checkSaying(t *testing.T, c corpus, s *saying, modern bool, cl rawClient, ask asker) {
	t.Helper()
	var a asking
	var params string
	switch s.kind {
	case "tools", "errors":
		a.Method, a.Params.Name = "tools/call", s.kind+"."+s.name
		params = fmt.Sprintf(`"name":%q`, a.Params.Name)
	case "resources":
		a.Method, a.Params.URI = "resources/read", "test://resource/"+s.name
		params = fmt.Sprintf(`"uri":%q`, a.Params.URI)
	case "prompts":
		a.Method, a.Params.Name = "prompts/get", "prompts."+s.name
		params = fmt.Sprintf(`"name":%q`, a.Params.Name)
	case "completions":
		a.Method, a.Params.Ref.Name = "completion/complete", "completions."+s.name
		params = fmt.Sprintf(`"ref":{"type":"ref/prompt","name":%q},"argument":{"name":"a","value":""}`, a.Params.Ref.Name)
	}
	_, want := c.says(&a, modern)
	response := ask(a.Method, params)
	var m struct {
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(response, &m); err != nil {
		t.Fatalf("%s/%s: %v in %.300s", s.kind, s.name, err, response)
	}
	if s.kind == "errors" {
		checkError(t, s, m.Error)
		return
	}
	got := m.Result
	if cl.modern {
		want = strings.Replace(want, `"cacheScope":"public"`, `"cacheScope":"private"`, 1) // A caller's own view.
		got = without(got, want)
	}
	if !bytes.Equal(got, []byte(want)) && !bytes.Equal(got, []byte(oneLineOf(want))) {
		t.Errorf("%s/%s: got\n%.400s\nwant\n%.400s\nin %.200s", s.kind, s.name, got, want, response)
	}
}

// without returns a result without what the door has to add for a modern
// client.
func without(got json.RawMessage, said string) json.RawMessage {
	const info = metaOfServer + `:{"name":"trilith","version":"0"}`
	for _, added := range []string{`"resultType":"complete",`, `"ttlMs":0,`, `"cacheScope":"private",`, `"_meta":{` + info + `},`, info + `,`, info} {
		if !strings.Contains(said, added) {
			got = bytes.Replace(got, []byte(added), nil, 1)
		}
	}
	return got
}

func checkError(t *testing.T, s *saying, got json.RawMessage) {
	t.Helper()
	type refusal struct {
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
	}
	var have, want refusal
	if json.Unmarshal([]byte(s.raw), &want) != nil || json.Unmarshal(got, &have) != nil {
		t.Fatalf("error %s: %s", s.name, got)
	}
	if have.Message != want.Message || !bytes.Equal(have.Data, want.Data) {
		t.Errorf("error %s: %s, want %s", s.name, got, s.raw)
	}
}

// checkLists compares the definitions that a client lists.
func checkLists(t *testing.T, c corpus, cl rawClient, ask asker) {
	t.Helper()
	for method, member := range map[string]string{
		"tools/list": "tools", "resources/list": "resources", "resources/templates/list": "resourceTemplates", "prompts/list": "prompts",
	} {
		var m struct {
			Result map[string]json.RawMessage `json:"result"`
		}
		var have, want []json.RawMessage
		var said map[string]json.RawMessage
		response := ask(method, "")
		if json.Unmarshal(response, &m) != nil || json.Unmarshal(m.Result[member], &have) != nil ||
			json.Unmarshal([]byte(c.list(member)), &said) != nil || json.Unmarshal(said[member], &want) != nil {
			t.Fatalf("%s: %.300s", method, response)
		}
		listed := map[string]bool{}
		for _, d := range have {
			listed[string(d)] = true
		}
		for _, d := range want {
			if !listed[string(d)] {
				t.Errorf("%s: %s is not among what is listed: %s", method, d, m.Result[member])
			}
		}
		if len(have) != len(want) {
			t.Errorf("%s: %d are listed, want %d", method, len(have), len(want))
		}
	}
}
