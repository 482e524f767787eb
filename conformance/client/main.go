// Command client is the MCP client that the official conformance suite tests:
// the gateway's upstream, asked to do what each scenario wants of a client. The
// suite gives the server's URL as the last argument and the scenario's name and
// context in MCP_CONFORMANCE_SCENARIO and MCP_CONFORMANCE_CONTEXT.
//
// Nothing here answers a scenario by itself: what goes over the wire is what the
// gateway sends. Only who consents in place of a user is made up, since a
// gateway has none.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strings"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args, os.Getenv("MCP_CONFORMANCE_SCENARIO"), os.Getenv("MCP_CONFORMANCE_CONTEXT"))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// scenarioContext is what a scenario tells its client.
type scenarioContext struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	PrivateKey   string `json:"private_key_pem"`
	Assertion    string `json:"valid_jwt"`
	IDToken      string `json:"idp_id_token"`
	IDClientID   string `json:"idp_client_id"`
	IDIssuer     string `json:"idp_issuer"`
	ToolCalls    []struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	} `json:"toolCalls"`
}

// credentials are those of the gateway itself, or nil where a scenario is about
// what a user consents to.
func (sc *scenarioContext) credentials(scenario string) *egress.OAuthOptions {
	o := &egress.OAuthOptions{ClientID: sc.ClientID, ClientSecret: sc.ClientSecret, PrivateKey: sc.PrivateKey}
	is := func(text string) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return text, nil }
	}
	switch {
	case strings.HasPrefix(scenario, "auth/client-credentials"):
	case scenario == "auth/wif-jwt-bearer":
		o.Assertion = is(sc.Assertion)
	case scenario == "auth/enterprise-managed-authorization":
		o.IdentityProvider = &egress.IdentityProviderOptions{Issuer: sc.IDIssuer, ClientID: sc.IDClientID, IDToken: is(sc.IDToken)}
	default:
		return nil
	}
	return o
}

// authorize gives the upstream what a scenario is about: the gateway's own
// credentials, or somebody who consents.
func (sc *scenarioContext) authorize(scenario string, o *mcp.UpstreamOptions) (err error) {
	if !strings.HasPrefix(scenario, "auth/") {
		return nil
	}
	if o.OAuth = sc.credentials(scenario); o.OAuth != nil {
		return nil
	}
	if o.DPoP, err = egress.NewDPoPKey(); err != nil {
		return err
	}
	o.Authorizer, err = newAuthorizer(*sc, scenario, o.DPoP)
	return err
}

// run connects, lists what the server offers and uses all of it, as a gateway
// does for its callers.
func run(ctx context.Context, args []string, scenario, contextJSON string) error {
	if len(args) < 2 {
		return errors.New("usage: client URL")
	}
	var sc scenarioContext
	if contextJSON != "" {
		if err := json.Unmarshal([]byte(contextJSON), &sc); err != nil {
			return fmt.Errorf("MCP_CONFORMANCE_CONTEXT: %w", err)
		}
	}
	o := mcp.UpstreamOptions{
		Name: "conformance", URL: args[len(args)-1],
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		Logger:       slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if err := sc.authorize(scenario, &o); err != nil {
		return err
	}
	u, err := mcp.NewUpstream(o)
	if err != nil {
		return err
	}
	defer func() { _ = u.Close() }() // There is nothing left to be done about it.
	catalog, err := firstCatalog(ctx, u)
	if err != nil {
		return err
	}
	by := &user{u, catalog}
	switch {
	case len(sc.ToolCalls) > 0:
		for _, c := range sc.ToolCalls {
			by.call(ctx, c.Name, c.Arguments)
		}
	case scenario == "json-schema-2020-12-preservation":
		return by.echoSchema(ctx)
	default:
		by.all(ctx)
	}
	return nil
}

// firstCatalog returns what a server offers.
func firstCatalog(ctx context.Context, u *mcp.Upstream) (gateway.Catalog, error) {
	for catalog, err := range u.Watch(ctx) {
		return catalog, err
	}
	return gateway.Catalog{}, context.Cause(ctx)
}
