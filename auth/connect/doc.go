// Package connect lets users connect the gateway to upstreams that act for them:
// a user who is signed in with a browser consents, the upstream's authorization
// server issues tokens, and [Connections] keeps them, sealed for that tenant,
// upstream and user alone, and for the [Server] that they are of.
//
//	call ─ no token ─ Invite ─ /connect/<id> ─ sign-in ─ consent ─ authorization server ─ /connect/done ─ sealed tokens
//
// An invitation is no credential: its page does nothing for a browser whose user
// is another than the one that was invited. Tokens leave the package for the
// upstream's own requests and for nothing else.
//
// What it is not: an authorization server, or a place where users of the gateway
// sign in for anything but this.
package connect

import (
	"context"
	"errors"
	"time"
)

// ErrNotConnected says that a user has to connect first.
var ErrNotConnected = errors.New("connect: the user is not connected to the upstream")

// ErrRefused is a [Provider]'s refusal that asking again does not change: the
// grant has ended.
var ErrRefused = errors.New("connect: the authorization server refused")

// ErrNoRevocation says that an authorization server cannot be told that a token is
// not used any more.
var ErrNoRevocation = errors.New("connect: the authorization server has no revocation endpoint")

// A Token is what an authorization server issued for a user.
type Token struct {
	Access  string    `json:"access"`            // the value of the Authorization header
	Refresh string    `json:"refresh,omitempty"` // "" where it cannot be renewed
	Expires time.Time `json:"expires,omitzero"`  // zero where that is not known
}

// A Request is an authorization request (RFC 6749, section 4.1.1).
type Request struct{ Redirect, State, Challenge string }

// A Grant is what an authorization code is exchanged with.
type Grant struct{ Code, Verifier, Redirect string }

// A Provider is the authorization server of one upstream, for the gateway's
// client there. It is safe for concurrent use.
type Provider interface {
	// Authorize returns where the browser is sent, who the issuer is, and which
	// scopes are asked for.
	Authorize(context.Context, Request) (url, issuer string, scopes []string, err error)
	// Redeem exchanges an authorization code, Refresh a refresh token. Their error
	// is ErrRefused where the server will not have it.
	Redeem(context.Context, Grant) (Token, error)
	Refresh(ctx context.Context, refresh string) (Token, error)
	// Revoke tells the server that a token is not used any more (RFC 7009), or
	// fails with ErrNoRevocation.
	Revoke(context.Context, Token) error
}

// A Server is where tokens are from and where they go. A source that is
// configured to be another one, by the same name, is not given the tokens of the
// one before: its users connect anew.
type Server struct {
	Issuer string `json:"issuer"` // of the authorization server, which issues and renews them
	Origin string `json:"origin"` // of the upstream, which takes them
}

// An Owner is whose connection it is, to which upstream. All three are bound to
// what is stored.
type Owner struct {
	Tenant   string `json:"tenant,omitempty"` // "" where there is only one
	Upstream string `json:"upstream"`
	User     string `json:"user"` // the principal's ID
}
