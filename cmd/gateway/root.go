package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trilith-gateway/trilith/gateway/config"
)

// Defaults of the addresses, for commands that serve and commands that call.
const (
	defaultAddr     = "127.0.0.1:8080"
	defaultGRPCAddr = "127.0.0.1:9090"
)

// tokenVariable is the environment variable from which commands that call a
// gateway take their access token.
const tokenVariable = "GATEWAY_TOKEN"

// app holds what the flags of every command say.
type app struct {
	std      streams
	addr     string
	grpcAddr string
	data     string
	output   string
	verbose  bool
}

func newRoot(std streams) *cobra.Command {
	a := &app{std: std}
	root := &cobra.Command{
		Use:   "gateway",
		Short: "One registry of capabilities, served through MCP, GraphQL, gRPC and REST",
		Long: `Trilith holds one registry of tools, resources and prompts, fills it from your services, and
opens it through MCP, GraphQL, gRPC and REST, behind one identity, one policy and one audit log.

Start with "gateway dev". Commands that call a gateway take its address from --addr and
--grpc-addr and their access token from ` + tokenVariable + `.`,
		SilenceUsage: true, SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if a.output != "table" && a.output != "json" {
				return fmt.Errorf("--output is %q, want table or json", a.output)
			}
			return nil
		},
	}
	f := root.PersistentFlags()
	f.StringVar(&a.addr, "addr", defaultAddr, "address of the HTTP doors, host:port, or a URL for commands that call")
	f.StringVar(&a.grpcAddr, "grpc-addr", defaultGRPCAddr, "address of the gRPC door, host:port")
	f.StringVar(&a.data, "data", "", "data directory (default: that of the configuration, or for dev one in your state directory)")
	f.StringVarP(&a.output, "output", "o", "table", "form of the output: table or json")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "log at level debug")
	root.AddCommand(
		newDev(a), newServe(a), newStdio(a), newConfig(a),
		newTools(a), newResources(a), newPrompts(a), newCall(a),
		newPolicy(a), newKey(a), newSessions(a), newConnections(a), newSources(a), newCanary(a), newPins(a), newLimits(a), newTraffic(a), newProto(a),
		newAudit(a), newToken(a), newVersion(a),
	)
	root.InitDefaultCompletionCmd()
	prepare(root)
	return root
}

// prepare marks the errors of every command as its own, and lets those that
// have commands of their own refuse others.
func prepare(cmd *cobra.Command) {
	if cmd.HasSubCommands() {
		cmd.Args = knownCommand
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if err := run(cmd, args); err != nil {
				return failure{err}
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		prepare(c)
	}
}

// knownCommand refuses what is left of a command line that should name a command.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	hint := fmt.Sprintf("see %s --help", cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return fmt.Errorf("unknown command %q for %q (%s)", args[0], cmd.CommandPath(), hint)
}

// logger returns the log of a command that serves.
func (a *app) logger(cfg *config.Config) *slog.Logger {
	o := &slog.HandlerOptions{Level: cfg.Log.Level}
	if a.verbose {
		o.Level = slog.LevelDebug
	}
	if cfg.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(a.std.err, o))
	}
	return slog.New(slog.NewTextHandler(a.std.err, o))
}

// devData is where `gateway dev` keeps its state unless --data says otherwise:
// the same for every command, so that `gateway token` finds the issuer's key.
func (a *app) devData() (string, error) {
	if a.data != "" {
		return a.data, nil
	}
	return defaultDevData()
}

func defaultDevData() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "trilith", "dev"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no place for data, give --data: %w", err)
	}
	return filepath.Join(home, ".local", "state", "trilith", "dev"), nil
}

// override lets the flags win over the configuration.
func (a *app) override(cmd *cobra.Command, cfg *config.Config) {
	if cmd.Flags().Changed("addr") {
		cfg.Listen.HTTP = a.addr
	}
	if cmd.Flags().Changed("grpc-addr") {
		cfg.Listen.GRPC = a.grpcAddr
	}
	if a.data != "" {
		cfg.Data = a.data
	}
}

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			info, _ := debug.ReadBuildInfo()
			v := struct {
				Version  string `json:"version"`
				Go       string `json:"go"`
				Revision string `json:"revision,omitempty"`
			}{Version: version()}
			if info != nil {
				v.Go = info.GoVersion
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						v.Revision = s.Value
					}
				}
			}
			if a.output == "json" {
				return a.json(v)
			}
			return a.printf("trilith %s, built with %s\n", v.Version, v.Go)
		},
	}
}

// version returns the module's version as the build recorded it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "(devel)" {
		return cmp.Or(info.Main.Version, "devel")
	}
	return "devel"
}
