package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
)

func newLimits(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "limits", Short: "See how many calls may come in a time, and override that",
		Long: `See the rules of limits.rates, and put overrides in force on all nodes at once. An override
takes the place of all rules of its kind for one key, until it expires or is removed.`,
	}
	cmd.AddCommand(newLimitsList(a), newLimitsSet(a), newLimitsRemove(a))
	return cmd
}

func newLimitsList(a *app) *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use: "list", Short: "List rules, overrides, and the buckets that are not full", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			if key != "" {
				query.Set("key", key)
			}
			var res adminv1.ListLimitsResponse
			raw, err := a.administer(cmd.Context(), http.MethodGet, "limits", query, nil, &res)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, r := range res.GetRules() {
				rows = append(rows, []string{
					"rule " + r.GetName(), r.GetPer(), matchOf(r), r.GetRate(), fmt.Sprint(r.GetBurst()),
					fmt.Sprintf("%d admitted, %d refused", r.GetAdmitted(), r.GetRefused()),
				})
			}
			for _, o := range res.GetOverrides() {
				rows = append(rows, []string{
					"override", o.GetPer(), o.GetKey(), cmp.Or(o.GetRate(), "no limit"), fmt.Sprint(o.GetBurst()),
					strings.TrimSpace("until " + when(o.GetExpires()) + " " + o.GetReason()),
				})
			}
			for _, b := range res.GetBuckets() {
				left := fmt.Sprintf("%d left", b.GetTokens())
				if b.GetRetryMs() > 0 {
					left += ", next in " + (time.Duration(b.GetRetryMs()) * time.Millisecond).String()
				}
				rows = append(rows, []string{"bucket of " + b.GetRule(), b.GetPer(), b.GetKey(), "", fmt.Sprint(b.GetBurst()), left})
			}
			return a.answer(raw, []string{"LIMIT", "PER", "KEY", "RATE", "BURST", "NOW"}, rows)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "only buckets of this principal, role, tool, …")
	return cmd
}

// matchOf is what a rule counts, in short.
func matchOf(r *adminv1.LimitRule) string {
	var parts []string
	for _, p := range []struct {
		what string
		all  []string
	}{{"roles", r.GetRoles()}, {"tools", r.GetTools()}, {"sources", r.GetSources()}, {"actions", r.GetActions()}} {
		if len(p.all) > 0 {
			parts = append(parts, p.what+" "+strings.Join(p.all, ","))
		}
	}
	return strings.Join(parts, "; ")
}

func newLimitsSet(a *app) *cobra.Command {
	var req adminv1.SetLimitOverrideRequest
	var ttl time.Duration
	cmd := &cobra.Command{
		Use: "set KIND [KEY]", Short: "Override the limits of a principal, tenant, role, tool or source, or the global one",
		Long: `Override the limits of one key on all nodes. KIND is principal, tenant, role, tool, source or
global; KEY is the id of a principal, or the name of a tenant, role, tool or source.`,
		Args: kindAndKey,
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Per, req.Key, req.TtlSeconds = args[0], strings.Join(args[1:], ""), int64(ttl.Seconds())
			var res adminv1.SetLimitOverrideResponse
			raw, err := a.administer(cmd.Context(), http.MethodPut, "limits/overrides", nil, &req, &res)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.indent(raw)
			}
			return a.printf("in force until %s\n", when(res.GetOverride().GetExpires()))
		},
	}
	f := cmd.Flags()
	f.StringVar(&req.Rate, "rate", "", "how many calls in a time, such as 100/m")
	f.Int64Var(&req.Burst, "burst", 0, "how many calls may come at once (default: as many as the rate says)")
	f.BoolVar(&req.Unlimited, "unlimited", false, "no limit")
	f.DurationVar(&ttl, "ttl", time.Hour, "for how long, at most a year")
	f.StringVar(&req.Reason, "reason", "", "why")
	f.Uint64Var(&req.Revision, "revision", 0, "refuse where the overrides have another revision than this one, of `limits list`")
	cmd.MarkFlagsOneRequired("rate", "unlimited")
	cmd.MarkFlagsMutuallyExclusive("rate", "unlimited")
	return cmd
}

func newLimitsRemove(a *app) *cobra.Command {
	var revision uint64
	cmd := &cobra.Command{
		Use: "remove KIND [KEY]", Short: "Remove an override, so that the rules count again", Args: kindAndKey,
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{"per": args[:1]}
			if len(args) == 2 {
				query.Set("key", args[1])
			}
			if revision != 0 {
				query.Set("revision", fmt.Sprint(revision))
			}
			_, err := a.administer(cmd.Context(), http.MethodDelete, "limits/overrides", query, nil, nil)
			return err
		},
	}
	cmd.Flags().Uint64Var(&revision, "revision", 0, "refuse where the overrides have another revision than this one, of `limits list`")
	return cmd
}

// kindAndKey wants what an override is for.
func kindAndKey(_ *cobra.Command, args []string) error {
	if len(args) == 0 || len(args) > 2 || (len(args) == 1) != (args[0] == "global") {
		return errors.New("give a kind and a key, such as: tool demo.echo; or global")
	}
	return nil
}
