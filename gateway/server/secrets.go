package server

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/protocols/egress"
	"github.com/trilith-gateway/trilith/protocols/openapi"
)

// secrets is what may hold secrets in the configuration of a source, with its
// references replaced.
type secrets struct {
	Headers http.Header
	Env     []string
	OAuth   *egress.OAuthOptions

	Credentials map[string]openapi.Credential // by security scheme
}

// digest tells whether secrets have changed, without keeping them.
func (s secrets) digest() [sha256.Size]byte {
	b, _ := json.Marshal(s) // Strings always marshal.
	return sha256.Sum256(b)
}

// lookup returns how references to variables are resolved.
func (s *Server) lookup() func(string) (string, bool) {
	if s.options.LookEnv == nil {
		return func(string) (string, bool) { return "", false }
	}
	return s.options.LookEnv
}

// resolve reads the secrets of one source as they are now.
func (s *Server) resolve(c config.Source) (have secrets, err error) {
	lookup := s.lookup()
	if _, remote := c.Remote(); remote != nil {
		have.Headers = http.Header{}
		for k, v := range remote.Headers {
			value, err := v.Resolve(lookup)
			if err != nil {
				return have, fmt.Errorf("headers.%s: %w", k, err)
			}
			have.Headers.Set(k, value)
		}
		if have.OAuth, err = s.resolveOAuth(&c, remote.OAuth, lookup); err != nil {
			return have, fmt.Errorf("oauth: %w", err)
		}
	}
	if c.OpenAPI != nil {
		if have.Credentials, err = resolveCredentials(c.OpenAPI, lookup); err != nil {
			return have, err
		}
	}
	if c.MCP != nil {
		for k, v := range c.MCP.Env {
			value, err := v.Resolve(lookup)
			if err != nil {
				return have, fmt.Errorf("env.%s: %w", k, err)
			}
			have.Env = append(have.Env, k+"="+value)
		}
		slices.Sort(have.Env)
	}
	return have, nil
}

// egress makes the client of a source behind HTTP, with the secrets that resolve
// returned for it.
func (s *Server) egress(name string, c *config.Remote, have secrets) (*egress.Client, error) {
	return egress.New(s.egressOptions(name, c, have))
}

// egressOptions are those of the client of a source behind HTTP.
func (s *Server) egressOptions(name string, c *config.Remote, have secrets) egress.Options {
	return egress.Options{
		Name: name, URL: c.URL, Headers: have.Headers, UserAgent: "trilith/" + s.options.Version, OAuth: have.OAuth,
		AllowPrivate: c.AllowPrivate, Timeout: c.Timeout, Logger: s.log,
	}
}

// resolveOAuth returns the credentials of one source, or nil without.
func (s *Server) resolveOAuth(source *config.Source, c *config.OAuth, lookup func(string) (string, bool)) (*egress.OAuthOptions, error) {
	if c == nil {
		return nil, nil //nolint:nilnil // There are none.
	}
	secret, err := c.ClientSecret.Resolve(lookup)
	if err != nil {
		return nil, fmt.Errorf("client_secret: %w", err)
	}
	key, err := c.PrivateKey.Resolve(lookup)
	if err != nil {
		return nil, fmt.Errorf("private_key: %w", err)
	}
	o := &egress.OAuthOptions{
		ClientID: c.ClientID, ClientSecret: secret, PrivateKey: key, KeyID: c.KeyID, Scopes: c.Scopes, DPoP: c.DPoP,
		Issuer: c.Issuer, TokenURL: c.TokenURL, Resource: c.Resource,
	}
	if x := c.TokenExchange; x != nil {
		o.Exchange = &egress.TokenExchangeOptions{Issuers: x.Issuers, Audience: x.Audience}
	}
	if c.Users {
		if s.connections == nil {
			return nil, errors.New("users: no issuer of auth.issuers has login")
		}
		o.Users = s.connections.For(connectedTo(source, c))
	}
	if c.Assertion != "" {
		o.Assertion = renewed(c.Assertion, lookup)
	}
	if o.IdentityProvider, err = resolveIdentityProvider(c.IdentityProvider, lookup); err != nil {
		return nil, fmt.Errorf("identity_provider: %w", err)
	}
	return o, nil
}

func resolveIdentityProvider(c *config.IdentityProvider, lookup func(string) (string, bool)) (*egress.IdentityProviderOptions, error) {
	if c == nil {
		return nil, nil //nolint:nilnil // There is none.
	}
	secret, err := c.ClientSecret.Resolve(lookup)
	if err != nil {
		return nil, fmt.Errorf("client_secret: %w", err)
	}
	key, err := c.PrivateKey.Resolve(lookup)
	if err != nil {
		return nil, fmt.Errorf("private_key: %w", err)
	}
	return &egress.IdentityProviderOptions{
		Issuer: c.Issuer, TokenURL: c.TokenURL, ClientID: c.ClientID, ClientSecret: secret, PrivateKey: key, KeyID: c.KeyID,
		IDToken: renewed(c.IDToken, lookup),
	}, nil
}

// renewed reads a secret that something else renews anew each time.
func renewed(s config.Secret, lookup func(string) (string, bool)) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return s.Resolve(lookup) }
}
