package server

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/trilith-gateway/trilith/gateway/state"
)

// A secret is a key that all nodes share.
type secret struct {
	Key []byte `json:"key"` // random
}

// sharedKey returns the random key of that name. The first node makes it; the
// others, and the same one after a restart, find it in the shared state, so that
// what one node sealed any node can open.
func (s *Server) sharedKey(ctx context.Context, name string) (key [32]byte, err error) {
	secrets, err := state.OpenBucket[secret](ctx, s.state, state.BucketOptions{Name: "secrets"})
	if err != nil {
		return key, err
	}
	if _, err := rand.Read(key[:]); err != nil {
		return key, err
	}
	_, err = secrets.Create(ctx, name, secret{key[:]})
	if err == nil || !errors.Is(err, state.ErrConflict) {
		return key, err
	}
	found, err := secrets.Get(ctx, name)
	if err != nil {
		return key, err
	}
	if len(found.Value.Key) != len(key) {
		return key, fmt.Errorf("secret %q has %d bytes, not %d", name, len(found.Value.Key), len(key))
	}
	return [32]byte(found.Value.Key), nil
}

// keyOf derives the key of one toolset's endpoint from that of all: no endpoint
// opens what another has sealed.
func keyOf(key [32]byte, toolset string) (derived [32]byte) {
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte("toolset/" + toolset))
	copy(derived[:], mac.Sum(nil))
	return derived
}
