package graphql

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestLongResponses: what a few bytes of a document ask for many times over is refused, with one error and nothing
// beside it, and what is just long is answered.
func TestLongResponses(t *testing.T) {
	text := strings.Repeat("x", 2000)
	call := func(calls, names int) string {
		return "mutation{" + many(calls, func(i int) string {
			return fmt.Sprintf(`c%d:callTool(name:"demo.echo",arguments:{text:%q}){%s}`, i, text, many(names, func(j int) string { return fmt.Sprintf("r%d:raw ", j) }))
		}) + "}"
	}
	for name, c := range map[string]struct {
		most  int
		query string
		long  bool
	}{
		"one call":          {64 << 10, call(1, 5), false},
		"many names":        {64 << 10, call(1, 40), true},
		"many calls":        {16 << 10, call(10, 0), true},
		"a list of nothing": {2 << 10, `{tools(first:100){nodes{` + many(40, func(i int) string { return fmt.Sprintf("t%d:__typename ", i) }) + `}}}`, true},
		"a list":            {64 << 10, `{tools(first:100){nodes{name}}}`, false},
		"introspection":     {64 << 10, introspection, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, Options{Introspection: true, Response: c.most})
			got := f.run(t, strings.ReplaceAll(c.query, "{}", "{isError}") /* Of these calls nothing is written. */)
			var resp struct {
				Data   json.RawMessage
				Errors []struct {
					Message    string
					Path       []any
					Extensions struct{ Code, Limit string }
				}
			}
			if err := json.Unmarshal([]byte(got), &resp); err != nil {
				t.Fatal(err)
			}
			switch {
			case !c.long && (len(resp.Errors) > 0 || len(got) < 100):
				t.Errorf("it is refused: %.300s", got)
			case !c.long:
			case len(resp.Errors) != 1 || string(resp.Data) != "null":
				t.Errorf("%d bytes: %.300s", len(got), got)
			case resp.Errors[0].Extensions.Code != codeLimit || resp.Errors[0].Extensions.Limit != "response" || len(resp.Errors[0].Path) == 0:
				t.Errorf("the error: %s", got)
			}
		})
	}
}
