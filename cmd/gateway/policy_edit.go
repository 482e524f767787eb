package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
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
	tests   string // file; "" keeps the saved ones
	yes     bool   // do not ask
	days    int32
}

func (e *edit) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&e.comment, "comment", "m", "", "why")
	cmd.Flags().StringVar(&e.tests, "tests", "", "a file of tests to save with the policy")
	cmd.Flags().BoolVarP(&e.yes, "yes", "y", false, "put it in force without asking")
	cmd.Flags().Int32Var(&e.days, "days", 7, "how far to look back for calls that would be decided otherwise")
}

func newPolicyApply(a *app) *cobra.Command {
	e := &edit{app: a}
	cmd := &cobra.Command{
		Use: "apply FILE", Short: "Put a policy in force, after showing what it changes", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			csv, err := fileOf(args)
			if err != nil {
				return err
			}
			return e.apply(cmd.Context(), csv)
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
			csv, changed, err := e.edited(cmd.Context())
			if err != nil {
				return err
			}
			if !changed {
				return e.printf("nothing has changed\n")
			}
			return e.apply(cmd.Context(), csv)
		},
	}
	e.flags(cmd)
	return cmd
}

// edited has a person edit the draft, or the policy in force where there is
// none.
func (e *edit) edited(ctx context.Context) (csv string, changed bool, err error) {
	now, draft, err := e.current(ctx)
	if err != nil {
		return "", false, err
	}
	before := now.GetCsv()
	if draft != nil {
		before = draft.GetCsv()
	}
	dir, err := os.MkdirTemp("", "policy")
	if err != nil {
		return "", false, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // It is in the directory for what is temporary.
	file := filepath.Join(dir, "policy.csv")
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		return "", false, err
	}
	editor := os.Getenv("VISUAL")
	if editor == "" {
		editor = os.Getenv("EDITOR")
	}
	if editor == "" {
		return "", false, usageError{errors.New("set EDITOR to the program to edit with, or use policy apply FILE")}
	}
	words := strings.Fields(editor)
	run := exec.CommandContext(ctx, words[0], append(words[1:], file)...) //nolint:gosec // The person at the terminal names it.
	run.Stdin, run.Stdout, run.Stderr = e.std.in, e.std.out, e.std.err
	if err := run.Run(); err != nil {
		return "", false, fmt.Errorf("%s: %w", words[0], err)
	}
	after, err := os.ReadFile(file) //nolint:gosec // It was made above.
	return string(after), string(after) != now.GetCsv(), err
}

// current returns the policy in force and the draft, nil where there is none.
func (e *edit) current(ctx context.Context) (*adminv1.PolicyVersion, *adminv1.PolicyDraft, error) {
	var now adminv1.GetPolicyResponse
	if _, err := e.administer(ctx, http.MethodGet, "policy", nil, nil, &now); err != nil {
		return nil, nil, err
	}
	var draft adminv1.GetPolicyDraftResponse
	_, err := e.administer(ctx, http.MethodGet, "policy/draft", nil, nil, &draft)
	if err != nil && !strings.HasSuffix(err.Error(), "(NOT_FOUND)") {
		return nil, nil, err
	}
	return now.GetPolicy(), draft.GetDraft(), nil
}

// apply saves a policy as the draft, shows what it would change, asks, and puts
// it in force.
func (e *edit) apply(ctx context.Context, csv string) error {
	now, draft, err := e.current(ctx)
	if err != nil {
		return err
	}
	save := &adminv1.SavePolicyDraftRequest{Revision: draft.GetRevision(), Csv: csv, Tests: now.GetTests(), Comment: e.comment}
	if draft != nil {
		save.Tests = draft.GetTests()
	}
	if e.tests != "" {
		if save.Tests, err = fileOf([]string{e.tests}); err != nil {
			return err
		}
	}
	var saved adminv1.SavePolicyDraftResponse
	if _, err := e.administer(ctx, http.MethodPut, "policy/draft", nil, save, &saved); err != nil {
		return err
	}
	if err := e.problems(saved.GetProblems()); err != nil {
		return err
	}
	if err := mistaken(saved.GetProblems()); err != nil {
		return fmt.Errorf("%w; it is kept as the draft", err)
	}
	var changes adminv1.DiffPolicyResponse
	if _, err := e.administer(ctx, http.MethodPost, "policy:diff", nil, &adminv1.DiffPolicyRequest{}, &changes); err != nil {
		return err
	}
	if err := e.printf("%s", diff(&changes)); err != nil {
		return err
	}
	table := *e.app
	table.output = "table"
	if err := table.impact(ctx, &adminv1.GetPolicyImpactRequest{Days: e.days}); err != nil {
		return err
	}
	if !e.yes {
		ok, err := e.agreed(ctx)
		if err != nil || !ok {
			return errors.Join(err, e.printf("not put in force; it is kept as the draft\n"))
		}
	}
	var res adminv1.ActivatePolicyResponse
	req := &adminv1.ActivatePolicyRequest{Revision: saved.GetDraft().GetRevision(), Active: now.GetId(), Comment: e.comment}
	if _, err := e.administer(ctx, http.MethodPost, "policy:activate", nil, req, &res); err != nil {
		return err
	}
	return e.printf("version %d is in force\n", res.GetPolicy().GetId())
}

// agreed asks the person at the terminal.
func (e *edit) agreed(ctx context.Context) (bool, error) {
	if err := e.printf("Put it in force? [y/N] "); err != nil {
		return false, err
	}
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(e.std.in).ReadString('\n') // The end of input is no.
		answer <- line
	}()
	select {
	case line := <-answer:
		return strings.EqualFold(strings.TrimSpace(line), "y"), nil
	case <-ctx.Done():
		return false, errInterrupted
	}
}
