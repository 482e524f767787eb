package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/trilith-gateway/trilith/protocols/egress"
)

// redirectURL is where an authorization server would send a user's browser.
const redirectURL = "http://localhost:3000/callback"

// An authorizer obtains tokens by the authorization code grant, as a program
// that embeds the upstream would for a user.
type authorizer struct {
	handler *sdk.AuthorizationCodeHandler
}

// newAuthorizer returns one whose tokens are bound to the key in the scenarios
// that are about that: a server says too late for this handler that it wants
// it.
func newAuthorizer(sc scenarioContext, scenario string, key *egress.DPoPKey) (*authorizer, error) {
	c := &sdk.AuthorizationCodeHandlerConfig{
		RedirectURL:                    redirectURL,
		AuthorizationCodeFetcher:       consent,
		ClientIDMetadataDocumentConfig: &sdk.ClientIDMetadataDocumentConfig{URL: "https://conformance-test.local/client-metadata.json"},
		DynamicClientRegistrationConfig: &sdk.DynamicClientRegistrationConfig{
			Metadata: &oauthex.ClientRegistrationMetadata{RedirectURIs: []string{redirectURL}},
		},
	}
	if sc.ClientID != "" && sc.ClientSecret != "" {
		c.PreregisteredClient = &oauthex.ClientCredentials{
			ClientID: sc.ClientID, ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: sc.ClientSecret},
		}
	}
	if strings.HasPrefix(scenario, "auth/dpop") {
		c.Client = &http.Client{Transport: key.Transport(http.DefaultTransport)}
	}
	h, err := sdk.NewAuthorizationCodeHandler(c)
	if err != nil {
		return nil, err
	}
	return &authorizer{h}, nil
}

// Authorization returns the token, if there is one yet.
func (a *authorizer) Authorization(ctx context.Context) (string, error) {
	source, err := a.handler.TokenSource(ctx)
	if err != nil || source == nil {
		return "", err
	}
	t, err := source.Token()
	if err != nil {
		return "", err
	}
	return t.Type() + " " + t.AccessToken, nil
}

// Challenged obtains a token.
func (a *authorizer) Challenged(ctx context.Context, req *http.Request, res *http.Response) (bool, error) {
	err := a.handler.Authorize(ctx, req, res)
	return err == nil, err
}

// consent is the user who agrees to everything: the suite's authorization
// servers redirect at once.
func consent(ctx context.Context, args *sdk.AuthorizationArgs) (*sdk.AuthorizationResult, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, args.URL, nil)
	if err != nil {
		return nil, err
	}
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := browser.Do(req)
	if err != nil {
		return nil, err
	}
	_ = res.Body.Close() // Where it leads is in the header.
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil || to.RawQuery == "" {
		return nil, errors.New("the authorization server did not redirect")
	}
	q := to.Query()
	return &sdk.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, nil
}
