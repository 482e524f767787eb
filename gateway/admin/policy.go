package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/auth/policy"
	"github.com/trilith-gateway/trilith/gateway"
)

const policyService = "PolicyService"

func (s *service) policyMethods() []method {
	methods := []method{
		inspect(policyService, "GetPolicy", s.getPolicy),
		inspect(policyService, "ListPolicyVersions", s.listPolicyVersions),
		inspect(policyService, "GetPolicyVersion", s.getPolicyVersion),
		inspect(policyService, "DiffPolicy", s.diffPolicy),
		inspect(policyService, "ListPolicyDrafts", s.listPolicyDrafts),
		inspect(policyService, "GetPolicyDraft", s.getPolicyDraft),
		inspect(policyService, "LintPolicy", s.lintPolicy),
		inspect(policyService, "TestPolicy", s.testPolicy),
		inspect(policyService, "ExplainPolicy", s.explainPolicy),
		inspect(policyService, "ListPermissions", s.listPermissions),
		inspect(policyService, "ListGrantees", s.listGrantees),
		change(policyService, "CreatePolicyDraft", s.createPolicyDraft),
		change(policyService, "SavePolicyDraft", s.savePolicyDraft),
		change(policyService, "DiscardPolicyDraft", s.discardPolicyDraft),
		change(policyService, "ActivatePolicy", s.activatePolicy),
		change(policyService, "RollbackPolicy", s.rollbackPolicy),
	}
	if s.Audit != nil {
		methods = append(methods, inspect(policyService, "GetPolicyImpact", s.getPolicyImpact))
	}
	return methods
}

// getPolicy returns the version in force. Where none has ever been, it is the
// policy that the gateway began with, as version 0.
func (s *service) getPolicy(ctx context.Context, _ *gateway.Call, _ *adminv1.GetPolicyRequest) (*adminv1.GetPolicyResponse, error) {
	v, err := s.Policies.Active(ctx)
	if errors.Is(err, policy.ErrNotFound) {
		now := s.Enforcer.Policy()
		return &adminv1.GetPolicyResponse{Policy: &adminv1.PolicyVersion{Active: true, Csv: string(now.CSV()), Author: "built in"}}, nil
	}
	if err != nil {
		return nil, policyError(err)
	}
	return &adminv1.GetPolicyResponse{Policy: versionOf(&v, v.ID)}, nil
}

func (s *service) listPolicyVersions(ctx context.Context, _ *gateway.Call, req *adminv1.ListPolicyVersionsRequest) (*adminv1.ListPolicyVersionsResponse, error) {
	var before int64
	if t := req.GetPageToken(); t != "" {
		var err error
		if before, err = strconv.ParseInt(t, 10, 64); err != nil || before < 1 {
			return nil, invalid("the page token is none that a page gave")
		}
	}
	size := pageSize(req.GetPageSize(), 50, 100)
	all, err := s.Policies.History(ctx, before, size+1)
	if err != nil {
		return nil, policyError(err)
	}
	res := &adminv1.ListPolicyVersionsResponse{}
	var active int64
	if v, err := s.Policies.History(ctx, 0, 1); err == nil && len(v) > 0 {
		active = v[0].ID
	}
	for i := range all[:min(len(all), size)] {
		res.Versions = append(res.Versions, versionOf(&all[i], active))
	}
	if len(all) > size {
		res.NextPageToken = strconv.FormatInt(all[size-1].ID, 10)
	}
	return res, nil
}

// pageSize returns how many items a page has.
func pageSize(asked int32, otherwise, most int) int {
	if asked <= 0 {
		return otherwise
	}
	return min(int(asked), most)
}

func (s *service) getPolicyVersion(ctx context.Context, _ *gateway.Call, req *adminv1.GetPolicyVersionRequest) (*adminv1.GetPolicyVersionResponse, error) {
	v, err := s.Policies.Version(ctx, req.GetId())
	if err != nil {
		return nil, policyError(err)
	}
	active, err := s.Policies.History(ctx, 0, 1)
	if err != nil || len(active) == 0 {
		return nil, policyError(err)
	}
	return &adminv1.GetPolicyVersionResponse{Policy: versionOf(&v, active[0].ID)}, nil
}

