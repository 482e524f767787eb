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
)

const (
	maxTokenAnswer = 64 << 10
	maxToken       = 16 << 10
)

// An accessToken is one that was issued to the gateway.
type accessToken struct {
	value    string // of the Authorization header
	bound    bool   // to the key
	asked    []string
	obtained time.Time
	renew    time.Time // when to ask for the next; zero if it does not expire
	expires  time.Time
}

// usable reports whether a server may still take it.
func (t *accessToken) usable(now time.Time) bool {
	return t != nil && (t.expires.IsZero() || now.Before(t.expires))
}

// unfit reports whether a server wants a token that is bound to a key and this
// one is not.
func (t *accessToken) unfit(c challenge) bool { return t != nil && !t.bound && c.dpop && !c.bearer }

// The grants that tokens are asked for with.
const (
	grantClient   = "client_credentials"
	grantBearer   = "urn:ietf:params:oauth:grant-type:jwt-bearer" //nolint:gosec // It is a name.
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// grant asks the authorization server for a token: with the client credentials
// grant (RFC 6749, section 4.4), with an assertion of who the gateway is
// (RFC 7523, section 2.1), or for a caller's token (RFC 8693).
func (s *tokens) grant(ctx context.Context, p *protection, scopes []string) (*accessToken, error) {
	form := url.Values{"grant_type": {grantClient}}
	if p.resource != "" {
		form.Set("resource", p.resource)
	}
	if len(scopes) > 0 {
		form.Set("scope", strings.Join(scopes, " "))
	}
	if s.o.Assertion != nil || s.idp != nil {
		form.Set("grant_type", grantBearer)
	}
	if s.subject != "" {
		s.o.Exchange.ask(form, s.subject)
	}
	if kind := form.Get("grant_type"); p.server.Grants != nil && !slices.Contains(p.server.Grants, kind) {
		return nil, fmt.Errorf("the authorization server does not support the grant %s", kind)
	}
	if form.Get("grant_type") == grantBearer {
		assertion, err := s.assertion(ctx, p, scopes)
		if err != nil {
			return nil, err
		}
		form.Set("assertion", assertion)
	}
	asked := time.Now() // The server counts from later.
	data, err := s.post(ctx, &s.client, &p.server, form, p.dpop)
	if err != nil {
		return nil, fmt.Errorf("token endpoint: %w", err)
	}
	t, err := readToken(data, asked, p.dpop)
	if err == nil && s.subject != "" {
		err = checkExchanged(data, s.subject)
	}
	if err != nil {
		return nil, err
	}
	t.asked = scopes
	return t, nil
}

// post sends a token request as a client, with a proof of possession where the
// token is to be bound to the key, and returns the answer.
func (s *tokens) post(ctx context.Context, as *oauthClient, server *authServer, form url.Values, prove bool) ([]byte, error) {
	return s.postTo(ctx, as, server, server.TokenURL, form, prove)
}

// postTo is post for another endpoint of the server.
func (s *tokens) postTo(ctx context.Context, as *oauthClient, server *authServer, place string, form url.Values, prove bool) ([]byte, error) {
	h := http.Header{"Content-Type": {typeForm}, "Accept": {typeJSON}}
	if err := as.authenticate(server, form, h); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, place, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("the URL is not valid")
	}
	req.Header = h
	var res *http.Response
	if prove {
		res, err = s.dpop.prove(req, "", s.http.Do)
	} else {
		res, err = s.http.Do(req)
	}
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // it has been read.
	data, err := ReadAll(res.Body, res.ContentLength, maxTokenAnswer)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, refusedGrant(res.StatusCode, data)
	}
	return data, nil
}

// readToken reads a token answer (RFC 6749, section 5.1).
// A token that was to be bound to a key and is not is refused, since whoever
// sees it could use it.
func readToken(data []byte, asked time.Time, bound bool) (*accessToken, error) {
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
	scheme := "Bearer "
	switch {
	case bound && !strings.EqualFold(a.Type, "DPoP"):
		return bad("the token is not bound to the gateway's key")
	case bound:
		scheme = schemeDPoP
	case !strings.EqualFold(a.Type, "Bearer"):
		return bad("the token is not a bearer token")
	}
	if !isCredential(a.Token) {
		return bad("the token is not one that can stand in a header")
	}
	t := &accessToken{value: scheme + a.Token, bound: bound, obtained: asked}
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

// isCredential reports whether a token or an assertion is one that can stand in
// a header.
func isCredential(text string) bool {
	return text != "" && len(text) <= maxToken && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
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
		"invalid_target", "server_error", "temporarily_unavailable", "invalid_dpop_proof", "use_dpop_nonce":
		return &grantError{a.Error, status}
	}
	return &grantError{"", status}
}

// A grantError is a token endpoint's refusal.
type grantError struct {
	code   string // as the standards define it, or ""
	status int    // of HTTP
}

func (e *grantError) Error() string {
	if e.code == "" {
		return fmt.Sprintf("it refused: HTTP status %d", e.status)
	}
	return fmt.Sprintf("it refused: %s (HTTP status %d)", e.code, e.status)
}
