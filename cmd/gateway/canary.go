package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
)

func newCanary(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "canary", Short: "Give new endpoints of a source a share of its calls",
		Long: `Give the endpoints of a source that have "role: canary" a share of its calls, and compare them with the
others. A canary that fails more often or takes longer is aborted by itself. That holds on all nodes, and until the
endpoints of the source are configured anew.`,
	}
	cmd.AddCommand(newCanaryStatus(a), newCanaryShift(a), newCanaryPromote(a), newCanaryAbort(a))
	return cmd
}

func newCanaryStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "status SOURCE", Short: "Say how the endpoints of a source do, and its canary", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var res adminv1.GetCanaryResponse
			raw, err := a.administer(cmd.Context(), http.MethodGet, canaryPath(args[0], ""), nil, nil, &res)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, e := range res.GetEndpoints() {
				state := "present"
				switch until := e.GetEjectedUntil(); {
				case !e.GetPresent():
					state = "away"
				case until != nil && until.AsTime().After(time.Now()):
					state = "ejected until " + until.AsTime().Format(time.TimeOnly)
				}
				rows = append(rows, []string{
					e.GetName(), e.GetRole(), strconv.Itoa(int(e.GetWeight())), state, strconv.FormatInt(e.GetRunning(), 10),
					strconv.FormatInt(e.GetCalls(), 10), strconv.FormatInt(e.GetFailed(), 10), fmt.Sprintf("%.1f ms", e.GetLatencyMs()), phase(e, res.GetCanary()),
				})
			}
			return a.answer(raw, []string{"ENDPOINT", "ROLE", "WEIGHT", "STATE", "RUNNING", "CALLS", "FAILED", "LATENCY", "CANARY"}, rows)
		},
	}
}

// phase is what is to say of an endpoint that is a canary.
func phase(e *adminv1.SourceEndpoint, c *adminv1.SourceCanary) string {
	if e.GetRole() != "canary" {
		return ""
	}
	return canaryText(c)
}

func canaryText(c *adminv1.SourceCanary) string {
	s := fmt.Sprintf("%s at %d %%", c.GetPhase(), c.GetPercent())
	if c.GetReason() != "" {
		s += ": " + c.GetReason()
	}
	return s
}

func newCanaryShift(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "shift SOURCE PERCENT", Short: "Have the canary get so many of a hundred calls", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			percent, err := strconv.ParseInt(args[1], 10, 32)
			if err != nil {
				return fmt.Errorf("%q is no number", args[1])
			}
			res := &adminv1.ShiftCanaryResponse{}
			raw, err := a.administer(cmd.Context(), http.MethodPost, canaryPath(args[0], ":shift"), nil,
				&adminv1.ShiftCanaryRequest{Source: args[0], Percent: int32(percent)}, res)
			return a.turned(raw, err, res.GetCanary())
		},
	}
}

func newCanaryPromote(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "promote SOURCE", Short: "Have the canary get every call", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			res := &adminv1.PromoteCanaryResponse{}
			raw, err := a.administer(cmd.Context(), http.MethodPost, canaryPath(args[0], ":promote"), nil, &adminv1.PromoteCanaryRequest{Source: args[0]}, res)
			return a.turned(raw, err, res.GetCanary())
		},
	}
}

func newCanaryAbort(a *app) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "abort SOURCE", Short: "Have the canary get no calls any more", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			res := &adminv1.AbortCanaryResponse{}
			raw, err := a.administer(cmd.Context(), http.MethodPost, canaryPath(args[0], ":abort"), nil, &adminv1.AbortCanaryRequest{Source: args[0], Reason: reason}, res)
			return a.turned(raw, err, res.GetCanary())
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for who looks later")
	return cmd
}

func canaryPath(source, verb string) string {
	return "sources/" + url.PathEscape(source) + "/canary" + verb
}

// turned shows a canary after a change.
func (a *app) turned(raw []byte, err error, c *adminv1.SourceCanary) error {
	if err != nil {
		return err
	}
	return a.answer(raw, []string{"CANARY"}, [][]string{{canaryText(c)}})
}
