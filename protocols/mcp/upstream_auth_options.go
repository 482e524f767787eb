package mcp

import (
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
// protected by OAuth, used with the client credentials grant (RFC 6749, section
// 4.4; SEP-1046). Without TokenURL the authorization server is the one that the
// upstream's metadata names (RFC 9728, RFC 8414, OpenID Connect Discovery).
//
// The first authorization server that is found is the only one that the
// credentials go to as long as the [Upstream] lives; Issuer says beforehand
// which one that has to be.
type OAuthOptions struct {
	ClientID     string
	ClientSecret string // for client_secret_basic or client_secret_post, whichever the server supports
	PrivateKey   string // PEM, instead of ClientSecret, for private_key_jwt: RSA of 2048 bits and more, P-256, P-384, P-521 or Ed25519
	KeyID        string // names PrivateKey to the authorization server; ""

	// Scopes to ask for, and no others. Without, it is those that the server's
	// challenge names, or else those that its metadata does, or else none.
	Scopes []string

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

// check reads the options for an upstream.
func (o *OAuthOptions) check(upstream *url.URL) (*assertionKey, error) {
	if err := checkSecure(upstream.String()); err != nil {
		return nil, fmt.Errorf("oauth: the URL of the server: %w", err)
	}
	switch {
	case o.ClientID == "":
		return nil, errors.New("oauth: a client id is needed")
	case (o.ClientSecret == "") == (o.PrivateKey == ""):
		return nil, errors.New("oauth: either a client secret or a private key is needed")
	case o.PrivateKey == "" && o.KeyID != "":
		return nil, errors.New("oauth: a key id needs a private key")
	case !validScopes(o.Scopes):
		return nil, errors.New("oauth: the scopes are not valid or too many")
	}
	for name, text := range map[string]string{"issuer": o.Issuer, "token URL": o.TokenURL, "resource": o.Resource} {
		if text == "" {
			continue
		}
		if err := checkSecure(text); err != nil {
			return nil, fmt.Errorf("oauth: the %s: %w", name, err)
		}
	}
	if o.PrivateKey == "" {
		return nil, nil //nolint:nilnil // There is none.
	}
	key, err := parseKey([]byte(o.PrivateKey))
	if err != nil {
		return nil, fmt.Errorf("oauth: the private key: %w", err)
	}
	key.id = o.KeyID
	return key, nil
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
		oneLine(strings.Join(supported, " "), 256))
}
