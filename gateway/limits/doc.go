// Package limits bounds how many calls come in a time. A [Gate] stands on the
// road behind the policy: it holds each call against the rules of the
// configuration and the overrides of administrators, and takes a token from the
// bucket of each that counts it, or refuses the call and takes none.
//
//	policy ──▶ Gate ──▶ arguments ──▶ upstream
//	            │ rules, overrides: which buckets a call needs
//	            └▶ Limiter: the buckets (Table: those of this node)
//
// It is no protection of one upstream from load: that is package guard. Nor does
// it bound what is open at the same time, such as sessions and streams: doors do.
package limits

import (
	"context"
	"time"
)

// A Limit is what a rule or an override says of its buckets: they fill by one
// token each Interval until they hold Burst. It is never changed.
type Limit struct {
	Rule     string        // the rule's name, "override" for an override
	Per      Per           // what has a bucket of its own
	Interval time.Duration // at least a nanosecond
	Burst    int64         // at least 1

	index int    // of the rule among the rules; -1 of an override
	hash  uint64 // of Rule and Per
}

// A Bucket is one that a call needs a token from.
type Bucket struct {
	*Limit

	Key string // whose it is: a principal's ID, a tool's name, …; "" for all
}

// A Limiter holds buckets. It is safe for concurrent use.
//
// Take takes one token from each of the buckets, or from none of them: then it
// returns the time after which each has one if nobody else takes it, and the
// index of the bucket that takes longest. It does not keep the slice. An error
// says that the buckets cannot be reached.
type Limiter interface {
	Take(ctx context.Context, buckets []Bucket) (wait time.Duration, which int, err error)
}

// A Per is what has a bucket of its own.
type Per uint8

// What can have a bucket of its own.
const (
	PerPrincipal Per = iota + 1
	PerTenant
	PerRole
	PerTool
	PerSource
	PerGlobal // all together: there is one key, ""

	perCount = iota + 1
)

// String returns the name that the configuration has for it.
func (p Per) String() string {
	return [perCount]string{"", "principal", "tenant", "role", "tool", "source", "global"}[p]
}

// ParsePer is the way back from [Per.String].
func ParsePer(name string) (Per, bool) {
	for p := PerPrincipal; p <= PerGlobal; p++ {
		if p.String() == name {
			return p, true
		}
	}
	return 0, false
}
