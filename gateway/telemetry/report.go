package telemetry

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"time"
)

// A Report is what happened in the last seconds.
type Report struct {
	Time    time.Time // the end of the last of them
	Seconds int       // how many they are; fewer than asked for soon after the start
	Total   Share
	Doors   []Share // by name
	Sources []Share // by name; "" is what was refused before a source was found
	// Exceeded are the limits that are only measured and were exceeded, by name.
	Exceeded []Excess
}

// An Excess is how often a limit was exceeded that is only measured.
type Excess struct {
	Limit string
	Count uint64
}

// A Share is the part of the calls that one door or one source had.
type Share struct {
	Name       string
	Calls      uint64        // all that ended
	ToolErrors uint64        // of them, those whose tool ran and failed
	Refused    uint64        // those that a gate refused, or that asked for what there is not
	Failed     uint64        // those that failed here or at the source
	Canceled   uint64        // those that their callers cancelled
	P50, P99   time.Duration // that half and 99 of 100 calls took at most, within an eighth; 0 without calls

	took *[buckets]uint64
}

// Report returns what happened in the last seconds that have ended: at least 1
// and at most [MaxSeconds] of them.
func (t *Traffic) Report(seconds int) Report {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n := min(max(seconds, 1), t.filled)
	total := newShare("")
	doors, sources, exceeded := map[string]*Share{}, map[string]*Share{}, map[string]uint64{}
	for i := range n {
		s := &t.ring[(t.at-1-i+2*MaxSeconds)%MaxSeconds]
		for limit, n := range s.exceeded {
			exceeded[limit] += n
		}
		for k, c := range s.calls {
			total.add(&c)
			part(doors, k.via).add(&c)
			part(sources, k.source).add(&c)
		}
	}
	total.finish()
	return Report{Time: t.now(), Seconds: n, Total: *total, Doors: all(doors), Sources: all(sources), Exceeded: excesses(exceeded)}
}

func excesses(of map[string]uint64) []Excess {
	var out []Excess
	for limit, n := range of {
		out = append(out, Excess{limit, n})
	}
	slices.SortFunc(out, func(a, b Excess) int { return cmp.Compare(a.Limit, b.Limit) })
	return out
}

func newShare(name string) *Share { return &Share{Name: name, took: new([buckets]uint64)} }

func part(of map[string]*Share, name string) *Share {
	s := of[name]
	if s == nil {
		s = newShare(name)
		of[name] = s
	}
	return s
}

func all(of map[string]*Share) []Share {
	out := make([]Share, 0, len(of))
	for _, s := range of {
		s.finish()
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b Share) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (s *Share) add(c *counts) {
	for i, n := range c.outcomes {
		s.Calls += n
		switch outcome(i) {
		case fine:
		case toolError:
			s.ToolErrors += n
		case refused:
			s.Refused += n
		case failed:
			s.Failed += n
		case canceled:
			s.Canceled += n
		}
	}
	for _, b := range c.took {
		s.took[b.bucket] += uint64(b.calls)
	}
}

// finish works out how long calls took, and forgets what that came from.
func (s *Share) finish() {
	s.P50, s.P99 = quantile(s.took, 0.50), quantile(s.took, 0.99)
	s.took = nil
}

// Durations are counted in buckets whose width is an eighth of what they begin
// with, in microseconds.
const (
	fractionBits = 3
	fractions    = 1 << fractionBits
	maxOctave    = 31 // beyond half an hour all durations are alike
	buckets      = (maxOctave - fractionBits + 1) * fractions
)

func bucketOf(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 0))
	if us < fractions {
		return int(us)
	}
	octave := bits.Len64(us) - 1
	if octave >= maxOctave {
		return buckets - 1
	}
	fraction := int(us>>(octave-fractionBits)) & (fractions - 1) //nolint:gosec // It is masked.
	return (octave-fractionBits+1)*fractions + fraction
}

// bound returns the duration at which a bucket begins.
func bound(bucket int) time.Duration {
	if bucket < fractions {
		return time.Duration(bucket) * time.Microsecond
	}
	octave, fraction := bucket/fractions-1, bucket%fractions
	return time.Duration((fractions+fraction)<<octave) * time.Microsecond
}

// quantile returns the end of the bucket in which the q-th part of the calls
// ends.
func quantile(took *[buckets]uint64, q float64) time.Duration {
	var total uint64
	for _, n := range took {
		total += n
	}
	if total == 0 {
		return 0
	}
	rank := uint64(math.Ceil(q * float64(total)))
	for i, n := range took {
		if n >= rank {
			return bound(i + 1)
		}
		rank -= n
	}
	return bound(buckets)
}
