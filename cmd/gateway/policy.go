package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/auth/policy"
)

func newPolicy(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "policy", Short: "See and change who may do what",
		Long: `See and change the policy of a running gateway. A change is a draft first; "policy edit" and
"policy apply" make one, show which recorded calls it would decide otherwise, and put it in force.

A FILE whose name ends in .yaml or .yml is a policy as YAML, any other as Casbin's CSV.`,
	}
	cmd.AddCommand(
		newPolicyGet(a), newPolicyHistory(a), newPolicyDiff(a), newPolicyLint(a), newPolicyTest(a), newPolicyImpact(a),
		newPolicyEdit(a), newPolicyApply(a), newPolicyRollback(a), newPolicyExplain(a), newPolicyPermissions(a), newPolicyGrantees(a),
	)
	return cmd
}

func newPolicyGet(a *app) *cobra.Command {
	var (
		version int64
		format  string
	)
	cmd := &cobra.Command{
		Use: "get", Short: "Print the policy in force", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "csv" && format != "yaml" {
				return usageError{fmt.Errorf("--format is csv or yaml, not %q", format)}
			}
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
			text := res.GetPolicy().GetCsv()
			if format == "yaml" {
				yaml, err := policy.Text{CSV: text, Checks: res.GetPolicy().GetChecks()}.YAML()
				if err != nil {
					return err
				}
				text = string(yaml)
			}
			return a.printf("%s", safeText(text))
		},
	}
	cmd.Flags().Int64Var(&version, "version", 0, "an earlier version")
	cmd.Flags().StringVar(&format, "format", "csv", "csv, or yaml with the checks and without comments")
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
				rows = append(rows, []string{strconv.FormatInt(v.GetId(), 10), mark, when(v.GetActivated()), v.GetActivatedBy(), v.GetComment()})
			}
			return a.answer(raw, []string{"VERSION", "", "SINCE", "BY", "COMMENT"}, rows)
		},
	}
}

func newPolicyDiff(a *app) *cobra.Command {
	var req adminv1.DiffPolicyRequest
	cmd := &cobra.Command{
		Use: "diff", Short: "Compare two policies rule by rule", Args: cobra.NoArgs,
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
	cmd.Flags().Int64Var(&req.To, "to", 0, "a version")
	cmd.Flags().StringVar(&req.Draft, "draft", "", "a draft")
	cmd.MarkFlagsOneRequired("to", "draft")
	cmd.MarkFlagsMutuallyExclusive("to", "draft")
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
		Use: "lint FILE", Short: "Find mistakes in a policy", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var res adminv1.LintPolicyResponse
			raw, err := a.lint(cmd.Context(), args[0], &res)
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

// lint has the gateway look at the policy in a file; YAML that is none is told
// of in the same words.
func (a *app) lint(ctx context.Context, name string, res *adminv1.LintPolicyResponse) (json.RawMessage, error) {
	f, err := readPolicy(name, "")
	if problems, ok := problemsIn(err); ok {
		res.Problems = problems
		return protojson.Marshal(res)
	}
	if err != nil {
		return nil, err
	}
	raw, err := a.administer(ctx, http.MethodPost, "policy:lint", nil, &adminv1.LintPolicyRequest{Csv: f.csv}, res)
	if err != nil {
		return nil, err
	}
	f.place(res.GetProblems(), nil)
	return f.json(raw, res)
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

// failures prints the checks that a policy does not hold.
func (a *app) failures(all []*adminv1.PolicyFailure) error {
	for _, f := range all {
		if err := a.printf("checks:%d: %s: %s\n", f.GetLine(), safeText(f.GetText()), safeText(f.GetReason())); err != nil {
			return err
		}
	}
	return nil
}

func newPolicyTest(a *app) *cobra.Command {
	var checks string
	cmd := &cobra.Command{
		Use: "test FILE", Short: "Hold a policy against the checks that are saved with the one in force", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := readPolicy(args[0], checks)
			if err != nil {
				return err
			}
			req := &adminv1.TestPolicyRequest{Csv: f.csv}
			if f.checks != nil {
				req.Checks = *f.checks
			}
			var res adminv1.TestPolicyResponse
			raw, err := a.administer(cmd.Context(), http.MethodPost, "policy:test", nil, req, &res)
			if err != nil {
				return err
			}
			f.place(res.GetProblems(), res.GetFailures())
			if raw, err = f.json(raw, &res); err != nil {
				return err
			}
			if a.output == "json" {
				err = a.indent(raw)
			} else if err = errors.Join(a.problems(res.GetProblems()), a.failures(res.GetFailures())); err == nil {
				err = a.printf("%d checks, %d do not hold\n", res.GetChecks(), len(res.GetFailures()))
			}
			if err == nil && len(res.GetFailures()) > 0 {
				err = errChecks
			}
			return errors.Join(err, mistaken(res.GetProblems()))
		},
	}
	cmd.Flags().StringVar(&checks, "checks", "", "a file of checks, instead of those in YAML and the saved ones")
	return cmd
}

var errChecks = errors.New("checks do not hold")

func newPolicyImpact(a *app) *cobra.Command {
	var days int32
	cmd := &cobra.Command{
		Use: "impact FILE", Short: "Show which recorded calls a policy would decide otherwise", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := readPolicy(args[0], "")
			if err != nil {
				return err
			}
			return a.impact(cmd.Context(), &adminv1.GetPolicyImpactRequest{Csv: f.csv, Days: days})
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
		rule := c.GetAfterRule()
		if rule == "" {
			rule = "no rule"
		}
		who := c.GetPrincipalName()
		if who == "" {
			who = c.GetPrincipal()
		}
		rows = append(rows, []string{c.GetAfter(), strconv.FormatInt(c.GetCalls(), 10), who, c.GetAction(), c.GetObject(), rule})
	}
	return a.table([]string{"THEN", "CALLS", "WHO", "ACTION", "OBJECT", "BECAUSE"}, rows)
}

func newPolicyRollback(a *app) *cobra.Command {
	return &cobra.Command{
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
			req := &adminv1.RollbackPolicyRequest{To: to, Active: now.GetPolicy().GetId()}
			if _, err := a.administer(cmd.Context(), http.MethodPost, "policy:rollback", nil, req, &res); err != nil {
				return err
			}
			return a.printf("version %d is in force, with the rules of version %d\n", res.GetPolicy().GetId(), to)
		},
	}
}
