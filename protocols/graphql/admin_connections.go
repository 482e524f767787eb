package graphql

import (
	"context"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
)

// Connections lists the sources that users have connected.
func (a administration) Connections(ctx context.Context, _ *generated.Administration, principal, source *string) (*adminv1.ListConnectionsResponse, error) {
	res := &adminv1.ListConnectionsResponse{}
	return res, a.administer(ctx, "sessions.ListConnections", &adminv1.ListConnectionsRequest{Principal: value(principal), Source: value(source)}, res)
}

// EndConnection ends a user's connection to a source.
func (m mutation) EndConnection(ctx context.Context, principal, source string, tenant *string) (*adminv1.EndConnectionResponse, error) {
	res := &adminv1.EndConnectionResponse{}
	return res, m.administer(ctx, "sessions.EndConnection", &adminv1.EndConnectionRequest{Principal: principal, Source: source, Tenant: value(tenant)}, res)
}
