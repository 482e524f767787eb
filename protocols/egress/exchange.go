package egress

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
)

// TokenExchangeOptions have each call made with a token that the authorization
// server issues for the access token of its caller (RFC 8693). The caller's own
// token goes to the authorization server, and never to the upstream: all of them
// must be of one trust domain.
type TokenExchangeOptions struct {
	Issuers  []string // whose access tokens the authorization server may be shown
	Audience string   // the name of the upstream at the authorization server; "" where the resource says it
}

const typeAccessToken = "urn:ietf:params:oauth:token-type:access_token" //nolint:gosec // It is a name.

// ask makes a token request one that exchanges the subject's token (RFC 8693,
// section 2.1).
func (o *TokenExchangeOptions) ask(form url.Values, subject string) {
	form.Set("grant_type", grantExchange)
	form.Set("subject_token", subject)
	form.Set("subject_token_type", typeAccessToken)
	form.Set("requested_token_type", typeAccessToken)
	if o.Audience != "" {
		form.Set("audience", o.Audience)
	}
}

// checkExchanged refuses what is no access token, and the subject's own token,
// which must not go to the upstream (RFC 8693, section 2.2.1).
func checkExchanged(data []byte, subject string) error {
	var a struct {
		Token string `json:"access_token"`
		Type  string `json:"issued_token_type"`
	}
	switch {
	case jsonv2.Unmarshal(data, &a) != nil || a.Type != typeAccessToken:
		return errors.New("the token endpoint issued a token of another type")
	case a.Token == subject:
		return errors.New("the token endpoint gave the caller's own token back")
	}
	return nil
}

// callers are the credentials of an upstream at which each caller has some.
type callers interface {
	Authorizer
	admit(context.Context, *gateway.Principal) (context.Context, error)
}

// maxExchanged bounds the credentials for which tokens are kept.
const maxExchanged = 4096

// An exchanger is an [Authorizer] with a token for each credential of a caller,
// and the gateway's own for what no caller asks for.
type exchanger struct {
	own *tokens
	o   *TokenExchangeOptions
	by  string

	mu sync.Mutex
	of map[[sha256.Size]byte]*exchanged
}

type exchanged struct {
	*tokens
	until time.Time // when the caller's credential ends; zero is never
	used  time.Time
}

func newExchanger(own *tokens, by string) *exchanger {
	return &exchanger{own: own, o: own.o.Exchange, by: by, of: map[[sha256.Size]byte]*exchanged{}}
}

// admit returns ctx with its caller, or why nothing can be done for that one.
func (e *exchanger) admit(ctx context.Context, p *gateway.Principal) (context.Context, error) {
	refuse := func(msg string) (context.Context, error) {
		return nil, &gateway.Error{Code: gateway.FailedPrecondition, By: e.by, Msg: msg}
	}
	token := auth.Token(ctx)
	switch {
	case p == nil || token == "":
		return refuse("the upstream is called on behalf of whoever shows an access token, and this call came without one")
	case !slices.Contains(e.o.Issuers, p.Issuer):
		return refuse("the upstream does not trust the issuer of the access token that this call came with")
	}
	c := &Caller{who: p, token: token, expiry: p.Expiry, key: sha256.Sum256([]byte(p.ID + "\n" + token))}
	return context.WithValue(ctx, callerKey{}, c), nil
}

// Authorization returns the token for the caller of ctx, or the gateway's own.
func (e *exchanger) Authorization(ctx context.Context) (string, error) {
	value, err := e.source(ctx).Authorization(ctx)
	return value, e.explain(err)
}

// Challenged replaces the token that was refused.
func (e *exchanger) Challenged(ctx context.Context, req *http.Request, res *http.Response) (bool, error) {
	again, err := e.source(ctx).Challenged(ctx, req, res)
	return again, e.explain(err)
}

// explain tells a caller whose token is not taken so: that is not the gateway's
// to mend.
func (e *exchanger) explain(err error) error {
	refusal, ok := errors.AsType[*grantError](err)
	if !ok || !slices.Contains([]string{"invalid_grant", "invalid_request", "invalid_target", "invalid_scope"}, refusal.code) {
		return err
	}
	return &gateway.Error{Code: gateway.PermissionDenied, By: e.by, Msg: "the upstream's authorization server issues no token for this caller", Err: err}
}

// source returns what has the token for a request.
func (e *exchanger) source(ctx context.Context) *tokens {
	c := CallerOf(ctx)
	if c == nil {
		return e.own
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	x, now := e.of[c.key], time.Now()
	if x == nil {
		if len(e.of) >= maxExchanged {
			e.evict(now)
		}
		x = &exchanged{tokens: e.own.forSubject(c.token), until: c.expiry}
		e.of[c.key] = x
	}
	x.used = now
	return x.tokens
}

// evict forgets the tokens for credentials that have ended, or else the one that
// has been unused longest. e.mu is held.
func (e *exchanger) evict(now time.Time) {
	var oldest [sha256.Size]byte
	var used time.Time
	for key, x := range e.of {
		if !x.until.IsZero() && now.After(x.until) {
			delete(e.of, key)
		} else if used.IsZero() || x.used.Before(used) {
			oldest, used = key, x.used
		}
	}
	if len(e.of) >= maxExchanged {
		delete(e.of, oldest)
	}
}

// forSubject returns what obtains tokens for a caller's token. It knows what is
// known of the upstream already.
func (s *tokens) forSubject(token string) *tokens {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &tokens{
		o: s.o, client: s.client, dpop: s.dpop, upstream: s.upstream, http: s.http, spawn: s.spawn, timeout: s.timeout, log: s.log,
		told: s.told, issuer: s.issuer, asked: s.asked, found: s.found, subject: token,
	}
}
