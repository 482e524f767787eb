package guard

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway"
)

// A Policy says which of several endpoints gets a call.
type Policy uint8

// The policies.
const (
	RoundRobin    Policy = iota // each in turn, as often as its weight says
	LeastRequests               // of two taken at random by their weights, the one with fewer calls under way
	EWMA                        // of two, the one that would answer sooner by what it took lately
	Hash                        // always the same for the same caller or argument, as long as it is there
)

// Balance is how calls are divided. The zero Balance is RoundRobin.
type Balance struct {
	Policy Policy

	// Argument names the member of the arguments that Hash goes by; "" is the
	// caller, and so is an argument that is not there.
	Argument string

	// Sticky has the calls of one caller go to the same endpoint whatever the
	// policy is, for upstreams that keep a session for each.
	Sticky bool
}

// ParsePolicy returns the policy of that name: round_robin, least_requests,
// ewma or hash.
func ParsePolicy(name string) (Policy, error) {
	for i, n := range [...]string{"round_robin", "least_requests", "ewma", "hash"} {
		if n == name {
			return Policy(i), nil
		}
	}
	return 0, fmt.Errorf("no policy is named %q", name)
}

// pick returns the endpoint for a new call, or nil where there is none.
func (e *Endpoints) pick(call *gateway.Call) *endpoint {
	var room [maxEndpoints]*endpoint
	byHash := e.o.Balance.Policy == Hash || e.o.Balance.Sticky
	var key uint64
	if byHash {
		key = e.key(call)
	}
	some := e.candidates(room[:0], call, e.role(byHash, key))
	switch {
	case len(some) == 0:
		return nil
	case len(some) == 1:
		return some[0]
	case byHash:
		return rendezvous(some, key)
	case e.o.Balance.Policy == RoundRobin:
		return e.next(some)
	}
	a := e.draw(some, nil)
	b := e.draw(some, a)
	if e.o.Balance.Policy == EWMA {
		if b.latency.cost(b.running.Load()) < a.latency.cost(a.running.Load()) {
			return b
		}
		return a
	}
	if b.running.Load()*int64(a.Weight) < a.running.Load()*int64(b.Weight) {
		return b
	}
	return a
}

// role returns whether the call is one of those that the canary gets.
func (e *Endpoints) role(byHash bool, key uint64) Role {
	if e.canary == nil {
		return Stable
	}
	e.canary.adopt()
	draw := mix(key ^ 0x9e3779b97f4a7c15) // Another one than which endpoint it is.
	if !byHash {
		draw = e.o.Random()
	}
	if float64(draw>>11)/(1<<53)*100 < float64(e.canary.percent.Load()) {
		return Canary
	}
	return Stable
}

// candidates appends the endpoints that a call can go to: those of the role
// that do well, or else those of the other role, or else any that serve, for one
// that may fail is better than none.
func (e *Endpoints) candidates(some []*endpoint, call *gateway.Call, want Role) []*endpoint {
	now := time.Now()
	in := func(role Role, well bool) []*endpoint {
		out := some[:0]
		for _, p := range e.all {
			if p.Role == role && p.can(call) && (!well || p.well(now)) {
				out = append(out, p)
			}
		}
		return out
	}
	other := Stable
	if want == Stable {
		other = Canary
	}
	spare := e.canary != nil && (other == Stable || e.canary.percent.Load() > 0)
	if out := in(want, true); len(out) > 0 {
		return out
	}
	if spare {
		if out := in(other, true); len(out) > 0 {
			return out
		}
	}
	if out := in(want, false); len(out) > 0 || !spare {
		return out
	}
	return in(other, false)
}

// well reports whether an endpoint is there and has not failed lately.
func (p *endpoint) well(now time.Time) bool {
	return p.present() && !now.Before(p.outliers.until())
}

// present reports whether the endpoint is there, as far as is known.
func (p *endpoint) present() bool { return !p.absent.Load() && !p.silent.Load() }

