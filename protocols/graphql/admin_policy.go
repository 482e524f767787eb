package graphql

import (
	"context"
	"encoding/json"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
)

// Policy returns the policy in force.
func (a administration) Policy(ctx context.Context, _ *generated.Administration) (*adminv1.PolicyVersion, error) {
	res := &adminv1.GetPolicyResponse{}
	err := a.administer(ctx, "policy.GetPolicy", &adminv1.GetPolicyRequest{}, res)
	return res.GetPolicy(), err
}

// PolicyVersions returns a page of the history.
func (a administration) PolicyVersions(ctx context.Context, _ *generated.Administration, first *int32, after *string) (*generated.PolicyVersionPage, error) {
	size, err := pageSize(first)
	if err != nil {
		return nil, err
	}
	res := &adminv1.ListPolicyVersionsResponse{}
	err = a.administer(ctx, "policy.ListPolicyVersions", &adminv1.ListPolicyVersionsRequest{PageSize: size, PageToken: value(after)}, res)
	return &generated.PolicyVersionPage{Nodes: res.GetVersions(), EndCursor: optional(res.GetNextPageToken())}, err
}

// PolicyVersion returns one version.
func (a administration) PolicyVersion(ctx context.Context, _ *generated.Administration, id int64) (*adminv1.PolicyVersion, error) {
	res := &adminv1.GetPolicyVersionResponse{}
	err := a.administer(ctx, "policy.GetPolicyVersion", &adminv1.GetPolicyVersionRequest{Id: id}, res)
	return res.GetPolicy(), err
}

// DiffPolicy compares two policies.
func (a administration) DiffPolicy(ctx context.Context, _ *generated.Administration, from, to *int64, draft *string) (*adminv1.DiffPolicyResponse, error) {
	req, res := &adminv1.DiffPolicyRequest{Draft: value(draft)}, &adminv1.DiffPolicyResponse{}
	if from != nil {
		req.From = *from
	}
	if to != nil {
		req.To = *to
	}
	return res, a.administer(ctx, "policy.DiffPolicy", req, res)
}

// PolicyDrafts lists the drafts.
func (a administration) PolicyDrafts(ctx context.Context, _ *generated.Administration) ([]*adminv1.PolicyDraft, error) {
	res := &adminv1.ListPolicyDraftsResponse{}
	err := a.administer(ctx, "policy.ListPolicyDrafts", &adminv1.ListPolicyDraftsRequest{}, res)
	return shown(res.GetDrafts()), err
}

// PolicyDraft returns one draft.
func (a administration) PolicyDraft(ctx context.Context, _ *generated.Administration, id string) (*adminv1.PolicyDraft, error) {
	res := &adminv1.GetPolicyDraftResponse{}
	err := a.administer(ctx, "policy.GetPolicyDraft", &adminv1.GetPolicyDraftRequest{Id: id}, res)
	return res.GetDraft(), err
}

// CreatePolicyDraft begins a draft.
func (m mutation) CreatePolicyDraft(ctx context.Context, comment *string) (*adminv1.PolicyDraft, error) {
	res := &adminv1.CreatePolicyDraftResponse{}
	err := m.administer(ctx, "policy.CreatePolicyDraft", &adminv1.CreatePolicyDraftRequest{Comment: value(comment)}, res)
	return res.GetDraft(), err
}

// SavePolicyDraft changes a draft.
func (m mutation) SavePolicyDraft(ctx context.Context, id string, revision int64, csv, checks, comment *string, rebase bool) (*adminv1.SavePolicyDraftResponse, error) {
	res := &adminv1.SavePolicyDraftResponse{}
	return res, m.administer(ctx, "policy.SavePolicyDraft", &adminv1.SavePolicyDraftRequest{
		Id: id, Revision: revisionOf(revision), Csv: csv, Checks: checks, Comment: comment, Rebase: rebase,
	}, res)
}

// DiscardPolicyDraft deletes a draft.
func (m mutation) DiscardPolicyDraft(ctx context.Context, id string, revision int64) (*string, error) {
	return &id, m.administer(ctx, "policy.DiscardPolicyDraft", &adminv1.DiscardPolicyDraftRequest{Id: id, Revision: revisionOf(revision)}, &adminv1.DiscardPolicyDraftResponse{})
}

