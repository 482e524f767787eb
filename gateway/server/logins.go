package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/auth/browser"
	"github.com/trilith-gateway/trilith/auth/issuer"
	"github.com/trilith-gateway/trilith/auth/login"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/audit"
	"github.com/trilith-gateway/trilith/gateway/config"
)

// openLogins opens the sessions of browsers, or returns nil where nobody can sign
// in with one. Judge is of access tokens, that of the Door.
func (s *Server) openLogins(ctx context.Context, cfg *config.Config, judge auth.Authenticator) (*login.Sessions, error) {
	client, idle, life, err := s.loginClient(cfg)
	if client == nil || err != nil {
		return nil, err
	}
	o := login.Options{
		Client: client, Judge: judge, Idle: idle, Life: life, Revoked: s.revocations.Revoked, Event: s.loggedIn, Refused: s.refusals.add, Logger: s.log,
	}
	if o.Key, err = s.sharedKey(ctx, "logins"); err != nil {
		return nil, err
	}
	following, end := context.WithCancel(context.WithoutCancel(ctx)) // What follows the state outlasts the building.
	defer context.AfterFunc(ctx, end)()
	l, err := login.Open(following, s.state, o)
	if err != nil {
		end()
		return nil, err
	}
	s.onClose(func() error { end(); return l.Close() })
	return l, nil
}

// loginClient returns the gateway as a client of the issuer at which people sign
// in, nil where there is none, and how long their sessions last.
func (s *Server) loginClient(cfg *config.Config) (client *browser.Client, idle, life time.Duration, err error) {
	o := browser.ClientOptions{Redirect: s.base + login.CallbackPath, Resource: s.base}
	l := cfg.Auth.Login
	if l == nil {
		if s.issuer == nil || s.options.Dev.Conformance {
			return nil, 0, 0, nil
		}
		o.Issuer, o.ID = s.issuer.URL(), issuer.LoginClient
		return browser.NewClient(o), time.Hour, 12 * time.Hour, nil
	}
	if o.Secret, err = l.ClientSecret.Resolve(s.lookup()); err != nil {
		return nil, 0, 0, fmt.Errorf("auth.login.client_secret: %w", err)
	}
	at := slices.IndexFunc(cfg.Auth.Issuers, func(i config.Issuer) bool { return i.Name == l.Issuer })
	if at < 0 {
		return nil, 0, 0, fmt.Errorf("auth.login: no issuer is named %q", l.Issuer)
	}
	o.Issuer, o.ID, o.Scopes = cfg.Auth.Issuers[at].Issuer, l.ClientID, l.Scopes
	if l.Resource != "" {
		o.Resource = l.Resource
	}
	return browser.NewClient(o), l.Idle, l.Life, nil
}

// loggedIn records that a browser's session has begun or ended.
func (s *Server) loggedIn(ctx context.Context, kind string, who *gateway.Principal, detail string) error {
	return s.audit.Event(ctx, audit.Event{Type: kind, Via: "http", Principal: who, Outcome: "OK", Detail: detail})
}
