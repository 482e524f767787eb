package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "rewrite docs/cli.md")

// TestGeneratedReference holds docs/cli.md against the commands themselves.
func TestGeneratedReference(t *testing.T) {
	const file = "../../docs/cli.md"
	var b bytes.Buffer
	b.WriteString("# Command line\n\nMade from the commands themselves; a test keeps it true. Shells complete commands, flags and the names of tools:\n" +
		"see `gateway completion --help`. The exit status is 0 for success, 1 for a failure, 2 for a command line that\n" +
		"makes no sense, and 3 for a tool that ran and failed.\n")
	root := newRoot(streams{})
	b.WriteString("\n## Flags of every command\n\n")
	flags(&b, root.PersistentFlags())
	describe(&b, root)
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("docs/cli.md is out of date, run make generate (-doc +real):\n%s", diff)
	}
}

func describe(b *bytes.Buffer, cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		if c.Hidden || c.Name() == "completion" {
			continue
		}
		if !c.HasSubCommands() {
			text := c.Long
			if text == "" {
				text = c.Short + "."
			}
			fmt.Fprintf(b, "\n## %s\n\n", strings.TrimSuffix(c.UseLine(), " [flags]"))
			fmt.Fprintf(b, "%s\n", fenced(text))
			if own(c).HasAvailableFlags() {
				b.WriteString("\n")
				flags(b, own(c))
			}
		}
		describe(b, c)
	}
}

// own returns the flags of a command that not every command has.
func own(c *cobra.Command) *pflag.FlagSet {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.AddFlagSet(c.LocalNonPersistentFlags())
	for p := c; p.HasParent(); p = p.Parent() {
		fs.AddFlagSet(p.PersistentFlags())
	}
	return fs
}

func flags(b *bytes.Buffer, fs *pflag.FlagSet) {
	b.WriteString("| flag | default | |\n|---|---|---|\n")
	fs.VisitAll(func(f *pflag.Flag) {
		name, usage := pflag.UnquoteUsage(f)
		flag := "--" + f.Name
		if f.Shorthand != "" {
			flag = "-" + f.Shorthand + ", " + flag
		}
		if name != "" {
			flag += " " + name
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", flag, code(f.DefValue), usage)
	})
}

func code(s string) string {
	if s == "" || s == "[]" {
		return ""
	}
	return "`" + s + "`"
}

// fenced sets indented lines as code.
func fenced(text string) string { return strings.ReplaceAll(text, "\n  gateway", "\n    gateway") }
