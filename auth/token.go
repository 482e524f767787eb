package auth

import "context"

// tokenKey is under what a context carries its caller's access token.
type tokenKey struct{}

// WithToken returns a context that carries the access token of its caller, for
// who exchanges it for another (RFC 8693). An empty token and an API key, which
// is nobody's but the gateway's, are not carried.
func WithToken(ctx context.Context, token string) context.Context {
	if IsKey(token) {
		token = "" // One that the context has already is another caller's.
	}
	if token == Token(ctx) {
		return ctx
	}
	return context.WithValue(ctx, tokenKey{}, token)
}

// Token returns the access token by which the caller of a request was admitted,
// or "" where it was another credential, or the door was not told to keep tokens.
// It is to be exchanged at an authorization server that may see it, and must go
// nowhere else.
func Token(ctx context.Context) string {
	token, _ := ctx.Value(tokenKey{}).(string)
	return token
}

// keep returns the context of an admitted request, with its access token where
// the door is told to keep those.
func (d *Door) keep(ctx context.Context, token string) context.Context {
	if d.o.KeepTokens == nil || !d.o.KeepTokens() {
		return ctx
	}
	return WithToken(ctx, token)
}
