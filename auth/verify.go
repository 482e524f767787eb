package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway"
)

// header is a token's JOSE header (RFC 7515, section 4.1). Members that name
// keys (jku, x5c, x5u) are not looked at, and jwk only in a DPoP proof: only the
// issuer's key set says what its keys are.
type header struct {
	Alg  string         `json:"alg"`
	Typ  string         `json:"typ"`
	Kid  string         `json:"kid"`
	Crit jsontext.Value `json:"crit"`
	JWK  jsontext.Value `json:"jwk"`
}

// A signed token is one that has been taken apart but not verified.
type signed struct {
	header    header
	claims    claims
	input     string // what was signed
	signature []byte
}

// parseToken takes a token in compact form apart (RFC 7515, section 7.1). Both
// JSON objects are read strictly: no member may stand twice.
func parseToken(token string) (*signed, error) {
	h, rest, ok := strings.Cut(token, ".")
	payload, signature, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || strings.Contains(signature, ".") {
		return nil, errors.New("not a signed token of three parts")
	}
	t := &signed{input: token[:len(h)+1+len(payload)]}
	raw, err := decodePart(h)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if err := jsonv2.Unmarshal(raw, &t.header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if raw, err = decodePart(payload); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	if err := jsonv2.Unmarshal(raw, &t.claims); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	if t.signature, err = decodePart(signature); err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	return t, nil
}

var errLineBreak = errors.New("line break")

// decodePart decodes base64url without padding, of which every value has one
// form only.
func decodePart(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") { // The decoder would skip them.
		return nil, errLineBreak
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}

// verify judges a token. All that is cheap comes first: only a token that
// would be valid if its signature were reaches the key set, which may ask the
// issuer about a key that it does not know.
func (v *OIDC) verify(ctx context.Context, token string, now time.Time) (*credential, error) {
	t, err := parseToken(token)
	if err != nil {
		return nil, err
	}
	iss, err := t.claims.text("iss")
	if err != nil {
		return nil, err
	}
	i := v.issuers[iss]
	if i == nil {
		return nil, fmt.Errorf("issuer %.100q is not configured", iss)
	}
	method := i.methods[t.header.Alg]
	if method == nil {
		return nil, fmt.Errorf("algorithm %.20q is not accepted from %s", t.header.Alg, i.Name)
	}
	if err := i.checkHeader(t); err != nil {
		return nil, fmt.Errorf("token of %s: %w", i.Name, err)
	}
	c, err := i.credential(t.claims, now)
	if err != nil {
		return nil, fmt.Errorf("token of %s: %w", i.Name, err)
	}
	set, key, err := i.keys.find(ctx, t.header.Kid, t.header.Alg)
	if err != nil {
		return nil, fmt.Errorf("token of %s: %w", i.Name, err)
	}
	if err := method.Verify(t.input, t.signature, key); err != nil {
		return nil, fmt.Errorf("token of %s: signature: %w", i.Name, err)
	}
	c.keys = set
	return c, nil
}

// checkHeader refuses tokens that are not access tokens, and those that demand
// extensions (RFC 7515, section 4.1.11: what is critical and not understood
// makes a token invalid).
func (i *issuer) checkHeader(t *signed) error {
	if t.header.Crit != nil {
		return errors.New("critical extensions are not supported")
	}
	if t.header.Kid == "" {
		return errors.New("no key id")
	}
	typ := strings.TrimPrefix(strings.ToLower(t.header.Typ), "application/")
	if typ == "at+jwt" {
		return nil
	}
	if i.RequireType || typ != "" && typ != "jwt" {
		return fmt.Errorf("type %.40q is not at+jwt", t.header.Typ)
	}
	return t.claims.notOther()
}

// credential judges the claims and returns what they say about the caller.
func (i *issuer) credential(c claims, now time.Time) (*credential, error) {
	until, err := i.checkTimes(c, now)
	if err != nil {
		return nil, err
	}
	aud, err := c.texts("aud")
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(aud, func(a string) bool { return i.audiences[canonical(a)] }) {
		return nil, fmt.Errorf("audience %.200q is not the gateway", aud)
	}
	bound, err := c.binding()
	if err != nil {
		return nil, err
	}
	p, err := i.principal(c)
	if err != nil {
		return nil, err
	}
	p.Expiry = until
	return &credential{principal: p, binding: bound, until: until, issuer: i}, nil
}

// checkTimes returns when the token ends, with the leeway for the clocks.
func (i *issuer) checkTimes(c claims, now time.Time) (time.Time, error) {
	exp, ok, err := c.when("exp")
	if err != nil {
		return exp, err
	}
	if !ok {
		return exp, errors.New("never expires")
	}
	if until := exp.Add(i.Leeway); !now.Before(until) {
		return exp, fmt.Errorf("expired at %s", exp.Format(time.RFC3339))
	}
	for _, name := range [...]string{"nbf", "iat"} {
		t, _, err := c.when(name)
		if err != nil {
			return exp, err
		}
		if t.After(now.Add(i.Leeway)) {
			return exp, fmt.Errorf("%s is in the future, at %s", name, t.Format(time.RFC3339))
		}
	}
	return exp.Add(i.Leeway), nil
}

// printable reports whether a name can stand in keys, records and lists: it is
// not longer than 512 bytes (OpenID Connect allows subjects of 255 characters)
// and has neither control characters nor such as change the direction of text.
func printable(s string) bool {
	return len(s) <= 512 && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// principal makes the caller's identity from the claims. A client that acts
// for itself is of another kind than a user: so none can pass for the other,
// whatever they are called.
func (i *issuer) principal(c claims) (*gateway.Principal, error) {
	r := reader{claims: c}
	p := &gateway.Principal{
		Issuer: i.URL, Kind: "user", Subject: r.text("sub"), Name: r.text("name", "preferred_username", "username"),
		Groups: r.list(i.GroupsClaim), Roles: r.list(i.RolesClaim), Scopes: r.scopes(), Session: r.text("sid"),
	}
	p.Issued, _, _ = c.when("iat") // Checked before.
	if p.Scopes == nil && i.RequireScope {
		p.Scopes = []string{}
	}
	if jti := r.text("jti"); jti != "" {
		p.Credential = i.URL + "|" + jti
	}
	// client_id is RFC 9068's; the others are what issuers said before it.
	if client := r.text("client_id", "azp", "appid", "cid"); p.Subject == "" || p.Subject == client {
		p.Kind, p.Subject = "client", client
	}
	tenant := r.list(i.TenantClaim)
	switch {
	case r.err != nil:
		return nil, r.err
	case p.Subject == "":
		return nil, errors.New("neither a subject nor a client")
	case !printable(p.Subject):
		return nil, errors.New("the subject is too long or has characters that do not print")
	case len(tenant) > 1:
		return nil, errors.New("more than one tenant")
	case len(tenant) == 1:
		p.Tenant = tenant[0]
	}
	if p.Name == "" || !printable(p.Name) {
		p.Name = p.Subject
	}
	p.ID = p.Issuer + "|" + p.Kind + "|" + p.Subject
	return p, nil
}

// canonical returns a resource identifier in the form in which they are
// compared: scheme and host in lower case, no trailing slash (MCP 2026-07-28,
// Authorization, Canonical Server URI). Other strings stay as they are.
func canonical(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return s
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	return strings.TrimSuffix(u.String(), "/")
}
