package egress

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	jsonv2 "github.com/go-json-experiment/json"
)

// The values of OAuthOptions.DPoP.
const (
	dpopAuto   = "auto"
	dpopAlways = "always"
	dpopNever  = "never"
)

// Bounds on the nonces that servers ask proofs to carry.
const (
	maxNonce   = 512
	maxOrigins = 16 // that nonces are kept of
)

// schemeDPoP is the authentication scheme of tokens that are bound to a key
// (RFC 9449, section 7.1).
const schemeDPoP = "DPoP "

// typeForm is the media type of token requests.
const typeForm = "application/x-www-form-urlencoded"

// A DPoPKey proves to servers that a token is used by whom it was issued to
// (RFC 9449): it signs, with ES256, what each request is and which token it
// carries, and the nonce that a server wants to see in it. The key lives in
// memory alone. It is safe for concurrent use.
type DPoPKey struct {
	signer jose.Signer

	mu     sync.Mutex
	nonces map[string]string // by origin
}

// NewDPoPKey returns a new key.
func NewDPoPKey() (*DPoPKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
	if err != nil {
		return nil, err
	}
	return &DPoPKey{signer: signer, nonces: map[string]string{}}, nil
}

// Transport returns a round tripper that adds a proof to token requests (forms
// that are posted) and to requests with a token of the scheme DPoP, and sends
// them once more where the server asks for its nonce. Everything else passes
// as it is. With it, an OAuth client of an embedding program obtains tokens that
// are bound to the key; [Options].DPoP is then the same key.
func (k *DPoPKey) Transport(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		form, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
		if req.Method == http.MethodPost && form == typeForm {
			return k.prove(req.Clone(req.Context()), "", next.RoundTrip)
		}
		return k.do(req.Clone(req.Context()), next.RoundTrip)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// do sends a request, with a proof if its token is one that is bound to a key.
func (k *DPoPKey) do(req *http.Request, send roundTripper) (*http.Response, error) {
	authorization := req.Header.Get("Authorization")
	if !boundToKey(authorization) {
		delete(req.Header, "Dpop")
		return send(req)
	}
	return k.prove(req, authorization[len(schemeDPoP):], send)
}

// boundToKey reports whether the value of Authorization is a token that needs a
// proof.
func boundToKey(authorization string) bool {
	return len(authorization) >= len(schemeDPoP) && strings.EqualFold(authorization[:len(schemeDPoP)], schemeDPoP)
}

// prove sends a request with a proof for a token, or for none, and once more
// with the server's nonce where the server asks for that (sections 8 and 9). It
// changes the request's headers.
func (k *DPoPKey) prove(req *http.Request, token string, send roundTripper) (*http.Response, error) {
	for last := false; ; last = true {
		nonce := k.nonce(req.URL)
		proof, err := k.proof(req, token, nonce)
		if err != nil {
			return nil, err
		}
		req.Header["Dpop"] = []string{proof}
		res, err := send(req)
		if err != nil {
			return nil, err
		}
		given := k.learn(req.URL, res)
		if last || given == "" || given == nonce || req.Body != nil && req.GetBody == nil || !wantsNonce(res) {
			return res, nil
		}
		_, _ = io.CopyN(io.Discard, res.Body, maxErrorBody) // So that the connection can be used again.
		_ = res.Body.Close()                                // It has been read.
		if req = req.Clone(req.Context()); req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

// proof signs a request (section 4.2).
func (k *DPoPKey) proof(req *http.Request, token, nonce string) (string, error) {
	claims := struct {
		ID     string `json:"jti"`
		Method string `json:"htm"`
		URI    string `json:"htu"`
		Issued int64  `json:"iat"`
		Token  string `json:"ath,omitempty"`
		Nonce  string `json:"nonce,omitempty"`
	}{
		rand.Text(), req.Method, (&url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: req.URL.Path, RawPath: req.URL.RawPath}).String(),
		time.Now().Unix(), "", nonce,
	}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims.Token = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	data, err := jsonv2.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := k.signer.Sign(data)
	if err != nil {
		return "", errors.New("the proof of possession cannot be signed")
	}
	return signed.CompactSerialize()
}

// nonce returns what proofs for a server carry.
func (k *DPoPKey) nonce(u *url.URL) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.nonces[u.Scheme+"://"+u.Host]
}

// learn keeps the nonce of an answer for the next proof and returns it, or ""
// if there is none (section 8.2).
func (k *DPoPKey) learn(u *url.URL, res *http.Response) string {
	nonce := res.Header.Get("Dpop-Nonce")
	if nonce == "" || len(nonce) > maxNonce || strings.ContainsFunc(nonce, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
		return ""
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	origin := u.Scheme + "://" + u.Host
	if _, known := k.nonces[origin]; !known && len(k.nonces) >= maxOrigins {
		clear(k.nonces)
	}
	k.nonces[origin] = nonce
	return nonce
}

// wantsNonce reports whether an answer refuses a request for the nonce that its
// proof has not. The body can still be read.
func wantsNonce(res *http.Response) bool {
	const wanted = "use_dpop_nonce"
	switch res.StatusCode {
	case http.StatusUnauthorized: // A resource server.
		return readChallenge(res.Header).err == wanted
	case http.StatusBadRequest: // An authorization server.
		head, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorBody)) // Who reads on meets the error again.
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(head), res.Body), res.Body}
		var a struct {
			Error string `json:"error"`
		}
		return jsonv2.Unmarshal(head, &a) == nil && a.Error == wanted
	}
	return false
}
