package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trilith-gateway/trilith/gateway/state"
)

// ErrNoKey is the error for an API key that does not exist.
var ErrNoKey = errors.New("no such API key")

// ErrBadKey is the error for what cannot be an API key. Its text says why.
var ErrBadKey = errors.New("cannot be an API key")

// NewKey says what an API key is to be. It grants what it says: whether whoever
// asks for it may grant that is for the caller to decide.
type NewKey struct {
	Label   string    // for people, required
	Subject string    // whom the key speaks for; "" is the key's own ID. Give a new key the subject of an old one to replace it
	Tenant  string    // "" for none
	Groups  []string  // at most 100
	Roles   []string  // at most 100
	Scopes  []string  // at most 100; nil bounds nothing
	Expires time.Time // required, within the longest life that is permitted
	By      string    // who asked: a principal's ID
}

// check refuses what cannot be a key.
func (n *NewKey) check(now time.Time, maxLife time.Duration) error {
	switch {
	case n.Label == "" || len(n.Label) > maxLabel || !printable(n.Label):
		return fmt.Errorf("the label is empty, longer than %d bytes or does not print", maxLabel)
	case !printable(n.Subject) || !printable(n.Tenant) || !printable(n.By):
		return errors.New("subject, tenant or creator is too long or does not print")
	case n.Expires.IsZero():
		return errors.New("an API key must expire")
	case !n.Expires.After(now):
		return errors.New("the key would have expired already")
	case n.Expires.After(now.Add(maxLife)):
		return fmt.Errorf("the key would be good for more than %v", maxLife)
	}
	for _, list := range [][]string{n.Groups, n.Roles, n.Scopes} {
		if len(list) > maxGranted || slices.ContainsFunc(list, func(s string) bool { return s == "" || !printable(s) }) {
			return fmt.Errorf("groups, roles and scopes are at most %d each, none of them empty", maxGranted)
		}
	}
	return nil
}

// Create makes a key and returns it together with what is known of it. The key
// itself is not kept and cannot be shown again. When Create returns, the key is
// durable, and good on this node.
func (k *Keys) Create(ctx context.Context, n NewKey) (string, Key, error) {
	id, key := newKey()
	made, err := k.store(ctx, id, key, n)
	if err != nil {
		return "", Key{}, err
	}
	return key, made, nil
}

// store keeps a new key. Keys that ended long ago are forgotten on the way.
func (k *Keys) store(ctx context.Context, id, key string, n NewKey) (Key, error) {
	now := time.Now().UTC()
	if err := n.check(now, k.o.MaxLife); err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrBadKey, err)
	}
	if n.Subject == "" {
		n.Subject = id
	}
	kept, err := k.forget(ctx, now)
	if err != nil {
		return Key{}, err
	}
	if kept >= maxStored {
		return Key{}, fmt.Errorf("API key: there are %d already", kept)
	}
	sum := k.hash(key)
	made := Key{
		ID: id, Subject: n.Subject, Label: n.Label, Tenant: n.Tenant, Groups: n.Groups, Roles: n.Roles, Scopes: n.Scopes,
		Created: now, CreatedBy: n.By, Expires: n.Expires.UTC(),
	}
	rev, err := k.bucket.Create(ctx, id, storedKey{Key: made, Hash: sum[:]})
	if err != nil {
		return Key{}, fmt.Errorf("API key: %w", err)
	}
	return made, k.await(ctx, id, rev)
}

// await returns once a write is in force on this node.
func (k *Keys) await(ctx context.Context, id string, rev uint64) error {
	for {
		changed := k.mirror.Changed()
		if e, ok := k.mirror.Get(id); ok && e.Revision >= rev {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("API key %s is stored, but not in force here yet: %w", id, context.Cause(ctx))
		}
	}
}

// forget removes keys that ended long ago, but for the first of all, and returns
// how many are left.
func (k *Keys) forget(ctx context.Context, now time.Time) (kept int, err error) {
	for _, e := range k.mirror.All() {
		if e.Key == firstKey || now.Before(e.Value.Key.ended().Add(keptFor)) {
			kept++
			continue
		}
		if err := k.bucket.Delete(ctx, e.Key, e.Revision); err != nil && !errors.Is(err, state.ErrConflict) {
			return kept, fmt.Errorf("forget an old API key: %w", err)
		}
		k.held.Delete(e.Key)
		k.uses.forget(ctx, e.Key)
	}
	return kept, nil
}

// Revoke ends a key: on this node when it returns nil, on the others moments
// later. It fails with [ErrNoKey] for a key that does not exist, and does
// nothing to one that is revoked already.
func (k *Keys) Revoke(ctx context.Context, id, by string) error {
	for {
		e, err := k.bucket.Get(ctx, id)
		switch {
		case errors.Is(err, state.ErrNotFound):
			return fmt.Errorf("%w: %.20q", ErrNoKey, id)
		case err != nil:
			return fmt.Errorf("revoke API key: %w", err)
		case !e.Value.Key.Revoked.IsZero():
			return k.await(ctx, id, e.Revision)
		}
		e.Value.Key.Revoked, e.Value.Key.RevokedBy = time.Now().UTC(), by
		rev, err := k.bucket.Update(ctx, id, e.Value, e.Revision)
		switch {
		case errors.Is(err, state.ErrConflict) && ctx.Err() == nil:
			continue // Somebody else was first: look again.
		case err != nil:
			return fmt.Errorf("revoke API key: %w", err)
		}
		return k.await(ctx, id, rev)
	}
}
