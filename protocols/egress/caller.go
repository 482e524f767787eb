package egress

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// A Caller is on whose behalf a request goes to an upstream at which each caller
// has credentials.
type Caller struct {
	who    *gateway.Principal
	token  string            // as the door admitted it
	key    [sha256.Size]byte // of the principal with this token
	expiry time.Time         // of the token; zero is never
}

// callerKey is under what a context carries its *Caller, or a function that
// returns it.
type callerKey struct{}

// CallerOf returns on whose behalf a request goes, or nil where it is the
// gateway's own.
func CallerOf(ctx context.Context) *Caller {
	switch v := ctx.Value(callerKey{}).(type) {
	case *Caller:
		return v
	case func() *Caller:
		return v()
	}
	return nil
}

// WithCaller returns a context whose caller is looked up for each request, for
// what outlives the call that it was begun for.
func WithCaller(ctx context.Context, last func() *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, last)
}

// OnBehalf returns ctx with the caller of another context.
func OnBehalf(ctx, of context.Context) context.Context {
	if v := of.Value(callerKey{}); v != nil {
		return context.WithValue(ctx, callerKey{}, v)
	}
	return ctx
}
