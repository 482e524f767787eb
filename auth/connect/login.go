package connect

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// A Login is an issuer at which users sign in with a browser: the gateway is a
// client of its own there (OpenID Connect Core, authorization code flow with
// PKCE).
type Login struct {
	Issuer       string // as in the principals of its users
	ClientID     string
	ClientSecret string // "" for a public client
}

// A login is a Login and what is found out about its issuer.
type login struct {
	Login

	redirect string
	http     *http.Client

	mu       sync.Mutex
	provider *oidc.Provider // nil until it is asked for
}

// The paths below the public URL that authorization servers redirect to.
const (
	loginPath = "/connect/login"
	donePath  = "/connect/done"
)

func newLogin(l Login, base string) *login {
	return &login{Login: l, redirect: base + loginPath, http: &http.Client{
		Timeout:       askTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// config finds out where users sign in.
func (l *login) config(ctx context.Context) (*oauth2.Config, *oidc.Provider, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.provider == nil {
		// The provider keeps the context for its key set.
		p, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), l.http), l.Issuer)
		if err != nil {
			return nil, nil, fmt.Errorf("sign-in at %s: %w", l.Issuer, err)
		}
		l.provider = p
	}
	return &oauth2.Config{
		ClientID: l.ClientID, ClientSecret: l.ClientSecret, Endpoint: l.provider.Endpoint(), RedirectURL: l.redirect, Scopes: []string{oidc.ScopeOpenID},
	}, l.provider, nil
}

// start returns where a browser signs in.
func (l *login) start(ctx context.Context, state, nonce, verifier string) (string, error) {
	config, _, err := l.config(ctx)
	if err != nil {
		return "", err
	}
	return config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), nil
}

// finish returns the subject that has signed in (OpenID Connect Core, section
// 3.1.3).
func (l *login) finish(ctx context.Context, code, nonce, verifier string) (string, error) {
	config, provider, err := l.config(ctx)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, l.http), askTimeout)
	defer cancel()
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok { // Its text may quote the answer.
			return "", fmt.Errorf("the token endpoint refused: HTTP status %d", refused.Response.StatusCode)
		}
		return "", errors.New("the token endpoint gave no token")
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: l.ClientID, Now: time.Now}).Verify(ctx, raw)
	if err != nil {
		return "", fmt.Errorf("ID token: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(nonce)) != 1 {
		return "", errors.New("ID token: another nonce")
	}
	return id.Subject, nil
}
