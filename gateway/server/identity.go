package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/auth/issuer"
	"github.com/trilith-gateway/trilith/auth/login"
	"github.com/trilith-gateway/trilith/auth/policy"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
)

// endpoints are the paths that are OAuth resources of their own.
func endpoints(cfg *config.Config) []string {
	paths := []string{"/mcp", "/sse", "/messages", "/graphql"}
	for _, t := range cfg.Toolsets {
		paths = append(paths, toolsetPath(t.Name))
	}
	return paths
}

// openIdentity makes the one Door that stands before every frontend.
func (s *Server) openIdentity(ctx context.Context, cfg *config.Config) error {
	if s.options.Local {
		return nil
	}
	s.refusals = newRefusals(s.audit.Event, s.log)
	door := auth.DoorOptions{
		Resource: s.base, Endpoints: endpoints(cfg), Origins: cfg.Listen.AllowedOrigins, Scopes: s.scopesSupported(cfg),
		Public: publicGRPC(cfg), Refused: s.refusals.add, KeepTokens: s.keepTokens.Load, Logger: s.log,
		ClientCertificates: cfg.Listen.TLS != nil && cfg.Listen.TLS.ClientCA != "",
	}
	issuers, err := s.issuers(cfg)
	if err != nil {
		return err
	}
	for _, i := range issuers {
		door.Servers = append(door.Servers, i.URL)
	}
	tokens, err := s.openTokens(ctx, cfg, issuers)
	if err != nil {
		return err
	}
	if tokens != (auth.Tokens{}) {
		door.Auth = tokens
	}
	if cfg.Auth.APIKeys != nil {
		door.KeyHeader = cfg.Auth.APIKeys.Header
	}
	door.Certificates = s.certificates(cfg.Auth.Certificates)
	if door.Proofs, err = s.newProofs(ctx, cfg); err != nil {
		return err
	}
	if cfg.Auth.Anonymous != nil {
		door.Anonymous = principal("anonymous", cfg.Auth.Anonymous)
	}
	s.options.Dev.open(&door)
	if door.Auth == nil && door.Anonymous == nil && door.Certificates == nil {
		return errors.New("nobody could pass: configure auth.issuers or auth.api_keys, or auth.anonymous on loopback, or try gateway dev")
	}
	if err := s.openPages(ctx, cfg, &door); err != nil {
		return err
	}
	s.doorOptions = door
	s.door, err = auth.NewDoor(door)
	return err
}

// openPages opens what people come to with a browser.
func (s *Server) openPages(ctx context.Context, cfg *config.Config, door *auth.DoorOptions) (err error) {
	if s.connections, err = s.openConnections(ctx, cfg); err != nil {
		return err
	}
	if s.logins, err = s.openLogins(ctx, cfg, door.Auth); err == nil && s.logins != nil {
		door.Logins = s.logins
	}
	return err
}

// open lets in whom only the development mode does. A nil mode changes nothing.
func (d *Dev) open(door *auth.DoorOptions) {
	if d == nil {
		return
	}
	door.Public = append(door.Public, "/grpc.reflection.")
	if d.Conformance {
		door.Anonymous = principal("anonymous", &config.Principal{Subject: "conformance", Roles: []string{"conformance"}})
	}
}

// exchanges reports whether any source is called with tokens that are got for
// those of callers.
func exchanges(cfg *config.Config) bool {
	return slices.ContainsFunc(cfg.Sources, func(c config.Source) bool {
		_, remote := c.Remote()
		return remote != nil && remote.OAuth != nil && remote.OAuth.TokenExchange != nil
	})
}

// openTokens returns what judges the tokens of each form that is accepted.
func (s *Server) openTokens(ctx context.Context, cfg *config.Config, issuers []auth.IssuerOptions) (tokens auth.Tokens, err error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // What follows the state outlasts the building.
	s.onClose(func() error { end(); return nil })
	building := context.AfterFunc(ctx, end)
	if s.revocations, err = auth.OpenRevocations(life, s.state); err != nil {
		return tokens, err
	}
	if len(issuers) > 0 {
		if s.oidc, err = auth.NewOIDC(ctx, issuers, auth.OIDCOptions{Revocations: s.revocations, Logger: s.log}); err != nil {
			return tokens, err
		}
		s.onClose(s.oidc.Close)
		tokens.Signed = s.oidc
	}
	if tokens.Opaque, err = s.openIntrospection(ctx, cfg); err != nil {
		return tokens, err
	}
	if cfg.Auth.APIKeys != nil {
		if err := s.openKeys(life, cfg); err != nil {
			return tokens, err
		}
		tokens.Keys = s.keys
	}
	if !building() {
		return tokens, context.Cause(ctx)
	}
	return tokens, nil
}

// certificates returns what says who clients with certificates are, or nil where
// none are taken.
func (s *Server) certificates(c *config.Certificates) *auth.Certificates {
	if c == nil {
		return nil
	}
	return &auth.Certificates{Subject: c.Subject, Tenant: c.Tenant, Groups: c.Groups, Roles: c.Roles, Revocations: s.revocations}
}

// newProofs returns the memory of DPoP proofs, which all doors share.
func (s *Server) newProofs(ctx context.Context, cfg *config.Config) (*auth.Proofs, error) {
	if !cfg.Auth.DPoPNonce {
		return auth.NewProofs(nil), nil
	}
	key, err := s.sharedKey(ctx, "dpop-nonce")
	return auth.NewProofs(&key), err
}

