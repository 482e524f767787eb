package egress

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// OAuthOptions are the gateway's own credentials at an upstream that is
// protected by OAuth. With a secret or a key alone they are used with the client
// credentials grant (RFC 6749, section 4.4; SEP-1046), with an assertion that
// something else issues with the grant of RFC 7523, section 2.1. Without
// TokenURL the authorization server is the one that the upstream's metadata
// names (RFC 9728, RFC 8414, OpenID Connect Discovery).
//
// The first authorization server that is found is the only one that the
// credentials go to as long as the [Client] lives; Issuer says beforehand
// which one that has to be.
type OAuthOptions struct {
	ClientID     string
	ClientSecret string // for client_secret_basic or client_secret_post, whichever the server supports
	PrivateKey   string // PEM, instead of ClientSecret, for private_key_jwt: RSA of 2048 bits and more, P-256, P-384, P-521 or Ed25519
	KeyID        string // names PrivateKey to the authorization server; ""

	// Assertion returns a JWT by which the authorization server knows the gateway
	// (workload identity federation, SEP-1933), and IdentityProvider is asked for
	// one (SEP-990). At most one of them is given; with either, the client need
	// not authenticate. Assertion is called for each token, so that a JWT that is
	// renewed somewhere is taken; it is called by one goroutine at a time.
	Assertion        func(context.Context) (string, error) `json:"-"`
	IdentityProvider *IdentityProviderOptions

	// Exchange has calls made with tokens that are got for the tokens of their
	// callers; the gateway's own are then for what no caller asks for, such as the
	// lists. The authorization server must be named, by Issuer or TokenURL. Nil
	// makes all calls with the gateway's own.
	Exchange *TokenExchangeOptions

	// Users has calls made with tokens to which their callers have consented, and
	// which it keeps; the gateway's own are then as with Exchange, and there are
	// none without a secret or a key. Issuer must name the authorization server.
	Users UserTokens `json:"-"`

	// Scopes to ask for, and no others. Without, it is those that the server's
	// challenge names, or else those that its metadata does, or else none.
	Scopes []string

	// DPoP says whether tokens are bound to a key of the gateway (RFC 9449):
	// "auto" where the upstream demands it, or offers it and the authorization
	// server says that it can; "always"; or "never". "" is "auto". A token that
	// was to be bound and is not is refused.
	DPoP string

	Issuer   string // of the authorization server; "" takes the upstream's word for it
	TokenURL string // spares looking for metadata; "" looks
	Resource string // the resource parameter (RFC 8707); "" is what the upstream's metadata says, or its URL
}

// String names the client and none of its secrets.
func (o OAuthOptions) String() string { return "OAuth client " + o.ClientID }

// GoString hides the secrets from %#v.
func (o OAuthOptions) GoString() string { return o.String() }

// LogValue hides the secrets from log/slog.
func (o OAuthOptions) LogValue() slog.Value { return slog.StringValue(o.String()) }

// Bounds on scopes, wherever they come from.
const (
	maxScopes     = 64
	maxScopeBytes = 4 << 10 // all together
)

// check reads the options for an upstream: what the gateway is to its
// authorization server, and to the identity provider, if there is one.
func (o *OAuthOptions) check(upstream *url.URL) (client oauthClient, idp *oauthClient, err error) {
	if err := checkSecure(upstream.String()); err != nil {
		return client, nil, fmt.Errorf("oauth: the URL of the server: %w", err)
	}
	if client, err = newOAuthClient(o.ClientID, o.ClientSecret, o.PrivateKey, o.KeyID); err != nil {
		return client, nil, fmt.Errorf("oauth: %w", err)
	}
	if err = o.contradiction(&client); err == nil {
		err = checkSecureAll(map[string]string{"issuer": o.Issuer, "token URL": o.TokenURL, "resource": o.Resource})
	}
	if err == nil && o.IdentityProvider != nil {
		idp, err = o.IdentityProvider.check()
	}
	if err != nil {
		return client, nil, fmt.Errorf("oauth: %w", err)
	}
	return client, idp, nil
}

// contradiction returns what of the options does not go together, or is missing.
func (o *OAuthOptions) contradiction(client *oauthClient) error {
	switch {
	case o.Assertion != nil && o.IdentityProvider != nil:
		return errors.New("an assertion is given or asked for at an identity provider, not both")
	case o.Assertion == nil && o.IdentityProvider == nil && o.Users == nil && client.public():
		return errors.New("a client secret or a private key is needed")
	case o.IdentityProvider != nil && o.TokenURL != "" && o.Issuer == "":
		return errors.New("with a token URL and an identity provider the issuer is needed, for which the assertion is")
	case !validScopes(o.Scopes):
		return errors.New("the scopes are not valid or too many")
	case !slices.Contains([]string{dpopAuto, dpopAlways, dpopNever}, o.DPoP):
		return fmt.Errorf("dpop must be auto, always or never, not %q", o.DPoP)
	case o.Exchange != nil:
		return o.contradictedExchange()
	case o.Users != nil:
		return o.contradictedUsers()
	}
	return nil
}

