package auth

import (
	"cmp"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

const (
	shards   = 64
	perShard = 1024            // verified tokens kept in each shard
	cacheFor = 5 * time.Minute // the longest that a verified token is not verified again
)

// A credential is a verified token.
type credential struct {
	principal *gateway.Principal
	binding   binding
	until     time.Time // when it expires, leeway included

	issuer *issuer
	keys   *keys     // the key set that it was verified with; nil for a token that its issuer was asked about
	forget time.Time // when the cache drops it
}

// valid reports whether a verified token would be found valid again: neither
// has it expired nor did its issuer change keys.
func (c *credential) valid(now time.Time) bool {
	return now.Before(c.forget) && (c.issuer.keys == nil || c.keys == c.issuer.keys.snapshot.Load())
}

// A cache keeps verified tokens by the SHA-256 of the whole token. It holds at
// most shards × perShard of them and nothing about tokens that were refused:
// what an attacker sends never takes its room. The zero cache is empty.
type cache struct {
	life   time.Duration // the longest that a token is kept; 0 is cacheFor
	shards [shards]shard
}

type shard struct {
	sync.RWMutex
	m map[[sha256.Size]byte]*credential
}

// evict makes room: all that is no longer valid goes, or else an eighth of the
// rest, picked by chance, so that its cost is spread over many puts.
func (s *shard) evict(now time.Time) {
	for k, v := range s.m {
		if !v.valid(now) {
			delete(s.m, k)
		}
	}
	spare := len(s.m) - perShard*7/8
	for k := range s.m {
		if spare <= 0 {
			return
		}
		delete(s.m, k)
		spare--
	}
}

// digest returns the cache's key for a token. The copy is on the stack for
// tokens of usual size.
func digest(token string) [sha256.Size]byte {
	var buf [2048]byte
	if len(token) > len(buf) {
		return sha256.Sum256([]byte(token))
	}
	return sha256.Sum256(buf[:copy(buf[:], token)])
}

func (c *cache) get(key [sha256.Size]byte, now time.Time) (*credential, bool) {
	s := &c.shards[key[0]%shards]
	s.RLock()
	v := s.m[key]
	s.RUnlock()
	return v, v != nil && v.valid(now)
}

func (c *cache) put(key [sha256.Size]byte, v *credential, now time.Time) {
	v.forget = now.Add(cmp.Or(c.life, cacheFor))
	if v.until.Before(v.forget) {
		v.forget = v.until
	}
	s := &c.shards[key[0]%shards]
	s.Lock()
	defer s.Unlock()
	if s.m == nil {
		s.m = map[[sha256.Size]byte]*credential{}
	}
	if len(s.m) >= perShard {
		s.evict(now)
	}
	s.m[key] = v
}
