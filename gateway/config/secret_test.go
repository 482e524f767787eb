package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/gateway/config"
)

func TestSecretResolve(t *testing.T) {
	dir := t.TempDir()
	file := func(name, data string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"TOKEN": "hunter2", "NESTED": "${env:TOKEN}", "EMPTY": ""}[name]
		return v, ok
	}
	for _, c := range []struct{ secret, want, err string }{
		{"", "", ""},
		{"plain $ } text", "plain $ } text", ""},
		{"${env:TOKEN}", "hunter2", ""},
		{"Bearer ${env:TOKEN}.${env:TOKEN}", "Bearer hunter2.hunter2", ""},
		{"${env:NESTED}", "${env:TOKEN}", ""}, // What a variable holds is not read again.
		{"${file:" + file("a", "from file\r\n") + "}", "from file", ""},
		{"${env:UNSET}", "", "${env:UNSET} is not set or empty"},
		{"${env:EMPTY}", "", "${env:EMPTY} is not set or empty"},
		{"${file:" + file("b", "\n") + "}", "", "is not set or empty"},
		{"${file:" + file("c", strings.Repeat("x", 64<<10+1)) + "}", "", "longer than 64KiB"},
		{"${file:/nonexistent}", "", "no such file"},
		{"${vault:x}", "", "want ${env:NAME} or ${file:PATH}"},
		{"${env:TOKEN", "", "want ${env:NAME} or ${file:PATH}"},
	} {
		got, err := config.Secret(c.secret).Resolve(env)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%.60s: got %q, %v; want %q, %q", c.secret, got, err, c.want, c.err)
		}
	}
}

// TestSecretHides prints a configuration in every way that is at hand.
func TestSecretHides(t *testing.T) {
	c := parse(t, `sources: [{name: a, mcp: {url: "https://x.example.com", headers: {X-A: hunter2}}}]`)
	mcp := c.Sources[0].MCP
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", slog.Any("mcp", mcp), slog.Any("secret", mcp.Headers["X-A"]))
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{
		string(data), log.String(), fmt.Sprint(*mcp), fmt.Sprintf("%+v %#v %q", *mcp, *mcp, mcp.Headers["X-A"]),
	} {
		if strings.Contains(out, "hunter2") || !strings.Contains(out, "…") {
			t.Errorf("not hidden in %s", out)
		}
	}
}

func TestSize(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0B", "1": "1B", "1024": "1KiB", "1536B": "1536B", "4MiB": "4MiB", "4 MiB": "4MiB", "1GiB": "1GiB",
		"2048MiB": "2GiB", "1MB": "1000000B", "3GB": "3000000000B", "5KB": "5000B",
		"": "", "MiB": "", "-1": "", "1.5MiB": "", "1mib": "", "1 TiB": "", "99999999999GiB": "", "9223372036854775808": "",
	} {
		got, err := config.ParseSize(in)
		if (err != nil) != (want == "") || err == nil && got.String() != want {
			t.Errorf("ParseSize(%q) = %s, %v; want %q", in, got, err, want)
		}
	}
}
