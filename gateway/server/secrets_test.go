package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
)

// TestReloadReadsSecrets rotates a secret in its file: a reload uses it,
// although the configuration has not changed.
func TestReloadReadsSecrets(t *testing.T) {
	var seen atomic.Value
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Header.Get("X-Key"))
		http.Error(w, "no", http.StatusForbidden)
	}))
	t.Cleanup(upstream.Close)
	file := filepath.Join(t.TempDir(), "key")
	rotate := func(key string) {
		if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rotate("old")
	r := start(t, nil, func(cfg *config.Config) {
		cfg.Sources = append(cfg.Sources, config.Source{Name: "away", Prefix: true, MCP: &config.MCP{
			URL: upstream.URL, Era: "auto", Headers: map[string]config.Secret{"X-Key": config.Secret("${file:" + file + "}")},
			AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		}})
	})
	poll(t, func() bool { return seen.Load() == "old" })
	rotate("new")
	next := *r.config
	if err := r.Reload(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	poll(t, func() bool { return seen.Load() == "new" })
}

// TestEgress has a source behind HTTP reached as it is configured.
func TestEgress(t *testing.T) {
	var seen atomic.Value
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen.Store(r.Header.Get("X-Key")) }))
	t.Cleanup(upstream.Close)
	r := startWith(t, server.Options{LookEnv: func(name string) (string, bool) {
		value, ok := map[string]string{"KEY": "s3cr3t"}[name]
		return value, ok
	}}, func(cfg *config.Config) {
		cfg.Auth.APIKeys = &config.APIKeys{MaxLife: time.Hour}
	})
	source := config.Source{Name: "web", MCP: &config.MCP{
		URL: upstream.URL, Timeout: 30 * time.Second, Headers: map[string]config.Secret{"X-Key": "${env:KEY}"},
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}}
	c, err := server.Egress(r.Server, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, upstream.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if seen.Load() != "s3cr3t" {
		t.Errorf("the header is %v", seen.Load())
	}
	source.MCP.Headers["X-Key"] = "${env:MISSING}"
	if _, err := server.Egress(r.Server, source); err == nil || !strings.Contains(err.Error(), "headers.X-Key") {
		t.Errorf("a variable that is not set: %v", err)
	}
}
