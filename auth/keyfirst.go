package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"github.com/trilith-gateway/trilith/gateway/state"
)

// firstKey is the id of the first key of all: there can be one only, and its
// record stays, so that no second one is ever made.
const firstKey = "22222222"

// First makes the first key of gateways that have none and writes it into a
// file of mode 0600, the only place where it can be read. It reports whether it
// did: not if there is or ever was a key.
func (k *Keys) First(ctx context.Context, file string, n NewKey) (made bool, err error) {
	if len(k.mirror.All()) > 0 {
		return false, nil
	}
	var secret [keySecret]byte
	_, _ = rand.Read(secret[:]) // It never fails.
	key := writeKey(firstKey, secret[:])
	if err := writeSecret(file, key+"\n"); err != nil { // First, so that no key is stored that nobody has.
		return false, fmt.Errorf("the first API key: %w", err)
	}
	if _, err := k.store(ctx, firstKey, key, n); err != nil {
		if again := os.Remove(file); !errors.Is(err, state.ErrConflict) || again != nil {
			return false, errors.Join(err, again)
		}
		return false, nil // Another node was first.
	}
	return true, nil
}

// writeSecret writes a file that nobody else may read, in place of an older one.
func writeSecret(file, text string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // The operator names the directory.
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
