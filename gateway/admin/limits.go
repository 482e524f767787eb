package admin

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/limits"
)

func (s *service) limitMethods() []method {
	return []method{
		inspect("LimitService", "ListLimits", s.listLimits),
		change("LimitService", "SetLimitOverride", s.setLimitOverride),
		change("LimitService", "RemoveLimitOverride", s.removeLimitOverride),
	}
}

func (s *service) listLimits(_ context.Context, _ *gateway.Call, req *adminv1.ListLimitsRequest) (*adminv1.ListLimitsResponse, error) {
	now := s.Limits.Status()
	res := &adminv1.ListLimitsResponse{Revision: now.Revision}
	for _, r := range now.Rules {
		res.Rules = append(res.Rules, &adminv1.LimitRule{
			Name: r.Name, Per: r.Per, Roles: r.Match.Roles, Tools: r.Match.Tools, Sources: r.Match.Sources, Actions: r.Match.Actions,
			Rate: r.Rate.String(), Burst: burst(r.Burst, r.Rate), Admitted: r.Admitted, Refused: r.Refused,
		})
	}
	at := time.Now()
	for i := range now.Overrides {
		if o := &now.Overrides[i]; at.Before(o.Expires) {
			res.Overrides = append(res.Overrides, overrideOf(o))
		}
	}
	most := pageSize(req.GetPageSize(), 100, 1000)
	for _, b := range now.Buckets {
		if req.GetKey() != "" && b.Key != req.GetKey() {
			continue
		}
		if res.Total++; len(res.Buckets) < most {
			res.Buckets = append(res.Buckets, &adminv1.LimitBucket{
				Rule: b.Rule, Per: b.Per.String(), Key: b.Key, Tokens: b.Tokens, Burst: b.Burst,
				RetryMs: (b.Next + time.Millisecond - 1).Milliseconds(),
			})
		}
	}
	return res, nil
}

func (s *service) setLimitOverride(ctx context.Context, call *gateway.Call, req *adminv1.SetLimitOverrideRequest) (*adminv1.SetLimitOverrideResponse, error) {
	const mostBurst, mostSeconds = 1_000_000_000, int64(10 * 366 * 24 * time.Hour / time.Second) // Far beyond what is let in.
	if req.GetBurst() < 0 || req.GetBurst() > mostBurst {
		return nil, invalid("a burst is at most %d calls", mostBurst)
	}
	o := limits.Override{
		Per: req.GetPer(), Key: req.GetKey(), Burst: int(req.GetBurst()), Unlimited: req.GetUnlimited(), Reason: req.GetReason(), By: call.Principal.ID,
		Created: time.Now().UTC().Truncate(time.Second),
	}
	o.Expires = o.Created.Add(time.Duration(min(max(0, req.GetTtlSeconds()), mostSeconds)) * time.Second)
	if req.GetRate() != "" {
		var err error
		if o.Rate, err = config.ParseRate(req.GetRate()); err != nil {
			return nil, invalid("%v", err)
		}
	}
	revision, err := s.Overrides.Set(ctx, o, req.GetRevision())
	if err != nil {
		return nil, limitError(err)
	}
	return &adminv1.SetLimitOverrideResponse{Override: overrideOf(&o), Revision: revision}, nil
}

func (s *service) removeLimitOverride(ctx context.Context, _ *gateway.Call, req *adminv1.RemoveLimitOverrideRequest) (*adminv1.RemoveLimitOverrideResponse, error) {
	revision, err := s.Overrides.Remove(ctx, req.GetPer(), req.GetKey(), req.GetRevision())
	if err != nil {
		return nil, limitError(err)
	}
	return &adminv1.RemoveLimitOverrideResponse{Revision: revision}, nil
}

func limitError(err error) error {
	code := gateway.InvalidArgument
	switch {
	case errors.Is(err, limits.ErrNotFound):
		code = gateway.NotFound
	case errors.Is(err, limits.ErrTooMany):
		code = gateway.ResourceExhausted
	case errors.Is(err, limits.ErrConflict):
		code = gateway.Aborted
	case !errors.Is(err, limits.ErrInvalid):
		return stateError(err)
	}
	return &gateway.Error{Code: code, By: by, Msg: err.Error(), Err: err}
}

func overrideOf(o *limits.Override) *adminv1.LimitOverride {
	return &adminv1.LimitOverride{
		Per: o.Per, Key: o.Key, Rate: o.Rate.String(), Burst: burst(o.Burst, o.Rate), Unlimited: o.Unlimited,
		Expires: timestamppb.New(o.Expires), Created: timestamppb.New(o.Created), CreatedBy: o.By, Reason: o.Reason,
	}
}

// burst is how many calls a full bucket holds.
func burst(configured int, r config.Rate) int64 {
	if configured == 0 {
		configured = r.Calls
	}
	return int64(configured)
}
