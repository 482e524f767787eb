package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/state"
)

// A Revocation ends credentials before they expire: one of them, all of a
// session, or all that a principal was issued before a time. It names exactly
// one of Token, Session and Principal.
type Revocation struct {
	Issuer  string `json:"issuer,omitempty"`  // with Token and Session: who issued it
	Token   string `json:"token,omitempty"`   // the token's jti, or the fingerprint of a client certificate
	Session string `json:"session,omitempty"` // the issuer's session (sid)

	Principal string    `json:"principal,omitempty"` // a principal's ID
	Before    time.Time `json:"before,omitzero"`     // with Principal: when the credentials were issued; zero is all, whenever issued

	Until  time.Time `json:"until,omitzero"`   // when the revocation may be forgotten since the credentials have expired; zero is never
	Reason string    `json:"reason,omitempty"` // for people
	By     string    `json:"by,omitempty"`     // who revoked: a principal's ID
}

// key names the revocation in its bucket. What identifies it may be longer
// than a key can be.
func (r Revocation) key() (string, error) {
	kind, id := "", ""
	one := 0
	for _, v := range [...]struct{ kind, id string }{
		{"token", r.Token}, {"session", r.Session}, {"principal", r.Principal},
	} {
		if v.id != "" {
			one++
			kind, id = v.kind, v.id
		}
	}
	ofPrincipal := kind == "principal"
	if one != 1 || ofPrincipal == (r.Issuer != "") || !ofPrincipal && !r.Before.IsZero() {
		return "", errors.New("a revocation names an issuer and a token, an issuer and a session, or a principal")
	}
	if !ofPrincipal {
		id = r.Issuer + "|" + id
	}
	sum := sha256.Sum256([]byte(id))
	return kind + "-" + hex.EncodeToString(sum[:]), nil
}

// A Revoker says which credentials have ended before they expire.
// [Revocations] and [Keys] are Revokers. Both methods are safe for concurrent
// use and take no lock.
type Revoker interface {
	// Revoked reports whether the credential that made the principal has been
	// revoked since.
	Revoked(*gateway.Principal) bool

	// Changed returns a channel that is closed when Revoked may answer otherwise.
	// Take it before asking, so that no change is missed.
	Changed() <-chan struct{}
}

// Revocations are the revoked credentials, shared by all nodes and mirrored in
// memory. While the engine of state is away the last list known is in force.
// They are safe for concurrent use. Nil Revocations revoke nothing.
type Revocations struct {
	bucket *state.Bucket[Revocation]
	mirror *state.Mirror[Revocation]
	list   atomic.Pointer[revoked]
	build  sync.Mutex // held by rebuild, so that no list replaces a newer one
}

// revoked is the list at one moment, for lookups.
type revoked struct {
	tokens     map[string]bool      // by issuer|jti
	sessions   map[[2]string]bool   // by issuer and sid
	principals map[string]time.Time // by ID: the latest Before; zero is all
	changed    chan struct{}        // closed when there is a newer list
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
	r.build.Lock()
	defer r.build.Unlock()
	list := &revoked{
		tokens: map[string]bool{}, sessions: map[[2]string]bool{}, principals: map[string]time.Time{}, changed: make(chan struct{}),
	}
	for _, e := range r.mirror.All() {
		switch v := e.Value; {
		case v.Principal != "":
			list.principals[v.Principal] = v.Before
		case v.Session != "":
			list.sessions[[2]string{v.Issuer, v.Session}] = true
		default:
			list.tokens[v.Issuer+"|"+v.Token] = true
		}
	}
	if old := r.list.Swap(list); old != nil {
		close(old.changed)
	}
}

// Revoke adds a revocation, in place of an earlier one of the same token or
// principal. When it returns nil it is durable and in force on this node; on the
// others it is moments later. Revocations that may be forgotten are removed on the way.
func (r *Revocations) Revoke(ctx context.Context, v Revocation) error {
	key, err := v.key()
	if err != nil {
		return err
	}
	revision, err := r.bucket.Put(ctx, key, v)
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	if err := r.await(ctx, key, revision); err != nil {
		return err
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

// await waits until this node knows a revocation.
func (r *Revocations) await(ctx context.Context, key string, revision uint64) error {
	for {
		changed := r.mirror.Changed()
		if e, ok := r.mirror.Get(key); ok && e.Revision >= revision {
			r.rebuild()
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("revoked, but not yet in force here: %w", context.Cause(ctx))
		}
	}
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

// Changed returns a channel that is closed when the list changes.
func (r *Revocations) Changed() <-chan struct{} {
	if r == nil {
		return nil
	}
	return r.list.Load().changed
}

// Revoked reports whether the principal's credential is revoked. A credential
// that does not say when it was issued counts as issued before every time.
func (r *Revocations) Revoked(p *gateway.Principal) bool {
	if r == nil || p == nil {
		return false
	}
	list := r.list.Load()
	if p.Credential != "" && list.tokens[p.Credential] {
		return true
	}
	if p.Session != "" && list.sessions[[2]string{p.Issuer, p.Session}] {
		return true
	}
	before, ok := list.principals[p.ID]
	return ok && (before.IsZero() || p.Issued.Before(before))
}
