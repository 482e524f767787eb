package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/trilith-gateway/trilith/gateway"
)

// IssuerOptions describe an authorization server whose access tokens are
// accepted (RFC 9068).
type IssuerOptions struct {
	Name string // for logs; "" is URL
	URL  string // the issuer identifier, equal to its tokens' iss to the letter; https, or http on loopback. Required

	// Audiences are what aud must name one of: the gateway's [Resources], and
	// other values for issuers without RFC 8707. URLs match whatever the case
	// of scheme and host, with or without a trailing slash. Required.
	Audiences []string

	JWKSURL    string          // "" is found through the issuer's metadata
	Keys       json.RawMessage // a fixed JSON Web Key Set: nothing is ever fetched
	Algorithms []string        // of signatures; nil is RS256, PS256, ES256, EdDSA and Ed25519
	Leeway     time.Duration   // how far the clocks may differ, 0 to 5 minutes

	// RequireType refuses tokens without the type at+jwt (RFC 9068, section
	// 2.1), which tells access tokens from ID tokens. Without it only what
	// cannot be an access token is refused.
	RequireType bool

	// RequireScope takes a token that does not speak of scopes for one without any
	// (RFC 9068, section 2.2.3), rather than for one that they do not bound.
	RequireScope bool

	// Claims that hold the principal's groups, roles and tenant: a claim's
	// name, or a path of names with dots, such as "realm_access.roles".
	// "" is "groups", "roles" and "tenant".
	GroupsClaim, RolesClaim, TenantClaim string

	// Client fetches metadata and keys; nil is one with a time limit that
	// follows no redirects.
	Client *http.Client
}

// OIDCOptions are what the issuers of an [OIDC] have in common.
type OIDCOptions struct {
	Revocations *Revocations // consulted for each request; nil revokes nothing
	Logger      *slog.Logger // required
}

// OIDC accepts signed access tokens of configured issuers. It is safe for
// concurrent use.
type OIDC struct {
	issuers map[string]*issuer // by iss
	revoked *Revocations
	cache   cache
	stop    context.CancelFunc
	work    sync.WaitGroup
}

// An issuer is one authorization server and the rules for its tokens.
type issuer struct {
	IssuerOptions
	methods   map[string]jwt.SigningMethod
	audiences map[string]bool // canonical
	keys      *keySet
}

// signingMethods are the algorithms that an issuer may be allowed: signatures
// only, by RFC 7518 and RFC 8037, and the name that RFC 9864 gives to EdDSA
// over curve 25519.
func signingMethods() map[string]jwt.SigningMethod {
	m := map[string]jwt.SigningMethod{"Ed25519": jwt.SigningMethodEdDSA}
	for _, s := range []jwt.SigningMethod{
		jwt.SigningMethodRS256, jwt.SigningMethodRS384, jwt.SigningMethodRS512,
		jwt.SigningMethodPS256, jwt.SigningMethodPS384, jwt.SigningMethodPS512,
		jwt.SigningMethodES256, jwt.SigningMethodES384, jwt.SigningMethodES512, jwt.SigningMethodEdDSA,
	} {
		m[s.Alg()] = s
	}
	return m
}

// NewOIDC returns an authenticator for the tokens of at least one issuer, or an
// error that names each option that is missing or malformed. It tries once to get the keys of every issuer, for
// five seconds at most; an issuer that is away is asked again in the
// background, and its tokens are refused until it answers. Close stops that;
// ctx bounds only the start.
func NewOIDC(ctx context.Context, issuers []IssuerOptions, o OIDCOptions) (*OIDC, error) {
	v := &OIDC{issuers: map[string]*issuer{}, revoked: o.Revocations}
	var problems []error
	if o.Logger == nil {
		return nil, errors.New("oidc: no logger")
	}
	if len(issuers) == 0 {
		problems = append(problems, errors.New("oidc: no issuer"))
	}
	for _, opts := range issuers {
		i, err := newIssuer(opts, o.Logger)
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("oidc: issuer %q: %w", opts.URL, err))
		case v.issuers[opts.URL] != nil:
			problems = append(problems, fmt.Errorf("oidc: issuer %q is listed twice", opts.URL))
		default:
			v.issuers[opts.URL] = i
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	v.stop = stop
	var first sync.WaitGroup
	for _, i := range v.issuers {
		if i.keys.fixed() {
			continue
		}
		i.keys.life = life
		first.Go(func() { _ = i.keys.refresh(ctx, true) }) // Logged there.
	}
	first.Wait()
	for _, i := range v.issuers {
		if !i.keys.fixed() {
			v.work.Go(func() { i.keys.keepFresh(life) })
		}
	}
	return v, nil
}

