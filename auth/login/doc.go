// Package login lets people sign in to the gateway with a browser: at their
// issuer, by the authorization code flow with PKCE. What the browser keeps is a
// random secret in a cookie; the tokens stay in the shared state, sealed for that
// session alone.
//
//	/auth/login ─ issuer ─ /auth/callback ─ session ─ cookie ─▶ auth.Door.Console ─ token ─ auth.Authenticator
//	                                                └ /auth/logout, an administrator, a revocation, time
//
// A session is no identity of its own: at each request its access token is judged
// as any that a request brings, and renewed where it ends. A session ends when it
// is idle, when it is old, when its token is refused, and when it is ended, on all
// nodes at once.
//
// What it is not: a place for passwords, or a way for programs to get in.
package login

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/auth/browser"
	"github.com/trilith-gateway/trilith/gateway"
)

// ErrNoSession says that there is no session of that ID.
var ErrNoSession = errors.New("no such session")

// Options are what [Sessions] need; all of them are required.
type Options struct {
	Client  *browser.Client                                                                     // of the issuer at which people sign in
	Judge   auth.Authenticator                                                                  // of access tokens: the Door's own
	Key     [32]byte                                                                            // seals tokens; the same on all nodes
	Idle    time.Duration                                                                       // after which a session that is not used ends
	Life    time.Duration                                                                       // after which every session ends
	Revoked func(*gateway.Principal) bool                                                       // whether a principal's credentials of a time were revoked
	Event   func(ctx context.Context, kind string, who *gateway.Principal, detail string) error // of type login or logout, for the audit log: no record, no login
	Refused func(context.Context, auth.Attempt)                                                 // told of logins that fail
	Logger  *slog.Logger
}

// A Session is one that is open, for administrators.
type Session struct {
	ID        string // gives no access
	Principal *gateway.Principal
	Since     time.Time
}
