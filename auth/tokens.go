package auth

import (
	"context"
	"errors"
	"strings"

	"github.com/trilith-gateway/trilith/gateway"
)

// Tokens sends each credential to the one Authenticator for tokens of its form.
// What that one refuses is refused: nothing falls through to another.
type Tokens struct {
	Keys   Authenticator // API keys; nil refuses them
	Signed Authenticator // signed tokens of three parts; nil refuses them
	Opaque Authenticator // all others; nil refuses them
}

// Authenticate judges the credential by the form of its token.
func (t Tokens) Authenticate(ctx context.Context, c Credential) (*gateway.Principal, error) {
	by, kind := t.Opaque, "opaque tokens"
	switch {
	case IsKey(c.Token):
		by, kind = t.Keys, "API keys"
	case strings.Count(c.Token, ".") == 2:
		by, kind = t.Signed, "signed tokens"
	}
	if by == nil {
		return nil, invalid(errors.New(kind + " are not accepted here"))
	}
	return by.Authenticate(ctx, c)
}
