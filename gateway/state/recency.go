package state

import (
	"container/list"
	"time"
)

// recency remembers the revision of each key, and the keys in the order they were last written. Because all entries
// of a bucket live equally long, that is also the order in which they expire.
type recency struct {
	order *list.List // Of *remembered, the oldest in front.
	byKey map[string]*list.Element
}

type remembered struct {
	key     string
	rev     uint64
	created time.Time
}

func newRecency() *recency {
	return &recency{order: list.New(), byKey: make(map[string]*list.Element)}
}

func (r *recency) len() int { return len(r.byKey) }

func (r *recency) set(key string, rev uint64, created time.Time) {
	r.remove(key)
	r.byKey[key] = r.order.PushBack(&remembered{key, rev, created})
}

func (r *recency) remove(key string) {
	if e, ok := r.byKey[key]; ok {
		r.order.Remove(e)
		delete(r.byKey, key)
	}
}

func (r *recency) revision(key string) (uint64, bool) {
	e, ok := r.byKey[key]
	if !ok {
		return 0, false
	}
	return e.Value.(*remembered).rev, true //nolint:forcetypeassert // The list holds nothing else.
}

func (r *recency) oldest() (key string, created time.Time, ok bool) {
	e := r.order.Front()
	if e == nil {
		return "", time.Time{}, false
	}
	m := e.Value.(*remembered) //nolint:forcetypeassert // The list holds nothing else.
	return m.key, m.created, true
}

// keys returns a copy, so that keys can be removed while going through it.
func (r *recency) keys() []string {
	keys := make([]string, 0, len(r.byKey))
	for e := r.order.Front(); e != nil; e = e.Next() {
		keys = append(keys, e.Value.(*remembered).key) //nolint:forcetypeassert // The list holds nothing else.
	}
	return keys
}