func (s *service) diffPolicy(ctx context.Context, _ *gateway.Call, req *adminv1.DiffPolicyRequest) (*adminv1.DiffPolicyResponse, error) {
	from := s.Enforcer.Policy()
	var err error
	if req.GetFrom() != 0 {
		if from, err = s.version(ctx, req.GetFrom()); err != nil {
			return nil, err
		}
	}
	var to *policy.Policy
	if req.GetTo() != 0 && req.GetDraft() == "" {
		to, err = s.version(ctx, req.GetTo())
	} else {
		to, err = s.parse(ctx, "", req.GetDraft())
	}
	if err != nil {
		return nil, err
	}
	res := &adminv1.DiffPolicyResponse{}
	for _, c := range policy.Diff(from, to) {
		if c.Added {
			res.Added = append(res.Added, c.Text)
		} else {
			res.Removed = append(res.Removed, c.Text)
		}
	}
	return res, nil
}

// version returns a version as a policy.
func (s *service) version(ctx context.Context, id int64) (*policy.Policy, error) {
	v, err := s.Policies.Version(ctx, id)
	if err != nil {
		return nil, policyError(err)
	}
	p, err := policy.Parse(fmt.Sprintf("version %d", id), []byte(v.CSV))
	return p, policyError(err)
}

// text returns the text that a request is about: its own, or that of a draft.
func (s *service) text(ctx context.Context, csv, draft string) (policy.Text, error) {
	switch {
	case csv != "" && draft != "":
		return policy.Text{}, invalid("the request has both a text and a draft")
	case csv != "":
		v, err := s.Policies.Active(ctx)
		if err != nil && !errors.Is(err, policy.ErrNotFound) {
			return policy.Text{}, policyError(err)
		}
		return policy.Text{CSV: csv, Checks: v.Checks}, nil
	case draft != "":
		d, err := s.Policies.Draft(ctx, draft)
		return d.Text, policyError(err)
	}
	return policy.Text{}, invalid("the request has neither a text nor a draft")
}

// parse is text as a policy.
func (s *service) parse(ctx context.Context, csv, draft string) (*policy.Policy, error) {
	t, err := s.text(ctx, csv, draft)
	if err != nil {
		return nil, err
	}
	p, err := policy.Parse("draft", []byte(t.CSV))
	return p, policyError(err)
}

func (s *service) lintPolicy(ctx context.Context, call *gateway.Call, req *adminv1.LintPolicyRequest) (*adminv1.LintPolicyResponse, error) {
	t, err := s.text(ctx, req.GetCsv(), req.GetDraft())
	if err != nil {
		return nil, err
	}
	report := s.Policies.Lint(ctx, "policy", policy.Text{CSV: t.CSV})
	if report.Policy != nil {
		if err := report.Policy.CheckLockout(ctx, s.changer(call.Principal), time.Now()); err != nil {
			report.Warnings = slices.Insert(report.Warnings, 0, policy.Problem{Msg: err.Error(), Hint: "a gateway does not put it in force from a draft"})
		}
	}
	return &adminv1.LintPolicyResponse{Problems: problemsOf(report)}, nil
}

// changer returns the principal if it may change the policy now: who may not
// has nothing to lose, and is nil.
func (s *service) changer(p *gateway.Principal) *gateway.Principal {
	mayChange := func(r policy.Right) bool { return r.Area == policy.AreaPolicy && r.Admin }
	if slices.ContainsFunc(s.Enforcer.Rights(p), mayChange) {
		return p
	}
	return nil
}

func (s *service) testPolicy(ctx context.Context, _ *gateway.Call, req *adminv1.TestPolicyRequest) (*adminv1.TestPolicyResponse, error) {
	t, err := s.text(ctx, req.GetCsv(), req.GetDraft())
	if err != nil {
		return nil, err
	}
	if req.GetChecks() != "" {
		t.Checks = req.GetChecks()
	}
	report := s.Policies.Lint(ctx, "policy", t)
	res := &adminv1.TestPolicyResponse{Failures: failuresOf(report)}
	if len(report.Problems) > 0 {
		report.Warnings = nil
		res.Problems = problemsOf(report)
		return res, nil
	}
	if checks, err := policy.ParseChecks("checks", []byte(t.Checks)); err == nil {
		res.Checks = int32(len(checks)) //nolint:gosec // They are bounded.
	}
	return res, nil
}

