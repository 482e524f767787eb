package main

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
)

func newSources(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "sources", Short: "See where capabilities come from"}
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List the sources, and what each offers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var res adminv1.ListSourcesResponse
			raw, err := a.administer(cmd.Context(), http.MethodGet, "sources", nil, nil, &res)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, s := range res.GetSources() {
				state := "available"
				if !s.GetAvailable() {
					state = "away"
				}
				var at []string
				for _, e := range s.GetEndpoints() {
					at = append(at, e.GetAddress())
				}
				rows = append(rows, []string{
					s.GetName(), state, fmt.Sprint(s.GetTools()), fmt.Sprint(s.GetResources()), fmt.Sprint(s.GetPrompts()), fmt.Sprint(s.GetQuarantined()),
					cmp.Or(s.GetGuard().GetBreaker(), "none"), fmt.Sprint(s.GetGuard().GetRunning()),
					s.GetKind(), strings.Join(at, ", "),
					strings.Join(slices.DeleteFunc(append([]string{s.GetProblem()}, s.GetHidden()...), func(p string) bool { return p == "" }), ", "),
				})
			}
			return a.answer(raw, []string{"NAME", "STATE", "TOOLS", "RESOURCES", "PROMPTS", "QUARANTINED", "BREAKER", "CALLS", "KIND", "ADDRESS", "PROBLEM"}, rows)
		},
	}, newSourcesReport(a))
	return cmd
}

func newSourcesReport(a *app) *cobra.Command {
	var change string
	cmd := &cobra.Command{
		Use: "report SOURCE", Short: "Say what of a source is not offered, or not as the source has it", Args: cobra.ExactArgs(1),
		Long: `Say what was skipped, renamed or approximated when a source's capabilities were registered, and why:
what the source has that no tool can stand for, what the configuration leaves out or renames, and
what typed GraphQL, typed gRPC and the OpenAPI documents do not say as the schemas do.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{"pageSize": {"1000"}}
			if change != "" {
				query.Set("change", change)
			}
			all := &adminv1.ListImportNotesResponse{}
			for {
				var page adminv1.ListImportNotesResponse
				if _, err := a.administer(cmd.Context(), http.MethodGet, "sources/"+url.PathEscape(args[0])+"/notes", query, nil, &page); err != nil {
					return err
				}
				all.Notes, all.Total = append(all.Notes, page.GetNotes()...), page.GetTotal()
				if page.GetNextPageToken() == "" {
					break
				}
				query.Set("pageToken", page.GetNextPageToken())
			}
			if a.output == "json" {
				return a.message(all)
			}
			rows := make([][]string, 0, len(all.GetNotes()))
			for _, n := range all.GetNotes() {
				rows = append(rows, []string{n.GetChange(), n.GetSubject(), n.GetReason()})
			}
			return a.table([]string{"CHANGE", "SUBJECT", "REASON"}, rows)
		},
	}
	cmd.Flags().StringVar(&change, "change", "", "only what was skipped, renamed or approximated")
	return cmd
}
