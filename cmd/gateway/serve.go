package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
)

func newDev(a *app) *cobra.Command {
	var file string
	var dev server.Dev
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Serve on this machine, with a built-in issuer and a demo toolset",
		Long: `Serve every door on loopback, with a small built-in issuer, the personas admin, dev and guest,
a policy for them, and the demo toolset. Prints one working call for every door.

Give --config to develop a configuration: its sources and policy are served too, and it is
reloaded, all or nothing, whenever its file changes. Its state is kept apart, in the directory of
gateway dev, unless --data or the configuration names another than the default.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			data, err := a.devData()
			if err != nil {
				return err
			}
			cfg := config.Default()
			if file != "" {
				if cfg, err = config.Load(file); err != nil {
					return err
				}
			}
			usual, err := filepath.Abs(filepath.Join(filepath.Dir(file), config.Default().Data))
			if err != nil {
				return err
			}
			override := func(cfg *config.Config) {
				a.override(cmd, cfg)
				if file == "" || cfg.Data == usual {
					cfg.Data = data
				}
				if !dev.Conformance {
					server.DevSources(cfg)
				}
			}
			override(cfg)
			if err := checked(cfg, true); err != nil {
				return err
			}
			return a.serve(cmd.Context(), cfg, file, override, &dev)
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration to serve besides")
	cmd.Flags().BoolVar(&dev.Conformance, "conformance", false, "serve the fixtures of MCP's conformance suite to anybody on this machine, instead of the demo")
	return cmd
}

// checked refuses a configuration that the flags made wrong. The development
// mode hands out tokens, and so refuses addresses that others can reach.
func checked(cfg *config.Config, dev bool) error {
	for _, addr := range []string{cfg.Listen.HTTP, cfg.Listen.GRPC} {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return usageError{fmt.Errorf("%q is not host:port: a command that serves listens on one, and takes no URL", addr)}
		}
		if ip := net.ParseIP(host); dev && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return usageError{fmt.Errorf("%s is not on loopback: gateway dev gives tokens to whoever asks; use gateway serve", addr)}
		}
	}
	return cfg.Check()
}

func newServe(a *app) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "serve", Short: "Serve a configuration", Args: cobra.NoArgs,
		Long: `Serve a configuration. It is reloaded, all or nothing, whenever its file or the policy's changes;
what needs a restart is named in the log. Ends cleanly on SIGTERM or an interrupt.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			override := func(cfg *config.Config) { a.override(cmd, cfg) }
			override(cfg)
			if err := checked(cfg, false); err != nil {
				return err
			}
			return a.serve(cmd.Context(), cfg, file, override, nil)
		},
	}
	cmd.Flags().StringVar(&file, "config", "gateway.yaml", "configuration file")
	return cmd
}

// serve runs a gateway until the context ends.
func (a *app) serve(ctx context.Context, cfg *config.Config, file string, override func(*config.Config), dev *server.Dev) error {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		defer server.KeepHeap()()
	}
	s, err := server.New(ctx, cfg, server.Options{Version: version(), Logger: a.logger(cfg), LookEnv: os.LookupEnv, Dev: dev})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-ended:
		return err
	}
	if dev != nil && !dev.Conformance {
		err = s.Welcome(a.std.out, program(), place(s.URL(), cfg.Data))
	} else {
		err = a.printf("Trilith serves %s and gRPC on %s\n", s.URL(), s.GRPCAddr())
	}
	if file != "" {
		go s.Follow(ctx, file, override)
	}
	if err != nil {
		cancel()
	}
	return errors.Join(err, <-ended)
}

// program returns how a shell finds this program again.
func program() string {
	if strings.Contains(os.Args[0], "go-build") { // go run made it.
		return "go run ./cmd/gateway"
	}
	return quoted(os.Args[0])
}

// place returns the flags by which other commands find a gateway in
// development mode, with a space before each; none where it is in the usual place.
func place(url, data string) (flags string) {
	if addr := strings.TrimPrefix(url, "http://"); addr != defaultAddr {
		flags += " --addr " + addr
	}
	if usual, err := defaultDevData(); err != nil || data != usual {
		flags += " --data " + quoted(data)
	}
	return flags
}

// quoted returns a word as a POSIX shell reads it.
func quoted(word string) string {
	plain := func(r rune) bool {
		return r == '/' || r == '.' || r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func newToken(a *app) *cobra.Command {
	var persona string
	cmd := &cobra.Command{
		Use: "token", Short: "Print an access token of gateway dev", Args: cobra.NoArgs,
		Long: `Print an access token for a persona of a gateway dev that runs on this machine, for scripts:

  export ` + tokenVariable + `=$(gateway token --as dev)

Give the --addr and --data that the gateway was started with.`,
		RunE: func(*cobra.Command, []string) error {
			dir, err := a.devData()
			if err != nil {
				return err
			}
			token, err := server.DevToken(dir, a.base(), persona)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(map[string]string{"persona": persona, "token": token})
			}
			return a.printf("%s\n", token)
		},
	}
	cmd.Flags().StringVar(&persona, "as", "dev", "persona: admin, dev or guest")
	completes(cmd, "as", server.Personas()...)
	return cmd
}
