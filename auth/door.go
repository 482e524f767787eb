package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/internal/clip"
)

// Bounds, in bytes.
const (
	maxToken   = 16 << 10 // a bearer token
	maxAttempt = 128      // each text of an [Attempt] that a caller can choose
)

// DoorOptions say whom a [Door] lets in.
type DoorOptions struct {
	// Auth judges tokens. Nil refuses all of them, and is allowed only together
	// with Certificates or Anonymous.
	Auth Authenticator

	// Certificates judges the certificates of clients that show no other
	// credential. Nil takes them for nothing but what tokens may be bound to.
	Certificates *Certificates

	// ClientCertificates says that the listener asks clients for certificates, for
	// the metadata.
	ClientCertificates bool

	// Proofs are the DPoP proofs that were used; nil are the door's own, without
	// nonces. Doors for the same paths must share them.
	Proofs *Proofs

	// KeyHeader is a header beside Authorization in which API keys are accepted,
	// such as "X-API-Key"; "" is none. Other tokens are never taken from it.
	KeyHeader string

	// Logins are the sessions of browsers that [Door.Console] takes for a
	// credential. Nil takes none.
	Logins Logins

	// Anonymous is the principal of requests without a credential. Nil refuses
	// them. A request with a bad credential is never anonymous.
	Anonymous *gateway.Principal

	// Resource is the public URL of the gateway, under which clients reach it.
	// It is never taken from a Host header. Required with Auth.
	Resource string

	// Endpoints are the paths below Resource that are protected resources of
	// their own, such as "/mcp": RFC 9728 wants metadata that names the very
	// URL which the client used.
	Endpoints []string

	// Servers are the issuers whose tokens Auth accepts, for the metadata.
	Servers []string

	// Scopes are the smallest useful set, for the metadata and challenges; may
	// be empty.
	Scopes []string

	// Origins are values of the Origin header, such as "https://app.example",
	// that may call in addition to the gateway's own origin and, on a loopback
	// listener, to any loopback origin.
	Origins []string

	// Hosts are names accepted in the Host header besides that of Resource,
	// each with or without a port. Empty accepts every name, but on a loopback
	// listener only loopback names, so that no web page can rebind its own
	// name to this machine.
	Hosts []string

	// Public are gRPC methods that need no credential, as prefixes of the full
	// method such as "/grpc.health.v1.Health/". They learn of one that is good.
	Public []string

	// KeepTokens is asked at each request whether the access token that it is
	// admitted by is kept for who exchanges it, as [Token]. Nil keeps none.
	KeepTokens func() bool

	// Refused receives every refusal, for the audit log. It is called by many
	// goroutines and must not block. Nil drops them.
	Refused func(context.Context, Attempt)

	// Logger receives refusals at level Debug. Required.
	Logger *slog.Logger
}

// A Door stands before the frontends. It is safe for concurrent use.
type Door struct {
	o         DoorOptions
	origins   map[string]bool
	hosts     map[string]bool
	own       origin // Resource's
	proofs    proofs
	metadata  map[string]doc // by endpoint path; "" is the gateway as a whole
	endpoints []string       // longest first
}

// NewDoor returns a door, or an error that names each option that is missing
// or malformed.
func NewDoor(o DoorOptions) (*Door, error) {
	d := &Door{o: o, origins: map[string]bool{}, hosts: map[string]bool{}, metadata: map[string]doc{}}
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf("door: "+format, args...)) }
	if o.Logger == nil {
		problem("no logger")
	}
	if o.Auth == nil && o.Anonymous == nil && o.Certificates == nil {
		problem("neither an authenticator nor certificates nor an anonymous principal: nobody could pass")
	}
	if err := o.Certificates.check(); err != nil {
		problem("%w", err)
	}
	if d.o.KeyHeader = http.CanonicalHeaderKey(o.KeyHeader); !isKeyHeader(d.o.KeyHeader) {
		problem("%q is not the name of a header for keys", o.KeyHeader)
	}
	if d.proofs.Proofs = o.Proofs; o.Proofs == nil {
		d.proofs.Proofs = NewProofs(nil)
	}
	if o.Auth != nil && o.Resource == "" {
		problem("tokens are accepted but the public URL is missing")
	}
	problems = append(problems, d.know()...)
	if err := d.describe(); err != nil {
		problem("%w", err)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return d, nil
}

// know reads the names that may call, and returns what is wrong with them.
func (d *Door) know() (problems []error) {
	for _, v := range d.o.Origins {
		own, ok := parseOrigin(v)
		if !ok {
			problems = append(problems, fmt.Errorf("door: origin %q is not scheme://host[:port]", v))
		}
		d.origins[own.String()] = true
	}
	for _, v := range d.o.Hosts {
		name := hostName(v)
		if name == "" || strings.ContainsAny(v, "/ *") {
			problems = append(problems, fmt.Errorf("door: host %q is not a name with an optional port", v))
		}
		d.hosts[strings.ToLower(v)] = true
	}
	return problems
}

// Authenticate judges a token that a protocol brought in a way of its own, as
// graphql-transport-ws does in connection_init. An empty token is a request
// without a token. Refusals are reported as all others.
func (d *Door) Authenticate(ctx context.Context, token string) (*gateway.Principal, error) {
	g, _ := ctx.Value(guardedKey{}).(guarded)
	p, err := d.authenticate(ctx, Credential{Token: token, Certificate: g.certificate})
	if err != nil {
		g.attempt.Via = "token"
		return nil, d.refused(ctx, g.attempt, err)
	}
	return p, nil
}

// refused reports a refusal and returns it as a *gateway.Error.
func (d *Door) refused(ctx context.Context, a Attempt, err error) *gateway.Error {
	e := gateway.AsError(err)
	a.Code, a.Reason, a.Time = e.Code, e.Msg, time.Now()
	if e.Err != nil {
		a.Reason += ": " + e.Err.Error()
	}
	a.Method, a.Path, a.Reason = clip.Text(a.Method, maxAttempt), clip.Text(a.Path, maxAttempt), clip.Text(a.Reason, maxAttempt)
	d.o.Logger.DebugContext(ctx, "refused at the door", slog.String("via", a.Via), slog.String("method", a.Method),
		slog.String("path", a.Path), slog.String("remote", a.Remote), slog.String("reason", a.Reason))
	if d.o.Refused != nil {
		d.o.Refused(ctx, a)
	}
	return e
}

// isKeyHeader reports whether API keys can stand in a header of that name, which
// may be "".
func isKeyHeader(name string) bool {
	switch name {
	case "":
		return true
	case "Authorization", "Proxy-Authorization", "Cookie", "Dpop", "Origin", "Host":
		return false
	}
	return isToken(name)
}

// isToken reports whether s can be a header's name (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"
	return s != "" && strings.Trim(s, letters) == ""
}

// statusOf is the HTTP status of a refusal at the door.
func statusOf(c gateway.Code) int {
	switch c { //nolint:exhaustive // a door refuses with these only.
	case gateway.Unauthenticated:
		return http.StatusUnauthorized
	case gateway.PermissionDenied:
		return http.StatusForbidden
	case gateway.InvalidArgument:
		return http.StatusBadRequest
	case gateway.ResourceExhausted:
		return http.StatusTooManyRequests
	case gateway.Canceled:
		return 499
	case gateway.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}
