package pin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/state"
)

// A Mode says what becomes of definitions that nobody has approved.
type Mode string

// The modes. The zero Mode is Off.
const (
	Off     Mode = "off"     // they are registered; only what is hidden in them is reported
	Warn    Mode = "warn"    // they are registered and reported, unless they were rejected
	Require Mode = "require" // they are in quarantine until they are approved
)

// A State is where a definition stands.
type State string

// The states.
const (
	Approved    State = "approved"    // the source offers what was approved, or nothing of that name now
	Quarantined State = "quarantined" // nothing of that name was ever approved
	Changed     State = "changed"     // something else was approved under that name
	Rejected    State = "rejected"    // an administrator does not want it
)

// Errors of [Store.Approve] and [Store.Reject].
var (
	ErrNoPin   = errors.New("no such definition is offered or approved")
	ErrChanged = errors.New("the source offers another definition now")
	ErrHidden  = errors.New("the definition has text that is not seen")
)

// A Pin is one capability of a pinned source: what was approved, and what the
// source offers now.
type Pin struct {
	ID     string // names source, kind and origin
	Source string
	Kind   gateway.Kind
	Origin string // what the source calls it: a name, URI or URI template
	State  State

	ApprovedHash string          // "" where nothing is approved
	Approved     json.RawMessage // nil where nothing is, or where it was too long to be kept
	By           string          // who approved or rejected last: a principal's ID
	At           time.Time       // when

	OfferedHash string          // "" where the source does not offer it now, as far as this node knows
	Offered     json.RawMessage // nil then
	Since       time.Time       // when this node first saw it like that
	Served      bool            // whether it is registered
	Hidden      []string        // as [Hidden] says of Offered
}

// Changes returns how what is offered differs from what was approved.
func (p *Pin) Changes() []Change {
	if p.Offered == nil || p.ApprovedHash == p.OfferedHash {
		return nil
	}
	return Diff(p.Approved, p.Offered)
}

// Bounds of what is stored.
const (
	maxValue    = 512 << 10 // bytes of a stored approval
	maxKept     = 256 << 10 // bytes of a definition that is kept with its approval
	maxRejected = 16        // rejected definitions of one capability, the newest
)

// stored is what is kept of a capability, under its ID.
type stored struct {
	Source     string    `json:"source"`
	Kind       string    `json:"kind"`
	Origin     string    `json:"origin"`
	Hash       string    `json:"hash,omitempty"`       // of the approved definition
	Definition []byte    `json:"definition,omitempty"` // the approved one, byte for byte
	Rejected   []string  `json:"rejected,omitempty"`   // hashes, newest first
	By         string    `json:"by,omitempty"`
	At         time.Time `json:"at,omitzero"`
}

// judge returns the state of a definition of that hash, whose capability is
// stored where known.
func (s *stored) judge(known bool, hash string) State {
	switch {
	case !known:
		return Quarantined
	case slices.Contains(s.Rejected, hash):
		return Rejected
	case s.Hash == hash:
		return Approved
	case s.Hash == "":
		return Quarantined
	}
	return Changed
}

// Options adapt a [Store].
type Options struct {
	// Report is told of definitions that nobody has approved, and where the mode
	// is [Off] of those that hide something: once for each on every node. It may
	// block for a moment. Nil is for nobody.
	Report func(context.Context, Report)
}

// A Report is that a definition was met for the first time.
type Report struct {
	Source string
	Kind   gateway.Kind // 0 where More is set
	Origin string       // spelt out and cut to 200 bytes
	State  State
	Hash   string
	Served bool     // whether it is registered all the same
	Hidden []string // as [Hidden] says
	Paths  []string // of the members that differ from what was approved, where something was; at most ten
	More   int      // not one definition but so many more, which came at once
}

// A Store holds the approvals, and what pinned sources offer on this node. It
// is safe for concurrent use.
type Store struct {
	o      Options
	bucket *state.Bucket[stored]
	mirror *state.Mirror[stored]

	mu   sync.Mutex
	live map[string]*guarded // by source
}

// Open returns the approvals kept in s. It follows changes until ctx ends.
func Open(ctx context.Context, s *state.State, o Options) (*Store, error) {
	b, err := state.OpenBucket[stored](ctx, s, state.BucketOptions{Name: "pins", MaxValueBytes: maxValue})
	if err != nil {
		return nil, err
	}
	m, err := b.Mirror(ctx)
	if err != nil {
		return nil, err
	}
	return &Store{o: o, bucket: b, mirror: m, live: map[string]*guarded{}}, nil
}

// ID returns the ID of the pin of a capability.
func ID(source string, kind gateway.Kind, origin string) string {
	sum := sha256.Sum256([]byte(source + "\x00" + kind.String() + "\x00" + origin))
	return hex.EncodeToString(sum[:8])
}

// key returns the key of a capability in the bucket.
func key(source string, kind gateway.Kind, origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return source + "." + kind.String() + "." + hex.EncodeToString(sum[:])
}

