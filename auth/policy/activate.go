package policy

import (
	"context"
	"errors"
	"fmt"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/state"
)

// Activate puts a draft in force that is still at the revision that was read, as
// a new version, and discards the draft. The principal is who does it.
//
// It fails with a [ConflictError] where the draft has changed or was made from
// another version than is in force now, with [Problems] or [Failures] where the
// text is no policy or its checks do not hold, and with [ErrLockout].
func (s *Store) Activate(ctx context.Context, id string, revision uint64, by *gateway.Principal) (Version, error) {
	if err := s.writable(""); err != nil {
		return Version{}, err
	}
	d, err := s.Draft(ctx, id)
	if err != nil {
		return Version{}, err
	}
	if d.Revision != revision {
		return Version{}, &ConflictError{Draft: id, Revision: d.Revision}
	}
	v := Version{Author: d.Author, Comment: d.Comment, Created: d.Created, Text: d.Text}
	if v, err = s.activate(ctx, v, d.Base, by); err != nil {
		return Version{}, err
	}
	if err := s.DiscardDraft(context.WithoutCancel(ctx), id, revision); err != nil && !errors.Is(err, ErrConflict) {
		return v, fmt.Errorf("version %d is in force, but the draft is still there: %w", v.ID, err)
	}
	return v, nil
}

// Rollback brings the text of an older version back, as a new version. The
// version in force must still be the one that was read. It fails as
// [Store.Activate] does: what the gateway has may have changed since.
func (s *Store) Rollback(ctx context.Context, to, inForce int64, by *gateway.Principal) (Version, error) {
	if err := s.writable(""); err != nil {
		return Version{}, err
	}
	old, err := s.Version(ctx, to)
	if err != nil {
		return Version{}, err
	}
	v := Version{Author: old.Author, Comment: old.Comment, Created: old.Created, Restores: old.ID, Text: old.Text}
	return s.activate(ctx, v, inForce, by)
}

// activate checks a text and puts it in force, if the version in force is still
// the one that it replaces.
func (s *Store) activate(ctx context.Context, v Version, replaces int64, by *gateway.Principal) (Version, error) {
	if by == nil {
		return Version{}, fmt.Errorf("%w: nobody activates it", ErrInvalid)
	}
	now, revision, err := s.active(ctx)
	if err != nil {
		return Version{}, err
	}
	if now.Version != replaces {
		return Version{}, &ConflictError{Version: now.Version}
	}
	report := s.check(ctx, "draft", v.Text)
	if err := report.Err(); err != nil {
		return Version{}, err
	}
	if err := report.Policy.CheckLockout(ctx, by, s.options.Now()); err != nil {
		return Version{}, err
	}
	if err := ctx.Err(); err != nil { // Checks that were not tried hold for nobody.
		return Version{}, context.Cause(ctx)
	}
	v.By = by.ID
	return s.put(ctx, v, now.Version, revision)
}

// Record puts a text in force that came from elsewhere, such as a file, so that
// the history has it. It checks nothing, and does nothing where the version in
// force has that text.
func (s *Store) Record(ctx context.Context, csv, origin string) (Version, error) {
	now, revision, err := s.active(ctx)
	if err != nil {
		return Version{}, err
	}
	if now.SHA256 == shaOf(csv) {
		return s.Version(ctx, now.Version)
	}
	created := s.options.Now().UTC()
	return s.put(ctx, Version{Author: origin, By: origin, Created: created, Text: Text{CSV: csv}}, now.Version, revision)
}

// put stores a version and makes it the one in force, if that is still at the
// revision.
func (s *Store) put(ctx context.Context, v Version, parent int64, revision uint64) (Version, error) {
	v.Parent, v.SHA256, v.Activated = parent, shaOf(v.CSV), s.options.Now().UTC()
	text, err := v.pack()
	if err != nil {
		return Version{}, err
	}
	if err := s.number(ctx, &v, text); err != nil {
		return Version{}, err
	}
	active := record{Active: &activation{v.ID, v.SHA256}}
	if revision == 0 {
		_, err = s.records.Create(ctx, activeKey, active)
	} else {
		_, err = s.records.Update(ctx, activeKey, active, revision)
	}
	if !errors.Is(err, state.ErrConflict) {
		return v, err
	}
	// Another was faster. What was stored is in nobody's history.
	s.free(ctx, versionKey(v.ID))
	_ = s.records.Delete(context.WithoutCancel(ctx), versionKey(v.ID), 0) // It costs room only.
	now, _, err := s.active(ctx)
	if err != nil {
		return Version{}, err
	}
	return Version{}, &ConflictError{Version: now.Version}
}

// number stores a version under the first number that is free after its parent's.
// One may be taken by a version that never came into force.
func (s *Store) number(ctx context.Context, v *Version, text packed) error {
	for v.ID = v.Parent + 1; v.ID <= v.Parent+maxTries; v.ID++ {
		switch _, err := s.texts.Create(ctx, versionKey(v.ID), text); {
		case errors.Is(err, state.ErrConflict):
			continue
		case err != nil:
			return err
		}
		_, err := s.records.Create(ctx, versionKey(v.ID), record{Version: v})
		return err
	}
	return fmt.Errorf("%w: no number is free after version %d", state.ErrConflict, v.Parent)
}
