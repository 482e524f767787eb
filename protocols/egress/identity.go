package egress

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
)

// IdentityProviderOptions are how the gateway obtains, from the identity
// provider of its organisation, the assertion by which the authorization server
// of an upstream knows it: enterprise-managed authorization (the extension
// io.modelcontextprotocol/enterprise-managed-authorization, SEP-990). An ID
// token is exchanged (RFC 8693) for an identity assertion authorization grant
// that is for this upstream alone.
type IdentityProviderOptions struct {
	Issuer   string // whose metadata names the token endpoint
	TokenURL string // the token endpoint, instead of Issuer

	ClientID     string
	ClientSecret string // "" for a public client
	PrivateKey   string // PEM, instead of ClientSecret
	KeyID        string

	// IDToken returns the ID token that was issued to ClientID. It is called for
	// each token, so that one that is renewed somewhere is taken.
	IDToken func(context.Context) (string, error) `json:"-"`
}

// The token types of an exchange.
const (
	typeIDToken = "urn:ietf:params:oauth:token-type:id_token" //nolint:gosec // It is a name.
	typeIDJAG   = "urn:ietf:params:oauth:token-type:id-jag"
)

// assertion returns what tells the upstream's authorization server who the
// gateway is.
func (s *tokens) assertion(ctx context.Context, p *protection, scopes []string) (string, error) {
	if s.idp == nil {
		return credential(ctx, "assertion", s.o.Assertion)
	}
	assertion, err := s.exchange(ctx, p, scopes)
	if err != nil {
		return "", fmt.Errorf("identity provider: %w", err)
	}
	return assertion, nil
}

// credential reads a JWT that something else renews.
func credential(ctx context.Context, name string, from func(context.Context) (string, error)) (string, error) {
	text, err := from(ctx)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if text = strings.TrimSpace(text); !isCredential(text) {
		return "", fmt.Errorf("the %s is not a token", name) // Nothing of it, for it is secret.
	}
	return text, nil
}

// exchange asks the identity provider for an assertion that the upstream's
// authorization server takes (SEP-990, token exchange).
func (s *tokens) exchange(ctx context.Context, p *protection, scopes []string) (string, error) {
	o := s.o.IdentityProvider
	token, err := credential(ctx, "ID token", o.IDToken)
	if err != nil {
		return "", err
	}
	server := &authServer{TokenURL: o.TokenURL}
	if o.TokenURL == "" {
		if server, err = s.serverMetadata(ctx, o.Issuer); err != nil {
			return "", err
		}
	}
	form := url.Values{
		"grant_type": {grantExchange}, "requested_token_type": {typeIDJAG},
		"subject_token": {token}, "subject_token_type": {typeIDToken},
		"audience": {p.server.Issuer},
	}
	if p.resource != "" {
		form.Set("resource", p.resource)
	}
	if len(scopes) > 0 {
		form.Set("scope", strings.Join(scopes, " "))
	}
	data, err := s.post(ctx, s.idp, server, form, false)
	if err != nil {
		return "", err
	}
	var a struct {
		Token  string `json:"access_token"`
		Issued string `json:"issued_token_type"`
	}
	switch {
	case jsonv2.Unmarshal(data, &a) != nil:
		return "", errors.New("its answer cannot be read")
	case a.Issued != typeIDJAG:
		return "", errors.New("it issued a token of another type")
	case !isCredential(a.Token):
		return "", errors.New("it issued no token")
	}
	return a.Token, nil
}
