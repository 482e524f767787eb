package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
)

// An edit is a change of the policy from the command line.
type edit struct {
	*app

	comment string
	checks  string // file; "" keeps those in YAML or the saved ones
	yes     bool   // do not ask
	days    int32
}

func (e *edit) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&e.comment, "comment", "m", "", "why")
	cmd.Flags().StringVar(&e.checks, "checks", "", "a file of checks to save with the policy")
	cmd.Flags().BoolVarP(&e.yes, "yes", "y", false, "put it in force without asking")
	cmd.Flags().Int32Var(&e.days, "days", 7, "how far to look back for calls that would be decided otherwise")
}

func newPolicyApply(a *app) *cobra.Command {
	e := &edit{app: a}
	cmd := &cobra.Command{
		Use: "apply FILE", Short: "Put a policy in force, after showing what it changes", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := readPolicy(args[0], e.checks)
			if err != nil {
				return err
			}
			return e.apply(cmd.Context(), f)
		},
	}
	e.flags(cmd)
	return cmd
}

func newPolicyEdit(a *app) *cobra.Command {
	e := &edit{app: a}
	cmd := &cobra.Command{
		Use: "edit", Short: "Edit the policy in $EDITOR, see what that changes, and put it in force", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := e.edited(cmd.Context())
			if err != nil {
				return err
			}
			if f == nil {
				return e.printf("nothing has changed\n")
			}
			return e.apply(cmd.Context(), f)
		},
	}
	e.flags(cmd)
	return cmd
}

// edited has a person edit the policy in force, and returns nil if they leave
// it as it is.
func (e *edit) edited(ctx context.Context) (*policyFile, error) {
	var now adminv1.GetPolicyResponse
	if _, err := e.administer(ctx, http.MethodGet, "policy", nil, nil, &now); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "policy")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // It is in the directory for what is temporary.
	file := filepath.Join(dir, "policy.csv")
	if err := os.WriteFile(file, []byte(now.GetPolicy().GetCsv()), 0o600); err != nil {
		return nil, err
	}
	editor := cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR"))
	if editor == "" {
		return nil, usageError{errors.New("set EDITOR to the program to edit with, or use policy apply FILE")}
	}
	words := strings.Fields(editor)
	run := exec.CommandContext(ctx, words[0], append(words[1:], file)...) //nolint:gosec // The person at the terminal names it.
	run.Stdin, run.Stdout, run.Stderr = e.std.in, e.std.out, e.std.err
	if err := run.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w", words[0], err)
	}
	f, err := readPolicy(file, e.checks)
	if err != nil || f.csv == now.GetPolicy().GetCsv() {
		return nil, err
	}
	return f, nil
}

// apply makes a draft of a policy, shows what it would change, asks, and puts
// it in force. The draft of one that is not put in force stays.
func (e *edit) apply(ctx context.Context, f *policyFile) error {
	var made adminv1.CreatePolicyDraftResponse
	if _, err := e.administer(ctx, http.MethodPost, "policy/drafts", nil, &adminv1.CreatePolicyDraftRequest{Comment: e.comment}, &made); err != nil {
		return err
	}
	id := made.GetDraft().GetId()
	if err := e.tryDraft(ctx, made.GetDraft(), f); err != nil {
		return fmt.Errorf("%w (not in force; kept as draft %s)", err, safeText(id))
	}
	return nil
}

var errNotAgreed = errors.New("not confirmed")

func (e *edit) tryDraft(ctx context.Context, draft *adminv1.PolicyDraft, f *policyFile) error {
	save := &adminv1.SavePolicyDraftRequest{Revision: draft.GetRevision(), Csv: &f.csv, Checks: f.checks}
	var saved adminv1.SavePolicyDraftResponse
	path := "policy/drafts/" + url.PathEscape(draft.GetId())
	if _, err := e.administer(ctx, http.MethodPut, path, nil, save, &saved); err != nil {
		return err
	}
	f.place(saved.GetProblems(), saved.GetFailures())
	if err := errors.Join(e.problems(saved.GetProblems()), e.failures(saved.GetFailures()), mistaken(saved.GetProblems())); err != nil {
		return err
	}
	if len(saved.GetFailures()) > 0 {
		return errChecks
	}
	var changes adminv1.DiffPolicyResponse
	if _, err := e.administer(ctx, http.MethodPost, "policy:diff", nil, &adminv1.DiffPolicyRequest{Draft: draft.GetId()}, &changes); err != nil {
		return err
	}
	if err := e.printf("%s", diff(&changes)); err != nil {
		return err
	}
	people := *e.app
	people.output = "table"
	if err := people.impact(ctx, &adminv1.GetPolicyImpactRequest{Draft: draft.GetId(), Days: e.days}); err != nil {
		return err
	}
	if !e.yes {
		if ok, err := e.agreed(ctx, "Put it in force?"); err != nil || !ok {
			return cmp.Or(err, errNotAgreed)
		}
	}
	var res adminv1.ActivatePolicyResponse
	req := &adminv1.ActivatePolicyRequest{Revision: saved.GetDraft().GetRevision()}
	if _, err := e.administer(ctx, http.MethodPost, path+":activate", nil, req, &res); err != nil {
		return err
	}
	return e.printf("version %d is in force\n", res.GetPolicy().GetId())
}
