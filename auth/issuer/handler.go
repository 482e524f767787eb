package issuer

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

const (
	maxForm  = 8 << 10
	tokenTTL = time.Hour
)

// Handler serves, below the issuer's URL, the metadata (OpenID Connect
// Discovery 1.0) at /.well-known/openid-configuration, the keys at /jwks, the
// token endpoint at /token with the client credentials grant (RFC 6749, section
// 4.4), where the personas are the clients, and the authorization code grant with
// PKCE for the one client that signs people in: its page at /authorize asks which
// persona they want to be. The path of the URL must have been taken off.
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	metadata, err := json.Marshal(map[string]any{
		"issuer":                                         i.url,
		"jwks_uri":                                       i.url + "/jwks",
		"token_endpoint":                                 i.url + "/token",
		"authorization_endpoint":                         i.url + "/authorize",
		"grant_types_supported":                          []string{"client_credentials", "authorization_code", "refresh_token"},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_post", "none"},
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"code_challenge_methods_supported":               []string{"S256"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"ES256"},
		"authorization_response_iss_parameter_supported": true,
	})
	if err != nil {
		panic(err) // Strings always marshal.
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { public(w, metadata) })
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) { public(w, i.public) })
	mux.HandleFunc("POST /token", i.token)
	mux.HandleFunc("GET /authorize", i.choose)
	mux.HandleFunc("POST /authorize", i.chosen)
	return mux
}

func public(w http.ResponseWriter, body []byte) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // The client went away.
}

// token answers a token request (RFC 6749, sections 4.1.3, 4.4.2 and 6).
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if r.ParseForm() != nil {
		fail(w, "invalid_request")
		return
	}
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		i.redeem(w, r)
	case "refresh_token":
		i.refresh(w, r)
	default:
		i.clientCredentials(w, r)
	}
}

// fail answers with an error (RFC 6749, section 5.2).
func fail(w http.ResponseWriter, code string) {
	status := http.StatusBadRequest
	switch code {
	case "invalid_client":
		status = http.StatusUnauthorized
	case "server_error":
		status = http.StatusInternalServerError
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code}) // The client went away.
}

// clientCredentials answers where the persona itself is the client.
func (i *Issuer) clientCredentials(w http.ResponseWriter, r *http.Request) {
	name, ok := i.client(r)
	if !ok {
		fail(w, "invalid_client")
		return
	}
	if r.PostForm.Get("grant_type") != "client_credentials" {
		fail(w, "unsupported_grant_type")
		return
	}
	audience, ok := i.audience(r.PostForm["resource"])
	if !ok {
		fail(w, "invalid_target")
		return
	}
	token, err := i.mint(name, name, audience, tokenTTL)
	if err != nil {
		fail(w, "server_error")
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{ // The client went away.
		"access_token": token, "token_type": "Bearer", "expires_in": int(tokenTTL.Seconds()),
	})
}

// client returns the persona that the form's credentials prove. Basic
// authentication, the other method of RFC 6749, section 2.3.1, is not offered:
// the header it needs ends at the gateway's door.
func (i *Issuer) client(r *http.Request) (string, bool) {
	name := r.PostForm.Get("client_id")
	want, err := i.Secret(name)
	return name, err == nil && subtle.ConstantTimeCompare([]byte(r.PostForm.Get("client_secret")), []byte(want)) == 1
}

// audience returns whom a token is for (RFC 8707, section 2): the server that
// the issuer is part of, or the one resource of it that was asked for.
func (i *Issuer) audience(resources []string) (string, bool) {
	switch len(resources) {
	case 0:
		return i.origin, true
	case 1:
		r := resources[0]
		return r, (r == i.origin || strings.HasPrefix(r, i.origin+"/")) && !strings.Contains(r, "#")
	}
	return "", false
}