// LintPolicy finds mistakes in a policy.
func (a administration) LintPolicy(ctx context.Context, _ *generated.Administration, csv, draft *string) ([]*adminv1.PolicyProblem, error) {
	res := &adminv1.LintPolicyResponse{}
	err := a.administer(ctx, "policy.LintPolicy", &adminv1.LintPolicyRequest{Csv: value(csv), Draft: value(draft)}, res)
	return shown(res.GetProblems()), err
}

// TestPolicy holds a policy against checks.
func (a administration) TestPolicy(ctx context.Context, _ *generated.Administration, csv, draft, checks *string) (*adminv1.TestPolicyResponse, error) {
	res := &adminv1.TestPolicyResponse{}
	return res, a.administer(ctx, "policy.TestPolicy", &adminv1.TestPolicyRequest{Csv: value(csv), Draft: value(draft), Checks: value(checks)}, res)
}

// PolicyImpact decides recorded calls by a policy.
func (a administration) PolicyImpact(ctx context.Context, _ *generated.Administration, csv, draft *string, days *int32) (*adminv1.GetPolicyImpactResponse, error) {
	req, res := &adminv1.GetPolicyImpactRequest{Csv: value(csv), Draft: value(draft)}, &adminv1.GetPolicyImpactResponse{}
	if days != nil {
		req.Days = *days
	}
	return res, a.administer(ctx, "policy.GetPolicyImpact", req, res)
}

// ActivatePolicy puts a draft in force.
func (m mutation) ActivatePolicy(ctx context.Context, id string, revision int64) (*adminv1.PolicyVersion, error) {
	res := &adminv1.ActivatePolicyResponse{}
	err := m.administer(ctx, "policy.ActivatePolicy", &adminv1.ActivatePolicyRequest{Id: id, Revision: revisionOf(revision)}, res)
	return res.GetPolicy(), err
}

// RollbackPolicy puts an earlier version in force.
func (m mutation) RollbackPolicy(ctx context.Context, to, active int64) (*adminv1.PolicyVersion, error) {
	res := &adminv1.RollbackPolicyResponse{}
	err := m.administer(ctx, "policy.RollbackPolicy", &adminv1.RollbackPolicyRequest{To: to, Active: active}, res)
	return res.GetPolicy(), err
}

// ExplainPolicy says whether somebody may do something, and why.
func (a administration) ExplainPolicy(ctx context.Context, _ *generated.Administration, who generated.PolicySubject, what string, action *string, arguments json.RawMessage, via *string) (*adminv1.ExplainPolicyResponse, error) {
	args, err := object("arguments", arguments)
	if err != nil {
		return nil, err
	}
	res := &adminv1.ExplainPolicyResponse{}
	return res, a.administer(ctx, "policy.ExplainPolicy", &adminv1.ExplainPolicyRequest{
		Who: toSubject(who), Object: what, Action: value(action), ArgumentsJson: string(args), Via: value(via),
	}, res)
}

// Permissions lists what somebody may do.
func (a administration) Permissions(ctx context.Context, _ *generated.Administration, who generated.PolicySubject) ([]*adminv1.Permission, error) {
	res := &adminv1.ListPermissionsResponse{}
	err := a.administer(ctx, "policy.ListPermissions", &adminv1.ListPermissionsRequest{Who: toSubject(who)}, res)
	return shown(res.GetPermissions()), err
}

// Grantees lists who may do something.
func (a administration) Grantees(ctx context.Context, _ *generated.Administration, what string, action *string) (*adminv1.ListGranteesResponse, error) {
	res := &adminv1.ListGranteesResponse{}
	return res, a.administer(ctx, "policy.ListGrantees", &adminv1.ListGranteesRequest{Object: what, Action: value(action)}, res)
}

func toSubject(s generated.PolicySubject) *adminv1.Subject {
	return &adminv1.Subject{Principal: value(s.Principal), Subjects: s.Subjects, Tenant: value(s.Tenant)}
}

// revisionOf returns a revision as admin.v1 has it. No draft has revision 0.
func revisionOf(n int64) uint64 { return uint64(max(n, 0)) }
