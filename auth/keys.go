package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/state"
)

// KeyIssuer is the Issuer of the principals of API keys.
const KeyIssuer = "key"

const (
	maxStored  = 100_000             // API keys
	keptFor    = 90 * 24 * time.Hour // after a key has ended, for lists
	maxGranted = 100                 // roles, groups and scopes of a key, each
	maxLabel   = 200                 // bytes
)

// A Key is what the gateway knows of an API key: everything but the key itself,
// which is shown once and not kept.
type Key struct {
	ID      string `json:"id"`      // in the key, and the last part of the principal's Credential
	Subject string `json:"subject"` // whom the key speaks for; keys with one subject are one principal
	Label   string `json:"label"`   // for people

	Tenant string   `json:"tenant,omitempty"`
	Groups []string `json:"groups,omitempty"`
	Roles  []string `json:"roles,omitempty"`
	Scopes []string `json:"scopes"` // the upper bound; nil bounds nothing, an empty list everything

	Created   time.Time `json:"created"`
	CreatedBy string    `json:"createdBy,omitempty"` // a principal's ID
	Expires   time.Time `json:"expires"`

	Revoked   time.Time `json:"revoked,omitzero"` // zero while the key is good
	RevokedBy string    `json:"revokedBy,omitempty"`

	// When the key was last used on any node, to within some ten minutes; zero is
	// never. It is not kept with the rest.
	Used time.Time `json:"-"`
}

// ended returns when the key ends or ended.
func (k *Key) ended() time.Time {
	if !k.Revoked.IsZero() && k.Revoked.Before(k.Expires) {
		return k.Revoked
	}
	return k.Expires
}

// storedKey is a key in its bucket, under its ID.
type storedKey struct {
	Key  Key    `json:"key"`
	Hash []byte `json:"hash"` // HMAC-SHA-256 of the whole key
}

// heldKey is a stored key that was used here, ready for the next time.
type heldKey struct {
	revision  uint64
	principal *gateway.Principal
	use       use
}

// KeysOptions are what [OpenKeys] needs.
type KeysOptions struct {
	// Secret keys the HMACs under which API keys are stored. All nodes must have
	// the same, 32 bytes. Required.
	Secret [32]byte

	// MaxLife bounds how long a new key can be good for; 0 is a year.
	MaxLife time.Duration

	Revocations *Revocations // consulted for each request, for what ends all of a principal's credentials; nil revokes nothing
	Logger      *slog.Logger // required
}

// Keys are the API keys of the gateway, shared by all nodes and mirrored in
// memory: judging one asks nobody. What is created or revoked on one node is in
// force on the others moments later; while the engine of state is away, what
// was last known is. Keys is an [Authenticator] and a [Revoker], and safe for
// concurrent use.
type Keys struct {
	o      KeysOptions
	bucket *state.Bucket[storedKey]
	mirror *state.Mirror[storedKey]
	macs   sync.Pool // of hash.Hash
	held   sync.Map  // id → *heldKey
	uses   *uses
	work   sync.WaitGroup
}

// OpenKeys returns the keys kept in s. It follows changes, and writes down when
// keys were used, until ctx ends; Wait then waits for the end of that.
func OpenKeys(ctx context.Context, s *state.State, o KeysOptions) (*Keys, error) {
	if o.Logger == nil {
		return nil, errors.New("keys: no logger")
	}
	if o.MaxLife <= 0 {
		o.MaxLife = 365 * 24 * time.Hour
	}
	b, err := state.OpenBucket[storedKey](ctx, s, state.BucketOptions{Name: "keys", MaxValueBytes: 64 << 10})
	if err != nil {
		return nil, err
	}
	m, err := b.Mirror(ctx)
	if err != nil {
		return nil, err
	}
	k := &Keys{o: o, bucket: b, mirror: m}
	k.macs.New = func() any { return hmac.New(sha256.New, o.Secret[:]) }
	if k.uses, err = openUses(ctx, s); err != nil {
		return nil, err
	}
	k.work.Go(func() { k.noteUses(ctx) })
	return k, nil
}

