package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/trilith-gateway/trilith/gateway"
)

// A listing is one kind of capability on the command line.
type listing struct {
	noun, plural string
	head         []string
	items        func(gateway.Catalog) []item
}

// An item is one capability: the names that `show` accepts for it, its row in
// the table, and its definition.
type item struct {
	names      []string
	row        []string
	definition json.RawMessage
}

func newTools(a *app) *cobra.Command {
	return newListing(a, listing{"tool", "tools", []string{"NAME", "TITLE", "DESCRIPTION"}, func(c gateway.Catalog) (out []item) {
		for _, t := range c.Tools {
			out = append(out, item{[]string{t.Name}, []string{t.Name, t.Title, t.Description}, t.Definition})
		}
		return out
	}})
}

func newResources(a *app) *cobra.Command {
	return newListing(a, listing{"resource", "resources", []string{"URI", "NAME", "TYPE", "DESCRIPTION"}, func(c gateway.Catalog) (out []item) {
		for _, r := range c.Resources {
			out = append(out, item{[]string{r.URI, r.Name}, []string{r.URI, r.Name, r.MIMEType, r.Description}, r.Definition})
		}
		for _, t := range c.Templates {
			out = append(out, item{[]string{t.URITemplate, t.Name}, []string{t.URITemplate, t.Name, t.MIMEType, t.Description}, t.Definition})
		}
		return out
	}})
}

func newPrompts(a *app) *cobra.Command {
	return newListing(a, listing{"prompt", "prompts", []string{"NAME", "TITLE", "DESCRIPTION"}, func(c gateway.Catalog) (out []item) {
		for _, p := range c.Prompts {
			out = append(out, item{[]string{p.Name}, []string{p.Name, p.Title, p.Description}, p.Definition})
		}
		return out
	}})
}

func newListing(a *app, l listing) *cobra.Command {
	cmd := &cobra.Command{Use: l.plural, Short: fmt.Sprintf("List and show the %s that you may use", l.plural)}
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List the " + l.plural + " that you may use", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.list(cmd.Context(), l) },
	}, &cobra.Command{
		Use: "show NAME", Short: "Print the definition of one " + l.noun, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.show(cmd.Context(), l, args[0]) },
	})
	return cmd
}

func (a *app) list(ctx context.Context, l listing) error {
	c, err := a.catalog(ctx)
	if err != nil {
		return err
	}
	items := l.items(c)
	if a.output == "json" {
		definitions := make([]json.RawMessage, len(items))
		for i, it := range items {
			definitions[i] = it.definition
		}
		return a.json(definitions)
	}
	rows := make([][]string, len(items))
	for i, it := range items {
		rows[i] = it.row
	}
	return a.table(l.head, rows)
}

func (a *app) show(ctx context.Context, l listing, name string) error {
	c, err := a.catalog(ctx)
	if err != nil {
		return err
	}
	for _, it := range l.items(c) {
		if slices.Contains(it.names, name) {
			return a.indent(it.definition)
		}
	}
	return fmt.Errorf("no %s named %q", l.noun, name)
}
