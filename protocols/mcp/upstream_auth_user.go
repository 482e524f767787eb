package mcp

import (
	"context"
	"encoding/json"
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

// Provider returns the upstream's authorization server, where users connect, or
// nil where they do not.
func (u *Upstream) Provider() connect.Provider {
	if s, ok := u.each.(*userTokens); ok {
		return s
	}
	return nil
}

// admit returns ctx with its caller.
func (s *userTokens) admit(ctx context.Context, p *gateway.Principal) (context.Context, error) {
	if p == nil {
		return nil, &gateway.Error{Code: gateway.FailedPrecondition, By: "upstream/" + s.name, Msg: "the upstream is called for users only"}
	}
	return context.WithValue(ctx, callerKey{}, &caller{who: p}), nil
}

// Authorization returns the user's token, or the gateway's own.
func (s *userTokens) Authorization(ctx context.Context) (string, error) { return s.value(ctx, "") }

func (s *userTokens) value(ctx context.Context, stale string) (string, error) {
	c := callerOf(ctx)
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
	return "", &needsConnection{name: s.name, url: where}
}

// Challenged renews a user's token that the server no longer takes.
func (s *userTokens) Challenged(ctx context.Context, req *http.Request, res *http.Response) (bool, error) {
	c, sent := callerOf(ctx), req.Header.Get("Authorization")
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

// A needsConnection is why a call cannot be made: its user has to visit a URL
// first.
type needsConnection struct {
	name, url string
	ctx       context.Context //nolint:containedctx // of the call, with its caller.
}

func (e *needsConnection) Error() string { return "the user has not connected the upstream" }

const (
	connectKey   = "connect"
	connectState = "urn:trilith:connect" // of a call that goes on once its user has connected
)

// params are those of elicitation/create (client, elicitation, URL mode).
func (e *needsConnection) params() json.RawMessage {
	id := e.url[strings.LastIndexByte(e.url, '/')+1:]
	b, _ := json.Marshal(struct { // Strings always marshal.
		Mode    string `json:"mode"`
		Message string `json:"message"`
		URL     string `json:"url"`
		ID      string `json:"elicitationId"`
	}{"url", "Connect " + e.name + " to go on: the gateway will call it on your behalf.", e.url, id[:min(len(id), 16)]})
	return b
}

func (e *needsConnection) question() gateway.Question {
	return gateway.Question{Method: methodElicit, Params: e.params()}
}

// ask returns the result of a call that goes on once its user has connected.
func (e *needsConnection) ask() *gateway.Result {
	return &gateway.Result{Input: &gateway.InputRequest{Questions: map[string]gateway.Question{connectKey: e.question()}, State: connectState}}
}

// refusal is that of a call whose caller cannot be asked to visit the URL: it is
// told where to go. Clients of 2025-11-25 know the form of the data.
func (e *needsConnection) refusal() *gateway.Error {
	data := append(append([]byte(`{"elicitations":[`), e.params()...), "]}"...)
	return &gateway.Error{
		Code: gateway.FailedPrecondition, By: "upstream/" + e.name, Data: data,
		Msg: "connect the upstream first, at " + e.url + ", then call again",
		Err: &rpcError{code: codeURLElicitation, message: e.Error(), data: data},
	}
}

// connect has the user of a call visit the URL. It returns no context where the
// caller is to be asked, the context to go on with where the user has connected
// meanwhile, or the refusal.
func (u *Upstream) connect(ctx context.Context, call *gateway.Call, need *needsConnection) (context.Context, error) {
	if call.Resume == nil || call.Resume.State != connectState {
		if !asks(call.Op) || !showsURLs(call) {
			return nil, need.refusal()
		}
		return nil, nil //nolint:nilnil // As the comment says.
	}
	var answer struct {
		Action string `json:"action"`
	}
	_ = jsonv2.Unmarshal(call.Resume.Answers[connectKey], &answer) // Anything else is no consent.
	if answer.Action != "accept" {
		return nil, need.refusal()
	}
	waiting, cancel := context.WithTimeoutCause(need.ctx, u.o.Timeout, errUpstreamSlow)
	defer cancel()
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-waiting.Done():
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, need.refusal()
		}
		_, err := u.each.Authorization(waiting)
		if _, still := errors.AsType[*needsConnection](err); err == nil {
			return need.ctx, nil
		} else if !still && waiting.Err() == nil {
			return nil, u.fault(waiting, call, &authError{err})
		}
	}
}

// lookAgain is how often it is looked whether a user has connected.
const lookAgain = 250 * time.Millisecond

// showsURLs reports whether the caller's client shows URLs to its user.
func showsURLs(call *gateway.Call) bool {
	var declared struct {
		Elicitation struct {
			URL *struct{} `json:"url"`
		} `json:"elicitation"`
	}
	return len(call.Capabilities) > 0 && jsonv2.Unmarshal(call.Capabilities, &declared) == nil && declared.Elicitation.URL != nil
}

// unconnected returns a call as the server is to get it: what it was asked here
// is not the server's.
func unconnected(call *gateway.Call) *gateway.Call {
	if call.Resume == nil || call.Resume.State != connectState {
		return call
	}
	first := *call
	first.Resume = nil
	return &first
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

func (s *userTokens) grant(ctx context.Context, form url.Values) (connect.Token, error) {
	p, err := s.protection(ctx)
	if err != nil {
		return connect.Token{}, err
	}
	form.Set("resource", p.resource)
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
