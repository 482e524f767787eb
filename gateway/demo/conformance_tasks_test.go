package demo_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
)

func TestTaskFixtures(t *testing.T) {
	g, r := conformance(t)
	answer := json.RawMessage(`{"action":"accept","content":{"confirm":true,"name":"Ann"}}`)
	ask := func(context.Context, gateway.Question) (json.RawMessage, error) { return answer, nil }
	for _, tt := range []struct{ name, args, support, want string }{
		{"greet", `{"name":"World"}`, ``, "Hello, World!"},
		{"slow_compute", `{"seconds":0,"label":"now"}`, `"optional"`, "Worked for 0 seconds: now"},
		{"slow_compute", `{"seconds":-1}`, `"optional"`, `"isError":true`},
		{"failing_job", ``, `"required"`, `"isError":true`},
		{"protocol_error_job", ``, `"optional"`, "INTERNAL"},
		{"confirm_delete", `{"filename":"a.txt"}`, `"optional"`, "Deleted a.txt"},
		{"multi_input", ``, `"optional"`, "Thank you, Ann Ann"},
		{"test_tool_with_task", ``, `"required"`, "Worked for Ann"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			def := string(r.Snapshot().Tool(tt.name).Definition)
			if !strings.Contains(def, `"taskSupport":`+tt.support) && tt.support != "" || tt.support == "" && strings.Contains(def, "taskSupport") {
				t.Errorf("definition: %s", def)
			}
			call := func(resume *gateway.Resume) (*gateway.Result, error) {
				return g.Do(t.Context(), &gateway.Call{
					Op: gateway.OpCall, Name: tt.name, Args: json.RawMessage(tt.args), Principal: &gateway.Principal{ID: "test"},
					Ask: ask, Capabilities: json.RawMessage(`{"elicitation":{}}`), Resume: resume,
				})
			}
			res, err := call(nil)
			if err == nil && res.Input != nil {
				res, err = call(&gateway.Resume{Answers: map[string]json.RawMessage{"user_name": answer}})
			}
			var got string
			if err != nil {
				got = err.Error()
			} else {
				got = string(res.Raw)
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("want %s in %s", tt.want, got)
			}
		})
	}
}
