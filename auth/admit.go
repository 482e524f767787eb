package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/trilith-gateway/trilith/gateway"
)

// A visit is a request as far as the door looks at it.
type visit struct {
	method        string // of HTTP; POST for gRPC
	path, rawPath string // of the URL, decoded and as it was sent; the full method for gRPC

	authorization, key, proof []string // the values of the headers

	login *http.Request // whose cookie is a credential; nil where cookies are none

	tls *tls.ConnectionState // nil without TLS

	nonce string // set by admit: for the client's next DPoP proof, or ""
	token string // set by admit: that the caller was admitted by, or ""
}

// present returns the credential that a request shows, and whether its token
// came with the scheme DPoP.
func (d *Door) present(v *visit) (c Credential, dpop bool, err error) {
	c.Certificate = verified(v.tls)
	switch {
	case len(v.key) > 0 && len(v.authorization) > 0:
		return c, false, refuse(gateway.InvalidArgument, "more than one credential", nil)
	case len(v.key) > 1:
		return c, false, refuse(gateway.InvalidArgument, "more than one API key", nil)
	case len(v.key) == 1 && !IsKey(v.key[0]):
		return c, false, invalid(errors.New("the header for API keys holds something else"))
	case len(v.key) == 1:
		c.Token = v.key[0]
		return c, false, nil
	}
	dpop, c.Token, err = authorization(v.authorization)
	return c, dpop, err
}

// verified returns the client's certificate, if it has shown one that the
// handshake accepted.
func verified(s *tls.ConnectionState) *x509.Certificate {
	if s == nil || len(s.VerifiedChains) == 0 {
		return nil
	}
	return s.PeerCertificates[0]
}

// admit returns who makes a request.
func (d *Door) admit(ctx context.Context, v *visit) (*gateway.Principal, error) {
	c, dpop, err := d.present(v)
	if err != nil {
		return nil, err
	}
	if v.login != nil && c.Token == "" {
		return d.admitLogin(ctx, v, c)
	}
	v.token = c.Token
	if !dpop {
		return d.authenticate(ctx, c)
	}
	p, err := parseProof(v.proof)
	if err != nil {
		return nil, err
	}
	// The token comes first: whoever has none that is bound to the key of the
	// proof makes us verify no signature and remember nothing.
	c.Thumbprint = p.thumbprint
	who, err := d.authenticate(ctx, c)
	if err != nil {
		return nil, err
	}
	if v.nonce, err = d.proofs.verify(p, v, c.Token); err != nil {
		return nil, err
	}
	return who, nil
}

func (d *Door) authenticate(ctx context.Context, c Credential) (*gateway.Principal, error) {
	switch {
	case c.Token == "" && c.Certificate != nil && d.o.Certificates != nil:
		return d.o.Certificates.authenticate(c.Certificate)
	case c.Token == "" && d.o.Anonymous != nil:
		return d.o.Anonymous, nil
	case c.Token == "":
		return nil, refuse(gateway.Unauthenticated, "no credential", nil)
	case len(c.Token) > maxToken:
		return nil, invalid(fmt.Errorf("token of %d bytes, at most %d", len(c.Token), maxToken))
	case d.o.Auth == nil:
		return nil, invalid(errors.New("a token was presented, but no issuer is configured"))
	}
	return d.o.Auth.Authenticate(ctx, c)
}

// authorization returns the token of an Authorization header, or "" when there
// is none, and whether it came with the scheme DPoP (RFC 9449, section 7.1)
// rather than Bearer (RFC 6750, section 2.1). The scheme's case does not matter
// (RFC 9110, section 11.1).
func authorization(values []string) (dpop bool, token string, err error) {
	switch len(values) {
	case 0:
		return false, "", nil
	case 1:
	default:
		return false, "", refuse(gateway.InvalidArgument, "more than one Authorization header", nil)
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimLeft(token, " ")
	dpop = strings.EqualFold(scheme, "DPoP")
	if !dpop && !strings.EqualFold(scheme, "Bearer") || token == "" {
		return false, "", invalid(errors.New("the Authorization header is neither a bearer token nor one with a DPoP proof"))
	}
	for i := range len(token) {
		if !tokenBytes[token[i]] {
			return false, "", invalid(errors.New("the token has a character that no token has"))
		}
	}
	return dpop, token, nil
}

// tokenBytes are the bytes of b64token (RFC 6750, section 2.1), of which signed
// tokens are made too.
var tokenBytes = func() (is [256]bool) { //nolint:gochecknoglobals // a constant table.
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=") {
		is[c] = true
	}
	return is
}()
