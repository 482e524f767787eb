package browser

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
)

// patience is how long an issuer may take to answer.
const patience = 20 * time.Second

// ErrRefused is an issuer's refusal that asking again does not change: the grant
// has ended.
var ErrRefused = errors.New("the issuer refused")

// A Client is the gateway as a client of an issuer at which users sign in
// (OpenID Connect Core, authorization code flow with PKCE). It is safe for
// concurrent use. Make it with [NewClient].
type Client struct {
	o    ClientOptions
	http *http.Client

	provider atomic.Pointer[oidc.Provider] // nil until it is asked for
	asking   singleflight.Group
}

// ClientOptions describe a client. Issuer, ID and Redirect are required.
type ClientOptions struct {
	Issuer   string
	ID       string
	Secret   string   // "" for a public client
	Redirect string   // where the issuer sends browsers back to
	Scopes   []string // beside openid
	Resource string   // what access tokens are for (RFC 8707); "" asks for nothing
}

// NewClient returns a client. The issuer is asked when it is needed.
func NewClient(o ClientOptions) *Client {
	return &Client{o: o, http: &http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Issuer returns the issuer that users sign in at.
func (c *Client) Issuer() string { return c.o.Issuer }

// config finds out where users sign in. All who ask at once wait for one answer,
// and each for as long as its ctx lasts.
func (c *Client) config(ctx context.Context) (*oauth2.Config, *oidc.Provider, error) {
	p := c.provider.Load()
	if p == nil {
		asked := c.asking.DoChan("", func() (any, error) {
			// The provider keeps the context for its key set, and others wait too.
			p, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), c.http), c.o.Issuer)
			if err == nil {
				c.provider.Store(p)
			}
			return p, err
		})
		select {
		case answer := <-asked:
			if answer.Err != nil {
				return nil, nil, fmt.Errorf("sign-in at %s: %w", c.o.Issuer, answer.Err)
			}
			p, _ = answer.Val.(*oidc.Provider)
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("sign-in at %s: %w", c.o.Issuer, context.Cause(ctx))
		}
	}
	return &oauth2.Config{
		ClientID: c.o.ID, ClientSecret: c.o.Secret, Endpoint: p.Endpoint(), RedirectURL: c.o.Redirect,
		Scopes: append([]string{oidc.ScopeOpenID}, c.o.Scopes...),
	}, p, nil
}

// resource adds what the tokens are for.
func (c *Client) resource(options ...oauth2.AuthCodeOption) []oauth2.AuthCodeOption {
	if c.o.Resource != "" {
		options = append(options, oauth2.SetAuthURLParam("resource", c.o.Resource))
	}
	return options
}

// Start returns where a browser signs in.
func (c *Client) Start(ctx context.Context, state, nonce, verifier string) (string, error) {
	config, _, err := c.config(ctx)
	if err != nil {
		return "", err
	}
	return config.AuthCodeURL(state, c.resource(oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier))...), nil
}

// A Grant is what an issuer gave for a user.
type Grant struct {
	Subject string // who has signed in; "" of a renewal
	Access  string
	Refresh string    // "" where it cannot be renewed
	Expires time.Time // of Access; zero where that is not known
}

// Finish redeems a code and returns what it was good for (OpenID Connect Core,
// section 3.1.3).
func (c *Client) Finish(ctx context.Context, code, nonce, verifier string) (Grant, error) {
	config, provider, err := c.config(ctx)
	if err != nil {
		return Grant{}, err
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, c.http), patience)
	defer cancel()
	token, err := config.Exchange(ctx, code, c.resource(oauth2.VerifierOption(verifier))...)
	if err != nil {
		return Grant{}, refused(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: c.o.ID, Now: time.Now}).Verify(ctx, raw)
	if err != nil {
		return Grant{}, fmt.Errorf("ID token: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(nonce)) != 1 {
		return Grant{}, errors.New("ID token: another nonce")
	}
	return Grant{id.Subject, token.AccessToken, token.RefreshToken, token.Expiry}, nil
}

// Renew returns another grant for a refresh token. It fails with [ErrRefused]
// where the issuer will not have it.
func (c *Client) Renew(ctx context.Context, refresh string) (Grant, error) {
	config, _, err := c.config(ctx)
	if err != nil {
		return Grant{}, err
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, c.http), patience)
	defer cancel()
	token, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: refresh}).Token()
	if err != nil {
		return Grant{}, refused(err)
	}
	return Grant{Access: token.AccessToken, Refresh: token.RefreshToken, Expires: token.Expiry}, nil
}

// Revoke tells the issuer that a refresh token is not used any more (RFC 7009).
// It does nothing where the issuer cannot be told.
func (c *Client) Revoke(ctx context.Context, refresh string) error {
	config, provider, err := c.config(ctx)
	if err != nil {
		return err
	}
	var metadata struct {
		Revocation string `json:"revocation_endpoint"`
	}
	if err := provider.Claims(&metadata); err != nil || metadata.Revocation == "" || refresh == "" {
		return err
	}
	form := url.Values{"token": {refresh}, "token_type_hint": {"refresh_token"}}
	return Revoke(ctx, c.http, metadata.Revocation, form, config.ClientID, config.ClientSecret)
}

// refused returns the failure of a token request, without the answer's text,
// which may quote what was sent.
func refused(err error) error {
	answer, ok := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case !ok:
		return errors.New("the token endpoint gave no token")
	case answer.Response.StatusCode == http.StatusBadRequest || answer.Response.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%w: HTTP status %d of the token endpoint", ErrRefused, answer.Response.StatusCode)
	default:
		return fmt.Errorf("the token endpoint refused: HTTP status %d", answer.Response.StatusCode)
	}
}