// can reports whether the endpoint has what the call is for, as far as is known.
func (p *endpoint) can(call *gateway.Call) bool {
	offers := p.offers.Load()
	return offers == nil || call.Target == nil || (*offers)[offered(call.Target)]
}

// offered names a capability among those of an endpoint.
func offered(c *gateway.Capability) string { return c.Kind.String() + "/" + c.Origin }

// next is smooth weighted round robin: each in turn, those with more weight more
// often and spread out.
func (e *Endpoints) next(some []*endpoint) *endpoint {
	e.turns.Lock()
	defer e.turns.Unlock()
	total, best := 0, some[0]
	for _, p := range some {
		p.turn += p.Weight
		total += p.Weight
		if p.turn > best.turn {
			best = p
		}
	}
	best.turn -= total
	return best
}

// draw returns one at random, by weight, which is not the one that is left out.
func (e *Endpoints) draw(some []*endpoint, not *endpoint) *endpoint {
	total := 0
	for _, p := range some {
		if p != not {
			total += p.Weight
		}
	}
	at := int(e.o.Random() >> 1 % uint64(total)) //nolint:gosec // It is less than total, which fits.
	for _, p := range some {
		if p == not {
			continue
		}
		if at -= p.Weight; at < 0 {
			return p
		}
	}
	return some[0] // Never: the weights add up.
}

// rendezvous returns the endpoint with the highest score for a key: when one
// goes, only its own keys go elsewhere.
func rendezvous(some []*endpoint, key uint64) *endpoint {
	best, most := some[0], math.Inf(-1)
	for _, p := range some {
		h := fnv.New64a()
		_, _ = h.Write(binary.LittleEndian.AppendUint64([]byte(p.Name), key)) // It never fails.
		u := (float64(mix(h.Sum64())>>11) + 0.5) / (1 << 53)
		if score := -float64(p.Weight) / math.Log(u); score > most {
			best, most = p, score
		}
	}
	return best
}

// mix spreads every bit over all others (the finaliser of MurmurHash3).
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// key returns what the endpoint of a call goes by.
func (e *Endpoints) key(call *gateway.Call) uint64 {
	h := fnv.New64a()
	if name := e.o.Balance.Argument; name != "" && !e.o.Balance.Sticky {
		if v := memberOf(call.Args, name); v != nil {
			_, _ = h.Write(v) // It never fails.
			return h.Sum64()
		}
	}
	if call.Principal != nil {
		_, _ = h.Write([]byte(call.Principal.ID)) // As above.
	}
	return h.Sum64()
}

// memberOf returns the value of a member of an object, or nil.
func memberOf(object []byte, name string) []byte {
	d := jsontext.NewDecoder(strings.NewReader(string(object)))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return nil
	}
	for d.PeekKind() == '"' {
		t, err := d.ReadToken()
		if err != nil {
			return nil
		}
		is := t.String() == name
		v, err := d.ReadValue()
		if err != nil {
			return nil
		}
		if is {
			return v
		}
	}
	return nil
}

// A latency is how long calls take lately: an average that follows a rise at
// once and a fall slowly.
type latency struct {
	mu   sync.Mutex
	mean float64 // nanoseconds
	at   time.Time
}

// fade is how long an old call counts.
const fade = 10 * time.Second

func (l *latency) add(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, x := time.Now(), float64(took)
	if l.at.IsZero() || x > l.mean {
		l.mean, l.at = x, now
		return
	}
	old := math.Exp(-float64(now.Sub(l.at)) / float64(fade))
	l.mean, l.at = l.mean*old+x*(1-old), now
}

func (l *latency) now() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Duration(l.mean)
}

// cost is how long one call more would about take. Who has not been asked yet
// costs nothing, and what was long ago counts for little.
func (l *latency) cost(running int64) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at.IsZero() {
		return float64(running)
	}
	return l.mean * math.Exp(-float64(time.Since(l.at))/float64(fade)) * float64(running+1)
}
