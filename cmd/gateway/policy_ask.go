package main

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
)

// whoFlags adds the flags that say whom a question is about.
func whoFlags(cmd *cobra.Command, who *adminv1.Subject) {
	cmd.Flags().StringVar(&who.Principal, "principal", "", `the id of a principal, as the audit log has it: "issuer|kind|subject"`)
	cmd.Flags().StringSliceVar(&who.Subjects, "as", nil, `a word of rules such as "group:eng"; may be given more than once`)
	cmd.Flags().StringVar(&who.Tenant, "tenant", "", "their tenant, where there are several")
	cmd.MarkFlagsOneRequired("principal", "as")
}

func newPolicyExplain(a *app) *cobra.Command {
	req := &adminv1.ExplainPolicyRequest{Who: &adminv1.Subject{}}
	cmd := &cobra.Command{
		Use: "explain ACTION OBJECT", Short: "Say whether somebody may do something, and why", Args: cobra.ExactArgs(2),
		Example: `  gateway policy explain --as group:eng call tool/github/delete_repo`,
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Action, req.Object = args[0], args[1]
			var res adminv1.ExplainPolicyResponse
			raw, err := a.administer(cmd.Context(), http.MethodPost, "policy:explain", nil, req, &res)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.indent(raw)
			}
			return a.printf("%s", safeText(explanation(&res)))
		},
	}
	whoFlags(cmd, req.GetWho())
	cmd.Flags().StringVar(&req.ArgumentsJson, "arguments", "", "the arguments of the call, a JSON object, for rules with a condition")
	return cmd
}

// explanation is an answer for people to read.
func explanation(res *adminv1.ExplainPolicyResponse) string {
	var b strings.Builder
	verdict := "denied"
	if res.GetAllowed() {
		verdict = "allowed"
	}
	b.WriteString(verdict + ": " + res.GetReason() + "\n")
	if res.GetRule() != "" {
		b.WriteString("rule, line " + strconv.Itoa(int(res.GetLine())) + ": " + res.GetRule() + "\n")
	}
	if len(res.GetPath()) > 0 {
		b.WriteString("through: " + strings.Join(res.GetPath(), " -> ") + "\n")
	}
	for _, m := range res.GetNearMisses() {
		b.WriteString("nearly, line " + strconv.Itoa(int(m.GetLine())) + ": " + m.GetRule() + " (" + m.GetDifference() + ")\n")
	}
	return b.String()
}

func newPolicyPermissions(a *app) *cobra.Command {
	req := &adminv1.ListPermissionsRequest{Who: &adminv1.Subject{}}
	cmd := &cobra.Command{
		Use: "permissions", Short: "List what somebody may do with the capabilities that there are", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var res adminv1.ListPermissionsResponse
			raw, err := a.administer(cmd.Context(), http.MethodPost, "policy:permissions", nil, req, &res)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, p := range res.GetPermissions() {
				rows = append(rows, []string{p.GetObject(), p.GetAction(), condition(p.GetConditional()), p.GetRule()})
			}
			return a.answer(raw, []string{"OBJECT", "ACTION", "", "RULE"}, rows)
		},
	}
	whoFlags(cmd, req.GetWho())
	return cmd
}

func newPolicyGrantees(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "who-can ACTION OBJECT", Short: "List the subjects and roles that may do something", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var res adminv1.ListGranteesResponse
			raw, err := a.administer(cmd.Context(), http.MethodPost, "policy:grantees", nil, &adminv1.ListGranteesRequest{Action: args[0], Object: args[1]}, &res)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, g := range res.GetGrantees() {
				rows = append(rows, []string{g.GetSubject(), g.GetTenant(), condition(g.GetConditional()), g.GetRule()})
			}
			return a.answer(raw, []string{"SUBJECT", "TENANT", "", "RULE"}, rows)
		},
	}
}

func condition(is bool) string {
	if is {
		return "if"
	}
	return ""
}
