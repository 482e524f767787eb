package config

import (
	"net/netip"
	"time"
)

// Source is a service whose tools, resources and prompts the gateway offers.
// Exactly one kind is set.
type Source struct {
	// Name of the source, in front of the names of its tools.
	Name string `yaml:"name" format:"name" required:"true"`

	// Put `<name>.` in front of the names of this source's tools and prompts.
	// Without it a name that two sources share is an error when they load.
	Prefix bool `yaml:"prefix" default:"true"`

	// Tags of everything that this source offers, by which toolsets select.
	Tags []string `yaml:"tags" format:"name" max:"16"`

	// Which of its tools, prompts and resources to take, as patterns over the
	// names that the source itself gives to tools and prompts and the URIs of
	// resources; patterns are those of toolsets. By default all.
	Include []string `yaml:"include" format:"pattern" max:"1000"`

	// Which not to take, of those that `include` takes.
	Exclude []string `yaml:"exclude" format:"pattern" max:"1000"`

	// Most tools that the source may have. With more it has none, and says so.
	MaxTools int `yaml:"max_tools" default:"2000" min:"1" max:"100000"`

	// What to say of single tools, prompts and resources instead of what the
	// source says of them. Policies know them by what the source calls them.
	Overrides []Override `yaml:"overrides" max:"10000"`

	// What becomes of tools, resources and prompts whose definitions nobody has
	// approved, because they are new or are not what they were: `require` keeps
	// them back until an administrator approves them, `warn` offers them and
	// reports, `off` approves of everything.
	Pin string `yaml:"pin" default:"off" enum:"off warn require"`

	// How its calls are protected from its bad days.
	Guard Guard `yaml:"guard"`

	// More endpoints of a source with a URL: each call goes to one of them.
	Endpoints []Endpoint `yaml:"endpoints" max:"63"`

	// How calls are divided between the endpoints.
	Balance Balance `yaml:"balance"`

	// An MCP server.
	MCP *MCP `yaml:"mcp" oneof:"kind"`

	// A service with an OpenAPI document.
	OpenAPI *OpenAPI `yaml:"openapi" oneof:"kind"`

	// A service that speaks HTTP and has no document.
	HTTP *HTTP `yaml:"http" oneof:"kind"`

	// A GraphQL server.
	GraphQL *GraphQL `yaml:"graphql" oneof:"kind"`

	// A gRPC server.
	GRPC *GRPCServer `yaml:"grpc" oneof:"kind"`

	// The built-in demonstration tools.
	Demo bool `yaml:"demo" oneof:"kind"`
}

// Override is what to say of one tool, prompt or resource. What is not set stays
// as the source says it.
type Override struct {
	// What the source calls it: its name, or its URI or URI template.
	Of string `yaml:"of" format:"not-empty" required:"true"`

	// Name of the tool or prompt, behind the prefix.
	Name string `yaml:"name" format:"not-empty"`

	// Title for people.
	Title string `yaml:"title"`

	// Description for people and models.
	Description string `yaml:"description"`

	// Tags in addition to those of the source.
	Tags []string `yaml:"tags" format:"name" max:"16"`

	// Whether the tool only reads: `yes`, `no`, or as the source says.
	ReadOnly string `yaml:"read_only" default:"source" enum:"source yes no"`

	// Whether the tool can destroy what is there.
	Destructive string `yaml:"destructive" default:"source" enum:"source yes no"`

	// Whether calling the tool twice with the same arguments is as good as once.
	Idempotent string `yaml:"idempotent" default:"source" enum:"source yes no"`
}

// MCP says how an MCP server is reached: by URL, or as a program that the
// gateway starts and speaks to through its standard input and output.
type MCP struct {
	// URL of a server that speaks streamable HTTP, or HTTP+SSE of 2024-11-05.
	URL string `yaml:"url" format:"url" oneof:"transport"`

	// Program to start. A name without a slash is looked up in PATH; any other
	// relative path starts at the directory of this file.
	Command string `yaml:"command" format:"command" oneof:"transport"`

	// Arguments of the program.
	Args []string `yaml:"args" with:"command" max:"256"`

	// Environment variables set for the program.
	Env map[string]Secret `yaml:"env" with:"command" keys:"variable" max:"256"`

	// Working directory of the program. By default the directory of this file.
	Dir string `yaml:"dir" format:"dir" with:"command"`

	// Headers sent with every request to the server.
	Headers map[string]Secret `yaml:"headers" with:"url" keys:"header" max:"64"`

	// The gateway's own OAuth credentials at the server, used with the client
	// credentials grant.
	OAuth *OAuth `yaml:"oauth" with:"url"`

	// Networks off the public internet to which `url` may lead, in CIDR form. By
	// default loopback, private and link-local addresses are refused.
	AllowPrivate []netip.Prefix `yaml:"allow_private" format:"cidr" with:"url" max:"64"`

	// Longest time that the server may take to answer one request.
	Timeout time.Duration `yaml:"timeout" default:"30s" min:"100ms" max:"24h"`

	// Generation of MCP to speak: `modern` is revision 2026-07-28 and later,
	// `legacy` everything before, `auto` asks the server.
	Era string `yaml:"era" default:"auto" enum:"auto modern legacy"`

	// Whose calls go through one session or program: `shared` those of all
	// callers, `principal` only those of one. Questions of a legacy program, which
	// do not say whose call they are about, reach nobody once several callers
	// share it.
	Sessions string `yaml:"sessions" default:"shared" enum:"shared principal"`

	// Sessions that are open even where fewer callers have one, where `sessions`
	// is `principal`. The next callers find them ready.
	MinSessions int `yaml:"min_sessions" default:"0" min:"0" max:"10000"`

	// Callers that may have a session at a time where `sessions` is `principal`.
	// One more takes the place of the one that has been idle longest, and is
	// refused where none is.
	MaxSessions int `yaml:"max_sessions" default:"64" min:"1" max:"10000"`

	// How long a caller's session stays open without a call.
	Idle time.Duration `yaml:"idle" default:"5m" min:"1s" max:"24h"`
}

