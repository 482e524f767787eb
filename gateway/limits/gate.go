package limits

import (
	"context"
	"errors"
	"math/bits"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
)

// by is how refusals name the package.
const by = "limits"

// Options are what a gate is made of.
type Options struct {
	Limiter   Limiter                           // holds the buckets; nil is a [NewTable] of the default size
	Overrides *Overrides                        // nil for none
	Roles     func(*gateway.Principal) []string // all roles of a principal; nil is those that its issuer claims
}

// A Gate holds calls and lists against rules. It refuses as ResourceExhausted,
// with the time after which trying again helps, and counts neither what another
// gate before it has refused nor administration, which must go on when all else
// is too much. It is safe for concurrent use.
type Gate struct {
	o     Options
	rules atomic.Pointer[ruleSet]
	pool  sync.Pool // of *[]Bucket
}

// New returns a gate with these rules, which [config.Config.Check] has checked.
func New(rules []config.RateLimit, o Options) (*Gate, error) {
	if o.Limiter == nil {
		o.Limiter = NewTable(0)
	}
	if o.Roles == nil {
		o.Roles = func(p *gateway.Principal) []string { return p.Roles }
	}
	g := &Gate{o: o, pool: sync.Pool{New: func() any { return new([]Bucket) }}}
	return g, g.Set(rules)
}

// Check says why Set would fail, or nil.
func Check(rules []config.RateLimit) error {
	_, err := newRuleSet(rules, nil)
	return err
}

// Set replaces the rules. Buckets of rules that keep their name keep what they
// lack.
func (g *Gate) Set(rules []config.RateLimit) error {
	set, err := newRuleSet(rules, g.rules.Load())
	if err == nil {
		g.rules.Store(set)
	}
	return err
}

// Admit takes the tokens of a call.
func (g *Gate) Admit(ctx context.Context, call *gateway.Call) error {
	if call.Op >= gateway.OpAdmin || call.Target == nil || call.Principal == nil {
		return nil
	}
	rules, overrides := g.rules.Load(), g.o.Overrides.now()
	if len(rules.rules) == 0 && overrides == nil {
		return nil
	}
	return g.take(ctx, &request{
		principal: call.Principal, target: call.Target, rules: rules, overrides: overrides, counted: rules.about(call.Target, call.Op),
	})
}

// AdmitList takes the tokens of a list.
func (g *Gate) AdmitList(ctx context.Context, list gateway.Listing) error {
	rules, overrides := g.rules.Load(), g.o.Overrides.now()
	if list.Principal == nil || list.Refused != nil || len(rules.rules) == 0 && overrides == nil {
		return nil //nolint:nilerr // Another gate has refused: that is what the caller is told.
	}
	return g.take(ctx, &request{principal: list.Principal, rules: rules, overrides: overrides, counted: rules.lists})
}

// A request is what tokens are taken for.
type request struct {
	principal *gateway.Principal
	target    *gateway.Capability // nil for a list
	rules     *ruleSet
	overrides *overrideSet // nil for none
	counted   uint64       // the rules that count it, roles aside
}

func (g *Gate) take(ctx context.Context, r *request) error {
	pooled := g.pool.Get().(*[]Bucket) //nolint:forcetypeassert // The pool holds nothing else.
	buckets := g.buckets((*pooled)[:0], r)
	var err error
	if len(buckets) > 0 {
		var wait time.Duration
		var which int
		if wait, which, err = g.o.Limiter.Take(ctx, buckets); err != nil {
			err = &gateway.Error{Code: gateway.Unavailable, By: by, Msg: "the gateway cannot count calls now", Retry: time.Second, Err: err}
		} else {
			err = g.count(r, buckets, wait, which)
		}
	}
	clear(buckets) // Their texts are the callers'.
	*pooled = buckets[:0]
	g.pool.Put(pooled)
	return err
}

// count notes what became of a request and returns its refusal, or nil.
func (g *Gate) count(r *request, buckets []Bucket, wait time.Duration, which int) error {
	for i := range buckets {
		if wait > 0 && i != which {
			continue
		}
		switch at := buckets[i].index; {
		case at < 0: // An override.
		case wait > 0:
			r.rules.rules[at].refused.Add(1)
		default:
			r.rules.rules[at].admitted.Add(1)
		}
	}
	if wait <= 0 {
		return nil
	}
	b := buckets[which]
	// Doors speak of milliseconds: a token must be there by then.
	wait = (wait + time.Millisecond - 1).Truncate(time.Millisecond)
	return &gateway.Error{
		Code: gateway.ResourceExhausted, By: by, Msg: "too many calls: the rate limit is reached", Retry: wait,
		Err: exceeded{errors.New(b.Per.String() + " " + strconv.Quote(b.Key) + " has no token of the rule " + b.Rule), b.Rule},
	}
}

// exceeded is the cause of a refusal, which knows its rule for the audit log.
type exceeded struct {
	error
	rule string
}

// Rule returns the name of the rule that refused.
func (e exceeded) Rule() string { return e.rule }

// buckets appends the buckets that a request needs a token from.
func (g *Gate) buckets(out []Bucket, r *request) []Bucket {
	var roles []string
	for set := r.counted; set != 0; set &= set - 1 {
		x := &r.rules.rules[bits.TrailingZeros64(set)]
		if x.per == PerRole || len(x.Match.Roles) > 0 {
			if roles == nil {
				roles = g.o.Roles(r.principal)
			}
			if x.per == PerRole {
				out = x.perRole(out, r, roles)
				continue
			}
			if !slices.ContainsFunc(roles, func(role string) bool { return slices.Contains(x.Match.Roles, role) }) {
				continue
			}
		}
		if key := r.key(x.per); r.overrides.of(x.per, key) == nil {
			out = append(out, Bucket{x.limit, key})
		}
	}
	if r.overrides == nil {
		return out
	}
	return g.overrides(out, r, roles)
}

// perRole appends a bucket for each role of the caller that the rule is about.
func (x *rule) perRole(out []Bucket, r *request, roles []string) []Bucket {
	for _, role := range roles {
		if (len(x.Match.Roles) == 0 || slices.Contains(x.Match.Roles, role)) && r.overrides.of(PerRole, role) == nil {
			out = append(out, Bucket{x.limit, role})
		}
	}
	return out
}

// key returns whose bucket a request needs. A list has none of a tool or source.
func (r *request) key(per Per) string {
	switch per { //nolint:exhaustive // The others have one key, or several.
	case PerPrincipal:
		return r.principal.ID
	case PerTenant:
		return r.principal.Tenant
	case PerTool:
		return r.target.Name
	case PerSource:
		return r.target.Source
	default:
		return ""
	}
}

// overrides appends the buckets of the overrides that are about a request.
func (g *Gate) overrides(out []Bucket, r *request, roles []string) []Bucket {
	for per := PerPrincipal; per <= PerGlobal; per++ {
		if len(r.overrides.keys[per]) == 0 || r.target == nil && (per == PerTool || per == PerSource) ||
			per == PerTool && r.target.Kind != gateway.KindTool {
			continue
		}
		if per != PerRole {
			out = r.overrides.of(per, r.key(per)).add(out, r.key(per))
			continue
		}
		if roles == nil {
			roles = g.o.Roles(r.principal)
		}
		for _, role := range roles {
			out = r.overrides.of(per, role).add(out, role)
		}
	}
	return out
}