func (s *service) activatePolicy(ctx context.Context, call *gateway.Call, req *adminv1.ActivatePolicyRequest) (*adminv1.ActivatePolicyResponse, error) {
	v, err := s.Policies.Activate(ctx, req.GetId(), req.GetRevision(), call.Principal)
	if err != nil {
		return nil, policyError(err)
	}
	s.settle(ctx, &v)
	v.Text = policy.Text{}
	return &adminv1.ActivatePolicyResponse{Policy: versionOf(&v, v.ID)}, nil
}

func (s *service) rollbackPolicy(ctx context.Context, call *gateway.Call, req *adminv1.RollbackPolicyRequest) (*adminv1.RollbackPolicyResponse, error) {
	v, err := s.Policies.Rollback(ctx, req.GetTo(), req.GetActive(), call.Principal)
	if err != nil {
		return nil, policyError(err)
	}
	s.settle(ctx, &v)
	v.Text = policy.Text{}
	return &adminv1.RollbackPolicyResponse{Policy: versionOf(&v, v.ID)}, nil
}

// settle waits until this node decides by a version that came into force, which
// takes it milliseconds, or for a moment: the caller's next request finds it so.
func (s *service) settle(ctx context.Context, v *policy.Version) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !strings.HasPrefix(v.SHA256, s.Enforcer.Policy().Version()) {
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

func versionOf(v *policy.Version, active int64) *adminv1.PolicyVersion {
	return &adminv1.PolicyVersion{
		Id: v.ID, Parent: v.Parent, Sha256: v.SHA256, Author: v.Author, Comment: v.Comment, Activated: timestamppb.New(v.Activated),
		Active: v.ID == active, Csv: v.CSV, Checks: v.Checks, Restores: v.Restores, ActivatedBy: v.By,
	}
}

func problemsOf(r *policy.Report) []*adminv1.PolicyProblem {
	var out []*adminv1.PolicyProblem
	add := func(all policy.Problems, warning bool) {
		for _, p := range all {
			out = append(out, &adminv1.PolicyProblem{
				Line: int32(p.Line), Column: int32(p.Col), Message: p.Msg, Hint: p.Hint, Warning: warning, //nolint:gosec // Texts are bounded.
			})
		}
	}
	add(r.Problems, false)
	add(r.Warnings, true)
	return out
}

func failuresOf(r *policy.Report) []*adminv1.PolicyFailure {
	var out []*adminv1.PolicyFailure
	for _, f := range r.Failures {
		out = append(out, &adminv1.PolicyFailure{Line: int32(f.Check.Line), Text: f.Check.Text, Reason: f.Decision.Reason}) //nolint:gosec // Texts are bounded.
	}
	return out
}

// policyError returns a failure of the policy's store in words for the
// administrator, and nil for nil.
func policyError(err error) error {
	if err == nil {
		return nil
	}
	refuse := func(code gateway.Code, msg string) error {
		return &gateway.Error{Code: code, By: by, Msg: msg, Err: err}
	}
	problems, isProblems := errors.AsType[policy.Problems](err)
	failures, isFailures := errors.AsType[policy.Failures](err)
	switch {
	case isProblems:
		return refuse(gateway.FailedPrecondition, fmt.Sprintf("the policy has mistakes: %v", problems))
	case isFailures:
		return refuse(gateway.FailedPrecondition, fmt.Sprintf("checks do not hold: %v", failures))
	case errors.Is(err, policy.ErrLockout), errors.Is(err, policy.ErrReadOnly):
		return refuse(gateway.FailedPrecondition, err.Error())
	case errors.Is(err, policy.ErrConflict):
		return refuse(gateway.Aborted, err.Error())
	case errors.Is(err, policy.ErrNotFound):
		return refuse(gateway.NotFound, err.Error())
	case errors.Is(err, policy.ErrInvalid):
		return refuse(gateway.InvalidArgument, err.Error())
	case errors.Is(err, policy.ErrTooMany):
		return refuse(gateway.ResourceExhausted, err.Error())
	}
	return stateError(err)
}
