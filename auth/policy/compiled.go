package policy

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/trilith-gateway/trilith/gateway"
)

// compiled is a policy and the toolsets that it speaks of, with what was derived
// from both: everything here dies with them, so nothing can be stale.
type compiled struct {
	policy *Policy
	sets   *Toolsets
	seed   maphash.Seed
	shards [16]shard

	mu     sync.Mutex
	grants generations[string, *grant] // by the subjects that rules name
	views  []views                     // the most recently asked for first
}

// views are the parts of one snapshot, by grant.
type views struct {
	of    *gateway.Snapshot
	parts *generations[*grant, func() *gateway.Snapshot]
}

// A shard remembers the grants of some principals.
type shard struct {
	mu         sync.RWMutex
	principals generations[uint64, *known]
}

// known is a principal that was seen before. The hash only finds it; these
// fields are compared, so that no two principals are taken for one.
type known struct {
	id, issuer, subject, kind, tenant string
	groups, roles                     []string
	grant                             *grant
	every                             atomic.Pointer[[]string] // all roles, nil until somebody asks
}

const (
	maxPrincipals = 1 << 14 // principals that are remembered
	maxGrants     = 1 << 9  // sets of subjects that are remembered, and views of one snapshot
	maxSnapshots  = 4       // snapshots with views: the current one, and those that are still in use
)

func newCompiled(p *Policy, sets *Toolsets) *compiled {
	c := &compiled{policy: p, sets: sets, seed: maphash.MakeSeed()}
	c.grants.most = maxGrants
	for i := range c.shards {
		c.shards[i].principals.most = maxPrincipals / len(c.shards)
	}
	return c
}

// grantOf returns what a principal is granted.
func (c *compiled) grantOf(p *gateway.Principal) *grant { return c.knownOf(p).grant }

// knownOf returns what is remembered of a principal.
func (c *compiled) knownOf(p *gateway.Principal) *known {
	hash := c.hash(p)
	s := &c.shards[hash%uint64(len(c.shards))]
	s.mu.RLock()
	k := s.principals.peek(hash)
	s.mu.RUnlock()
	if k != nil && k.is(p) {
		return k
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.principals.get(hash); k != nil && k.is(p) {
		return k
	}
	k = &known{
		id: p.ID, issuer: p.Issuer, subject: p.Subject, kind: p.Kind, tenant: p.Tenant,
		groups: slices.Clone(p.Groups), roles: slices.Clone(p.Roles),
		grant: c.grant(p),
	}
	s.principals.put(hash, k)
	return k
}

// rolesOf returns the roles of a principal: those that it comes with, and those
// that links lead to, sorted.
func (c *compiled) rolesOf(p *gateway.Principal) []string {
	k := c.knownOf(p)
	if all := k.every.Load(); all != nil {
		return *all
	}
	roles := []string{}
	for s := range c.policy.reach(subjects(p), p.Tenant) {
		if name, ok := strings.CutPrefix(s, "role:"); ok {
			roles = append(roles, name)
		}
	}
	slices.Sort(roles)
	k.every.Store(&roles)
	return roles
}

// grant returns the grant of the principal's subjects, which it may share with
// others.
func (c *compiled) grant(p *gateway.Principal) *grant {
	named := c.policy.closure(subjects(p), p.Tenant)
	// Subjects in rules have no NUL, so no tenant can look like one of them.
	key := strings.Join(named, "\x00") + "\x00\x00" + p.Tenant
	c.mu.Lock()
	defer c.mu.Unlock()
	if g := c.grants.get(key); g != nil {
		return g
	}
	g := &grant{policy: c.policy}
	for _, s := range named {
		for _, r := range c.policy.rules[s] {
			if r.fields[1] == "*" || r.fields[1] == p.Tenant {
				g.rules = append(g.rules, r)
			}
		}
	}
	c.grants.put(key, g)
	return g
}

// view returns the grant's part of a snapshot, the same one each time.
func (c *compiled) view(g *grant, s *gateway.Snapshot) *gateway.Snapshot {
	c.mu.Lock()
	i := slices.IndexFunc(c.views, func(v views) bool { return v.of == s })
	if i < 0 {
		if i = len(c.views); i == maxSnapshots {
			i--
		} else {
			c.views = append(c.views, views{})
		}
		c.views[i] = views{s, &generations[*grant, func() *gateway.Snapshot]{most: maxGrants}}
	}
	v := c.views[i]
	copy(c.views[1:], c.views[:i])
	c.views[0] = v
	part := v.parts.get(g)
	if part == nil {
		part = sync.OnceValue(func() *gateway.Snapshot { return g.view(s, c.sets) })
		v.parts.put(g, part)
	}
	c.mu.Unlock()
	return part()
}

func (c *compiled) hash(p *gateway.Principal) uint64 {
	h := maphash.String(c.seed, p.ID)
	for _, g := range p.Groups {
		h = h*31 + maphash.String(c.seed, g)
	}
	h *= 37
	for _, r := range p.Roles {
		h = h*31 + maphash.String(c.seed, r)
	}
	return h
}

func (k *known) is(p *gateway.Principal) bool {
	return k.id == p.ID && k.issuer == p.Issuer && k.subject == p.Subject && k.kind == p.Kind && k.tenant == p.Tenant &&
		slices.Equal(k.groups, p.Groups) && slices.Equal(k.roles, p.Roles)
}

// generations is a map that forgets what was not asked for lately: once it
// holds most entries, it drops those that were not used since the last time.
type generations[K comparable, V any] struct {
	most       int
	young, old map[K]V
}

// peek returns the value of a key without noting that it was used, unless it
// is old: then it returns nothing, and get must be asked.
func (g *generations[K, V]) peek(k K) V { return g.young[k] }

// get returns the value of a key, or the zero value.
func (g *generations[K, V]) get(k K) V {
	v, ok := g.young[k]
	if !ok {
		if v, ok = g.old[k]; ok {
			g.put(k, v)
		}
	}
	return v
}

func (g *generations[K, V]) put(k K, v V) {
	if len(g.young) >= g.most {
		g.old, g.young = g.young, nil
	}
	if g.young == nil {
		g.young = make(map[K]V)
	}
	g.young[k] = v
}
