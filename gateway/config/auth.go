package config

import "time"

// Auth says who may ask.
type Auth struct {
	// Issuers of access tokens (OpenID Connect or OAuth 2). A token is accepted
	// when exactly its issuer is listed and one of that issuer's audiences is in
	// it. Without an issuer no token is accepted.
	Issuers []Issuer `yaml:"issuers" max:"100"`

	// How people sign in to the gateway with a browser, for its console, GraphQL
	// and REST. Without this key they cannot; in development mode they can.
	Login *BrowserLogin `yaml:"login"`

	// API keys of the gateway's own, for services without an issuer. With this
	// key, be it `{}`, they are accepted as bearer tokens. The first start makes
	// one and writes it into `first-api-key` in the data directory.
	APIKeys *APIKeys `yaml:"api_keys"`

	// Who clients are that show a certificate and nothing else. It needs
	// `client_ca` in `listen.tls`.
	Certificates *Certificates `yaml:"certificates"`

	// What the scopes of a token or API key open. Without this key scopes are not
	// looked at, and only the policy counts; with it a caller may do what both
	// allow. Whatever one item opens is open; what no item is about is closed to
	// whoever's credential has scopes.
	Scopes []ScopeRule `yaml:"scopes" max:"64"`

	// Scopes that clients are told to ask for at first. By default all that stand
	// in `scopes`.
	ScopesSupported []string `yaml:"scopes_supported" format:"scope" max:"100" with:"scopes"`

	// Demand a nonce of ours in DPoP proofs, so that none can be made before its
	// time. Clients learn it from the first refusal.
	DPoPNonce bool `yaml:"dpop_nonce"`

	// Who the process on the other side of standard input is. It needs no token,
	// because whoever starts the gateway is already inside.
	Stdio Principal `yaml:"stdio"`

	// Who a caller without any credential is. Without this key such callers are
	// refused. It is a problem unless every listener is on loopback.
	Anonymous *Principal `yaml:"anonymous"`
}

// Issuer is an authorization server whose access tokens are accepted.
type Issuer struct {
	// Short name, for logs. Policies name the issuer by its URL.
	Name string `yaml:"name" format:"name" required:"true"`

	// Issuer identifier, equal to the `iss` claim of its tokens to the letter.
	// It must be https, or http on loopback.
	Issuer string `yaml:"issuer" format:"secure-url" required:"true"`

	// Audiences accepted in the `aud` claim, usually the `public_url` of this
	// gateway. A token for anybody else is refused.
	Audiences []string `yaml:"audiences" format:"not-empty" required:"true" max:"20"`

	// URL of the issuer's key set. By default it is found through the issuer's
	// metadata.
	JWKSURL string `yaml:"jwks_url" format:"secure-url"`

	// Signature algorithms accepted from this issuer.
	Algorithms []string `yaml:"algorithms" default:"RS256 PS256 ES256 EdDSA Ed25519" enum:"RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519"`

	// How far the issuer's clock and ours may differ.
	Leeway time.Duration `yaml:"leeway" default:"30s" min:"0s" max:"5m"`

	// Claim that lists the groups of the caller.
	GroupsClaim string `yaml:"groups_claim" default:"groups"`

	// Claim that lists the roles of the caller.
	RolesClaim string `yaml:"roles_claim" default:"roles"`

	// Claim that names the tenant of the caller.
	TenantClaim string `yaml:"tenant_claim" default:"tenant"`

	// How the issuer is asked about tokens that are not signed (RFC 7662). One
	// issuer only can have this: nobody can tell from such a token whose it is.
	Introspection *Introspection `yaml:"introspection"`

	// How its users sign in with a browser, to connect sources that act for them.
	// By default they cannot.
	Login *Login `yaml:"login"`

	// Take a token that does not speak of scopes for one that has none. Switch it
	// off only for an issuer whose tokens never do: they are then bounded by the
	// policy alone. It matters only with `scopes`.
	RequireScope bool `yaml:"require_scope" default:"true"`

	// Require the header `typ: at+jwt` (RFC 9068), which tells an access token
	// from an ID token. Switch it off only for an issuer that cannot send it.
	RequireTyp bool `yaml:"require_typ" default:"true"`
}

