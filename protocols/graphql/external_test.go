//go:build external

package graphql

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/trilith-gateway/trilith/gateway"
)

// TestExternalClients runs what web developers use against a real server: the packages of testdata/clients, in the
// versions that its package-lock.json pins. It needs Node and npm.
func TestExternalClients(t *testing.T) {
	dir := install(t)
	f := typedFixture(t, Options{Introspection: true, Authenticate: tokens})
	f.awkward(t)
	s := f.serve(t)
	for script, arg := range map[string]string{"audit.mjs": s.URL + "/graphql", "clients.mjs": s.URL} {
		t.Run(script, func(t *testing.T) { node(t, dir, script, arg) })
	}
}

// awkward adds a tool for every mapping that package gqlschema is tested with.
func (f *fixture) awkward(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob("../../schema/gqlschema/testdata/mapping/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no mappings", err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		definition := map[string]any{"name": "awk-" + strings.TrimSuffix(filepath.Base(file), ".txtar")}
		for _, s := range a.Files {
			if s.Name == "input" || s.Name == "output" {
				definition[s.Name+"Schema"] = json.RawMessage(s.Data)
			}
		}
		text, err := json.Marshal(definition)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := gateway.ParseTool(text); err != nil {
			t.Logf("%s is no tool: %v", file, err)
			continue
		}
		f.offer(t, string(text), func(context.Context, *gateway.Call) (*gateway.Result, error) { return gateway.TextResult("a"), nil })
	}
}

// tokens knows bob, for long and for a short time.
func tokens(_ context.Context, token string) (*gateway.Principal, error) {
	bob := &gateway.Principal{ID: "https://idp.example|user|bob", Kind: "user", Name: "Bob"}
	switch token {
	case "bob-token":
		return bob, nil
	case "brief-token":
		bob.Expiry = time.Now().Add(2 * time.Second)
		return bob, nil
	}
	return nil, &gateway.Error{Code: gateway.Unauthenticated, By: "auth", Msg: "bad token"}
}

func node(t *testing.T, dir, script, arg string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", script, arg)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "ok ") {
			t.Error(strings.TrimSpace(line))
		}
	}
	if err != nil {
		t.Errorf("node %s: %v", script, err)
	}
	t.Logf("%d checks", strings.Count("\n"+string(out), "\nok "))
	if !strings.HasPrefix(string(out), "ok ") {
		t.Errorf("node %s: nothing was checked", script)
	}
}

// install puts the pinned packages and the scripts into a directory: below XDG_CACHE_HOME, where the packages stay
// for the next run, else in one that is removed.
func install(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is missing: install Node 20 or later with npm", tool)
		}
	}
	dir := t.TempDir()
	if cache := os.Getenv("XDG_CACHE_HOME"); cache != "" {
		dir = filepath.Join(cache, "trilith", "graphql-clients")
		if err := os.MkdirAll(dir, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob("testdata/clients/*.*")
	if err != nil || len(files) == 0 {
		t.Fatal("testdata/clients is missing", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(name)), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/clients/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	marker := filepath.Join(dir, "installed") // holds the lock file whose packages are there
	if have, err := os.ReadFile(marker); err == nil && bytes.Equal(have, want) {
		return dir
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	if err := os.WriteFile(marker, want, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
