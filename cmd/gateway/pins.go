package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
)

func newPins(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "pins", Short: "Approve what sources offer, and see what they have changed",
		Long: `See and decide which definitions of tools, resources and prompts are offered, of the sources that
have "pin" in their configuration. A definition is approved as it was seen: by its hash. If the
source has changed it meanwhile, the approval is refused.`,
	}
	cmd.AddCommand(newPinsList(a), newPinsShow(a), newPinsApprove(a), newPinsReject(a))
	return cmd
}

// pins returns the pins of a source in a state, of all where they are "".
func (a *app) pins(ctx context.Context, source, state string, diff bool) ([]*adminv1.Pin, error) {
	query := url.Values{}
	for key, value := range map[string]string{"source": source, "state": state} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if diff {
		query.Set("diff", "true")
	}
	var all []*adminv1.Pin
	for {
		var res adminv1.ListPinsResponse
		if _, err := a.administer(ctx, http.MethodGet, "pins", query, nil, &res); err != nil {
			return nil, err
		}
		all = append(all, res.GetPins()...)
		if res.GetNextPageToken() == "" {
			return all, nil
		}
		query.Set("pageToken", res.GetNextPageToken())
	}
}

func newPinsList(a *app) *cobra.Command {
	var source, state string
	cmd := &cobra.Command{
		Use: "list", Short: "List the definitions of pinned sources, and where they stand", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := a.pins(cmd.Context(), source, state, false)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.message(&adminv1.ListPinsResponse{Pins: all})
			}
			var rows [][]string
			for _, p := range all {
				served := ""
				if p.GetServed() {
					served = "offered"
				}
				rows = append(rows, []string{p.GetId(), p.GetState(), served, p.GetSource(), p.GetKind(), p.GetName(), p.GetHash(), strings.Join(p.GetHidden(), ", ")})
			}
			return a.table([]string{"ID", "STATE", "", "SOURCE", "KIND", "NAME", "HASH", "HIDDEN"}, rows)
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "only those of one source")
	cmd.Flags().StringVar(&state, "state", "", "only those that are approved, quarantined, changed or rejected")
	return cmd
}

func (a *app) pin(ctx context.Context, id string) (*adminv1.Pin, error) {
	var res adminv1.GetPinResponse
	_, err := a.administer(ctx, http.MethodGet, "pins/"+url.PathEscape(id), nil, nil, &res)
	return res.GetPin(), err
}

func newPinsShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show what a definition is, and how it differs from the approved one", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.pin(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.message(&adminv1.GetPinResponse{Pin: p})
			}
			return a.showPin(p)
		},
	}
}

// showPin prints a definition and how it differs.
func (a *app) showPin(p *adminv1.Pin) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s of %s: %s\n", p.GetKind(), cut(p.GetName(), 200), p.GetSource(), p.GetState())
	for _, line := range [][2]string{
		{"id", p.GetId()},
		{"hash", p.GetHash()},
		{"approved", p.GetApprovedHash()},
		{"decided", when(p.GetDecided())},
		{"by", p.GetDecidedBy()},
		{"hides", strings.Join(p.GetHidden(), ", ")},
	} {
		if line[1] != "" {
			fmt.Fprintf(&b, "  %-9s %s\n", line[0], printable(line[1]))
		}
	}
	for _, c := range p.GetChanges() {
		fmt.Fprintf(&b, "%s\n", printable(c.GetPath()))
		if c.GetOld() != "" {
			fmt.Fprintf(&b, "- %s\n", cut(c.GetOld(), 4000))
		}
		if c.GetNew() != "" {
			fmt.Fprintf(&b, "+ %s\n", cut(c.GetNew(), 4000))
		}
	}
	if len(p.GetChanges()) == 0 && p.GetDefinitionJson() != "" {
		fmt.Fprintf(&b, "%s\n", cut(p.GetDefinitionJson(), 4000))
	}
	return a.printf("%s", safeText(b.String()))
}

func newPinsApprove(a *app) *cobra.Command {
	var source string
	var hidden, yes bool
	cmd := &cobra.Command{
		Use: "approve [ID HASH]", Short: "Approve a definition, or all that wait of a source",
		Long: `Approve the definition of that hash. With --source every definition of the source that waits is
shown, and approved after a question, or with --yes without one.`,
		Args: func(_ *cobra.Command, args []string) error {
			if (len(args) == 2) == (source != "") || len(args) != 0 && len(args) != 2 {
				return errors.New("give an ID and a HASH, or --source")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if source != "" {
				return a.approveAll(cmd.Context(), source, hidden, yes)
			}
			return a.approve(cmd.Context(), args[0], args[1], hidden)
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "all that wait of this source")
	cmd.Flags().BoolVar(&hidden, "allow-hidden", false, "also where a definition hides text")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (a *app) approve(ctx context.Context, id, hash string, hidden bool) error {
	req := &adminv1.ApprovePinRequest{Hash: hash, AllowHidden: hidden}
	_, err := a.administer(ctx, http.MethodPost, "pins/"+url.PathEscape(id)+":approve", nil, req, nil)
	return err
}

// approveAll shows what waits of a source, asks, and approves just that.
func (a *app) approveAll(ctx context.Context, source string, hidden, yes bool) error {
	var waiting []*adminv1.Pin
	for _, state := range []string{"quarantined", "changed"} {
		some, err := a.pins(ctx, source, state, true)
		if err != nil {
			return err
		}
		waiting = append(waiting, some...)
	}
	if len(waiting) == 0 {
		return a.printf("nothing of %s waits\n", safeText(source))
	}
	for _, p := range waiting {
		if err := a.showPin(p); err != nil {
			return err
		}
	}
	if !yes {
		if ok, err := a.agreed(ctx, fmt.Sprintf("Approve %d definitions?", len(waiting))); err != nil || !ok {
			return cmp.Or(err, errNotAgreed)
		}
	}
	for _, p := range waiting {
		if err := a.approve(ctx, p.GetId(), p.GetHash(), hidden); err != nil {
			return fmt.Errorf("%s %s: %w", p.GetKind(), printable(p.GetName()), err)
		}
	}
	return a.printf("%d approved\n", len(waiting))
}

func newPinsReject(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "reject ID HASH", Short: "Refuse a definition, also one that was approved", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := &adminv1.RejectPinRequest{Hash: args[1]}
			_, err := a.administer(cmd.Context(), http.MethodPost, "pins/"+url.PathEscape(args[0])+":reject", nil, req, nil)
			return err
		},
	}
}

// agreed asks the person at the terminal.
func (a *app) agreed(ctx context.Context, question string) (bool, error) {
	if err := a.printf("%s [y/N] ", question); err != nil {
		return false, err
	}
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.std.in).ReadString('\n') // The end of input is no.
		answer <- line
	}()
	select {
	case line := <-answer:
		return strings.EqualFold(strings.TrimSpace(line), "y"), nil
	case <-ctx.Done():
		return false, errInterrupted
	}
}
