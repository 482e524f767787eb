package gateway

import (
	"math/rand/v2"
	"sync"
)

// spreadLists is how many lists a spread has.
const spreadLists = 32

// A spread is a set of what comes and goes often: several lists, each with a
// lock of its own, so that those who come and go hardly ever wait for each
// other. The zero spread is empty.
type spread[T any] [spreadLists]spreadList[T]

type spreadList[T any] struct {
	mu    sync.Mutex
	first *entry[T]
	_     [48]byte // A cache line each.
}

// An entry is one element of a spread.
type entry[T any] struct {
	value      T
	list       *spreadList[T]
	prev, next *entry[T]
}

// add enters a value. The entry's remove takes it out again.
func (s *spread[T]) add(value T) *entry[T] {
	l := &s[rand.Uint32N(spreadLists)] //nolint:gosec // It spreads and hides nothing.
	e := &entry[T]{value: value, list: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.next = l.first; e.next != nil {
		e.next.prev = e
	}
	l.first = e
	return e
}

// remove takes the entry out. It must be called once.
func (e *entry[T]) remove() {
	e.list.mu.Lock()
	defer e.list.mu.Unlock()
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		e.list.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	}
}

// each calls f with every value that is there throughout, holding no lock.
func (s *spread[T]) each(f func(*T)) {
	var some []*entry[T]
	for i := range s {
		l := &s[i]
		l.mu.Lock()
		some = some[:0]
		for e := l.first; e != nil; e = e.next {
			some = append(some, e)
		}
		l.mu.Unlock()
		for _, e := range some {
			f(&e.value)
		}
	}
}
