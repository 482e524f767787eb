package server_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mcpParams are about the sesame, whatever the method.
const mcpParams = `"name":"sesame.thing","uri":"sesame://thing","arguments":{},"ref":{"type":"ref/prompt","name":"sesame.thing"},` +
	`"argument":{"name":"x","value":""},"level":"info","taskId":"sesame","notifications":{"toolsListChanged":true,"resourceSubscriptions":["sesame://thing"]},` +
	`"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"walk","version":"1"}`

// TestWalkMCP sends every method that the package protocols/mcp has a word for,
// in both eras, to the endpoint of everything and to that of a toolset.
func TestWalkMCP(t *testing.T) {
	w := startWalk(t, nil)
	words := mcpWords(t)
	var steps []step
	open := []string{}
	for _, path := range []string{"/mcp", "/mcp/" + sesame} {
		for _, method := range words {
			for _, era := range []string{"stateless", "session"} {
				s := step{name: path + " " + era + " " + method, ask: w.askMCP(path, era, method)}
				switch method { // What reaches a capability.
				case "tools/call", "resources/read", "prompts/get", "completion/complete":
					s.by = "policy"
				case "resources/subscribe":
					if era == "session" {
						s.by = "policy"
					}
				}
				steps = append(steps, s)
			}
		}
		for _, name := range []string{
			"stateless server/discover", "stateless subscriptions/listen", "session ping", "session logging/setLevel", "session resources/unsubscribe",
		} {
			open = append(open, path+" "+name)
		}
		for _, list := range []string{"tools/list", "resources/list", "resources/templates/list", "prompts/list"} {
			open = append(open, path+" stateless "+list, path+" session "+list)
		}
	}
	w.walk(t, steps, nil, open)
}

// mcpWords returns the words in the source of protocols/mcp that can be names of
// methods, and so all that it serves. Those that it does not serve are refused
// as every unknown method is.
func mcpWords(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../protocols/mcp/*.go")
	if err != nil {
		t.Fatal(err)
	}
	word := regexp.MustCompile(`^([a-z]+(/[a-zA-Z]+)+|initialize|ping)$`)
	found := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil && word.MatchString(s) {
					found[s] = true
				}
			}
			return true
		})
	}
	for _, known := range []string{"tools/call", "initialize", "ping", "subscriptions/listen", "tasks/get", "completion/complete"} {
		if !found[known] {
			t.Errorf("the source of protocols/mcp has no %q", known)
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// askMCP returns a step's request. In a session it begins one.
func (w *walker) askMCP(path, era, method string) func(*testing.T, string) answer {
	return func(t *testing.T, credential string) answer {
		t.Helper()
		h := http.Header{"Accept": {"application/json, text/event-stream"}}
		params := mcpParams
		if era == "stateless" {
			h["Mcp-Protocol-Version"], h["Mcp-Method"] = []string{"2026-07-28"}, []string{method}
			switch method {
			case "resources/read":
				h["Mcp-Name"] = []string{"sesame://thing"}
			case "tasks/get", "tasks/update", "tasks/cancel":
				h["Mcp-Name"] = []string{sesame}
			default:
				h["Mcp-Name"] = []string{"sesame.thing"}
			}
			params += "," + modernMeta
		} else if credential != "" {
			h["Mcp-Protocol-Version"], h["Mcp-Session-Id"] = []string{"2025-11-25"}, []string{w.begin(t, path, credential, "2025-11-25")}
		}
		status, _, text := w.http(t, http.MethodPost, path, credential, h, `{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":{`+params+`}}`)
		a := answer{unknown: status == http.StatusUnauthorized, text: fmt.Sprint(method, ": ", status, " ", text)}
		if a.unknown || strings.Contains(text, `"error":{`) {
			a.code = fmt.Sprint(status)
		}
		return a
	}
}
