// Package clip bounds texts that come from elsewhere before they are shown, logged or kept: names that callers ask for,
// what servers say about failures, descriptions in schemas. It knows nothing of where a text goes, so it does not
// escape: what is printed on a terminal or a line of a log needs more.
package clip

import (
	"strings"
	"unicode/utf8"
)

// ellipsis stands for what is left out, in three bytes.
const ellipsis = "…"

// Text returns s as valid UTF-8 of at most most bytes: what is not valid is U+FFFD, and what is too long ends between two
// characters with an ellipsis. It looks at no more than most bytes of s. Below three bytes, the ellipsis alone is left.
func Text(s string, most int) string {
	valid := strings.ToValidUTF8(s[:min(len(s), most)], "\ufffd")
	if len(s) <= most && len(valid) <= most {
		return valid
	}
	end := min(len(valid), max(most-len(ellipsis), 0))
	for end > 0 && end < len(valid) && !utf8.RuneStart(valid[end]) {
		end--
	}
	return valid[:end] + ellipsis
}
