package graphql

import (
	"context"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
)

// Canary returns how the endpoints of a source do.
func (a administration) Canary(ctx context.Context, _ *generated.Administration, source string) (*generated.EndpointStatus, error) {
	res := &adminv1.GetCanaryResponse{}
	err := a.administer(ctx, "sources.GetCanary", &adminv1.GetCanaryRequest{Source: source}, res)
	return &generated.EndpointStatus{Canary: res.GetCanary(), Endpoints: shown(res.GetEndpoints())}, err
}

// ShiftCanary gives a canary a share of the calls.
func (m mutation) ShiftCanary(ctx context.Context, source string, percent int32) (*adminv1.SourceCanary, error) {
	res := &adminv1.ShiftCanaryResponse{}
	err := m.administer(ctx, "sources.ShiftCanary", &adminv1.ShiftCanaryRequest{Source: source, Percent: percent}, res)
	return res.GetCanary(), err
}

// PromoteCanary gives a canary every call.
func (m mutation) PromoteCanary(ctx context.Context, source string) (*adminv1.SourceCanary, error) {
	res := &adminv1.PromoteCanaryResponse{}
	err := m.administer(ctx, "sources.PromoteCanary", &adminv1.PromoteCanaryRequest{Source: source}, res)
	return res.GetCanary(), err
}

// AbortCanary gives a canary no calls.
func (m mutation) AbortCanary(ctx context.Context, source, reason string) (*adminv1.SourceCanary, error) {
	res := &adminv1.AbortCanaryResponse{}
	err := m.administer(ctx, "sources.AbortCanary", &adminv1.AbortCanaryRequest{Source: source, Reason: reason}, res)
	return res.GetCanary(), err
}
