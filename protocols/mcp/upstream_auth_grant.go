package mcp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	jsonv2 "github.com/go-json-experiment/json"
)

const (
	maxTokenAnswer = 64 << 10
	maxToken       = 16 << 10
	// assertionLife is short: an assertion is for one request.
	assertionLife = 2 * time.Minute
)

// An accessToken is one that was issued to the gateway.
type accessToken struct {
	value    string // of the Authorization header
	asked    []string
	obtained time.Time
	renew    time.Time // when to ask for the next; zero if it does not expire
	expires  time.Time
}

// usable reports whether a server may still take it.
func (t *accessToken) usable(now time.Time) bool {
	return t != nil && (t.expires.IsZero() || now.Before(t.expires))
}

// grant asks the authorization server for a token (RFC 6749, section 4.4).
func (s *tokens) grant(ctx context.Context, p *protection, scopes []string) (*accessToken, error) {
	const kind = "client_credentials"
	if p.server.Grants != nil && !slices.Contains(p.server.Grants, kind) {
		return nil, errors.New("the authorization server does not support the client credentials grant")
	}
	form := url.Values{"grant_type": {kind}, "resource": {p.resource}}
	if len(scopes) > 0 {
		form.Set("scope", strings.Join(scopes, " "))
	}
	h := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {typeJSON}}
	if err := s.authenticate(p, form, h); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.server.TokenURL, strings.NewReader(form.Encode())) //nolint:gosec // The transport guards where it leads.
	if err != nil {
		return nil, errors.New("the token endpoint's URL is not valid")
	}
	req.Header = h
	asked := time.Now()        // The server counts from later.
	res, err := s.http.Do(req) //nolint:gosec // As above.
	if err != nil {
		return nil, fmt.Errorf("token endpoint: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // it has been read.
	data, err := readAll(res.Body, res.ContentLength, maxTokenAnswer)
	if err != nil {
		return nil, fmt.Errorf("token endpoint: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, refusedGrant(res.StatusCode, data)
	}
	t, err := readToken(data, asked)
	if err != nil {
		return nil, err
	}
	t.asked = scopes
	return t, nil
}

// authenticate adds the client's authentication to a token request (RFC 6749,
// section 2.3.1; RFC 7523, section 2.2).
func (s *tokens) authenticate(p *protection, form url.Values, h http.Header) error {
	methods := p.server.Methods
	supports := func(method string) bool { return slices.Contains(methods, method) }
	switch {
	case s.key != nil:
		if len(methods) > 0 && !supports("private_key_jwt") {
			return errors.New("the authorization server does not support private_key_jwt")
		}
		assertion, err := s.assertion(p)
		if err != nil {
			return err
		}
		form.Set("client_id", s.o.ClientID)
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	case len(methods) == 0 || supports("client_secret_basic"):
		r := http.Request{Header: h}
		r.SetBasicAuth(url.QueryEscape(s.o.ClientID), url.QueryEscape(s.o.ClientSecret))
	case supports("client_secret_post"):
		form.Set("client_id", s.o.ClientID)
		form.Set("client_secret", s.o.ClientSecret)
	default:
		return errors.New("the authorization server supports neither client_secret_basic nor client_secret_post")
	}
	return nil
}

// assertion signs who the client is, for one authorization server alone.
func (s *tokens) assertion(p *protection) (string, error) {
	algorithm, err := s.key.algorithm(p.server.Algorithms)
	if err != nil {
		return "", err
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	if s.key.id != "" {
		options = options.WithHeader("kid", s.key.id)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: s.key.key}, options)
	if err != nil {
		return "", errors.New("the private key cannot sign")
	}
	audience, now := p.server.Issuer, time.Now()
	if audience == "" {
		audience = p.server.TokenURL
	}
	claims, err := jsonv2.Marshal(struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		ID       string `json:"jti"`
		Issued   int64  `json:"iat"`
		Expires  int64  `json:"exp"`
	}{s.o.ClientID, s.o.ClientID, audience, rand.Text(), now.Unix(), now.Add(assertionLife).Unix()})
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return "", errors.New("the private key cannot sign")
	}
	return signed.CompactSerialize()
}

// readToken reads a token answer (RFC 6749, section 5.1).
func readToken(data []byte, asked time.Time) (*accessToken, error) {
	var a struct {
		Token   string  `json:"access_token"`
		Type    string  `json:"token_type"`
		Expires float64 `json:"expires_in"`
	}
	bad := func(why string) (*accessToken, error) {
		return nil, errors.New("the answer of the token endpoint is not valid: " + why) // Nothing of it, for it is secret.
	}
	if jsonv2.Unmarshal(data, &a) != nil {
		return bad("it cannot be read")
	}
	if !strings.EqualFold(a.Type, "Bearer") {
		return bad("the token is not a bearer token")
	}
	if a.Token == "" || len(a.Token) > maxToken || strings.ContainsFunc(a.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return bad("the token is not one that can stand in a header")
	}
	t := &accessToken{value: "Bearer " + a.Token, obtained: asked}
	const longest = 365 * 24 * time.Hour
	if a.Expires > 0 {
		life := longest
		if a.Expires < longest.Seconds() {
			life = time.Duration(a.Expires * float64(time.Second))
		}
		// Early enough that the next is there when this one ends.
		t.renew, t.expires = asked.Add(life-min(life/4, time.Minute)), asked.Add(life)
	}
	return t, nil
}

// refusedGrant returns why no token was issued. Only codes that the standards
// define are repeated, since a server may say anything (RFC 6749, section 5.2).
func refusedGrant(status int, data []byte) error {
	var a struct {
		Error string `json:"error"`
	}
	_ = jsonv2.Unmarshal(data, &a) // Then the status says it all.
	switch a.Error {
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
		"invalid_target", "server_error", "temporarily_unavailable":
		return fmt.Errorf("the token endpoint refused: %s (HTTP status %d)", a.Error, status)
	}
	return fmt.Errorf("the token endpoint refused: HTTP status %d", status)
}