// Wait returns when the work of [OpenKeys] has ended.
func (k *Keys) Wait() { k.work.Wait() }

// hash returns the HMAC under which a key is stored.
func (k *Keys) hash(key string) (sum [sha256.Size]byte) {
	mac := k.macs.Get().(hash.Hash) //nolint:forcetypeassert // the pool holds nothing else.
	defer k.macs.Put(mac)
	mac.Reset()
	var text [keyText]byte
	mac.Write(text[:copy(text[:], key)])
	mac.Sum(sum[:0])
	return sum
}

// Authenticate accepts a key that is stored here, has not expired and is not
// revoked.
func (k *Keys) Authenticate(_ context.Context, c Credential) (*gateway.Principal, error) {
	id, err := parseKeyID(c.Token)
	if err != nil {
		return nil, invalid(err)
	}
	if c.Thumbprint != "" {
		return nil, invalid(errors.New("an API key is not bound to the key of a DPoP proof"))
	}
	e, ok := k.mirror.Get(id)
	if !ok {
		return nil, invalid(fmt.Errorf("there is no API key %s", id))
	}
	if sum := k.hash(c.Token); subtle.ConstantTimeCompare(sum[:], e.Value.Hash) != 1 {
		return nil, invalid(fmt.Errorf("not the secret of API key %s", id))
	}
	now := time.Now()
	switch v := &e.Value.Key; {
	case !v.Revoked.IsZero():
		return nil, invalid(fmt.Errorf("API key %s (%s) was revoked", id, v.Label))
	case !now.Before(v.Expires):
		return nil, invalid(fmt.Errorf("API key %s (%s) has expired", id, v.Label))
	}
	h := k.hold(e)
	if k.o.Revocations.Revoked(h.principal) {
		return nil, invalid(fmt.Errorf("what %q was given is revoked", h.principal.ID))
	}
	h.use.note(now)
	return h.principal, nil
}

// hold returns the principal of a stored key, the same one until the key
// changes.
func (k *Keys) hold(e state.Entry[storedKey]) *heldKey {
	if v, ok := k.held.Load(e.Key); ok {
		if h := v.(*heldKey); h.revision == e.Revision { //nolint:forcetypeassert // held holds nothing else.
			return h
		}
	}
	h := &heldKey{revision: e.Revision, principal: e.Value.Key.principal()}
	k.held.Store(e.Key, h)
	return h
}

func (k *Key) principal() *gateway.Principal {
	return &gateway.Principal{
		ID: KeyIssuer + "|client|" + k.Subject, Issuer: KeyIssuer, Subject: k.Subject, Kind: "client", Name: k.Label,
		Groups: k.Groups, Roles: k.Roles, Scopes: k.Scopes, Tenant: k.Tenant,
		Expiry: k.Expires, Credential: KeyIssuer + "|" + k.ID, Issued: k.Created,
	}
}

// Revoked reports whether the principal was made of a key that is revoked or
// no longer stored.
func (k *Keys) Revoked(p *gateway.Principal) bool {
	if p == nil || p.Issuer != KeyIssuer || len(p.Credential) <= len(KeyIssuer) {
		return false
	}
	e, ok := k.mirror.Get(p.Credential[len(KeyIssuer)+1:])
	return !ok || !e.Value.Key.Revoked.IsZero()
}

// Changed returns a channel that is closed when keys change.
func (k *Keys) Changed() <-chan struct{} { return k.mirror.Changed() }

// List returns the keys, also those that ended in the last 90 days, sorted by
// when they were created.
func (k *Keys) List() []Key {
	all := k.mirror.All()
	out := make([]Key, len(all))
	for i, e := range all {
		out[i] = e.Value.Key
		out[i].Used = k.used(e.Key)
	}
	slices.SortFunc(out, func(a, b Key) int { return a.Created.Compare(b.Created) })
	return out
}
