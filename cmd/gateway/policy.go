package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
)

func newPolicy(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "policy", Short: "See and change who may do what",
		Long: `See and change the policy of a running gateway. A change is the draft first; "policy edit" and
"policy apply" save one, show which recorded calls it would decide otherwise, and put it in force.`,
	}
	cmd.AddCommand(
		newPolicyGet(a), newPolicyHistory(a), newPolicyDiff(a), newPolicyLint(a), newPolicyTest(a), newPolicyImpact(a),
		newPolicyEdit(a), newPolicyApply(a), newPolicyRollback(a), newPolicyExplain(a), newPolicyPermissions(a), newPolicyGrantees(a),
	)
	return cmd
}

func newPolicyGet(a *app) *cobra.Command {
	var version int64
	cmd := &cobra.Command{
		Use: "get", Short: "Print the policy in force", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := "policy"
			if version != 0 {
				path += "/versions/" + strconv.FormatInt(version, 10)
			}
			var res adminv1.GetPolicyResponse
			raw, err := a.administer(cmd.Context(), http.MethodGet, path, nil, nil, &res)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.indent(raw)
			}
			return a.printf("%s", safeText(res.GetPolicy().GetCsv()))
		},
	}
	cmd.Flags().Int64Var(&version, "version", 0, "an earlier version")
	return cmd
}

func newPolicyHistory(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "history", Short: "List the policies that are or were in force", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var res adminv1.ListPolicyVersionsResponse
			raw, err := a.administer(cmd.Context(), http.MethodGet, "policy/versions", nil, nil, &res)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, v := range res.GetVersions() {
				mark := ""
				if v.GetActive() {
					mark = "in force"
				}
				rows = append(rows, []string{strconv.FormatInt(v.GetId(), 10), mark, when(v.GetActivated()), v.GetAuthor(), strconv.Itoa(int(v.GetRules())), v.GetComment()})
			}
			return a.answer(raw, []string{"VERSION", "", "SINCE", "BY", "RULES", "COMMENT"}, rows)
		},
	}
}

func newPolicyDiff(a *app) *cobra.Command {
	var req adminv1.DiffPolicyRequest
	cmd := &cobra.Command{
		Use: "diff", Short: "Compare two policies rule by rule: by default the one in force and the draft", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var res adminv1.DiffPolicyResponse
			raw, err := a.administer(cmd.Context(), http.MethodPost, "policy:diff", nil, &req, &res)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.indent(raw)
			}
			return a.printf("%s", diff(&res))
		},
	}
	cmd.Flags().Int64Var(&req.From, "from", 0, "a version (default: the one in force)")
	cmd.Flags().Int64Var(&req.To, "to", 0, "a version (default: the draft)")
	return cmd
}

func diff(res *adminv1.DiffPolicyResponse) string {
	var b strings.Builder
	for _, rule := range res.GetRemoved() {
		fmt.Fprintf(&b, "- %s\n", printable(rule))
	}
	for _, rule := range res.GetAdded() {
		fmt.Fprintf(&b, "+ %s\n", printable(rule))
	}
	return b.String()
}

// errProblems says that what was printed is not in order.
var errProblems = errors.New("the policy has mistakes")

func newPolicyLint(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "lint [FILE]", Short: "Find mistakes in a policy, by default in the draft", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			csv, err := fileOf(args)
			if err != nil {
				return err
			}
			var res adminv1.LintPolicyResponse
			raw, err := a.administer(cmd.Context(), http.MethodPost, "policy:lint", nil, &adminv1.LintPolicyRequest{Csv: csv}, &res)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return errors.Join(a.indent(raw), mistaken(res.GetProblems()))
			}
			return errors.Join(a.problems(res.GetProblems()), mistaken(res.GetProblems()))
		},
	}
}

// problems prints what is wrong with a policy, a line each.
func (a *app) problems(all []*adminv1.PolicyProblem) error {
	for _, p := range all {
		kind := "error"
		if p.GetWarning() {
			kind = "warning"
		}
		text := fmt.Sprintf("%d:%d: %s: %s", p.GetLine(), p.GetColumn(), kind, p.GetMessage())
		if p.GetHint() != "" {
			text += " (" + p.GetHint() + ")"
		}
		if err := a.printf("%s\n", safeText(text)); err != nil {
			return err
		}
	}
	return nil
}

