// Package auth says who is asking. A [Door] stands before every frontend: it
// takes the credential off each request, has an [Authenticator] turn it into a
// [gateway.Principal], and puts that into the request's context. What happens
// then is not its business: auth/policy decides what a principal may do.
//
//	request ─ Door ─ Host, Origin ─ credential ─ Authenticator ─ principal in the context ─ frontend
//	                                             └ OIDC: cache ─ verifier ─ key set of the issuer
//
// The gateway is an OAuth 2.0 resource server (RFC 6750, RFC 9068, RFC 9728;
// MCP 2026-07-28, Authorization). Identity belongs to a request, never to a
// session. A credential that is refused is refused for good: nothing falls
// through to another way in. Authorization and Cookie headers end at the door;
// the access token alone can be kept beside the request, to be exchanged for one
// that an upstream takes ([Token]).
//
// What it is not: an authorization server. The small one of development mode
// is package auth/issuer.
package auth

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

type principalKey struct{}

// With returns a context that carries the principal.
func With(ctx context.Context, p *gateway.Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// From returns the principal that the door put into the context, or nil when
// the request passed no door. It is shared with other requests of the same
// credential: do not change it.
func From(ctx context.Context) *gateway.Principal {
	p, _ := ctx.Value(principalKey{}).(*gateway.Principal)
	return p
}

// Until returns a context that ends when the principal's credential does, for
// streams: a stream must not outlive the credential that opened it. The cause
// is then a *gateway.Error of code Unauthenticated.
func Until(ctx context.Context, p *gateway.Principal) (context.Context, context.CancelFunc) {
	if p == nil || p.Expiry.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadlineCause(ctx, p.Expiry, expired())
}

// Expired returns the refusal of a principal whose credential has ended, a
// *gateway.Error of code Unauthenticated, or nil: for requests that may come
// long after the door has let their caller in.
func Expired(p *gateway.Principal) error {
	if p == nil || p.Expiry.IsZero() || time.Now().Before(p.Expiry) {
		return nil
	}
	return expired()
}

func expired() error { return refuse(gateway.Unauthenticated, "the token has expired", nil) }

// A Credential is what a request shows of who sends it: a token and, where the
// token is bound to a key of its client, what shows that the client has the key.
type Credential struct {
	Token string // as presented, without its scheme

	// Thumbprint of the key that a DPoP proof was made with (RFC 7638), or "" for
	// a token that was presented as a plain bearer token. The door goes on to
	// verify the proof itself, once the token is known to be valid.
	Thumbprint string

	// Certificate of the client that the TLS handshake has verified, or nil.
	Certificate *x509.Certificate
}

// An Authenticator turns a credential into a principal. Its error is a
// [gateway.Error] of code Unauthenticated whose message tells the caller no
// more than that the credential is not valid, or Unavailable where whoever must
// be asked is away; the cause is for the operator. A token that is bound to a
// key is refused without that key, and one that is bound to none is refused with
// a thumbprint. Principals are shared and never changed. It is safe for
// concurrent use.
type Authenticator interface {
	Authenticate(context.Context, Credential) (*gateway.Principal, error)
}

// An Attempt is a request that the door refused.
type Attempt struct {
	Via    string       // "http", "grpc", or "token" where a protocol brought the credential itself
	Method string       // of HTTP; "" for others
	Path   string       // of the URL without its query, or gRPC's full method; "" when unknown
	Remote string       // the peer's network address; "" when unknown
	Reason string       // why, for the operator; never the credential
	Code   gateway.Code // Unauthenticated, PermissionDenied for Host and Origin, InvalidArgument for a malformed request
	Time   time.Time
}

const by = "door"

// invalid returns the refusal of a credential. The caller learns nothing else.
func invalid(cause error) *gateway.Error {
	return refuse(gateway.Unauthenticated, "invalid token", cause)
}

func refuse(code gateway.Code, msg string, cause error) *gateway.Error {
	return &gateway.Error{Code: code, By: by, Msg: msg, Err: cause}
}
