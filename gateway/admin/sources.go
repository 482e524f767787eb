package admin

import (
	"context"
	"math"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/gateway"
)

func (s *service) sourceMethods() []method {
	return []method{inspect("SourceService", "ListSources", s.listSources)}
}

func (s *service) listSources(context.Context, *gateway.Call, *adminv1.ListSourcesRequest) (*adminv1.ListSourcesResponse, error) {
	res := &adminv1.ListSourcesResponse{}
	byName := map[string]*adminv1.Source{}
	for name, problem := range s.Registry.Sources() {
		source := &adminv1.Source{Name: name, Available: problem == nil}
		if problem != nil {
			source.Problem = problem.Error() // The operator may see the cause.
		}
		if s.Pins != nil {
			hidden, waiting := s.Pins.Findings(name)
			source.Hidden, source.Quarantined = hidden, int32(min(waiting, math.MaxInt32)) //nolint:gosec // It is bounded.
		}
		byName[name] = source
		res.Sources = append(res.Sources, source)
	}
	count := func(c *gateway.Capability, what func(*adminv1.Source) *int32) {
		if source := byName[c.Source]; source != nil {
			*what(source)++
		}
	}
	now := s.Registry.Snapshot()
	for _, t := range now.Tools {
		count(&t.Capability, func(x *adminv1.Source) *int32 { return &x.Tools })
	}
	for _, r := range now.Resources {
		count(&r.Capability, func(x *adminv1.Source) *int32 { return &x.Resources })
	}
	for _, t := range now.Templates {
		count(&t.Capability, func(x *adminv1.Source) *int32 { return &x.Resources })
	}
	for _, p := range now.Prompts {
		count(&p.Capability, func(x *adminv1.Source) *int32 { return &x.Prompts })
	}
	return res, nil
}
