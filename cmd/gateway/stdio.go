package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"

	"github.com/spf13/cobra"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

func newStdio(a *app) *cobra.Command {
	var file, connect string
	cmd := &cobra.Command{
		Use:   "stdio",
		Short: "Serve MCP on standard input and output",
		Long: `Serve MCP on standard input and output, for clients that start their servers themselves.

Without --connect it is a gateway of its own, with the policy, sources and audit log of --config;
the caller is the principal auth.stdio of the configuration. With --connect it is a bridge to the
MCP door of a gateway elsewhere, with the token in ` + tokenVariable + `:

  gateway stdio --connect https://gateway.example.com/mcp`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if connect != "" {
				a.addr = connect
				return a.bridge(cmd.Context())
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			a.override(cmd, cfg)
			if err := checked(cfg, false); err != nil {
				return err
			}
			return a.stdio(cmd.Context(), cfg)
		},
	}
	cmd.Flags().StringVar(&file, "config", "gateway.yaml", "configuration file")
	cmd.Flags().StringVar(&connect, "connect", "", "URL of the MCP door of a gateway to bridge to")
	cmd.MarkFlagsMutuallyExclusive("config", "connect")
	return cmd
}

// stdio runs a gateway whose only door is this process's standard input and
// output, until the input or the context ends.
func (a *app) stdio(ctx context.Context, cfg *config.Config) error {
	s, err := server.New(ctx, cfg, server.Options{Version: version(), Logger: a.logger(cfg), LookEnv: os.LookupEnv, Local: true})
	if err != nil {
		return err
	}
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(running) }()
	defer cancel()
	select {
	case <-s.Ready():
	case err := <-ended:
		return err
	}
	err = s.MCP().ServeStdio(running, a.std.in, a.std.out, server.StdioPrincipal(cfg))
	if ctx.Err() != nil {
		err = nil // It was told to end, which is no failure.
	}
	cancel()
	return errors.Join(err, <-ended)
}

// bridge shows the gateway at --connect as if it were here: its capabilities are
// those of a registry with one source. The far side decides and records.
func (a *app) bridge(ctx context.Context) error {
	up, err := remote(a.addr, os.Getenv(tokenVariable))
	if err != nil {
		return err
	}
	defer up.Close() //nolint:errcheck // The process ends.
	log := slog.New(slog.NewTextHandler(a.std.err, nil))
	registry := new(gateway.Registry)
	ctx, cancel := context.WithCancel(ctx)
	said, once := make(chan error, 1), sync.Once{}
	var following sync.WaitGroup
	following.Go(func() {
		registry.Follow(ctx, "gateway", up, gateway.Options{}, func(err error) {
			once.Do(func() { said <- err })
			if err != nil {
				log.WarnContext(ctx, "gateway", slog.Any("cause", err))
			}
		})
		once.Do(func() { said <- errors.New("the gateway said nothing") })
	})
	defer following.Wait()
	defer cancel()
	select {
	case err := <-said:
		if err != nil {
			return a.explain(ctx, err)
		}
	case <-ctx.Done():
		return nil
	}
	g, err := gateway.New(registry, nil, nil)
	if err != nil {
		return err
	}
	f := mcp.NewFrontend(g, mcp.FrontendOptions{Name: "trilith", Version: version(), Logger: log})
	local := &gateway.Principal{ID: "local", Kind: "user", Subject: "local"}
	err = f.ServeStdio(ctx, a.std.in, a.std.out, local)
	if ctx.Err() != nil {
		err = nil // It was told to end, which is no failure.
	}
	return errors.Join(err, f.Close())
}
