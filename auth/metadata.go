package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/trilith-gateway/trilith/gateway"
)

const wellKnown = "/.well-known/oauth-protected-resource"

// doc is the metadata document of one protected resource, and what a
// challenge says about it.
type doc struct {
	body     []byte
	metadata string // the parameter of every challenge for this resource
}

// Resources returns the resource identifiers of the gateway as a whole and of
// its endpoints. A client asks its issuer for a token for the one that the
// metadata names (RFC 8707), so each is an audience to accept.
func Resources(public string, endpoints ...string) []string {
	public = strings.TrimSuffix(public, "/")
	out := []string{public}
	for _, path := range endpoints {
		out = append(out, public+path)
	}
	return out
}

// describe makes the metadata documents (RFC 9728, sections 2 and 3.1).
func (d *Door) describe() error {
	if d.o.Resource == "" {
		return nil
	}
	u, err := url.Parse(d.o.Resource)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Fragment != "" || u.RawQuery != "" {
		return fmt.Errorf("public URL %q is not an http or https URL without query and fragment", d.o.Resource)
	}
	u.Scheme, u.Host, u.Path = strings.ToLower(u.Scheme), strings.ToLower(u.Host), strings.TrimSuffix(u.Path, "/")
	d.own, _ = parseOrigin(u.Scheme + "://" + u.Host)
	d.proofs.base = u
	for _, path := range append([]string{""}, d.o.Endpoints...) {
		if path != "" && (path[0] != '/' || strings.HasSuffix(path, "/") || strings.ContainsAny(path, "?#%\" \\")) {
			return fmt.Errorf("endpoint %q is not a path such as /mcp", path)
		}
		m, err := d.describeOne(u.Scheme+"://"+u.Host, u.EscapedPath()+path)
		if err != nil {
			return err
		}
		// A proxy may or may not take the public URL's own path off.
		for _, p := range [...]string{path, u.Path + path} {
			d.metadata[p] = m
			d.endpoints = append(d.endpoints, p)
		}
	}
	slices.SortFunc(d.endpoints, func(a, b string) int { return len(b) - len(a) })
	return nil
}

// describeOne makes the document of the resource at the path of the origin.
func (d *Door) describeOne(origin, path string) (doc, error) {
	body, err := json.Marshal(struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers,omitempty"`
		Scopes   []string `json:"scopes_supported,omitempty"`
		Methods  []string `json:"bearer_methods_supported"`
		Name     string   `json:"resource_name"`
		DPoP     []string `json:"dpop_signing_alg_values_supported,omitempty"`
		Bound    bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	}{origin + path, d.o.Servers, d.o.Scopes, []string{"header"}, "Trilith", proofAlgorithms(), d.o.ClientCertificates})
	return doc{body, "resource_metadata=" + strconv.Quote(origin+wellKnown+path)}, err
}

// Challenge returns the WWW-Authenticate value for a refusal on the path, with
// an error code of RFC 6750 such as "invalid_token", or none when kind is "".
func (d *Door) Challenge(path, kind string) string {
	return d.challenge("Bearer", path, d.o.Scopes, kind)
}

// StepUp returns the WWW-Authenticate value for a request on the path that was
// refused since the credential's scopes do not cover it: with all that it needs,
// and only those (MCP 2026-07-28, Authorization, Scope Challenge Handling).
func (d *Door) StepUp(path string, scopes []string) string {
	return d.challenge("Bearer", path, scopes, "insufficient_scope")
}

func (d *Door) challenge(scheme, path string, scopes []string, kind string) string {
	var params []string
	if m, ok := d.metadata[d.endpoint(path)]; ok {
		params = append(params, m.metadata)
	}
	if len(scopes) > 0 {
		params = append(params, "scope="+strconv.Quote(strings.Join(scopes, " ")))
	}
	if kind != "" {
		params = append(params, "error="+strconv.Quote(kind))
	}
	return strings.TrimSpace(scheme + " " + strings.Join(params, ", "))
}

// challenges returns the WWW-Authenticate values for a refusal on the path of a
// request with those Authorization headers. The scheme DPoP is named only to
// those who used it: many clients read one challenge only.
func (d *Door) challenges(path string, e *gateway.Error, authorization []string) []string {
	switch {
	case e.Code == gateway.InvalidArgument:
		return []string{d.Challenge(path, "invalid_request")}
	case e.Code != gateway.Unauthenticated:
		return nil
	case len(authorization) == 0: // RFC 6750, section 3.1: then no error code.
		return []string{d.Challenge(path, "")}
	}
	if scheme, _, _ := strings.Cut(authorization[0], " "); !strings.EqualFold(scheme, "DPoP") {
		return []string{d.Challenge(path, "invalid_token")}
	}
	kind := "invalid_token"
	if why, ok := errors.AsType[*proofError](e.Err); ok {
		kind = why.kind
	}
	return []string{d.challenge("DPoP", path, d.o.Scopes, kind) + ", algs=" + strconv.Quote(strings.Join(proofAlgorithms(), " "))}
}

// endpoint returns the endpoint that the path lies in, or "".
func (d *Door) endpoint(path string) string {
	for _, e := range d.endpoints {
		if rest, ok := strings.CutPrefix(path, e); ok && (rest == "" || rest[0] == '/') {
			return e
		}
	}
	return ""
}

// Metadata serves the protected resource metadata (RFC 9728) at
// /.well-known/oauth-protected-resource and, for each endpoint, at the address
// with the endpoint's path behind it. It is public and readable from every
// origin: it needs no Handler and no Guard around it.
func (d *Door) Metadata() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ok := strings.CutPrefix(r.URL.Path, wellKnown)
		m, known := d.metadata[strings.TrimSuffix(path, "/")]
		h := w.Header()
		switch {
		case r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "":
			h.Set("Access-Control-Allow-Origin", "*") // Preflights come for the header MCP-Protocol-Version.
			h.Set("Access-Control-Allow-Methods", "GET, HEAD")
			h.Set("Access-Control-Allow-Headers", "*")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		case !ok || !known:
			http.NotFound(w, r)
		default:
			h.Set("Access-Control-Allow-Origin", "*")
			h.Set("Cache-Control", "public, max-age=300")
			h.Set("Content-Type", "application/json")
			_, _ = w.Write(m.body) // The client went away.
		}
	})
}
