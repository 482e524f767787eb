package policy

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/trilith-gateway/trilith/gateway/state"
)

// Drafts returns all drafts without their texts, the one changed last first.
func (s *Store) Drafts(ctx context.Context) ([]Draft, error) {
	all, err := s.records.All(ctx)
	if err != nil {
		return nil, err
	}
	var out []Draft
	for _, e := range all {
		if e.Value.Draft != nil {
			d := *e.Value.Draft
			d.Revision = e.Revision
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b Draft) int {
		return cmp.Or(b.Changed.Compare(a.Changed), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

// Draft returns a draft with its text, or [ErrNotFound].
func (s *Store) Draft(ctx context.Context, id string) (Draft, error) {
	for tries := 0; ; tries++ {
		e, err := s.records.Get(ctx, draftKey(id))
		if err == nil && e.Value.Draft == nil {
			err = fmt.Errorf("%w: draft %s", state.ErrCorrupt, quote(id))
		}
		if err != nil {
			return Draft{}, missing(err, "draft "+quote(id))
		}
		d := *e.Value.Draft
		d.Revision = e.Revision
		d.Text, err = s.text(ctx, d.Place)
		if errors.Is(err, state.ErrNotFound) && tries < 3 {
			continue // It was saved in between, and has its text elsewhere now.
		}
		return d, missing(err, "text of draft "+quote(id))
	}
}

// An Edit is what is to change in a draft. What is nil stays.
type Edit struct {
	CSV, Checks, Comment *string
	Rebase               bool // take the version in force as the one to replace, whatever it says
}

// CreateDraft begins a draft with the text of the version in force, if there is
// one. The author is the id of a principal.
func (s *Store) CreateDraft(ctx context.Context, author, comment string) (Draft, error) {
	if err := s.writable(comment); err != nil {
		return Draft{}, err
	}
	all, err := s.Drafts(ctx)
	if err != nil {
		return Draft{}, err
	}
	if len(all) >= maxDrafts {
		return Draft{}, fmt.Errorf("%w: %d", ErrTooMany, len(all))
	}
	now := s.options.Now().UTC()
	d := Draft{ID: rand.Text()[:12], Author: author, Comment: comment, Created: now, Changed: now}
	v, err := s.Active(ctx)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Draft{}, err
	}
	if d.Base, d.Text = v.ID, v.Text; v.ID == 0 {
		d.CSV = s.options.Initial
	}
	return s.keep(ctx, d, "")
}

// SaveDraft changes a draft that is still at the revision that was read, and
// otherwise fails with a [ConflictError]. What is saved need not be a policy yet.
func (s *Store) SaveDraft(ctx context.Context, id string, revision uint64, e Edit) (Draft, error) {
	d, err := s.Draft(ctx, id)
	if err != nil {
		return Draft{}, err
	}
	if d.Revision != revision {
		return Draft{}, &ConflictError{Draft: id, Revision: d.Revision}
	}
	for _, f := range []struct {
		from *string
		into *string
		most int
		what string
	}{{e.CSV, &d.CSV, maxBytes, "policy"}, {e.Checks, &d.Checks, maxCheckBytes, "checks"}, {e.Comment, &d.Comment, maxComment, "comment"}} {
		if f.from == nil {
			continue
		}
		if len(*f.from) > f.most {
			return Draft{}, fmt.Errorf("%w: the %s is longer than %d bytes", ErrInvalid, f.what, f.most)
		}
		*f.into = *f.from
	}
	if err := s.writable(d.Comment); err != nil {
		return Draft{}, err
	}
	if e.Rebase {
		a, _, err := s.active(ctx)
		if err != nil {
			return Draft{}, err
		}
		d.Base = a.Version
	}
	d.Changed = s.options.Now().UTC()
	return s.keep(ctx, d, d.Place)
}

func (s *Store) writable(comment string) error {
	switch {
	case s.options.ReadOnly():
		return ErrReadOnly
	case len(comment) > maxComment:
		return fmt.Errorf("%w: the comment is longer than %d bytes", ErrInvalid, maxComment)
	}
	return nil
}

// keep stores a draft with its text in a new place, and frees the old one.
func (s *Store) keep(ctx context.Context, d Draft, old string) (Draft, error) {
	d.Place = draftKey(d.ID) + "/" + rand.Text()
	text, err := d.pack()
	if err != nil {
		return Draft{}, err
	}
	if _, err := s.texts.Create(ctx, d.Place, text); err != nil {
		return Draft{}, err
	}
	was := d.Revision
	if was == 0 {
		d.Revision, err = s.records.Create(ctx, draftKey(d.ID), record{Draft: &d})
	} else {
		d.Revision, err = s.records.Update(ctx, draftKey(d.ID), record{Draft: &d}, was)
	}
	if err != nil {
		s.free(ctx, d.Place)
		return Draft{}, s.conflict(ctx, err, d.ID)
	}
	if old != "" {
		s.free(ctx, old)
	}
	return d, nil
}

// conflict returns the error of a write to a draft, saying where it stands now.
func (s *Store) conflict(ctx context.Context, err error, id string) error {
	if !errors.Is(err, state.ErrConflict) {
		return err
	}
	now, getErr := s.Draft(ctx, id)
	if getErr != nil {
		return getErr
	}
	return &ConflictError{Draft: id, Revision: now.Revision}
}

// free deletes a text that nothing points to. One that stays costs room only.
func (s *Store) free(ctx context.Context, place string) {
	if err := s.texts.Delete(context.WithoutCancel(ctx), place, 0); err != nil {
		s.options.Logger.WarnContext(ctx, "a text of a draft is left behind", slog.String("place", place), slog.Any("cause", err))
	}
}

// DiscardDraft deletes a draft that is still at the revision that was read.
func (s *Store) DiscardDraft(ctx context.Context, id string, revision uint64) error {
	d, err := s.Draft(ctx, id)
	if err != nil {
		return err
	}
	if d.Revision != revision {
		return &ConflictError{Draft: id, Revision: d.Revision}
	}
	if err := s.records.Delete(ctx, draftKey(id), revision); err != nil {
		return s.conflict(ctx, err, id)
	}
	s.free(ctx, d.Place)
	return nil
}
