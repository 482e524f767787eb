package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/trilith-gateway/trilith/gateway/config"
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
