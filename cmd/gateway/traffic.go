package main

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
)

func newTraffic(a *app) *cobra.Command {
	var seconds int
	cmd := &cobra.Command{
		Use: "traffic", Short: "See how many calls there are, how they end and how long they take", Args: cobra.NoArgs,
		Long: `See what happened in the last seconds on the node that answers, by door and by source: calls a second,
how many of them failed, were refused or were cancelled, whose tools failed, and the milliseconds that
half of them and 99 of 100 took at most. Limits of GraphQL that are only measured stand below, with how often a
second they were exceeded.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var res adminv1.GetTrafficResponse
			raw, err := a.administer(cmd.Context(), http.MethodGet, "traffic", url.Values{"seconds": {strconv.Itoa(seconds)}}, nil, &res)
			if err != nil {
				return err
			}
			t := res.GetTraffic()
			row := func(kind string, s *adminv1.TrafficShare) []string {
				return []string{
					kind, s.GetName(), fmt.Sprintf("%.1f", float64(s.GetCalls())/float64(max(t.GetSeconds(), 1))), fmt.Sprint(s.GetFailed()), fmt.Sprint(s.GetRefused()),
					fmt.Sprint(s.GetCanceled()), fmt.Sprint(s.GetToolErrors()), fmt.Sprint(s.GetP50Ms()), fmt.Sprint(s.GetP99Ms()),
				}
			}
			rows := [][]string{row("all", t.GetTotal())}
			for _, s := range t.GetDoors() {
				rows = append(rows, row("door", s))
			}
			for _, s := range t.GetSources() {
				s.Name = cmp.Or(s.GetName(), "(none)")
				rows = append(rows, row("source", s))
			}
			for _, e := range t.GetExceeded() {
				rows = append(rows, row("limit", &adminv1.TrafficShare{Name: e.GetLimit(), Calls: e.GetCount()}))
			}
			return a.answer(raw, []string{"OF", "NAME", "CALLS/S", "FAILED", "REFUSED", "CANCELLED", "TOOL ERRORS", "P50 MS", "P99 MS"}, rows)
		},
	}
	cmd.Flags().IntVar(&seconds, "seconds", 60, "how far to look back, 1 to 300")
	return cmd
}
