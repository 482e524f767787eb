package auth

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/trilith-gateway/trilith/gateway"
)

const (
	maxProof    = 8 << 10          // bytes of a DPoP proof
	maxProofID  = 256              // bytes of its jti
	proofAge    = time.Minute      // how long ago a proof may have been made
	proofAhead  = 15 * time.Second // how far the client's clock may be ahead
	proofWindow = proofAge + proofAhead
)

// proofAlgorithms are the algorithms of DPoP proofs, as metadata and challenges
// list them.
func proofAlgorithms() []string {
	return []string{"ES256", "ES384", "ES512", "EdDSA", "Ed25519", "PS256", "RS256"}
}

// The error codes of RFC 9449, section 12.2.
const (
	invalidProof = "invalid_dpop_proof"
	useNonce     = "use_dpop_nonce"
)

// A proofError is why a DPoP proof was refused.
type proofError struct {
	kind string // the error code of the challenge
	err  error
}

func (e *proofError) Error() string { return e.err.Error() }
func (e *proofError) Unwrap() error { return e.err }

func badProof(format string, args ...any) *gateway.Error {
	return refuse(gateway.Unauthenticated, "invalid DPoP proof", &proofError{invalidProof, fmt.Errorf("DPoP proof: "+format, args...)})
}

// A proof is a DPoP proof that has been taken apart but not verified (RFC 9449,
// section 4.2).
type proof struct {
	*signed
	method     jwt.SigningMethod
	key        crypto.PublicKey // that it names itself
	thumbprint string           // of the key (RFC 7638)
}

// parseProof takes the one proof of a request apart (RFC 9449, section 4.3,
// items 1 to 6 and 9).
func parseProof(values []string) (*proof, error) {
	switch {
	case len(values) == 0:
		return nil, badProof("it is missing")
	case len(values) > 1:
		return nil, badProof("there is more than one")
	case len(values[0]) > maxProof:
		return nil, badProof("%d bytes, at most %d", len(values[0]), maxProof)
	}
	t, err := parseToken(values[0])
	if err != nil {
		return nil, badProof("%w", err)
	}
	p := &proof{signed: t}
	for _, alg := range proofAlgorithms() {
		if alg == t.header.Alg {
			p.method = signingMethods()[alg]
		}
	}
	switch {
	case t.header.Typ != "dpop+jwt":
		return nil, badProof("type %.40q is not dpop+jwt", t.header.Typ)
	case t.header.Crit != nil:
		return nil, badProof("critical extensions are not supported")
	case p.method == nil:
		return nil, badProof("algorithm %.20q is not accepted", t.header.Alg)
	}
	_, k, ok := parseKey(t.header.JWK)
	if !ok || !k.fits(t.header.Alg) {
		return nil, badProof("it names no public key for %s", t.header.Alg)
	}
	sum, err := (&jose.JSONWebKey{Key: k.public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, badProof("%w", err)
	}
	p.key, p.thumbprint = k.public, base64.RawURLEncoding.EncodeToString(sum)
	return p, nil
}

// Proofs remember the DPoP proofs that were used, for all the doors of a node.
// They are safe for concurrent use.
type Proofs struct {
	nonces  *nonces // nil demands none
	replays replays
}

// NewProofs returns the memory of a node. The key makes the nonces that proofs
// must then have (RFC 9449, section 9): all nodes must have the same 32 random
// bytes. Nil demands no nonces.
func NewProofs(key *[32]byte) *Proofs {
	p := new(Proofs)
	if key != nil {
		p.nonces = &nonces{*key}
	}
	return p
}

// proofs verifies DPoP proofs for one door.
type proofs struct {
	*Proofs
	base *url.URL // the public URL, in canonical form
}

// verify judges a proof that was sent with a valid token bound to its key (RFC
// 9449, section 4.3, items 7 to 12). The nonce that it returns, if it is not "",
// is for the client to use from now on.
func (d *proofs) verify(p *proof, v *visit, token string) (nonce string, err error) {
	now := time.Now()
	r := reader{claims: p.claims}
	id, method, target, hash, given := r.text("jti"), r.text("htm"), r.text("htu"), r.text("ath"), r.text("nonce")
	made, dated, err := p.claims.when("iat")
	sum := sha256.Sum256([]byte(token))
	switch {
	case r.err != nil:
		return "", badProof("%w", r.err)
	case err != nil:
		return "", badProof("%w", err)
	case id == "" || len(id) > maxProofID:
		return "", badProof("jti is missing or longer than %d bytes", maxProofID)
	case method != v.method:
		return "", badProof("it is for method %.20q", method)
	case !d.is(target, v):
		return "", badProof("it is for %.200q", target)
	case hash != base64.RawURLEncoding.EncodeToString(sum[:]):
		return "", badProof("it is for another token")
	case !dated || made.Before(now.Add(-proofAge)) || made.After(now.Add(proofAhead)):
		return "", badProof("it was not made within the last %v", proofAge)
	}
	if d.nonces != nil {
		if nonce, err = d.nonces.check(given, now); err != nil {
			return nonce, err
		}
	}
	if err := p.method.Verify(p.input, p.signature, p.key); err != nil {
		return "", badProof("signature: %w", err)
	}
	return nonce, d.replays.add(p.thumbprint, id, now)
}

// is reports whether a proof's htu is the URL of the request, but for query and
// fragment. The host is that of the public URL; a proxy may or may not have
// taken that URL's own path off.
func (d *proofs) is(target string, v *visit) bool {
	u, err := url.Parse(target)
	if err != nil || d.base == nil || u.User != nil {
		return false
	}
	if own, ok := parseOrigin(u.Scheme + "://" + u.Host); !ok || own.String() != d.base.Scheme+"://"+d.base.Host {
		return false
	}
	path, escaped := u.Path, u.EscapedPath()
	if path == "" {
		path, escaped = "/", "/"
	}
	same := func(prefix, rawPrefix string) bool { // Only the letters of escapes may differ in case.
		return path == prefix+v.path && strings.EqualFold(escaped, rawPrefix+v.rawPath)
	}
	prefix := d.base.Path
	return same(prefix, d.base.EscapedPath()) || prefix != "" && strings.HasPrefix(v.path, prefix+"/") && same("", "")
}