// List returns all pins: what was approved, and what pinned sources offer on
// this node, sorted by source, kind and origin.
func (s *Store) List() []Pin {
	all := map[string]*Pin{}
	for _, e := range s.mirror.All() {
		v := e.Value
		p := &Pin{
			Source: v.Source, Kind: kindOf(v.Kind), Origin: v.Origin, State: Approved,
			ApprovedHash: v.Hash, Approved: v.Definition, By: v.By, At: v.At,
		}
		if v.Hash == "" {
			p.State = Rejected
		}
		all[e.Key] = p
	}
	s.mu.Lock()
	for source, g := range s.live {
		if g.mode == Off {
			continue
		}
		for _, o := range g.offers {
			p := all[o.key]
			if p == nil {
				p = &Pin{Source: source, Kind: o.what.Kind, Origin: o.what.Origin}
				all[o.key] = p
			}
			p.State, p.Served, p.Hidden = o.state, o.served, o.hidden
			p.OfferedHash, p.Offered, p.Since = o.hash, o.what.Definition, o.since
		}
	}
	s.mu.Unlock()
	out := make([]Pin, 0, len(all))
	for _, p := range all {
		p.ID = ID(p.Source, p.Kind, p.Origin)
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b Pin) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Origin, b.Origin))
	})
	return out
}

// Findings returns what is hidden in the definitions that a source offers now
// on this node, whatever its mode is: at most ten lines such as "tool echo:
// description has U+200B", and waiting is how many definitions are in
// quarantine.
func (s *Store) Findings(source string) (hidden []string, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.live[source]
	if g == nil {
		return nil, 0
	}
	for _, o := range g.offers {
		if o.hidden != nil {
			hidden = append(hidden, o.what.Kind.String()+" "+visible(o.what.Origin, maxOrigin)+": "+o.hidden[0])
		}
		if !o.served && o.state != Rejected {
			waiting++
		}
	}
	slices.Sort(hidden)
	return hidden[:min(len(hidden), maxFound)], waiting
}

// maxFound bounds the findings of one source.
const maxFound = 10

// Get returns the pin of that ID, and whether there is one.
func (s *Store) Get(id string) (Pin, bool) {
	for _, p := range s.List() {
		if p.ID == id {
			return p, true
		}
	}
	return Pin{}, false
}

// Approve approves the definition of that hash, which the source must offer
// now, in place of what was approved before. When it returns nil the approval is
// durable and known to this node, and to the others moments later; each registers
// the definition as soon as it knows. A definition with hidden text is approved
// only where hidden says so. By is a principal's ID.
//
// It fails with [ErrNoPin], [ErrChanged], [ErrHidden] and the errors of
// gateway/state, ErrConflict among them where somebody else was faster.
func (s *Store) Approve(ctx context.Context, id, hash, by string, hidden bool) error {
	p, ok := s.Get(id)
	switch {
	case !ok || p.OfferedHash == "":
		return ErrNoPin
	case p.OfferedHash != hash:
		return ErrChanged
	case p.State == Approved:
		return nil
	case len(p.Hidden) > 0 && !hidden:
		return fmt.Errorf("%w: %s", ErrHidden, p.Hidden[0])
	}
	return s.edit(ctx, &p, func(v *stored) {
		v.Hash, v.Definition, v.By, v.At = hash, nil, by, time.Now().UTC()
		if len(p.Offered) <= maxKept {
			v.Definition = p.Offered
		}
		v.Rejected = slices.DeleteFunc(v.Rejected, func(h string) bool { return h == hash })
	})
}

// Reject says that the definition of that hash is not wanted: it is not
// registered, also where the mode is [Warn]. One that was approved no longer is.
// The errors are those of Approve.
func (s *Store) Reject(ctx context.Context, id, hash, by string) error {
	p, ok := s.Get(id)
	switch {
	case !ok:
		return ErrNoPin
	case p.OfferedHash != hash && p.ApprovedHash != hash:
		return ErrChanged
	case p.State == Rejected && p.ApprovedHash != hash:
		return nil
	}
	return s.edit(ctx, &p, func(v *stored) {
		v.By, v.At = by, time.Now().UTC()
		if v.Hash == hash {
			v.Hash, v.Definition = "", nil
		}
		v.Rejected = slices.Insert(v.Rejected, 0, hash)
		v.Rejected = v.Rejected[:min(len(v.Rejected), maxRejected)]
	})
}

// edit changes what is stored of a pin, if that still is what the pin was made
// of.
func (s *Store) edit(ctx context.Context, p *Pin, change func(*stored)) error {
	k := key(p.Source, p.Kind, p.Origin)
	v := stored{Source: p.Source, Kind: p.Kind.String(), Origin: p.Origin}
	e, err := s.bucket.Get(ctx, k)
	switch {
	case errors.Is(err, state.ErrNotFound):
	case err != nil:
		return err
	default:
		v = e.Value
	}
	if v.Hash != p.ApprovedHash {
		return fmt.Errorf("pin %s: %w", p.ID, state.ErrConflict)
	}
	change(&v)
	var rev uint64
	if e.Revision == 0 {
		rev, err = s.bucket.Create(ctx, k, v)
	} else {
		rev, err = s.bucket.Update(ctx, k, v, e.Revision)
	}
	if err != nil {
		return err
	}
	return s.await(ctx, k, rev)
}

// await returns once a write is known to this node.
func (s *Store) await(ctx context.Context, key string, rev uint64) error {
	for {
		changed := s.mirror.Changed()
		if e, ok := s.mirror.Get(key); ok && e.Revision >= rev {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the pin is stored, but not known here yet: %w", context.Cause(ctx))
		}
	}
}

func kindOf(name string) gateway.Kind {
	for k := gateway.KindTool; k <= gateway.KindPrompt; k++ {
		if k.String() == name {
			return k
		}
	}
	return gateway.KindTool
}
