package limits

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/state"
)

const (
	maxOverrides = 1000
	maxReason    = 1000                 // bytes
	maxLife      = 366 * 24 * time.Hour // of an override
	stateKey     = "overrides"
)

// Errors of [Overrides].
var (
	ErrInvalid  = errors.New("not an override")
	ErrNotFound = errors.New("there is no such override")
	ErrTooMany  = fmt.Errorf("there are %d overrides already", maxOverrides)
	ErrConflict = errors.New("somebody else has changed the overrides meanwhile")
)

// An Override takes the place of all rules of its kind for one key: while there
// is one for a principal, no rule per principal counts its calls but the override
// does.
type Override struct {
	Per       string      `json:"per"`                // as in the configuration
	Key       string      `json:"key"`                // a principal's ID, a role's name, …; "" with global
	Rate      config.Rate `json:"rate,omitzero"`      // zero where there is no limit
	Burst     int         `json:"burst,omitempty"`    // 0 is as many as Rate says
	Unlimited bool        `json:"unlimited,omitzero"` // there is no limit
	Expires   time.Time   `json:"expires"`
	Created   time.Time   `json:"created"`
	Reason    string      `json:"reason,omitempty"`
	By        string      `json:"by,omitempty"` // who set it: a principal's ID
}

// check says what is wrong with an override.
func (o *Override) check(now time.Time) error {
	per, ok := ParsePer(o.Per)
	switch {
	case !ok:
		return fmt.Errorf("%w: per is one of principal, tenant, role, tool, source and global", ErrInvalid)
	case (o.Key == "") != (per == PerGlobal) && per != PerTenant:
		return fmt.Errorf("%w: it names whose limit it is, unless that is global", ErrInvalid)
	case len(o.Key) > maxKey || !printable(o.Key):
		return fmt.Errorf("%w: the key is longer than %d bytes, or has characters that nobody sees", ErrInvalid, maxKey)
	case len(o.Reason) > maxReason || !printable(o.Reason):
		return fmt.Errorf("%w: the reason is longer than %d bytes, or has characters that nobody sees", ErrInvalid, maxReason)
	case o.Unlimited != (o.Rate == config.Rate{}) || o.Burst < 0 || o.Unlimited && o.Burst != 0:
		return fmt.Errorf("%w: it has either a rate or no limit", ErrInvalid)
	case !o.Expires.After(now) || o.Expires.After(now.Add(maxLife)):
		return fmt.Errorf("%w: it must expire, within a year", ErrInvalid)
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// stored is what the shared state holds: all overrides under one key, so that
// their revision is that of the whole.
type stored struct {
	Overrides []Override `json:"overrides"`
}

// Overrides are those of administrators, shared by all nodes and mirrored in
// memory. While the shared state is away the last ones known are in force. They
// are safe for concurrent use. Nil Overrides are none.
type Overrides struct {
	bucket *state.Bucket[stored]
	mirror *state.Mirror[stored]
	set    atomic.Pointer[overrideSet] // never nil
	build  sync.Mutex                  // held by rebuild
}

// An overrideSet is the overrides at one moment, for lookups.
type overrideSet struct {
	all      []Override // in order
	revision uint64
	keys     [perCount]map[string]*override
}

type override struct {
	limit   *Limit // nil for none
	expires time.Time
}

// OpenOverrides returns the overrides kept in s. It follows changes until ctx
// ends.
func OpenOverrides(ctx context.Context, s *state.State) (*Overrides, error) {
	b, err := state.OpenBucket[stored](ctx, s, state.BucketOptions{Name: "limits"})
	if err != nil {
		return nil, err
	}
	// There always is a revision to hold a change against, also that of the first override.
	if _, err := b.Create(ctx, stateKey, stored{}); err != nil && !errors.Is(err, state.ErrConflict) {
		return nil, err
	}
	m, err := b.Mirror(ctx)
	if err != nil {
		return nil, err
	}
	o := &Overrides{bucket: b, mirror: m}
	changed := m.Changed()
	o.rebuild()
	go o.follow(ctx, changed)
	return o, nil
}

func (o *Overrides) follow(ctx context.Context, changed <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		changed = o.mirror.Changed()
		o.rebuild()
	}
}

func (o *Overrides) rebuild() {
	o.build.Lock()
	defer o.build.Unlock()
	e, _ := o.mirror.Get(stateKey)
	set := &overrideSet{all: e.Value.Overrides, revision: e.Revision}
	for _, x := range set.all {
		per, ok := ParsePer(x.Per)
		if !ok || !x.Unlimited && (x.Rate.Calls <= 0 || x.Rate.Per <= 0) {
			continue // Of a newer version of the gateway.
		}
		if set.keys[per] == nil {
			set.keys[per] = map[string]*override{}
		}
		v := &override{expires: x.Expires}
		if !x.Unlimited {
			v.limit = newLimit("override", per, x.Rate, x.Burst, -1)
		}
		set.keys[per][x.Key] = v
	}
	o.set.Store(set)
}

// now returns the overrides at this moment, nil for none.
func (o *Overrides) now() *overrideSet {
	if o == nil {
		return nil
	}
	return o.set.Load()
}

// of returns the override of a key, or nil.
func (s *overrideSet) of(per Per, key string) *override {
	if s == nil || len(s.keys[per]) == 0 {
		return nil
	}
	if x := s.keys[per][key]; x != nil && time.Now().Before(x.expires) {
		return x
	}
	return nil
}

// add appends the bucket of an override, which may be nil.
func (x *override) add(out []Bucket, key string) []Bucket {
	if x == nil || x.limit == nil {
		return out
	}
	return append(out, Bucket{x.limit, key})
}

// All returns the overrides that this node knows and follows, by kind and key,
// those that have expired among them, and their revision, which is not 0 unless
// o is nil.
func (o *Overrides) All() ([]Override, uint64) {
	if o == nil {
		return nil, 0
	}
	set := o.set.Load()
	return slices.Clone(set.all), set.revision
}

// Set adds an override, in place of an earlier one of the same key, and returns
// the new revision. With a revision that is not 0 it fails with [ErrConflict]
// where that is not the current one. When it returns nil, the override is durable
// and in force on this node; on the others it is moments later.
func (o *Overrides) Set(ctx context.Context, x Override, revision uint64) (uint64, error) {
	if err := x.check(time.Now()); err != nil {
		return 0, err
	}
	return o.change(ctx, revision, func(all []Override) ([]Override, error) {
		all = slices.DeleteFunc(all, func(y Override) bool { return y.Per == x.Per && y.Key == x.Key })
		if len(all) >= maxOverrides {
			return nil, ErrTooMany
		}
		all = append(all, x)
		slices.SortFunc(all, func(a, b Override) int { return strings.Compare(a.Per+" "+a.Key, b.Per+" "+b.Key) })
		return all, nil
	})
}

// Remove removes the override of a key; [ErrNotFound] where there is none. The
// revision and the rest are as of Set.
func (o *Overrides) Remove(ctx context.Context, per, key string, revision uint64) (uint64, error) {
	return o.change(ctx, revision, func(all []Override) ([]Override, error) {
		rest := slices.DeleteFunc(slices.Clone(all), func(y Override) bool { return y.Per == per && y.Key == key })
		if len(rest) == len(all) {
			return nil, ErrNotFound
		}
		return rest, nil
	})
}

// change edits the overrides that have not expired.
func (o *Overrides) change(ctx context.Context, revision uint64, edit func([]Override) ([]Override, error)) (uint64, error) {
	const tries = 10 // Somebody else must be faster each time.
	for range tries {
		now, err := o.bucket.Get(ctx, stateKey)
		if err != nil {
			return 0, err
		}
		if revision != 0 && revision != now.Revision {
			return 0, ErrConflict
		}
		at := time.Now()
		all, err := edit(slices.DeleteFunc(now.Value.Overrides, func(x Override) bool { return !at.Before(x.Expires) }))
		if err != nil {
			return 0, err
		}
		next, err := o.bucket.Update(ctx, stateKey, stored{all}, now.Revision)
		if errors.Is(err, state.ErrConflict) {
			continue
		}
		if err != nil {
			return 0, err
		}
		return next, o.await(ctx, next)
	}
	return 0, ErrConflict
}

// await waits until this node knows a revision.
func (o *Overrides) await(ctx context.Context, revision uint64) error {
	for {
		changed := o.mirror.Changed()
		if e, ok := o.mirror.Get(stateKey); ok && e.Revision >= revision {
			o.rebuild()
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("kept, but not yet in force here: %w", context.Cause(ctx))
		}
	}
}
