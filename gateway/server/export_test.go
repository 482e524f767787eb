package server

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/auth/policy"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/pin"
	"github.com/trilith-gateway/trilith/protocols/egress"
)

// Revoke revokes a token or a principal, as another node would.
func Revoke(ctx context.Context, s *Server, v auth.Revocation) error {
	r, err := auth.OpenRevocations(ctx, s.state)
	if err != nil {
		return err
	}
	return r.Revoke(ctx, v)
}

// WithPatience returns the options with another limit for the bodies of
// requests.
func WithPatience(o Options, patience time.Duration) Options {
	o.patience = patience
	return o
}

// WithDrain returns the options with another limit for calls under way at the
// end.
func WithDrain(o Options, d time.Duration) Options {
	o.drain = d
	return o
}

// Keys returns the API keys of a server.
func Keys(s *Server) *auth.Keys { return s.keys }

// Policies and Policy are a server's store of policies and the enforcer of the
// one in force.
func Policies(s *Server) *policy.Store  { return s.policies }
func Policy(s *Server) *policy.Enforcer { return s.policy }

// Routes returns the patterns of all HTTP routes.
func Routes(s *Server) (patterns []string) {
	for _, r := range s.routes() {
		patterns = append(patterns, r.pattern)
	}
	return patterns
}

// GRPC returns the services that the gRPC door serves.
func GRPC(s *Server) map[string]grpc.ServiceInfo { return s.grpcS.GetServiceInfo() }

// Pins are the approvals of a server.
func Pins(s *Server) *pin.Store { return s.pins }

// Egress returns the HTTP client that a server makes for a source.
func Egress(s *Server, c config.Source) (*egress.Client, error) {
	have, err := s.resolve(c)
	if err != nil {
		return nil, err
	}
	_, remote := c.Remote()
	return s.egress(c.Name, remote, have)
}
