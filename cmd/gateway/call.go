package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/schema"
)

// A caller calls a tool through one door.
type caller func(ctx context.Context, name string, args json.RawMessage, progress func(gateway.Progress)) (*gateway.Result, error)

func (a *app) callers() map[string]caller {
	return map[string]caller{"mcp": a.callMCP, "graphql": a.callGraphQL, "grpc": a.callGRPC, "rest": a.callREST}
}

func newCall(a *app) *cobra.Command {
	var pairs []string
	var raw, via string
	cmd := &cobra.Command{
		Use:   "call NAME",
		Short: "Call a tool through any door",
		Long: `Call a tool. Arguments are given one by one, typed as the tool's schema says, or as one JSON object:

  gateway call demo.add --arg a=1 --arg b=2
  gateway call demo.count --json '{"to":5,"delayMs":300}' --via grpc

Characters that a terminal would obey are not shown as they are; with -o json they are escaped.
The exit status is 3 where the tool ran and failed.`,
		Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return a.toolNames(cmd.Context(), args), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			call, ok := a.callers()[via]
			if !ok {
				return usageError{fmt.Errorf("--via is %q, want mcp, graphql, grpc or rest", via)}
			}
			in, err := a.arguments(cmd.Context(), args[0], raw, pairs)
			if err != nil {
				return err
			}
			progress, done := a.progress()
			res, err := call(cmd.Context(), args[0], in, progress)
			done()
			if err != nil {
				return a.explain(cmd.Context(), err)
			}
			return a.result(res)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&pairs, "arg", nil, "one argument, `name=value`; may be given often")
	f.StringVar(&raw, "json", "", "all arguments as one JSON object")
	f.StringVar(&via, "via", "mcp", "door to go through: mcp, graphql, grpc or rest")
	cmd.MarkFlagsMutuallyExclusive("arg", "json")
	completes(cmd, "via", "mcp", "graphql", "grpc", "rest")
	return cmd
}

// completes lets shells complete the values of a flag.
func completes(cmd *cobra.Command, flag string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // There is no such flag, or it has values already.
	}
}

// toolNames completes the name of a tool in a shell.
func (a *app) toolNames(ctx context.Context, args []string) (names []string) {
	if len(args) > 0 {
		return nil
	}
	c, err := a.catalog(ctx)
	if err != nil {
		return nil
	}
	for _, t := range c.Tools {
		names = append(names, safeText(t.Name)+"\t"+printable(t.Description))
	}
	return names
}

// arguments makes a JSON object of what the command line gives.
func (a *app) arguments(ctx context.Context, tool, raw string, pairs []string) (json.RawMessage, error) {
	if raw != "" {
		if !strings.HasPrefix(strings.TrimSpace(raw), "{") {
			return nil, usageError{errors.New("--json is not a JSON object")}
		}
		// The gateway has bounds of its own, which may be wider.
		if err := schema.Check([]byte(raw), schema.Bounds{Bytes: math.MaxInt, Depth: 1000, Tokens: math.MaxInt}); err != nil {
			return nil, usageError{fmt.Errorf("--json: %w", err)}
		}
		return json.RawMessage(raw), nil
	}
	if len(pairs) == 0 {
		return json.RawMessage(`{}`), nil
	}
	types, err := a.argumentTypes(ctx, tool)
	if err != nil {
		return nil, err
	}
	out := map[string]json.RawMessage{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, usageError{fmt.Errorf("--arg %q is not name=value", pair)}
		}
		if out[name] != nil {
			return nil, usageError{fmt.Errorf("--arg %s is given twice", name)}
		}
		if out[name], err = argument(value, types[name]); err != nil {
			return nil, err
		}
	}
	return json.Marshal(out)
}

// argumentTypes returns the types that the tool's schema gives its arguments,
// as far as it names one.
func (a *app) argumentTypes(ctx context.Context, tool string) (map[string]string, error) {
	c, err := a.catalog(ctx)
	if err != nil {
		return nil, err
	}
	types := map[string]string{}
	for _, t := range c.Tools {
		if t.Name != tool {
			continue
		}
		var s struct {
			Properties map[string]struct {
				Type json.RawMessage `json:"type"`
			} `json:"properties"`
		}
		if err := json.Unmarshal(t.Input.JSON(), &s); err != nil {
			return types, nil //nolint:nilerr // A schema of another shape names no types.
		}
		for name, p := range s.Properties {
			types[name] = strings.Trim(string(p.Type), `"`)
		}
	}
	return types, nil
}

// argument returns a value of the given type, or, where the type is not known,
// as JSON if it is JSON and else as a string.
func argument(value, typ string) (json.RawMessage, error) {
	if typ == "string" || !json.Valid([]byte(value)) {
		return json.Marshal(value)
	}
	return json.RawMessage(value), nil
}

// progress returns what shows the progress of a call, and what ends it. It is
// nil unless a person is watching.
func (a *app) progress() (show func(gateway.Progress), done func()) {
	f, ok := a.std.err.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, func() {}
	}
	const width = 30
	shown := false
	return func(p gateway.Progress) {
			bar := strings.Repeat("·", width)
			now, err1 := p.Progress.Float64()
			total, err2 := p.Total.Float64()
			if err1 == nil && err2 == nil && total > 0 {
				n := int(min(max(now/total, 0), 1) * width)
				bar = strings.Repeat("█", n) + strings.Repeat("·", width-n)
			}
			shown = true
			_, _ = fmt.Fprintf(f, "\r\x1b[K%s %s %s", bar, p.Progress, printable(p.Message)) // Only for show.
		}, func() {
			if shown {
				_, _ = fmt.Fprint(f, "\r\x1b[K")
			}
		}
}

// result prints what a tool answered.
func (a *app) result(res *gateway.Result) error {
	if err := a.showResult(res); err != nil {
		return err
	}
	if res.IsError {
		return errTool
	}
	return nil
}

func (a *app) showResult(res *gateway.Result) error {
	if a.output == "json" {
		return a.indent(res.Raw)
	}
	parts, err := res.Parts()
	if err != nil {
		return err
	}
	if parts.Structured != nil {
		return a.indent(parts.Structured)
	}
	for _, block := range parts.Content {
		var b struct {
			Type     string `json:"type"`
			Text     string `json:"text"`
			MIMEType string `json:"mimeType"`
		}
		if err := json.Unmarshal(block, &b); err != nil {
			return err
		}
		line := safeText(b.Text)
		if b.Type != "text" {
			line = "[" + strings.TrimSpace(printable(b.Type+" "+b.MIMEType)) + "]"
		}
		if err := a.printf("%s\n", line); err != nil {
			return err
		}
	}
	return nil
}