// contradictedUsers returns what of the options keeps users from consenting.
func (o *OAuthOptions) contradictedUsers() error {
	switch {
	case o.Assertion != nil || o.IdentityProvider != nil || o.TokenURL != "" || o.DPoP == dpopAlways:
		return errors.New("users' tokens go with neither an assertion nor an identity provider, a token URL or DPoP")
	case o.Issuer == "":
		return errors.New("the issuer is needed at which users consent: the upstream's word is not taken for it")
	}
	return nil
}

// contradictedExchange returns what of the options keeps callers' tokens from
// being exchanged.
func (o *OAuthOptions) contradictedExchange() error {
	switch {
	case o.Users != nil:
		return errors.New("callers' tokens are exchanged or consented to, not both")
	case o.Assertion != nil || o.IdentityProvider != nil:
		return errors.New("callers' tokens are exchanged with a client secret or a private key, not with an assertion")
	case o.Issuer == "" && o.TokenURL == "":
		return errors.New("to exchange callers' tokens the issuer or the token URL is needed: the upstream's word is not taken for who may see them")
	case len(o.Exchange.Issuers) == 0:
		return errors.New("the issuers are needed whose tokens may be exchanged")
	}
	return nil
}

// check reads the options: what the gateway is to the identity provider.
func (o *IdentityProviderOptions) check() (*oauthClient, error) {
	client, err := newOAuthClient(o.ClientID, o.ClientSecret, o.PrivateKey, o.KeyID)
	switch {
	case err != nil:
	case (o.Issuer == "") == (o.TokenURL == ""):
		err = errors.New("either an issuer or a token URL is needed")
	case o.IDToken == nil:
		err = errors.New("an ID token is needed")
	default:
		err = checkSecureAll(map[string]string{"issuer": o.Issuer, "token URL": o.TokenURL})
	}
	if err != nil {
		return nil, fmt.Errorf("identity provider: %w", err)
	}
	return &client, nil
}

// checkSecureAll is checkSecure for each URL that is given, by what it is.
func checkSecureAll(urls map[string]string) error {
	for name, text := range urls {
		if text == "" {
			continue
		}
		if err := checkSecure(text); err != nil {
			return fmt.Errorf("the %s: %w", name, err)
		}
	}
	return nil
}

// checkSecure refuses URLs over which secrets cannot go: those without TLS,
// unless they lead to this machine (OAuth 2.1, section 1.5).
func checkSecure(text string) error {
	u, err := checkURL(text)
	if err != nil {
		return err
	}
	if u.Scheme == "https" || u.Hostname() == "localhost" {
		return nil
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && ip.IsLoopback() {
		return nil
	}
	return errors.New("the URL must begin with https://")
}

// validScopes reports whether scopes are some that can be asked for (RFC 6749,
// section 3.3).
func validScopes(scopes []string) bool {
	n := 0
	for _, s := range scopes {
		n += len(s) + 1
		for i := range len(s) {
			if c := s[i]; c < '!' || c > '~' || c == '"' || c == '\\' {
				return false
			}
		}
		if s == "" {
			return false
		}
	}
	return len(scopes) <= maxScopes && n <= maxScopeBytes
}

// An assertionKey signs the assertions by which the client authenticates.
type assertionKey struct {
	key        any
	id         string
	algorithms []jose.SignatureAlgorithm // that the key can sign with, the preferred first
}

// parseKey reads a private key in PEM: PKCS #8, PKCS #1 or SEC 1.
func parseKey(text []byte) (*assertionKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it is not in PEM form")
	}
	var key crypto.PrivateKey
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		err = errors.New("unknown type") // The type might be anything.
	}
	if err != nil {
		return nil, errors.New("it is not one that can be read") // The error might quote it.
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < 2048 {
			return nil, errors.New("it has fewer than 2048 bits")
		}
		return &assertionKey{key: k, algorithms: []jose.SignatureAlgorithm{
			jose.RS256, jose.PS256, jose.RS384, jose.PS384, jose.RS512, jose.PS512,
		}}, nil
	case *ecdsa.PrivateKey:
		if i := slices.Index([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}, k.Curve); i >= 0 {
			return &assertionKey{key: k, algorithms: []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512}[i : i+1]}, nil
		}
	case ed25519.PrivateKey:
		return &assertionKey{key: k, algorithms: []jose.SignatureAlgorithm{jose.EdDSA}}, nil
	}
	return nil, errors.New("it is of no kind that is supported")
}

// algorithm returns one that the authorization server supports, if it says
// which.
func (k *assertionKey) algorithm(supported []string) (jose.SignatureAlgorithm, error) {
	if len(supported) == 0 {
		return k.algorithms[0], nil
	}
	for _, a := range k.algorithms {
		if slices.Contains(supported, string(a)) {
			return a, nil
		}
	}
	return "", fmt.Errorf("the authorization server does not support signatures by a key like this: %s",
		OneLine(strings.Join(supported, " "), 256))
}
