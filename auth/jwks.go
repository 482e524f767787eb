package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const maxKeys = 256

// keys are an issuer's usable keys at one moment. They are never changed.
type keys struct {
	byID  map[string][]key
	print string // equal for equal sets
}

// A key verifies signatures of the algorithms that fit it.
type key struct {
	algs   []string
	public crypto.PublicKey
}

// jwk is a JSON Web Key (RFC 7517, section 4) as far as it matters here.
type jwk struct {
	Kty string `json:"kty"`
	Crv string `json:"crv,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
}

// parseKeys reads a JSON Web Key Set (RFC 7517, section 5). Keys without an id,
// for encryption, symmetric, weak or of unknown kinds are left out, as are keys
// whose private part is in the open. A set without any usable key is an error.
func parseKeys(raw []byte) (*keys, error) {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := jsonv2.Unmarshal(raw, &set); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("key set of %d keys, at most %d", len(set.Keys), maxKeys)
	}
	out := &keys{byID: map[string][]key{}}
	var prints []string
	for _, raw := range set.Keys {
		id, k, ok := parseKey(raw)
		if !ok || id == "" {
			continue
		}
		thumb, err := (&jose.JSONWebKey{Key: k.public}).Thumbprint(crypto.SHA256)
		if err != nil {
			continue
		}
		out.byID[id] = append(out.byID[id], k)
		prints = append(prints, fmt.Sprintf("%q %v %s", id, k.algs, base64.RawURLEncoding.EncodeToString(thumb)))
	}
	if len(out.byID) == 0 {
		return nil, errors.New("key set without a usable key")
	}
	slices.Sort(prints)
	out.print = strings.Join(prints, "\n")
	return out, nil
}

// parseKey reads a public key and its id, which may be "".
func parseKey(raw jsontext.Value) (id string, k key, ok bool) {
	var v struct {
		jwk
		Kid string         `json:"kid"`
		Use string         `json:"use"`
		Alg string         `json:"alg"`
		Ops []string       `json:"key_ops"`
		D   jsontext.Value `json:"d"`
	}
	if jsonv2.Unmarshal(raw, &v) != nil || v.D != nil ||
		v.Use != "" && v.Use != "sig" || len(v.Ops) > 0 && !slices.Contains(v.Ops, "verify") {
		return "", key{}, false
	}
	bare, err := json.Marshal(v.jwk) // go-jose refuses alg names that are newer than it is.
	if err != nil {
		return "", key{}, false
	}
	var j jose.JSONWebKey
	if json.Unmarshal(bare, &j) != nil || !j.Valid() {
		return "", key{}, false
	}
	algs := algorithmsOf(j.Key)
	if v.Alg != "" {
		algs = slices.DeleteFunc(algs, func(a string) bool { return fold(a) != fold(v.Alg) })
	}
	return v.Kid, key{algs, j.Key}, len(algs) > 0
}

// algorithmsOf returns the algorithms that a public key may verify, or nil for
// one that is not to be trusted.
func algorithmsOf(public crypto.PublicKey) []string {
	switch p := public.(type) {
	case *rsa.PublicKey:
		if n := p.N.BitLen(); n >= 2048 && n <= 8192 {
			return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
		}
	case *ecdsa.PublicKey:
		switch p.Curve.Params().Name {
		case "P-256":
			return []string{"ES256"}
		case "P-384":
			return []string{"ES384"}
		case "P-521":
			return []string{"ES512"}
		}
	case ed25519.PublicKey:
		return []string{"EdDSA", "Ed25519"}
	}
	return nil
}

// fold maps the two names of one algorithm onto one (RFC 9864, section 2.2).
func fold(alg string) string {
	if alg == "Ed25519" {
		return "EdDSA"
	}
	return alg
}

// fits reports whether the key may verify signatures of the algorithm.
func (k key) fits(alg string) bool { return slices.Contains(k.algs, alg) }

// get returns the key of that id for that algorithm. Known says whether there
// is any key of that id.
func (k *keys) get(id, alg string) (public crypto.PublicKey, known bool) {
	if k == nil {
		return nil, false
	}
	for _, c := range k.byID[id] {
		known = true
		if c.fits(alg) {
			return c.public, true
		}
	}
	return nil, known
}
