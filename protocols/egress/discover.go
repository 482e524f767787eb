package egress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// Bounds on what challenges, metadata and token answers say.
const (
	maxChallenge = 8 << 10
	maxMetadata  = 256 << 10
)

// A challenge is what a WWW-Authenticate header asks for (RFC 6750, section 3;
// RFC 9449, section 7.1; RFC 9728, section 5.1).
type challenge struct {
	metadata     string // where the resource's metadata is, or ""
	scopes       []string
	err          string
	bearer, dpop bool // the kinds of tokens that would do
}

// readChallenge reads the challenges of an answer that are for tokens: the first
// to say something counts. One that cannot be read asks for nothing in
// particular.
func readChallenge(h http.Header) challenge {
	values, size := h.Values("WWW-Authenticate"), 0
	for _, v := range values {
		size += len(v)
	}
	if size > maxChallenge {
		return challenge{}
	}
	all, err := oauthex.ParseWWWAuthenticate(values)
	if err != nil {
		return challenge{}
	}
	var found challenge
	for _, c := range all {
		algorithms := strings.Fields(c.Params["algs"])
		bearer := c.Scheme == "bearer"
		dpop := c.Scheme == "dpop" && (len(algorithms) == 0 || slices.Contains(algorithms, string(jose.ES256)))
		if !bearer && !dpop {
			continue
		}
		found.metadata = cmp.Or(found.metadata, c.Params["resource_metadata"])
		found.err = cmp.Or(found.err, c.Params["error"])
		if len(found.scopes) == 0 {
			found.scopes = strings.Fields(c.Params["scope"])
		}
		found.bearer, found.dpop = found.bearer || bearer, found.dpop || dpop
	}
	return found
}

// A protection is what is known about how a resource is protected.
type protection struct {
	resource string
	scopes   []string // scopes_supported of the resource
	server   authServer
	dpop     bool // tokens for it are bound to the key
}

// An authServer is the metadata of an authorization server, as far as it
// matters here (RFC 8414, section 2).
type authServer struct {
	Issuer     string   `json:"issuer"`
	TokenURL   string   `json:"token_endpoint"`
	UserURL    string   `json:"authorization_endpoint"`
	RevokeURL  string   `json:"revocation_endpoint"` // RFC 8414, section 2; "" for none
	PKCE       []string `json:"code_challenge_methods_supported"`
	Methods    []string `json:"token_endpoint_auth_methods_supported"`
	Algorithms []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	Grants     []string `json:"grant_types_supported"`
	DPoP       []string `json:"dpop_signing_alg_values_supported"` // RFC 9449, section 5.1
}

// proves reports whether the server binds tokens to keys like the gateway's,
// as far as it says.
func (a *authServer) proves() bool { return slices.Contains(a.DPoP, string(jose.ES256)) }

// resourceMetadata is that of a protected resource (RFC 9728, section 2).
type resourceMetadata struct {
	Resource string   `json:"resource"`
	Servers  []string `json:"authorization_servers"`
	Scopes   []string `json:"scopes_supported"`
	DPoP     bool     `json:"dpop_bound_access_tokens_required"`
}

// discover finds out how the upstream is protected.
func (s *tokens) discover(ctx context.Context, c challenge) (*protection, error) {
	if s.o.TokenURL != "" {
		p := &protection{resource: s.o.Resource, server: authServer{Issuer: s.o.Issuer, TokenURL: s.o.TokenURL}}
		if p.resource == "" && !s.told {
			p.resource = s.upstream.String()
		}
		p.dpop = s.o.DPoP == dpopAlways || s.o.DPoP == dpopAuto && c.dpop && !c.bearer
		return p, nil
	}
	if s.told {
		m := &resourceMetadata{Resource: s.o.Resource}
		return s.protectedBy(ctx, c, m, s.o.Issuer)
	}
	m, err := s.resourceMetadata(ctx, c.metadata)
	if err != nil {
		return nil, err
	}
	var issuer string
	switch {
	case len(m.Servers) == 0:
		return nil, errors.New("the metadata of the resource names no authorization server")
	case s.issuer == "":
		issuer = m.Servers[0]
	case slices.ContainsFunc(m.Servers, s.isIssuer):
		issuer = s.issuer
	default:
		return nil, fmt.Errorf("the metadata of the resource names another authorization server than %s", s.issuer)
	}
	return s.protectedBy(ctx, c, m, issuer)
}

// protectedBy looks up the authorization server of a resource.
func (s *tokens) protectedBy(ctx context.Context, c challenge, m *resourceMetadata, issuer string) (*protection, error) {
	server, err := s.serverMetadata(ctx, issuer)
	if err != nil {
		return nil, err
	}
	if !validScopes(m.Scopes) {
		return nil, errors.New("the metadata of the resource has too many scopes, or bad ones")
	}
	p := &protection{resource: m.Resource, scopes: m.Scopes, server: *server}
	if p.dpop, err = s.bind(c, m, server); err != nil {
		return nil, err
	}
	return p, nil
}

// bind reports whether tokens are to be bound to the key: where the operator
// or the resource demands it, and where both servers can.
func (s *tokens) bind(c challenge, m *resourceMetadata, server *authServer) (bool, error) {
	switch demanded := s.o.DPoP == dpopAlways || m.DPoP || c.dpop && !c.bearer; {
	case s.o.DPoP == dpopNever:
		return false, nil
	case demanded && server.DPoP != nil && !server.proves():
		return false, errors.New("the authorization server does not support DPoP with ES256, which the upstream demands")
	default:
		return demanded || c.dpop && server.proves(), nil
	}
}

