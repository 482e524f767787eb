package graphql

import (
	"context"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
)

// Limits returns the rate limits and how they stand.
func (a administration) Limits(ctx context.Context, _ *generated.Administration, first *int32, key *string) (*adminv1.ListLimitsResponse, error) {
	size, err := pageSize(first)
	if err != nil {
		return nil, err
	}
	res := &adminv1.ListLimitsResponse{}
	return res, a.administer(ctx, "limits.ListLimits", &adminv1.ListLimitsRequest{Key: value(key), PageSize: size}, res)
}

// SetLimitOverride sets an override of the rate limits.
func (m mutation) SetLimitOverride(ctx context.Context, per string, key, rate *string, burst *int64, ttlSeconds int64, reason *string, revision *int64) (*adminv1.SetLimitOverrideResponse, error) {
	req := &adminv1.SetLimitOverrideRequest{
		Per: per, Key: value(key), Rate: value(rate), Unlimited: rate == nil, TtlSeconds: ttlSeconds, Reason: value(reason),
	}
	if burst != nil {
		req.Burst = *burst
	}
	if revision != nil {
		req.Revision = revisionOf(*revision)
	}
	res := &adminv1.SetLimitOverrideResponse{}
	return res, m.administer(ctx, "limits.SetLimitOverride", req, res)
}

// RemoveLimitOverride removes an override of the rate limits.
func (m mutation) RemoveLimitOverride(ctx context.Context, per string, key *string, revision *int64) (*int64, error) {
	req := &adminv1.RemoveLimitOverrideRequest{Per: per, Key: value(key)}
	if revision != nil {
		req.Revision = revisionOf(*revision)
	}
	res := &adminv1.RemoveLimitOverrideResponse{}
	err := m.administer(ctx, "limits.RemoveLimitOverride", req, res)
	now := int64(res.GetRevision()) //nolint:gosec // It counts changes.
	return &now, err
}