// OAuth is how the gateway itself authenticates to an upstream that is
// protected by OAuth: a client id and a secret, a private key, or an assertion
// that something else has issued. The authorization server of an MCP server is
// found through the server's metadata, and the credentials stay with the first
// one that is found; for other upstreams `issuer` or `token_url` names it.
type OAuth struct {
	// Client id that the authorization server knows the gateway by.
	ClientID string `yaml:"client_id" required:"true"`

	// Client secret.
	ClientSecret Secret `yaml:"client_secret"`

	// Private key in PEM form, with which the gateway signs assertions instead of
	// sending a secret. Unless `assertion` or `identity_provider` is set, either
	// this or `client_secret` is.
	PrivateKey Secret `yaml:"private_key"`

	// Id of the private key, if the authorization server wants one.
	KeyID string `yaml:"key_id" with:"private_key"`

	// JWT by which the authorization server knows the workload that the gateway
	// runs as, exchanged for tokens (RFC 7523). A file is read for each token, so
	// that one that the platform renews, such as a projected service account
	// token, is taken.
	Assertion Secret `yaml:"assertion"`

	// Identity provider of the organisation, which issues the assertion instead:
	// enterprise-managed authorization.
	IdentityProvider *IdentityProvider `yaml:"identity_provider"`

	// Call the server on behalf of each caller, with a token that the
	// authorization server issues for the caller's access token (RFC 8693). The
	// gateway's own token is then for what no caller asks for, such as the list of
	// tools. Callers without an access token, such as those with API keys, are
	// refused. It needs `issuer` or `token_url`; an MCP server then has
	// `sessions: principal`.
	TokenExchange *TokenExchange `yaml:"token_exchange"`

	// Call the server with tokens of the callers' own, to which each of them
	// consents once in a browser: a call of one who has not is answered with the
	// address to visit, below `public_url` at `/connect/`. The redirect URI to
	// register for the client is `/connect/done`. Who is to connect signs in at an
	// issuer with `login`. The gateway's own token is as with `token_exchange`;
	// without `client_secret` and `private_key` there is none. It needs `issuer`;
	// an MCP server then has `sessions: principal`.
	Users bool `yaml:"users"`

	// Scopes to ask for, and no others. By default those that the server names.
	Scopes []string `yaml:"scopes" max:"64"`

	// Whether tokens are bound to a key of the gateway, so that nobody else can
	// use them (DPoP, RFC 9449): `auto` where the upstream demands it, or offers
	// it and the authorization server can. A token that was to be bound and is
	// not is refused.
	DPoP string `yaml:"dpop" default:"auto" enum:"auto always never"`

	// Issuer that the authorization server has to be. By default the upstream's
	// word is taken for it.
	Issuer string `yaml:"issuer" format:"url"`

	// Token endpoint. By default it is found through metadata.
	TokenURL string `yaml:"token_url" format:"url"`

	// Resource to ask tokens for (RFC 8707). By default what the metadata of an
	// MCP server says, or its URL, and for other upstreams none.
	Resource string `yaml:"resource" format:"url"`
}

// TokenExchange says whose access tokens are exchanged, and for what. It is for
// servers of the gateway's own trust domain: the authorization server is shown
// the tokens of callers, the upstream never is.
type TokenExchange struct {
	// Issuers of `auth.issuers` whose access tokens the authorization server may
	// be shown. Callers with tokens of others are refused.
	Issuers []string `yaml:"issuers" format:"secure-url" required:"true" max:"20"`

	// Name of the upstream at the authorization server, where that does not
	// know it by its `resource`.
	Audience string `yaml:"audience" format:"not-empty"`
}

// IdentityProvider exchanges an ID token for an assertion that one upstream's
// authorization server takes (RFC 8693, and the MCP extension
// enterprise-managed-authorization).
type IdentityProvider struct {
	// ID token that was issued to the client. A file is read for each exchange.
	IDToken Secret `yaml:"id_token" required:"true"`

	// Client id that the identity provider knows the gateway by.
	ClientID string `yaml:"client_id" required:"true"`

	// Client secret. Without it and `private_key` the client is public.
	ClientSecret Secret `yaml:"client_secret"`

	// Private key in PEM form, instead of the secret.
	PrivateKey Secret `yaml:"private_key"`

	// Id of the private key, if the identity provider wants one.
	KeyID string `yaml:"key_id" with:"private_key"`

	// Issuer whose metadata names the token endpoint.
	Issuer string `yaml:"issuer" format:"url" oneof:"endpoint"`

	// Token endpoint.
	TokenURL string `yaml:"token_url" format:"url" oneof:"endpoint"`
}