func newIssuer(o IssuerOptions, log *slog.Logger) (*issuer, error) {
	i, err := newRules(o)
	if err != nil {
		return nil, err
	}
	known := signingMethods()
	for _, alg := range i.Algorithms {
		if known[alg] == nil {
			return nil, fmt.Errorf("algorithm %q is none that can be trusted", alg)
		}
		i.methods[alg] = known[alg]
	}
	i.keys, err = newKeySet(i.IssuerOptions, log)
	return i, err
}

// newRules returns an issuer without what verifies signatures.
func newRules(o IssuerOptions) (*issuer, error) {
	if err := secureURL(o.URL); err != nil {
		return nil, err
	}
	if strings.Contains(o.URL, "|") {
		return nil, errors.New("an issuer cannot have | in its URL")
	}
	if len(o.Audiences) == 0 || slices.Contains(o.Audiences, "") {
		return nil, errors.New("no audience: tokens for others would be accepted")
	}
	if o.Leeway < 0 || o.Leeway > 5*time.Minute {
		return nil, fmt.Errorf("leeway %v is not within 0 and 5 minutes", o.Leeway)
	}
	if o.Name == "" {
		o.Name = o.URL
	}
	if len(o.Algorithms) == 0 {
		o.Algorithms = []string{"RS256", "PS256", "ES256", "EdDSA", "Ed25519"}
	}
	o.GroupsClaim, o.RolesClaim, o.TenantClaim = or(o.GroupsClaim, "groups"), or(o.RolesClaim, "roles"), or(o.TenantClaim, "tenant")
	i := &issuer{IssuerOptions: o, methods: map[string]jwt.SigningMethod{}, audiences: map[string]bool{}}
	for _, a := range o.Audiences {
		i.audiences[canonical(a)] = true
	}
	return i, nil
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// Close stops the background work and waits for it. Tokens are still judged,
// by the keys last seen. It returns nil and may be called again.
func (v *OIDC) Close() error {
	v.stop()
	v.work.Wait()
	for _, i := range v.issuers {
		i.keys.close()
	}
	return nil
}

// Healthy returns an error that names each issuer whose keys are not known
// yet, and nil when tokens of all issuers can be judged.
func (v *OIDC) Healthy() error {
	var away []error
	for _, i := range v.issuers {
		if i.keys.snapshot.Load() == nil {
			away = append(away, fmt.Errorf("issuer %q: keys not known yet", i.Name))
		}
	}
	return errors.Join(away...)
}

// Authenticate accepts a token that its issuer signed for the gateway, that is
// neither expired nor revoked, and that is bound to no key or to one whose
// possession the credential shows.
func (v *OIDC) Authenticate(ctx context.Context, c Credential) (*gateway.Principal, error) {
	if len(c.Token) > maxToken {
		return nil, invalid(fmt.Errorf("token of %d bytes, at most %d", len(c.Token), maxToken))
	}
	now := time.Now()
	key := digest(c.Token)
	known, ok := v.cache.get(key, now)
	if !ok {
		var err error
		if known, err = v.verify(ctx, c.Token, now); err != nil {
			return nil, invalid(err)
		}
		v.cache.put(key, known, now)
	}
	if err := known.binding.check(c); err != nil {
		return nil, invalid(err)
	}
	if v.revoked.Revoked(known.principal) {
		return nil, invalid(fmt.Errorf("the token of %q is revoked", known.principal.ID))
	}
	return known.principal, nil
}
