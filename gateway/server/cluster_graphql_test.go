package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestClusterQuestion: what a call asks through GraphQL on one node is answered at the other, by its caller alone and once,
// and is no question any more when the node has ended.
func TestClusterQuestion(t *testing.T) {
	p := twoNodes(t)
	ask := func() (string, <-chan sseEvent) {
		t.Helper()
		h := p.headers(t, "dev", "")
		h.Set("Accept", "text/event-stream")
		events := p.streamAt(t, p.a, http.MethodPost, "/graphql", h,
			`{"query":"subscription { toolCall(name: \"x.ask\") { ...on ToolQuestion { id schema } ...on ToolFinished { result { content { text } } } } }"}`)
		var asked struct {
			Data struct{ ToolCall struct{ ID string } }
		}
		if err := json.Unmarshal([]byte(until(t, events, "schema").data), &asked); err != nil || asked.Data.ToolCall.ID == "" {
			t.Fatalf("asked %+v: %v", asked, err)
		}
		return asked.Data.ToolCall.ID, events
	}
	answer := func(node *rig, persona, id, rest string) string {
		t.Helper()
		query, err := json.Marshal(`mutation($id: ID!) { answerQuestion(id: $id, ` + rest + `) }`)
		if err != nil {
			t.Fatal(err)
		}
		_, body := node.send(t, "", http.MethodPost, "/graphql", p.headers(t, persona, ""), `{"query":`+string(query)+`,"variables":{"id":"`+id+`"}}`)
		return body
	}
	id, events := ask()
	for _, tt := range []struct{ name, persona, id, rest, want string }{
		{"another caller", "admin", id, `action: "decline"`, `"NOT_FOUND"`},
		{"an unknown node", "dev", "NOBODY." + id, `action: "decline"`, `"NOT_FOUND"`},
		{"no question", "dev", id + "A", `action: "decline"`, `"NOT_FOUND"`},
		{"a long id", "dev", id + strings.Repeat("A", 200), `action: "decline"`, `"NOT_FOUND"`},
		{"a bad answer", "dev", id, `action: "maybe"`, `"INVALID_ARGUMENT"`},
		{"no object", "dev", id, `action: "accept", content: [1]`, `"INVALID_ARGUMENT"`},
		{"the answer", "dev", id, `action: "accept", content: {name: "Ada\nLovelace"}`, `"answerQuestion":true`},
		{"again", "dev", id, `action: "decline"`, `"NOT_FOUND"`},
	} {
		if got := answer(p.b, tt.persona, tt.id, tt.rest); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
	until(t, events, `answered {\"action\":\"accept\",\"content\":{\"name\":\"Ada\\nLovelace\"}}`)

	id, _ = ask()
	p.a.stop()
	if got := answer(p.b, "dev", id, `action: "decline"`); !strings.Contains(got, `"NOT_FOUND"`) {
		t.Errorf("of a node that has ended: %s", got)
	}
}
