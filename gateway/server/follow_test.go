package server_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
)

// lines is a log that a test reads line by line.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// TestFollowChecksOverride edits a file to what is fine by itself, but not with
// the flags.
func TestFollowChecksOverride(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, []byte("auth: {anonymous: {}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Data = t.TempDir()
	log := make(lines, 1000)
	s, err := server.New(t.Context(), cfg, server.Options{Logger: slog.New(slog.NewTextHandler(log, nil)), Local: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- s.Run(ctx) }()
	go func() {
		s.Follow(ctx, file, func(cfg *config.Config) { cfg.Listen.HTTP = "0.0.0.0:8080" })
		ended <- nil
	}()
	for line := range log {
		if strings.Contains(line, "configuration changed") {
			t.Errorf("reloaded: %s", line)
			break
		}
		if strings.Contains(line, "configuration not reloaded") {
			if !strings.Contains(line, "anonymous callers are permitted on loopback only") {
				t.Error(line)
			}
			break
		}
	}
	cancel()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
