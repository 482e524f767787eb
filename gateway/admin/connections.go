package admin

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/auth/connect"
	"github.com/trilith-gateway/trilith/gateway"
)

// maxConnections bounds a list of connections.
const maxConnections = 10_000

func (s *service) connectionMethods() []method {
	return []method{
		inspect("SessionService", "ListConnections", s.listConnections),
		change("SessionService", "EndConnection", s.endConnection),
	}
}

func (s *service) listConnections(ctx context.Context, _ *gateway.Call, req *adminv1.ListConnectionsRequest) (*adminv1.ListConnectionsResponse, error) {
	if s.Connections == nil {
		return &adminv1.ListConnectionsResponse{}, nil
	}
	all, err := s.Connections.All(ctx)
	if err != nil {
		return nil, stateError(err)
	}
	all = slices.DeleteFunc(all, func(c connect.Connection) bool {
		return req.GetPrincipal() != "" && c.User != req.GetPrincipal() || req.GetSource() != "" && c.Upstream != req.GetSource()
	})
	slices.SortFunc(all, func(a, b connect.Connection) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.User, b.User), cmp.Compare(a.Upstream, b.Upstream))
	})
	res := &adminv1.ListConnectionsResponse{Total: int64(len(all))}
	for _, c := range all[:min(len(all), maxConnections)] {
		res.Connections = append(res.Connections, &adminv1.Connection{Principal: c.User, Tenant: c.Tenant, Source: c.Upstream, Since: timestamppb.New(c.Since)})
	}
	return res, nil
}

func (s *service) endConnection(ctx context.Context, _ *gateway.Call, req *adminv1.EndConnectionRequest) (*adminv1.EndConnectionResponse, error) {
	if req.GetPrincipal() == "" || req.GetSource() == "" {
		return nil, invalid("the request names a principal and a source")
	}
	told, err := false, connect.ErrNotConnected
	if s.Connections != nil {
		told, err = s.Connections.Forget(ctx, connect.Owner{Tenant: req.GetTenant(), Upstream: req.GetSource(), User: req.GetPrincipal()})
	}
	if errors.Is(err, connect.ErrNotConnected) {
		return nil, &gateway.Error{Code: gateway.NotFound, By: by, Msg: "the user has not connected that source", Err: err}
	}
	if err != nil {
		return nil, stateError(err)
	}
	return &adminv1.EndConnectionResponse{Revoked: told}, nil
}
