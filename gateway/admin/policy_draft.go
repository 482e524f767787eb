package admin

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/auth/policy"
	"github.com/trilith-gateway/trilith/gateway"
)

func (s *service) listPolicyDrafts(ctx context.Context, _ *gateway.Call, _ *adminv1.ListPolicyDraftsRequest) (*adminv1.ListPolicyDraftsResponse, error) {
	all, err := s.Policies.Drafts(ctx)
	if err != nil {
		return nil, policyError(err)
	}
	res := &adminv1.ListPolicyDraftsResponse{}
	for i := range all {
		res.Drafts = append(res.Drafts, draftOf(&all[i]))
	}
	return res, nil
}

func (s *service) createPolicyDraft(ctx context.Context, call *gateway.Call, req *adminv1.CreatePolicyDraftRequest) (*adminv1.CreatePolicyDraftResponse, error) {
	d, err := s.Policies.CreateDraft(ctx, call.Principal.ID, req.GetComment())
	if err != nil {
		return nil, policyError(err)
	}
	return &adminv1.CreatePolicyDraftResponse{Draft: draftOf(&d)}, nil
}

func (s *service) getPolicyDraft(ctx context.Context, _ *gateway.Call, req *adminv1.GetPolicyDraftRequest) (*adminv1.GetPolicyDraftResponse, error) {
	d, err := s.Policies.Draft(ctx, req.GetId())
	if err != nil {
		return nil, policyError(err)
	}
	return &adminv1.GetPolicyDraftResponse{Draft: draftOf(&d)}, nil
}

func (s *service) savePolicyDraft(ctx context.Context, _ *gateway.Call, req *adminv1.SavePolicyDraftRequest) (*adminv1.SavePolicyDraftResponse, error) {
	d, err := s.Policies.SaveDraft(ctx, req.GetId(), req.GetRevision(), policy.Edit{
		CSV: req.Csv, Checks: req.Checks, Comment: req.Comment, Rebase: req.GetRebase(),
	})
	if err != nil {
		return nil, policyError(err)
	}
	report := s.Policies.Lint(ctx, "draft", d.Text)
	d.Text = policy.Text{}
	return &adminv1.SavePolicyDraftResponse{Draft: draftOf(&d), Problems: problemsOf(report), Failures: failuresOf(report)}, nil
}

func (s *service) discardPolicyDraft(ctx context.Context, _ *gateway.Call, req *adminv1.DiscardPolicyDraftRequest) (*adminv1.DiscardPolicyDraftResponse, error) {
	if err := s.Policies.DiscardDraft(ctx, req.GetId(), req.GetRevision()); err != nil {
		return nil, policyError(err)
	}
	return &adminv1.DiscardPolicyDraftResponse{}, nil
}

func draftOf(d *policy.Draft) *adminv1.PolicyDraft {
	return &adminv1.PolicyDraft{
		Id: d.ID, Revision: d.Revision, Base: d.Base, Csv: d.CSV, Checks: d.Checks,
		Author: d.Author, Comment: d.Comment, Changed: timestamppb.New(d.Changed),
	}
}
