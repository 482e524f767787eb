package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/state"
)

// The bounds of a store.
const (
	maxDrafts  = 100
	maxComment = 1 << 10 // bytes
	maxTries   = 100     // ids that are tried for a version
	textBytes  = 4 << 20 // of a compressed text, where the engine takes it
)

// StoreOptions are the settings of a store. The zero options are valid.
type StoreOptions struct {
	Initial  string                   // what the first draft begins with, where there is no version
	Snapshot func() *gateway.Snapshot // what checks and warnings are about; nil for nothing
	Toolsets func() Toolsets          // those that rules can name; nil for none
	ReadOnly func() bool              // whether the policy comes from elsewhere; nil for never
	Now      func() time.Time         // nil is time.Now
	Logger   *slog.Logger             // nil says nothing
}

// A Store keeps the versions of the policy in the state that the nodes of a
// gateway share: drafts, what came into force and when, and which version is in
// force. It decides nothing; [Store.Follow] tells every node what to put in
// force. It is safe for concurrent use, by several nodes too.
type Store struct {
	options StoreOptions
	records *state.Bucket[record]
	texts   *state.Bucket[packed]
}

// A record is one of three things, by its key: what is in force, a version or a
// draft.
type record struct {
	Active  *activation `json:"active,omitzero"`
	Version *Version    `json:"version,omitzero"`
	Draft   *Draft      `json:"draft,omitzero"`
}

// An activation says which version is in force.
type activation struct {
	Version int64  `json:"version"`
	SHA256  string `json:"sha256"`
}

const activeKey = "active"

func versionKey(id int64) string { return fmt.Sprintf("version/%d", id) }
func draftKey(id string) string  { return "draft/" + id }

// OpenStore opens the store in a state, making it where there is none.
func OpenStore(ctx context.Context, s *state.State, o StoreOptions) (*Store, error) {
	if o.Snapshot == nil {
		o.Snapshot = new(gateway.Registry).Snapshot
	}
	if o.Toolsets == nil {
		o.Toolsets = func() Toolsets { return nil }
	}
	if o.ReadOnly == nil {
		o.ReadOnly = func() bool { return false }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	records, err := state.OpenBucket[record](ctx, s, state.BucketOptions{Name: "policy"})
	if err != nil {
		return nil, err
	}
	texts, err := state.OpenBucket[packed](ctx, s, state.BucketOptions{Name: "policy-texts", MaxValueBytes: textBytes})
	if errors.Is(err, state.ErrInvalid) { // An external server takes less.
		texts, err = state.OpenBucket[packed](ctx, s, state.BucketOptions{Name: "policy-texts"})
	}
	if err != nil {
		return nil, err
	}
	return &Store{options: o, records: records, texts: texts}, nil
}

// active returns which version is in force, zero where none is, with its
// revision.
func (s *Store) active(ctx context.Context) (activation, uint64, error) {
	e, err := s.records.Get(ctx, activeKey)
	switch {
	case errors.Is(err, state.ErrNotFound):
		return activation{}, 0, nil
	case err != nil:
		return activation{}, 0, err
	case e.Value.Active == nil:
		return activation{}, 0, fmt.Errorf("%w: %s", state.ErrCorrupt, activeKey)
	}
	return *e.Value.Active, e.Revision, nil
}

// Active returns the version in force with its text, or [ErrNotFound] where there
// has never been one.
func (s *Store) Active(ctx context.Context) (Version, error) {
	a, _, err := s.active(ctx)
	if err != nil {
		return Version{}, err
	}
	return s.Version(ctx, a.Version)
}

// Version returns a version with its text, or [ErrNotFound].
func (s *Store) Version(ctx context.Context, id int64) (Version, error) {
	e, err := s.records.Get(ctx, versionKey(id))
	if err == nil && e.Value.Version == nil {
		err = fmt.Errorf("%w: version %d", state.ErrCorrupt, id)
	}
	if err != nil {
		return Version{}, missing(err, fmt.Sprintf("version %d", id))
	}
	v := *e.Value.Version
	if v.Text, err = s.text(ctx, versionKey(id)); err != nil {
		return Version{}, missing(err, fmt.Sprintf("text of version %d", id))
	}
	if shaOf(v.CSV) != v.SHA256 {
		return Version{}, fmt.Errorf("%w: the text of version %d is another", state.ErrCorrupt, id)
	}
	return v, nil
}

func (s *Store) text(ctx context.Context, place string) (Text, error) {
	e, err := s.texts.Get(ctx, place)
	if err != nil {
		return Text{}, err
	}
	return e.Value.text()
}

func missing(err error, what string) error {
	if errors.Is(err, state.ErrNotFound) {
		return fmt.Errorf("%w: %s", ErrNotFound, what)
	}
	return err
}

// History returns the versions that came into force, the latest first and
// without their texts: at most limit of those before a version, or of all where
// before is 0.
func (s *Store) History(ctx context.Context, before int64, limit int) ([]Version, error) {
	a, _, err := s.active(ctx)
	if err != nil {
		return nil, err
	}
	id := a.Version
	var out []Version
	for id > 0 && len(out) < limit {
		e, err := s.records.Get(ctx, versionKey(id))
		if errors.Is(err, state.ErrNotFound) || err == nil && e.Value.Version == nil {
			break
		}
		if err != nil {
			return nil, err
		}
		if before == 0 || id < before {
			out = append(out, *e.Value.Version)
		}
		id = e.Value.Version.Parent
	}
	return out, nil
}

// Diff returns what differs between two versions, rule by rule.
func (s *Store) Diff(ctx context.Context, from, to int64) ([]RuleChange, error) {
	var both [2]*Policy
	for i, id := range []int64{from, to} {
		v, err := s.Version(ctx, id)
		if err != nil {
			return nil, err
		}
		if both[i], err = Parse(versionName(id), []byte(v.CSV)); err != nil {
			return nil, err
		}
	}
	return Diff(both[0], both[1]), nil
}

// versionName is how problems and reasons name a version.
func versionName(id int64) string { return fmt.Sprintf("version %d", id) }

// Lint says what is to be said of a text, against what the gateway has now.
func (s *Store) Lint(ctx context.Context, name string, t Text) *Report {
	r := s.check(ctx, name, t)
	if r.Policy != nil {
		r.Warnings = r.Policy.Lint(s.options.Snapshot(), s.options.Toolsets())
	}
	return r
}

// check is Lint without the warnings.
func (s *Store) check(ctx context.Context, name string, t Text) *Report {
	r := &Report{}
	sets := s.options.Toolsets()
	p, err := Parse(name, []byte(t.CSV))
	r.add(err)
	checks, err := ParseChecks("checks", []byte(t.Checks))
	r.add(err)
	if p != nil {
		r.Problems = append(r.Problems, p.Unknown(sets)...)
	}
	if len(r.Problems) == 0 {
		r.Policy = p
		r.Failures = p.Run(ctx, checks, s.options.Snapshot(), sets, s.options.Now())
	}
	return r
}

func (r *Report) add(err error) {
	if err == nil {
		return
	}
	if problems, ok := errors.AsType[Problems](err); ok {
		r.Problems = append(r.Problems, problems...)
		return
	}
	r.Problems = append(r.Problems, Problem{Msg: err.Error()})
}
