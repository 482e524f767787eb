package server

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/url"

	"github.com/trilith-gateway/trilith/auth/connect"
	"github.com/trilith-gateway/trilith/gateway/audit"
	"github.com/trilith-gateway/trilith/gateway/config"
)

// openConnections opens what keeps the tokens of users for sources, or returns
// nil where no user can sign in.
func (s *Server) openConnections(ctx context.Context, cfg *config.Config) (*connect.Connections, error) {
	o := connect.Options{
		URL: s.base, Logger: s.log, Event: s.connected,
		Provider: func(name string) (connect.Provider, connect.Server) { return s.sources.provider(name) },
	}
	for _, i := range cfg.Auth.Issuers {
		if i.Login == nil {
			continue
		}
		secret, err := i.Login.ClientSecret.Resolve(s.lookup())
		if err != nil {
			return nil, fmt.Errorf("auth.issuers: %s: login.client_secret: %w", i.Name, err)
		}
		o.Logins = append(o.Logins, connect.Login{Issuer: i.Issuer, ClientID: i.Login.ClientID, ClientSecret: secret})
	}
	if o.Logins == nil {
		return nil, nil //nolint:nilnil // As the comment says.
	}
	var err error
	if o.Key, err = s.sharedKey(ctx, "connections"); err != nil {
		return nil, err
	}
	return connect.Open(ctx, s.state, o)
}

// Connections returns the users' connections to sources, or nil where no issuer
// lets users sign in.
func (s *Server) Connections() *connect.Connections { return s.connections }

// connectedTo returns whose tokens the users of a source have: those of its
// issuer, for its own origin. Endpoints of the source are the same upstream at
// other places.
func connectedTo(c *config.Source, o *config.OAuth) connect.Server {
	_, remote := c.Remote()
	at := remote.URL
	if c.OpenAPI != nil {
		at = cmp.Or(at, c.OpenAPI.Document) // Its own origin is where the operations are, then.
	}
	u, err := url.Parse(at)
	if err != nil {
		return connect.Server{Issuer: o.Issuer, Origin: at}
	}
	return connect.Server{Issuer: o.Issuer, Origin: u.Scheme + "://" + dialled(u)}
}

// connected records that a connection has begun or ended.
func (s *Server) connected(ctx context.Context, kind, user, detail string) {
	if err := s.audit.Event(ctx, audit.Event{Type: kind, Actor: user, Outcome: "OK", Detail: detail}); err != nil {
		s.log.ErrorContext(ctx, "audit record is missing", slog.String("type", kind), slog.Any("cause", err))
	}
}
