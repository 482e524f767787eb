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
// Discovery 1.0) at /.well-known/openid-configuration, the keys at /jwks and
// the token endpoint with the client credentials grant (RFC 6749, section 4.4)
// at /token, where the personas are the clients. The path of the URL must have
// been taken off.
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	metadata, err := json.Marshal(map[string]any{
		"issuer":                                i.url,
		"jwks_uri":                              i.url + "/jwks",
		"token_endpoint":                        i.url + "/token",
		"grant_types_supported":                 []string{"client_credentials"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_post"},
		"response_types_supported":              []string{}, // No browser login.
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
	})
	if err != nil {
		panic(err) // Strings always marshal.
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { public(w, metadata) })
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) { public(w, i.public) })
	mux.HandleFunc("POST /token", i.token)
	return mux
}

func public(w http.ResponseWriter, body []byte) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // The client went away.
}

// token answers a token request (RFC 6749, section 4.4.2).
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	fail := func(status int, code string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": code}) // The client went away.
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if r.ParseForm() != nil {
		fail(http.StatusBadRequest, "invalid_request")
		return
	}
	name, ok := i.client(r)
	if !ok {
		fail(http.StatusUnauthorized, "invalid_client")
		return
	}
	if r.PostForm.Get("grant_type") != "client_credentials" {
		fail(http.StatusBadRequest, "unsupported_grant_type")
		return
	}
	audience, ok := i.audience(r.PostForm["resource"])
	if !ok {
		fail(http.StatusBadRequest, "invalid_target")
		return
	}
	token, err := i.mint(name, name, audience, tokenTTL)
	if err != nil {
		fail(http.StatusInternalServerError, "server_error")
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
