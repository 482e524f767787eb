//go:build external

package upstream

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// TestExternalYoga makes a source of GraphQL Yoga, in the versions that the
// package-lock.json of testdata/yoga pins. It needs Node and npm.
func TestExternalYoga(t *testing.T) {
	url := yoga(t)
	for _, transport := range []string{SubscriptionsSSE, SubscriptionsWebSocket} {
		t.Run(transport, func(t *testing.T) {
			o := Options{HTTP: at(url), Subscriptions: transport}
			o.HTTP.Headers = http.Header{"Authorization": {"Bearer token"}}
			u := open(t, o)
			c, err := u.load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			u.catalog.Store(c)
			for _, n := range c.notes.all {
				t.Logf("%s %s: %s", n.Change, n.Subject, n.Reason)
			}
			for _, tt := range []struct {
				tool, args string
				want       string // the structured content, or
				fails      string // a part of the error's text
			}{
				{tool: "items", want: `[{"__typename":"Book","id":"1","title":"Emma","added":"2026-01-02T03:04:05Z","pages":474},`},
				{tool: "items", args: `{"search":{"text":"Blue"},"order":"TITLE"}`, want: `[{"__typename":"Record","id":"2","title":"Kind of Blue","added":"2026-02-02T03:04:05Z","minutes":45.5}]`},
				{tool: "items", args: `{"search":null}`, want: `[`},
				{tool: "find", args: `{"by":{"id":"2"}}`, want: `{"__typename":"Record"`},
				{tool: "find", args: `{"by":{"id":"3"}}`, want: `null`},
				{tool: "broken", fails: "Unexpected error"},
				{tool: "secret", want: `"Bearer token"`},
				{tool: "rename", args: `{"id":"1","title":"Emma"}`, want: `{"__typename":"Book"`},
				{tool: "count", args: `{"to":3}`, want: `{"events":[1,2,3],"end":"complete"}`},
			} {
				op := c.operations[tt.tool]
				if op == nil {
					t.Errorf("there is no tool %s", tt.tool)
					continue
				}
				if err := op.tool.Input.Validate(json.RawMessage(tt.args)); err != nil {
					t.Errorf("%s %s: %v", tt.tool, tt.args, err)
				}
				reports := 0
				res, callErr := runCall(t.Context(), u, tt.tool, &gateway.Call{Args: json.RawMessage(tt.args), Progress: func(gateway.Progress) { reports++ }})
				if callErr != nil {
					t.Errorf("%s: %v", tt.tool, callErr)
					continue
				}
				p, err := res.Parts()
				if err != nil || !strings.HasPrefix(string(p.Structured), tt.want) || res.IsError != (tt.fails != "") || !strings.Contains(text(res), tt.fails) {
					t.Errorf("%s %s: %s, %v", tt.tool, tt.args, res.Raw, err)
				}
				if tt.tool == "count" && reports != 3 {
					t.Errorf("%d reports of progress", reports)
				}
			}
			for args, ok := range map[string]bool{
				`{"by":{}}`: false, `{"by":{"id":"1","title":"Emma"}}`: false, `{"by":{"id":null}}`: false, `{"by":{"title":"Emma"}}`: true,
			} {
				if err := c.operations["find"].tool.Input.Validate(json.RawMessage(args)); (err == nil) != ok {
					t.Errorf("find %s: %v", args, err)
				}
			}
			if c.operations["old"] != nil {
				t.Error("a deprecated field is offered")
			}
		})
	}
}

// yoga starts the server and returns its URL.
func yoga(t *testing.T) string {
	t.Helper()
	dir := install(t)
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, "node", "server.mjs")
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
		cancel()
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("node server.mjs: %v\n%s", err, &stderr)
	}
	return "http://127.0.0.1:" + strings.TrimSpace(port) + "/graphql"
}

// install puts the pinned packages and the server into a directory: below
// XDG_CACHE_HOME, where they stay for the next run, else in one that is removed.
func install(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is missing: install Node 20 or later with npm", tool)
		}
	}
	dir := t.TempDir()
	if cache := os.Getenv("XDG_CACHE_HOME"); cache != "" {
		dir = filepath.Join(cache, "trilith", "graphql-server")
		if err := os.MkdirAll(dir, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"package.json", "package-lock.json", "server.mjs"} {
		b, err := os.ReadFile(filepath.Join("testdata", "yoga", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return dir
}
