package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/gateway/state"
)

// A Revocation ends tokens before they expire: one token, or all that a
// principal was issued before a time.
type Revocation struct {
	Issuer string `json:"issuer,omitempty"` // with Token: who issued it
	Token  string `json:"token,omitempty"`  // the token's jti

	Principal string    `json:"principal,omitempty"` // a principal's ID
	Before    time.Time `json:"before,omitzero"`     // with Principal: when the tokens were issued; zero is all, whenever issued

	Until  time.Time `json:"until,omitzero"`   // when the revocation may be forgotten since the tokens have expired; zero is never
	Reason string    `json:"reason,omitempty"` // for people
	By     string    `json:"by,omitempty"`     // who revoked: a principal's ID
}

// key names the revocation in its bucket. What identifies it may be longer
// than a key can be.
func (r Revocation) key() (string, error) {
	kind, id := "token", r.Issuer+"|"+r.Token
	switch {
	case r.Token != "" && r.Issuer != "" && r.Principal == "" && r.Before.IsZero():
	case r.Principal != "" && r.Token == "" && r.Issuer == "":
		kind, id = "principal", r.Principal
	default:
		return "", errors.New("a revocation names either issuer and token, or a principal")
	}
	sum := sha256.Sum256([]byte(id))
	return kind + "-" + hex.EncodeToString(sum[:]), nil
}

// Revocations are the revoked tokens, shared by all nodes and mirrored in
// memory. While the engine of state is away the last list known is in force.
// They are safe for concurrent use.
type Revocations struct {
	bucket *state.Bucket[Revocation]
	mirror *state.Mirror[Revocation]
	list   atomic.Pointer[revoked]
}

// revoked is the list at one moment, for lookups.
type revoked struct {
	tokens     map[string]bool      // by issuer|jti
	principals map[string]time.Time // by ID: the latest Before; zero is all
}

// OpenRevocations returns the revocations kept in s. It follows changes until
// ctx ends.
func OpenRevocations(ctx context.Context, s *state.State) (*Revocations, error) {
	b, err := state.OpenBucket[Revocation](ctx, s, state.BucketOptions{Name: "revocations", MaxValueBytes: 64 << 10})
	if err != nil {
		return nil, err
	}
	m, err := b.Mirror(ctx)
	if err != nil {
		return nil, err
	}
	r := &Revocations{bucket: b, mirror: m}
	changed := m.Changed()
	r.rebuild()
	go r.follow(ctx, changed)
	return r, nil
}

func (r *Revocations) follow(ctx context.Context, changed <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		changed = r.mirror.Changed()
		r.rebuild()
	}
}

func (r *Revocations) rebuild() {
	list := &revoked{tokens: map[string]bool{}, principals: map[string]time.Time{}}
	for _, e := range r.mirror.All() {
		if v := e.Value; v.Principal != "" {
			list.principals[v.Principal] = v.Before
		} else {
			list.tokens[v.Issuer+"|"+v.Token] = true
		}
	}
	r.list.Store(list)
}

// Revoke adds a revocation, in place of an earlier one of the same token or
// principal. When it returns nil it is durable; it is in force on every node
// moments later. Revocations that may be forgotten are removed on the way.
func (r *Revocations) Revoke(ctx context.Context, v Revocation) error {
	key, err := v.key()
	if err != nil {
		return err
	}
	if _, err := r.bucket.Put(ctx, key, v); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	now := time.Now()
	for _, e := range r.mirror.All() {
		if u := e.Value.Until; e.Key != key && !u.IsZero() && u.Before(now) {
			if err := r.bucket.Delete(ctx, e.Key, e.Revision); err != nil && !errors.Is(err, state.ErrConflict) {
				return fmt.Errorf("forget an old revocation: %w", err)
			}
		}
	}
	return nil
}

// Restore removes the revocation of the same token or principal, if there is
// one.
func (r *Revocations) Restore(ctx context.Context, v Revocation) error {
	key, err := v.key()
	if err != nil {
		return err
	}
	return r.bucket.Delete(ctx, key, 0)
}

// All returns the revocations, in no useful order.
func (r *Revocations) All() []Revocation {
	all := r.mirror.All()
	out := make([]Revocation, len(all))
	for i, e := range all {
		out[i] = e.Value
	}
	return out
}

// revokes reports whether the credential is revoked. A token that does not say
// when it was issued counts as issued before every time.
func (r *Revocations) revokes(c *credential) bool {
	list := r.list.Load()
	if c.id != "" && list.tokens[c.id] {
		return true
	}
	before, ok := list.principals[c.principal.ID]
	return ok && (before.IsZero() || c.issued.Before(before))
}
