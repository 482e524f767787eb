package admin

import (
	"context"
	"errors"
	"math"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/guard"
)

// endpoints returns those of a source, nil where it has one.
func (s *service) endpoints(source string) (*guard.Endpoints, error) {
	if !s.hasSource(source) {
		return nil, &gateway.Error{Code: gateway.NotFound, By: by, Msg: "there is no such source"}
	}
	if s.Endpoints == nil {
		return nil, nil //nolint:nilnil // It has one.
	}
	return s.Endpoints(source), nil
}

// canaryOf returns the endpoints of a source that has a canary.
func (s *service) canaryOf(source string) (*guard.Endpoints, error) {
	e, err := s.endpoints(source)
	if err != nil {
		return nil, err
	}
	if e != nil {
		if _, ok := e.CanaryStatus(); ok {
			return e, nil
		}
	}
	return nil, &gateway.Error{Code: gateway.FailedPrecondition, By: by, Msg: "the source has no canary"}
}

func (s *service) getCanary(_ context.Context, _ *gateway.Call, req *adminv1.GetCanaryRequest) (*adminv1.GetCanaryResponse, error) {
	e, err := s.endpoints(req.GetSource())
	if err != nil || e == nil {
		return &adminv1.GetCanaryResponse{}, err
	}
	res := &adminv1.GetCanaryResponse{Canary: canaryStatus(e)}
	res.Endpoints = s.endpointStatus(req.GetSource(), e)
	return res, nil
}

func (s *service) endpointStatus(source string, e *guard.Endpoints) []*adminv1.SourceEndpoint {
	addresses := s.addresses(source)
	var out []*adminv1.SourceEndpoint
	for _, p := range e.Status() {
		out = append(out, &adminv1.SourceEndpoint{
			Name: p.Name, Role: p.Role.String(), Weight: int32(min(p.Weight, math.MaxInt32)), Present: p.Present, EjectedUntil: stamp(p.Until), //nolint:gosec // It is bounded.
			Running: p.Running, Calls: number(p.Calls), Failed: number(p.Failed), LatencyMs: milliseconds(p.Latency), Address: addresses[p.Name],
		})
	}
	return out
}

// mainEndpoint is the name of a source's first endpoint.
const mainEndpoint = "main"

// addEndpoints adds where a source can be reached.
func (s *service) addEndpoints(source *adminv1.Source) {
	if s.Endpoints != nil {
		if e := s.Endpoints(source.GetName()); e != nil {
			source.Endpoints, source.Canary = s.endpointStatus(source.GetName(), e), canaryStatus(e)
			return
		}
	}
	if address := s.addresses(source.GetName())[mainEndpoint]; address != "" {
		source.Endpoints = []*adminv1.SourceEndpoint{{
			Name: mainEndpoint, Role: guard.Stable.String(), Weight: 1, Present: source.GetAvailable(), Address: address,
		}}
	}
}

func (s *service) addresses(source string) map[string]string {
	if s.Addresses == nil {
		return nil
	}
	return s.Addresses(source)
}

func (s *service) shiftCanary(ctx context.Context, _ *gateway.Call, req *adminv1.ShiftCanaryRequest) (*adminv1.ShiftCanaryResponse, error) {
	e, err := s.canaryOf(req.GetSource())
	if err != nil {
		return nil, err
	}
	if err := e.Shift(ctx, int(req.GetPercent())); errors.Is(err, guard.ErrShare) {
		return nil, invalid("%v", err)
	} else if err != nil {
		return nil, stateError(err)
	}
	return &adminv1.ShiftCanaryResponse{Canary: canaryStatus(e)}, nil
}

func (s *service) promoteCanary(ctx context.Context, _ *gateway.Call, req *adminv1.PromoteCanaryRequest) (*adminv1.PromoteCanaryResponse, error) {
	e, err := s.canaryOf(req.GetSource())
	if err != nil {
		return nil, err
	}
	if err := e.Promote(ctx); err != nil {
		return nil, stateError(err)
	}
	return &adminv1.PromoteCanaryResponse{Canary: canaryStatus(e)}, nil
}

// maxReason bounds why a canary was aborted, in bytes.
const maxReason = 500

func (s *service) abortCanary(ctx context.Context, _ *gateway.Call, req *adminv1.AbortCanaryRequest) (*adminv1.AbortCanaryResponse, error) {
	if len(req.GetReason()) > maxReason {
		return nil, invalid("a reason has at most %d bytes", maxReason)
	}
	e, err := s.canaryOf(req.GetSource())
	if err != nil {
		return nil, err
	}
	if err := e.Abort(ctx, req.GetReason()); err != nil {
		return nil, stateError(err)
	}
	return &adminv1.AbortCanaryResponse{Canary: canaryStatus(e)}, nil
}

func canaryStatus(e *guard.Endpoints) *adminv1.SourceCanary {
	c, ok := e.CanaryStatus()
	if !ok {
		return nil
	}
	share := func(s guard.CanaryShare) *adminv1.CanaryShare {
		return &adminv1.CanaryShare{Calls: int64(s.Calls), Failed: int64(s.Failed), LatencyMs: milliseconds(s.Latency)}
	}
	return &adminv1.SourceCanary{
		Phase: c.Phase, Percent: int32(min(c.Percent, 100)), Reason: c.Reason, Since: stamp(c.Since), //nolint:gosec // It is bounded.
		Stable: share(c.Stable), Canary: share(c.Canary),
	}
}

func number(n uint64) int64 { return int64(min(n, math.MaxInt64)) } //nolint:gosec // It is bounded.