// BrowserLogin is a client of the gateway's at an issuer, for the authorization
// code flow of OpenID Connect with PKCE. Its redirect URI is `/auth/callback`
// below `public_url`.
type BrowserLogin struct {
	// Name of the issuer, one of `issuers`, whose access tokens for the gateway
	// are what people get.
	Issuer string `yaml:"issuer" format:"name" required:"true"`

	// What the gateway is called at the issuer.
	ClientID string `yaml:"client_id" required:"true"`

	// Secret of the gateway at the issuer, as a reference to where it is. Without
	// it the client is public.
	ClientSecret Secret `yaml:"client_secret"`

	// Scopes to ask for beside `openid`, such as `offline_access` where the issuer
	// gives refresh tokens for that alone.
	Scopes []string `yaml:"scopes" format:"not-empty" max:"20"`

	// What to ask tokens for (RFC 8707). By default `public_url`.
	Resource string `yaml:"resource" format:"url"`

	// A session that nobody uses ends after this time.
	Idle time.Duration `yaml:"idle" default:"1h" min:"5m" max:"24h"`

	// Every session ends after this time.
	Life time.Duration `yaml:"life" default:"12h" min:"5m" max:"720h"`
}

// APIKeys says how API keys are taken and made.
type APIKeys struct {
	// Header beside `Authorization` in which keys are accepted, such as
	// `X-API-Key`. By default there is none.
	Header string `yaml:"header" format:"name"`

	// Longest life of a new key. Every key expires.
	MaxLife time.Duration `yaml:"max_life" default:"8760h" min:"1h" max:"87600h"`
}

// Introspection says how an issuer is asked about opaque tokens.
type Introspection struct {
	// URL of the introspection endpoint. By default it is found through the
	// issuer's metadata.
	URL string `yaml:"url" format:"secure-url"`

	// What the gateway is called at the issuer.
	ClientID string `yaml:"client_id" required:"true"`

	// Secret of the gateway at the issuer, as a reference to where it is.
	ClientSecret Secret `yaml:"client_secret" required:"true"`
}

// Login is a client of the gateway's at an issuer, for the authorization code
// flow of OpenID Connect with PKCE. Its redirect URI is `/connect/login` below
// `public_url`.
type Login struct {
	// What the gateway is called at the issuer.
	ClientID string `yaml:"client_id" required:"true"`

	// Secret of the gateway at the issuer, as a reference to where it is. Without
	// it the client is public.
	ClientSecret Secret `yaml:"client_secret"`
}

// ScopeRule says what scopes open.
type ScopeRule struct {
	// Scopes that the credential must have, all of them. Of several items that
	// open the same, the scopes of the first are those that a client is told to
	// ask for.
	Scopes []string `yaml:"scopes" format:"scope" required:"true" max:"10"`

	// What may be done. By default everything.
	Actions []string `yaml:"actions" enum:"call read get complete subscribe admin"`

	// With what, as patterns of the policy such as `tool/github/*`. By default with
	// everything but administration.
	Objects []string `yaml:"objects" format:"pattern" max:"100"`
}

// Certificates says who the clients behind certificates are.
type Certificates struct {
	// Part of the certificate that names the client. Of `uri`, `dns` and `email`
	// it must have exactly one.
	Subject string `yaml:"subject" default:"uri" enum:"uri dns email common_name"`

	// Tenant of every such client.
	Tenant string `yaml:"tenant" format:"not-empty"`

	// Groups of every such client.
	Groups []string `yaml:"groups" format:"not-empty" max:"100"`

	// Roles of every such client.
	Roles []string `yaml:"roles" format:"not-empty" max:"100"`
}

// Principal is a caller who is known without a token.
type Principal struct {
	// Name in policies and in the audit log. By default `local` for `stdio` and
	// `anonymous` for `anonymous`.
	Subject string `yaml:"subject" format:"not-empty"`

	// Groups of the caller.
	Groups []string `yaml:"groups" format:"not-empty" max:"100"`

	// Roles of the caller.
	Roles []string `yaml:"roles" format:"not-empty" max:"100"`
}
