//go:build external

package server_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// clients installs testdata/clients in a folder of its own, once for a run.
func clients(t *testing.T) string { t.Helper(); return install(t, "testdata/clients") }

// install installs a package of scripts, with what it needs from npm, in a
// folder of its own.
func install(t *testing.T, from string) string {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Fatal("no npm: install Node.js")
	}
	dir := t.TempDir()
	for _, pattern := range []string{"*.mjs", "package*.json"} {
		files, err := fs.Glob(os.DirFS(from), pattern)
		if err != nil || len(files) == 0 && pattern != "*.mjs" {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, f := range files {
			b, err := os.ReadFile(filepath.Join(from, f))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, f), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	command(t, dir, nil, "npm", "ci", "--no-audit", "--no-fund")
	return dir
}

// command runs a program and returns its output.
func command(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out.String())
	}
	return out.String()
}

// TestExternalMCPClients lets clients that others wrote use a whole gateway:
// the TypeScript SDK in both majors, and the inspector on its command line.
func TestExternalMCPClients(t *testing.T) {
	dir := clients(t)
	r := start(t, nil, nil)
	token := r.token(t, "dev")
	env := []string{"URL=" + r.URL(), "TOKEN=" + token}
	for _, script := range []string{"sdk1.mjs", "sdk2.mjs", "sse.mjs"} {
		t.Run(script, func(t *testing.T) { command(t, dir, env, "node", script) })
	}
	t.Run("inspector", func(t *testing.T) {
		inspect := func(args ...string) string {
			return command(t, dir, env, "npx", append([]string{
				"--no-install", "mcp-inspector", "--cli", r.URL() + "/mcp",
				"--transport", "http", "--header", "Authorization: Bearer " + token,
			}, args...)...)
		}
		if out := inspect("--method", "tools/list"); !strings.Contains(out, `"demo.add"`) {
			t.Errorf("tools/list: %s", out)
		}
		if out := inspect("--method", "tools/call", "--tool-name", "demo.add", "--tool-arg", "a=1", "b=2"); !strings.Contains(out, `"sum": 3`) {
			t.Errorf("tools/call: %s", out)
		}
	})
}
