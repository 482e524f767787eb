package server

import (
	"context"
	"errors"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/admin"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/guard"
)

// administration returns the gateway of administration: a registry of its own,
// which no list shows, behind the observers and gates of every call.
func (s *Server) administration(ctx context.Context, cfg *config.Config) (*gateway.Gateway, error) {
	o := admin.Options{
		Node: s.state.Name(), Registry: s.registry, Notes: s.doorNotes, Status: func(into *adminv1.Source) { s.sources.describe(into) },
		Endpoints: func(source string) *guard.Endpoints { return s.sources.endpoints(source) },
		Addresses: func(source string) map[string]string { return s.sources.addresses(source) }, Pins: s.pins, Sessions: &s.sessions, Policies: s.policies, Enforcer: s.policy,
		Keys: s.keys, Revocations: s.revocations, Logins: s.logins, Connections: s.connections, Limits: s.limits, Overrides: s.overrides, Traffic: s.traffic, Audit: s.audit, AuditDir: cfg.AuditDir(),
	}
	var err error
	if cfg.GRPC.Typed {
		if s.locks, err = openLocks(ctx, s.state); err != nil {
			return nil, err
		}
		o.Locks = s.locks
	}
	if s.peers, err = s.openPeers(ctx); err != nil {
		return nil, err
	}
	if s.peers != nil {
		if err := s.peers.serve(ctx, o); err != nil {
			return nil, err
		}
		o.Peers = s.peers
	}
	methods, err := admin.New(o)
	if err != nil {
		return nil, err
	}
	registry := new(gateway.Registry)
	for c, err := range methods.Watch(ctx) {
		if err != nil {
			return nil, err
		}
		if err := registry.Attach("admin", methods, c, gateway.Options{Admin: true}); err != nil {
			return nil, err
		}
		return s.road(registry)
	}
	return nil, errors.New("administration has no methods")
}
