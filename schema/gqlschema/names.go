package gqlschema

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// hash returns the first n digits of a name's hash, which tell names apart that become the same in GraphQL. It depends
// on the name alone: a counter would give another name as soon as something is added.
func hash(s string, n int) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])[:n]
}

// Name returns s as a GraphQL name (GraphQL, section 2.1.9): a valid one stays, in others runs of bad characters become
// "_". A leading digit gets a "_" before it, two leading "_", which are reserved, become one, and where nothing is left
// the name is a hash.
func Name(s string) string {
	var b strings.Builder
	gap := false
	for _, r := range s {
		if r != '_' && !isLetter(r) && !isDigit(r) {
			gap = true
			continue
		}
		if gap && b.Len() > 0 || b.Len() == 0 && isDigit(r) {
			b.WriteByte('_')
		}
		gap = false
		b.WriteRune(r)
	}
	n := b.String()
	for strings.HasPrefix(n, "__") {
		n = n[1:]
	}
	if n == "" || n == "_" {
		return "x_" + hash(s, 8)
	}
	return n
}

func isLetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

// Pascal returns s as the stem of a type's name: "get_user" becomes "GetUser".
func Pascal(s string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(Name(s), "_") {
		if part != "" {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	n := b.String()
	if n == "" || isDigit(rune(n[0])) {
		return "T" + n
	}
	return n
}

// unique gives each key a name of its own: the one that want returns, where no other key wants it. Of those that want the
// same the key that is the name keeps it, and all others get a hash of the key. The result does not depend on the order.
func unique(keys []string, want func(key string) string) map[string]string {
	wanted := make(map[string]int, len(keys))
	for _, k := range keys {
		wanted[want(k)]++
	}
	out := make(map[string]string, len(keys))
	taken := make(map[string]bool, len(keys))
	var clashing []string
	for _, k := range keys {
		n := want(k)
		if wanted[n] > 1 && n != k {
			clashing = append(clashing, k)
			continue
		}
		out[k], taken[n] = n, true
	}
	slices.Sort(clashing)
	for _, k := range clashing {
		n := want(k)
		for length := 8; ; length *= 2 {
			if full := n + "_" + hash(k, length); !taken[full] || length == 64 {
				out[k], taken[full] = full, true
				break
			}
		}
	}
	return out
}
