package egress

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/auth/connect"
	"github.com/trilith-gateway/trilith/gateway"
)

// UserTokens keep the tokens of users who have connected an upstream; a
// [connect.Connections] is one.
type UserTokens interface {
	// Authorization returns the header's value for a user's requests, another than
	// stale, or connect.ErrNotConnected.
	Authorization(ctx context.Context, upstream string, p *gateway.Principal, stale string) (string, error)
	// Invite returns the URL where the user can connect the upstream.
	Invite(ctx context.Context, upstream string, p *gateway.Principal) (string, error)
}

// userTokens is an [Authorizer] with the tokens that users have consented to,
// and the [connect.Provider] that they come from.
type userTokens struct {
	own   *tokens
	users UserTokens
	name  string
}

// admit returns ctx with its caller.
func (s *userTokens) admit(ctx context.Context, p *gateway.Principal) (context.Context, error) {
	if p == nil {
		return nil, &gateway.Error{Code: gateway.FailedPrecondition, By: "upstream/" + s.name, Msg: "the upstream is called for users only"}
	}
	return context.WithValue(ctx, callerKey{}, &Caller{who: p}), nil
}

// Authorization returns the user's token, or the gateway's own.
func (s *userTokens) Authorization(ctx context.Context) (string, error) { return s.value(ctx, "") }

func (s *userTokens) value(ctx context.Context, stale string) (string, error) {
	c := CallerOf(ctx)
	switch {
	case c == nil && s.own.client.public():
		return "", nil
	case c == nil:
		return s.own.Authorization(ctx)
	}
	value, err := s.users.Authorization(ctx, s.name, c.who, stale)
	if !errors.Is(err, connect.ErrNotConnected) {
		return value, err
	}
	where, err := s.users.Invite(ctx, s.name, c.who)
	if err != nil {
		return "", err
	}
	return "", &NeedsConnection{name: s.name, url: where}
}

// Challenged renews a user's token that the server no longer takes.
func (s *userTokens) Challenged(ctx context.Context, req *http.Request, res *http.Response) (bool, error) {
	c, sent := CallerOf(ctx), req.Header.Get("Authorization")
	switch {
	case c == nil && s.own.client.public():
		return false, nil
	case c == nil:
		return s.own.Challenged(ctx, req, res)
	case res.StatusCode != http.StatusUnauthorized || sent == "":
		return false, nil
	}
	_, err := s.value(ctx, sent)
	return err == nil, err
}

// protection looks up how the upstream is protected.
func (s *userTokens) protection(ctx context.Context) (*protection, error) {
	s.own.mu.Lock()
	p, asked := s.own.found, s.own.asked
	s.own.mu.Unlock()
	if p != nil {
		return p, nil
	}
	return s.own.discover(ctx, asked)
}

// Authorize implements [connect.Provider].
func (s *userTokens) Authorize(ctx context.Context, r connect.Request) (target, issuer string, scopes []string, err error) {
	p, err := s.protection(ctx)
	if err != nil {
		return "", "", nil, err
	}
	if !slices.Contains(p.server.PKCE, "S256") {
		return "", "", nil, errors.New("the authorization server does not support PKCE with S256")
	}
	if err := checkSecure(p.server.UserURL); err != nil {
		return "", "", nil, fmt.Errorf("authorization endpoint: %w", err)
	}
	to, err := url.Parse(p.server.UserURL)
	if err != nil {
		return "", "", nil, errors.New("the authorization endpoint is not a URL")
	}
	if scopes = s.own.o.Scopes; len(scopes) == 0 {
		scopes = p.scopes
	}
	q := to.Query()
	for name, value := range map[string]string{
		"response_type": "code", "client_id": s.own.client.id, "redirect_uri": r.Redirect, "state": r.State,
		"code_challenge": r.Challenge, "code_challenge_method": "S256", "resource": p.resource, "scope": strings.Join(scopes, " "),
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	to.RawQuery = q.Encode()
	return to.String(), p.server.Issuer, scopes, nil
}

// Redeem implements [connect.Provider].
func (s *userTokens) Redeem(ctx context.Context, g connect.Grant) (connect.Token, error) {
	return s.grant(ctx, url.Values{
		"grant_type": {"authorization_code"}, "code": {g.Code}, "code_verifier": {g.Verifier}, "redirect_uri": {g.Redirect},
	})
}

// Refresh implements [connect.Provider].
func (s *userTokens) Refresh(ctx context.Context, refresh string) (connect.Token, error) {
	return s.grant(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
}

// Revoke implements [connect.Provider].
func (s *userTokens) Revoke(ctx context.Context, t connect.Token) error {
	p, err := s.protection(ctx)
	if err != nil {
		return err
	}
	if p.server.RevokeURL == "" {
		return connect.ErrNoRevocation
	}
	if err := checkSecure(p.server.RevokeURL); err != nil {
		return fmt.Errorf("revocation endpoint: %w", err)
	}
	form := url.Values{"token": {t.Refresh}, "token_type_hint": {"refresh_token"}}
	if t.Refresh == "" {
		_, value, _ := strings.Cut(t.Access, " ")
		form = url.Values{"token": {value}, "token_type_hint": {"access_token"}}
	}
	if _, err := s.own.postTo(ctx, &s.own.client, &p.server, p.server.RevokeURL, form, false); err != nil {
		return fmt.Errorf("revocation endpoint: %w", err)
	}
	return nil
}

func (s *userTokens) grant(ctx context.Context, form url.Values) (connect.Token, error) {
	p, err := s.protection(ctx)
	if err != nil {
		return connect.Token{}, err
	}
	if p.resource != "" {
		form.Set("resource", p.resource)
	}
	asked := time.Now()
	data, err := s.own.post(ctx, &s.own.client, &p.server, form, false)
	if refused, ok := errors.AsType[*grantError](err); ok && refused.code == "invalid_grant" {
		return connect.Token{}, fmt.Errorf("%w: %w", connect.ErrRefused, err)
	}
	if err != nil {
		return connect.Token{}, fmt.Errorf("token endpoint: %w", err)
	}
	t, err := readToken(data, asked, false)
	if err != nil {
		return connect.Token{}, err
	}
	var more struct {
		Refresh string `json:"refresh_token"`
	}
	if jsonv2.Unmarshal(data, &more) != nil || more.Refresh != "" && !isCredential(more.Refresh) {
		return connect.Token{}, errors.New("the refresh token is not valid")
	}
	return connect.Token{Access: t.value, Refresh: more.Refresh, Expires: t.expires}, nil
}
