// Package issuer is a small authorization server for development: it lets a
// gateway on a laptop run with real tokens, verified by the same code as any
// issuer's, before there is an identity provider. It vouches for three made-up
// personas and works on loopback only.
//
// What it is not: a place for accounts. It knows no passwords: whoever reaches its
// page, on this machine, signs in as whom they choose, and whoever can read its
// key can be anyone.
package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// A persona is somebody that the issuer vouches for.
type persona struct {
	name, title string
	roles       []string
	groups      []string
}

func personas() []persona {
	return []persona{
		{"admin", "Ada Admin", []string{"admin"}, []string{"operators"}},
		{"dev", "Dee Developer", []string{"dev"}, []string{"developers"}},
		{"guest", "Gus Guest", []string{"guest"}, []string{"guests"}},
	}
}

// Personas returns the names of those the issuer vouches for, most powerful
// first. Each has the role of the same name.
func Personas() []string {
	var names []string
	for _, p := range personas() {
		names = append(names, p.name)
	}
	return names
}

func find(name string) (persona, error) {
	all := personas()
	i := slices.IndexFunc(all, func(p persona) bool { return p.name == name })
	if i < 0 {
		return persona{}, fmt.Errorf("no persona named %q, only %s", name, strings.Join(Personas(), ", "))
	}
	return all[i], nil
}

// Options describe an issuer.
type Options struct {
	// URL is the issuer identifier, below which Handler is served. Its host
	// must be loopback. Required.
	URL string

	// KeyFile keeps the signing key, so that tokens outlive a restart and
	// another process can mint them. It is made with mode 0600 when missing.
	// "" is a key in memory.
	KeyFile string

	// Redirect is where the page sends browsers back to, the only such place; ""
	// signs nobody in.
	Redirect string

	// Existing fails when KeyFile is missing, instead of making it: for who
	// mints tokens of an issuer that runs elsewhere.
	Existing bool
}

// An Issuer issues access tokens (RFC 9068). It is safe for concurrent use.
type Issuer struct {
	url, origin string
	redirect    string
	key         *ecdsa.PrivateKey
	kid         string
	public      json.RawMessage

	mu   sync.Mutex
	used map[string]time.Time // codes that were redeemed, until they expire
}

// Open returns the issuer with its key, a new one where there is none.
func Open(o Options) (*Issuer, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("issuer: %q is not an http or https URL without query and fragment", o.URL)
	}
	if a, err := netip.ParseAddr(u.Hostname()); u.Hostname() != "localhost" && (err != nil || !a.IsLoopback()) {
		return nil, fmt.Errorf("issuer: %q is not on loopback: the issuer for development stays there", o.URL)
	}
	i := &Issuer{url: strings.TrimSuffix(o.URL, "/"), origin: u.Scheme + "://" + u.Host, redirect: o.Redirect, used: map[string]time.Time{}}
	if i.key, err = openKey(o.KeyFile, o.Existing); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	jwk := jose.JSONWebKey{Key: i.key.Public(), Algorithm: "ES256", Use: "sig"}
	thumb, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	i.kid = base64.RawURLEncoding.EncodeToString(thumb)
	jwk.KeyID = i.kid
	i.public, err = json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk}})
	return i, err
}

// URL returns the issuer identifier, the iss of its tokens.
func (i *Issuer) URL() string { return i.url }

// PublicKeys returns the JSON Web Key Set (RFC 7517) that the tokens verify by.
func (i *Issuer) PublicKeys() json.RawMessage { return i.public }

// MaxTTL is the longest that a token of the issuer can last.
const MaxTTL = 30 * 24 * time.Hour

// Mint returns an access token for a persona as a user, for the audience and
// the time given. It fails for a persona that does not exist, without an
// audience, and for a time that is not within 0 and MaxTTL.
func (i *Issuer) Mint(persona, audience string, ttl time.Duration) (string, error) {
	return i.mint(persona, "trilith-dev", audience, ttl)
}

func (i *Issuer) mint(name, client, audience string, ttl time.Duration) (string, error) {
	p, err := find(name)
	if err != nil {
		return "", err
	}
	if audience == "" {
		return "", errors.New("no audience")
	}
	if ttl <= 0 || ttl > MaxTTL {
		return "", fmt.Errorf("%v is not within 0 and %v", ttl, MaxTTL)
	}
	now := time.Now()
	t := jwt.NewWithClaims(jwt.SigningMethodES256, struct {
		jwt.RegisteredClaims
		Client string   `json:"client_id"`
		Name   string   `json:"name"`
		Roles  []string `json:"roles"`
		Groups []string `json:"groups"`
	}{
		jwt.RegisteredClaims{
			Issuer: i.url, Subject: p.name, Audience: jwt.ClaimStrings{audience}, ID: rand.Text(),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
		}, client, p.title, p.roles, p.groups,
	})
	t.Header["typ"], t.Header["kid"] = "at+jwt", i.kid
	return t.SignedString(i.key)
}

// Secret returns the secret with which the persona asks the token endpoint as
// a client. It comes from the signing key, so who has the key file knows it.
func (i *Issuer) Secret(persona string) (string, error) {
	if _, err := find(persona); err != nil {
		return "", err
	}
	key, err := i.key.Bytes()
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("client secret of " + persona))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}
