package server_test

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
)

// TestReloadRefuses reloads configurations that must not come into force, and
// checks that nothing has changed.
func TestReloadRefuses(t *testing.T) {
	for _, c := range []struct {
		name, want string
		edit       func(*testing.T, *config.Config)
	}{
		{"empty policy", "is empty", func(t *testing.T, cfg *config.Config) {
			if err := os.WriteFile(cfg.Policy.File, []byte(" \n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"source of the program's name", `"lab" is configured and given`, func(_ *testing.T, cfg *config.Config) {
			cfg.Sources = append(cfg.Sources, config.Source{Name: "lab", Prefix: true, Demo: true})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, map[string]gateway.Upstream{"lab": lab(t)}, withPolicy(t, labPolicy))
			before := len(r.Gateway().View(admin).Tools)
			next := *r.config
			c.edit(t, &next)
			if err := r.Reload(t.Context(), &next); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if after := len(r.Gateway().View(admin).Tools); after != before {
				t.Errorf("%d tools after the reload, %d before", after, before)
			}
		})
	}
}

// TestNewRefuses starts with what cannot work.
func TestNewRefuses(t *testing.T) {
	still := gateway.Func(func(context.Context, *gateway.Call) (*gateway.Result, error) { return nil, context.Canceled })
	for _, c := range []struct {
		name, want string
		options    server.Options
		edit       func(*config.Config)
	}{
		{"source that cannot say what it offers", `source "still"`, server.Options{Dev: &server.Dev{}, Sources: map[string]gateway.Upstream{"still": still}}, nil},
		{"empty policy", "is empty", server.Options{Dev: &server.Dev{}}, withPolicy(t, "")},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config.Default()
			cfg.Listen.HTTP, cfg.Listen.GRPC, cfg.Data = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
			if c.edit != nil {
				c.edit(cfg)
			}
			s, err := server.New(t.Context(), cfg, c.options)
			if err == nil {
				_ = s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// TestNeedsRestartIsAWarning reloads a change that waits for the next start.
func TestNeedsRestartIsAWarning(t *testing.T) {
	var log logLines
	o := server.Options{Dev: &server.Dev{}, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	r := startWith(t, o, nil)
	next := *r.config
	next.Limits.JSONDepth++
	if err := r.Reload(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	if !log.has("level=WARN", "limits.json_depth", "restart=true") {
		t.Errorf("no warning in\n%s", log.String())
	}
}

// TestLongMessages sends a body over gRPC that the configuration allows.
func TestLongMessages(t *testing.T) {
	edit := withPolicy(t, labPolicy)
	r := start(t, map[string]gateway.Upstream{"lab": lab(t)}, func(cfg *config.Config) {
		edit(cfg)
		cfg.Limits.BodyBytes = 6 << 20
	})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+r.token(t, "dev"))
	args := `{"code":9,"pad":"` + strings.Repeat("x", 5<<20) + `"}`
	_, err := gatewayv1.NewGatewayServiceClient(r.grpc).CallTool(ctx, &gatewayv1.CallToolRequest{Name: "lab.fail", ArgumentsJson: args})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("the tool did not get its arguments: %v", err)
	}
}
