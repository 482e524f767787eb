package mcp

import "slices"

// The revisions of the protocol, named by date, so that they compare as text.
const (
	rev20241105 = "2024-11-05"
	rev20250326 = "2025-03-26"
	rev20250618 = "2025-06-18"
	rev20251125 = "2025-11-25"
	rev20260728 = "2026-07-28"
)

// newestLegacy is what a legacy client is offered that asks for a revision that
// is not known here.
const newestLegacy = rev20251125

// revisions returns every supported revision, newest first.
func revisions() [5]string {
	return [...]string{rev20260728, rev20251125, rev20250618, rev20250326, rev20241105}
}

// revisionName is unquote for a revision; those that are supported cost no
// memory.
func revisionName(value []byte) (string, bool) {
	if len(value) > 2 && value[0] == '"' {
		for _, rev := range revisions() {
			if string(value[1:len(value)-1]) == rev {
				return rev, true
			}
		}
	}
	return unquote(value)
}

// isModern reports whether a revision is stateless: 2026-07-28 or later. Names
// that are no date count as later, so that they are answered with what is
// supported (versioning, protocol version negotiation).
func isModern(rev string) bool { return rev >= rev20260728 }

func supported(rev string) bool { return revisionIndex(rev) >= 0 }

// revisionIndex returns a revision's place in revisions, or -1.
func revisionIndex(rev string) int {
	all := revisions()
	return slices.Index(all[:], rev)
}

// negotiate returns the revision of a session whose client asked for one in
// initialize (2025-11-25, lifecycle, version negotiation).
func negotiate(asked string) string {
	if supported(asked) && !isModern(asked) {
		return asked
	}
	return newestLegacy
}
