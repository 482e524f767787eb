package policy

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"
)

// A Version is a policy that came into force. It is never changed.
type Version struct {
	ID        int64     `json:"id"`     // grows with each version
	Parent    int64     `json:"parent"` // the version that was in force before; 0 for none
	SHA256    string    `json:"sha256"` // of the policy's text, in hex
	Author    string    `json:"author"` // who wrote it: the id of a principal, or the file it was read from
	Comment   string    `json:"comment,omitzero"`
	Created   time.Time `json:"created"`           // when it was begun
	Activated time.Time `json:"activated"`         // when it came into force
	By        string    `json:"by"`                // who put it in force
	Restores  int64     `json:"restores,omitzero"` // the version that it brings back; 0 for none

	Text `json:"-"` // not in lists
}

// A Text is what a version or draft says.
type Text struct {
	CSV    string // the policy
	Checks string // as [ParseChecks] reads them
}

// A Draft is a policy that is being written. It is changed with the revision
// that was read, so that nobody overwrites what they have not seen.
type Draft struct {
	ID       string    `json:"id"`
	Revision uint64    `json:"-"`    // of this state of the draft
	Base     int64     `json:"base"` // the version that it was made from, 0 for none; it replaces no other
	Author   string    `json:"author"`
	Comment  string    `json:"comment,omitzero"`
	Created  time.Time `json:"created"`
	Changed  time.Time `json:"changed"`

	Text `json:"-"` // not in lists

	Place string `json:"place"` // where the store has the text
}

// The errors of a [Store]. Those of the state engine, such as
// state.ErrUnavailable and state.ErrTooLarge, pass through.
var (
	ErrNotFound = errors.New("no such version or draft")
	ErrConflict = errors.New("it has changed meanwhile")
	ErrReadOnly = errors.New("the policy comes from a file: change that")
	ErrInvalid  = errors.New("invalid")
	ErrTooMany  = errors.New("there are too many drafts")
)

// A ConflictError says that the caller has not seen the latest state. It is
// [ErrConflict].
type ConflictError struct {
	Draft    string // the draft that has changed; "" where another version came into force
	Revision uint64 // of the draft now
	Version  int64  // in force now
}

// Error says what has changed.
func (e *ConflictError) Error() string {
	if e.Draft != "" {
		return fmt.Sprintf("draft %s has changed meanwhile: it is at revision %d now", e.Draft, e.Revision)
	}
	return fmt.Sprintf("another version has come into force meanwhile: %d", e.Version)
}

// Is reports whether the target is [ErrConflict].
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// Failures are the checks that a policy does not hold. As an error they are never
// empty.
type Failures []Failure

// Error returns the failures one a line.
func (fs Failures) Error() string {
	var b bytes.Buffer
	for i, f := range fs {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(f.String())
	}
	return b.String()
}

// A Report is what is to be said of a text.
type Report struct {
	Problems Problems // why it is no policy, or its checks are none
	Warnings Problems // what it probably does not mean
	Failures Failures // checks that do not hold; not tried where there are problems
	Policy   *Policy  // nil where there are problems
}

// Err returns what keeps the text from coming into force: [Problems] or
// [Failures], or nil.
func (r *Report) Err() error {
	switch {
	case len(r.Problems) > 0:
		return r.Problems
	case len(r.Failures) > 0:
		return r.Failures
	}
	return nil
}

func shaOf(csv string) string {
	sum := sha256.Sum256([]byte(csv))
	return hex.EncodeToString(sum[:])
}

// packed is a text as it is stored.
type packed struct {
	CSV    []byte `json:"csv"`
	Checks []byte `json:"checks"`
}

func (t Text) pack() (packed, error) {
	csv, err := squeeze(t.CSV)
	if err != nil {
		return packed{}, err
	}
	checks, err := squeeze(t.Checks)
	return packed{csv, checks}, err
}

func (p packed) text() (Text, error) {
	csv, err := unsqueeze(p.CSV, maxBytes)
	if err != nil {
		return Text{}, err
	}
	checks, err := unsqueeze(p.Checks, maxCheckBytes)
	return Text{csv, checks}, err
}

func squeeze(s string) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		return nil, err
	}
	err := w.Close()
	return b.Bytes(), err
}

func unsqueeze(data []byte, most int64) (string, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return "", fmt.Errorf("stored policy: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return "", fmt.Errorf("stored policy: %w", err)
	}
	if int64(len(text)) > most {
		return "", fmt.Errorf("stored policy: longer than %d bytes", most)
	}
	return string(text), nil
}