// scopesSupported returns the scopes that clients are told to ask for at first.
func (s *Server) scopesSupported(cfg *config.Config) []string {
	if s.scopes == nil || len(cfg.Auth.ScopesSupported) > 0 {
		return cfg.Auth.ScopesSupported
	}
	return s.scopes.All()
}

// scopesOf returns the gate of the configured scopes, or nil where there are
// none.
func scopesOf(cfg *config.Config) (*policy.Scopes, error) {
	if len(cfg.Auth.Scopes) == 0 {
		return nil, nil //nolint:nilnil // Scopes are not looked at.
	}
	var rules []policy.ScopeRule
	for _, r := range cfg.Auth.Scopes {
		rules = append(rules, policy.ScopeRule(r))
	}
	return policy.NewScopes(rules)
}

// stepUp returns the challenge for a request on the path that needs more
// scopes. The Door of the toolsets knows all paths there are.
func (s *Server) stepUp(path string, scopes []string) string {
	return s.toolsets.table.Load().door.StepUp(path, scopes)
}

// issuers returns the issuers of the configuration, and in development mode the
// built-in one.
func (s *Server) issuers(cfg *config.Config) (issuers []auth.IssuerOptions, err error) {
	for _, i := range cfg.Auth.Issuers {
		issuers = append(issuers, issuerOptions(i))
	}
	if s.options.Dev == nil {
		return issuers, nil
	}
	s.issuer, err = issuer.Open(issuer.Options{URL: s.base + issuerPath, KeyFile: issuerKey(cfg.Data), Redirect: s.base + login.CallbackPath})
	if err != nil {
		return nil, err
	}
	return append(issuers, auth.IssuerOptions{
		Name: "dev", URL: s.issuer.URL(), Audiences: auth.Resources(s.base, endpoints(cfg)...), RequireType: true, Keys: s.issuer.PublicKeys(),
	}), nil
}

func issuerOptions(i config.Issuer) auth.IssuerOptions {
	return auth.IssuerOptions{
		Name: i.Name, URL: i.Issuer, Audiences: i.Audiences, JWKSURL: i.JWKSURL, Algorithms: i.Algorithms,
		Leeway: i.Leeway, RequireType: i.RequireTyp, GroupsClaim: i.GroupsClaim, RolesClaim: i.RolesClaim,
		TenantClaim: i.TenantClaim, RequireScope: i.RequireScope,
	}
}

// openIntrospection returns what asks the one issuer that can be asked, or nil
// where there is none.
func (s *Server) openIntrospection(ctx context.Context, cfg *config.Config) (auth.Authenticator, error) {
	for _, i := range cfg.Auth.Issuers {
		if i.Introspection == nil {
			continue
		}
		secret, err := i.Introspection.ClientSecret.Resolve(s.lookup())
		if err != nil {
			return nil, fmt.Errorf("auth.issuers: %s: introspection.client_secret: %w", i.Name, err)
		}
		v, err := auth.NewIntrospection(ctx, auth.IntrospectionOptions{
			Issuer: issuerOptions(i), URL: i.Introspection.URL, ClientID: i.Introspection.ClientID, ClientSecret: secret,
			Revocations: s.revocations, Logger: s.log,
		})
		if err != nil {
			return nil, err
		}
		s.onClose(v.Close)
		return v, nil
	}
	return nil, nil //nolint:nilnil // As the comment says.
}

// firstKeyFile is where the first API key of a new gateway is, in the data
// directory.
const firstKeyFile = "first-api-key"

// openKeys opens the API keys, and makes the first one where there is none.
func (s *Server) openKeys(life context.Context, cfg *config.Config) error {
	secret, err := s.sharedKey(life, "api-keys")
	if err != nil {
		return err
	}
	life, end := context.WithCancel(life)
	k, err := auth.OpenKeys(life, s.state, auth.KeysOptions{Secret: secret, MaxLife: cfg.Auth.APIKeys.MaxLife, Revocations: s.revocations, Logger: s.log})
	if err != nil {
		end()
		return err
	}
	s.keys = k
	s.onClose(func() error { end(); k.Wait(); return nil })
	if cfg.Data == "" {
		return nil
	}
	file := filepath.Join(cfg.Data, firstKeyFile)
	made, err := k.First(life, file, auth.NewKey{
		Label: "first key", Subject: "first", Roles: []string{"gateway:admin"},
		Expires: time.Now().Add(min(cfg.Auth.APIKeys.MaxLife, firstKeyLife)), By: "gateway",
	})
	if made {
		s.log.WarnContext(life, "the first API key was made: read it, make your own, and remove the file", slog.String("file", file))
		s.event(life, "key", "the first API key was made")
	}
	return err
}

// firstKeyLife is how long the first API key is good for.
const firstKeyLife = 30 * 24 * time.Hour

// principal returns a caller that configuration names.
func principal(kind string, p *config.Principal) *gateway.Principal {
	subject := p.Subject
	if subject == "" {
		subject = kind
	}
	return &gateway.Principal{
		ID: "config|" + kind + "|" + subject, Issuer: "config", Subject: subject, Kind: kind, Name: subject,
		Groups: p.Groups, Roles: p.Roles,
	}
}

// StdioPrincipal returns who the process at the other end of standard input
// is, by configuration.
func StdioPrincipal(cfg *config.Config) *gateway.Principal {
	p := cfg.Auth.Stdio
	if p.Subject == "" {
		p.Subject = "local"
	}
	return principal("user", &p)
}

// issuerKey is where the built-in issuer keeps its key; "" keeps it in memory.
func issuerKey(data string) string {
	if data == "" {
		return ""
	}
	return filepath.Join(data, "dev-issuer.pem")
}