// isIssuer reports whether it is the one that the credentials are for. A slash
// at the end makes no difference, as it often comes and goes.
func (s *tokens) isIssuer(issuer string) bool { return sameIssuer(issuer, s.issuer) }

func sameIssuer(a, b string) bool { return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/") }

// resourceMetadata gets the upstream's metadata from where its challenge says
// it is, or from the well-known places (authorization, protected resource
// metadata discovery). What is found first counts, right or wrong.
func (s *tokens) resourceMetadata(ctx context.Context, from string) (*resourceMetadata, error) {
	const wellKnown = "/.well-known/oauth-protected-resource"
	places := []string{from}
	if from == "" {
		places = []string{wellKnownURL(s.upstream, wellKnown, s.upstream.EscapedPath()), wellKnownURL(s.upstream, wellKnown, "")}
	}
	for _, place := range slices.Compact(places) {
		var m resourceMetadata
		found, err := s.get(ctx, place, &m)
		if err != nil {
			return nil, fmt.Errorf("metadata of the resource: %w", err)
		}
		if !found {
			continue
		}
		if !s.isResource(m.Resource) {
			return nil, fmt.Errorf("the metadata at %s is of another resource, %q", OneLine(place, 256), OneLine(m.Resource, 256))
		}
		return &m, nil
	}
	return nil, errors.New("the upstream has no metadata that names its authorization server")
}

// isResource reports whether a resource identifier is the upstream's: the one
// configured, or its URL, or what that URL lies under (RFC 8707, section 2).
func (s *tokens) isResource(id string) bool {
	if s.o.Resource != "" {
		return id == s.o.Resource
	}
	u, err := checkURL(id)
	if err != nil || u.Scheme != s.upstream.Scheme || !strings.EqualFold(u.Host, s.upstream.Host) {
		return false
	}
	if u.RawQuery != "" {
		return id == s.upstream.String()
	}
	base, path := strings.TrimSuffix(u.EscapedPath(), "/"), s.upstream.EscapedPath()
	return path == base || strings.HasPrefix(path, base+"/")
}

// serverMetadata gets the metadata of an authorization server (RFC 8414,
// section 3; authorization, authorization server metadata discovery).
func (s *tokens) serverMetadata(ctx context.Context, issuer string) (*authServer, error) {
	if err := checkSecure(issuer); err != nil {
		return nil, fmt.Errorf("issuer %q: %w", OneLine(issuer, 256), err)
	}
	base, err := url.Parse(issuer)
	if err != nil || base.RawQuery != "" {
		return nil, fmt.Errorf("issuer %q is not valid", OneLine(issuer, 256))
	}
	path := strings.TrimSuffix(base.EscapedPath(), "/")
	const oauth, openID = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
	places := []string{wellKnownURL(base, oauth, path), wellKnownURL(base, openID, path), wellKnownURL(base, path, openID)}
	for _, place := range slices.Compact(places) {
		var m authServer
		found, err := s.get(ctx, place, &m)
		if err != nil {
			return nil, fmt.Errorf("metadata of the authorization server: %w", err)
		}
		if !found {
			continue
		}
		if !sameIssuer(m.Issuer, issuer) {
			return nil, fmt.Errorf("the metadata of %s is of another issuer, %q", OneLine(issuer, 256), OneLine(m.Issuer, 256))
		}
		if err := checkSecure(m.TokenURL); err != nil {
			return nil, fmt.Errorf("the token endpoint of %s: %w", OneLine(issuer, 256), err)
		}
		return &m, nil
	}
	return nil, fmt.Errorf("the authorization server %s has no metadata", OneLine(issuer, 256))
}

// wellKnownURL returns a URL of the same origin.
func wellKnownURL(base *url.URL, parts ...string) string {
	return base.Scheme + "://" + base.Host + strings.TrimSuffix(strings.Join(parts, ""), "/")
}

const typeJSON = "application/json"

func isJSON(h http.Header) bool {
	t, _, _ := mime.ParseMediaType(h.Get("Content-Type")) // "" is none.
	return t == typeJSON
}

// get fetches metadata and reports whether there is any.
func (s *tokens) get(ctx context.Context, place string, into any) (bool, error) {
	if err := checkSecure(place); err != nil {
		return false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, place, nil)
	if err != nil {
		return false, errors.New("the URL is not valid")
	}
	req.Header.Set("Accept", typeJSON)
	res, err := s.http.Do(req)
	if err != nil {
		return false, err
	}
	defer res.Body.Close() //nolint:errcheck // it has been read.
	switch {
	case res.StatusCode/100 == 4 && res.StatusCode != http.StatusTooManyRequests && res.StatusCode != http.StatusRequestTimeout:
		return false, nil
	case res.StatusCode != http.StatusOK:
		return false, &StatusError{Status: res.StatusCode}
	case !isJSON(res.Header):
		return false, errors.New("it is not JSON")
	}
	data, err := ReadAll(res.Body, res.ContentLength, maxMetadata)
	if err != nil {
		return false, err
	}
	if err := jsonv2.Unmarshal(data, into); err != nil {
		return false, errors.New("it is not valid")
	}
	return true, nil
}