// mistaken returns an error where there is more than warnings.
func mistaken(all []*adminv1.PolicyProblem) error {
	for _, p := range all {
		if !p.GetWarning() {
			return errProblems
		}
	}
	return nil
}

// fileOf reads the file that the arguments name, if they do.
func fileOf(args []string) (string, error) {
	if len(args) == 0 {
		return "", nil
	}
	b, err := os.ReadFile(args[0])
	return string(b), err
}

func newPolicyTest(a *app) *cobra.Command {
	var tests string
	cmd := &cobra.Command{
		Use: "test [FILE]", Short: "Run the saved tests against a policy, by default the draft", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			csv, err := fileOf(args)
			if err != nil {
				return err
			}
			req := &adminv1.TestPolicyRequest{Csv: csv}
			if tests != "" {
				if req.Tests, err = fileOf([]string{tests}); err != nil {
					return err
				}
			}
			var res adminv1.TestPolicyResponse
			raw, err := a.administer(cmd.Context(), http.MethodPost, "policy:test", nil, req, &res)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, t := range res.GetTests() {
				outcome := "ok"
				if !t.GetPassed() {
					outcome = "FAILED"
				}
				rows = append(rows, []string{outcome, t.GetText(), t.GetReason()})
			}
			if err := a.answer(raw, []string{"", "TEST", "BECAUSE"}, rows); err != nil {
				return err
			}
			if n := res.GetFailed(); n > 0 {
				return fmt.Errorf("%d tests failed", n)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&tests, "tests", "", "a file of tests, instead of the saved ones")
	return cmd
}

func newPolicyImpact(a *app) *cobra.Command {
	var days int32
	cmd := &cobra.Command{
		Use: "impact [FILE]", Short: "Show which recorded calls a policy would decide otherwise, by default the draft", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			csv, err := fileOf(args)
			if err != nil {
				return err
			}
			return a.impact(cmd.Context(), &adminv1.GetPolicyImpactRequest{Csv: csv, Days: days})
		},
	}
	cmd.Flags().Int32Var(&days, "days", 7, "how far to look back")
	return cmd
}

// impact prints what a policy would decide otherwise.
func (a *app) impact(ctx context.Context, req *adminv1.GetPolicyImpactRequest) error {
	var res adminv1.GetPolicyImpactResponse
	raw, err := a.administer(ctx, http.MethodPost, "policy:impact", nil, req, &res)
	if err != nil {
		return err
	}
	if a.output == "json" {
		return a.indent(raw)
	}
	if err := a.printf("%d of %d recorded calls would be decided otherwise\n", res.GetChanged(), res.GetCalls()); err != nil {
		return err
	}
	if n := res.GetUndecided(); n > 0 {
		if err := a.printf("%d cannot be decided: their arguments are not recorded\n", n); err != nil {
			return err
		}
	}
	if len(res.GetChanges()) == 0 {
		return nil
	}
	var rows [][]string
	for _, c := range res.GetChanges() {
		then := "denied"
		if c.GetAllowedThen() {
			then = "allowed"
		}
		who := c.GetPrincipalName()
		if who == "" {
			who = c.GetPrincipal()
		}
		rows = append(rows, []string{then, strconv.FormatInt(c.GetCalls(), 10), who, c.GetAction(), c.GetObject(), c.GetReason()})
	}
	return a.table([]string{"THEN", "CALLS", "WHO", "ACTION", "OBJECT", "BECAUSE"}, rows)
}

func newPolicyRollback(a *app) *cobra.Command {
	var comment string
	cmd := &cobra.Command{
		Use: "rollback VERSION", Short: "Put an earlier version in force again", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return usageError{fmt.Errorf("%q is not the number of a version", args[0])}
			}
			var now adminv1.GetPolicyResponse
			if _, err := a.administer(cmd.Context(), http.MethodGet, "policy", nil, nil, &now); err != nil {
				return err
			}
			var res adminv1.RollbackPolicyResponse
			req := &adminv1.RollbackPolicyRequest{To: to, Active: now.GetPolicy().GetId(), Comment: comment}
			if _, err := a.administer(cmd.Context(), http.MethodPost, "policy:rollback", nil, req, &res); err != nil {
				return err
			}
			return a.printf("version %d is in force, with the rules of version %d\n", res.GetPolicy().GetId(), to)
		},
	}
	cmd.Flags().StringVarP(&comment, "comment", "m", "", "why")
	return cmd
}
