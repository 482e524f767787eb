package main

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
)

func newConnections(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "connections", Short: "See which sources users have connected, and end that",
		Long: `See the sources that the gateway calls with tokens of users' own, to which they have agreed in a
browser, and end that: the gateway forgets the tokens and tells the source's authorization server.`,
	}
	var principal, source, tenant string
	list := &cobra.Command{
		Use: "list", Short: "List who has connected what", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			for key, value := range map[string]string{"principal": principal, "source": source} {
				if value != "" {
					query.Set(key, value)
				}
			}
			var res adminv1.ListConnectionsResponse
			raw, err := a.administer(cmd.Context(), http.MethodGet, "connections", query, nil, &res)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, c := range res.GetConnections() {
				rows = append(rows, []string{c.GetPrincipal(), c.GetTenant(), c.GetSource(), when(c.GetSince())})
			}
			return a.answer(raw, []string{"PRINCIPAL", "TENANT", "SOURCE", "SINCE"}, rows)
		},
	}
	list.Flags().StringVar(&principal, "principal", "", "only those of one principal")
	list.Flags().StringVar(&source, "source", "", "only those to one source")
	end := &cobra.Command{
		Use: "end PRINCIPAL SOURCE", Short: "End a user's connection to a source", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{"principal": args[:1], "source": args[1:]}
			if tenant != "" {
				query.Set("tenant", tenant)
			}
			var res adminv1.EndConnectionResponse
			raw, err := a.administer(cmd.Context(), http.MethodDelete, "connections", query, nil, &res)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.indent(raw)
			}
			told := "was not told"
			if res.GetRevoked() {
				told = "was told"
			}
			return a.printf("%s\n", fmt.Sprintf("ended; the source's authorization server %s", told))
		},
	}
	end.Flags().StringVar(&tenant, "tenant", "", "the user's tenant, where there are several")
	cmd.AddCommand(list, end)
	return cmd
}
