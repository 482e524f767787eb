// Package keep bounds what is kept of texts that can be made again, such as
// documents that differ by who asks: many of them share one number of bytes, and
// those that were not used for longest go.
//
// What it is not: it holds nothing itself. Who makes a text holds it, and lets it
// go when it is told.
package keep

import (
	"container/list"
	"sync"
)

// A Budget is how many bytes may be kept in all. Make it with [NewBudget]. It is
// safe for concurrent use.
type Budget struct {
	most int64

	mu    sync.Mutex
	order list.List // of *Item; the one used last is in front
	bytes int64
}

// An Item is something that is kept. Nil is one that is not.
type Item struct {
	bytes int64
	drop  func()
	place *list.Element // nil once it is out
}

// NewBudget returns a budget of so many bytes.
func NewBudget(bytes int64) *Budget { return &Budget{most: bytes} }

// Add notes that something is kept, and has what was not used for longest dropped
// where there is no room for it, or itself where there never is. Drop is called
// once, by whoever needs the room; it must not wait for anything that calls Add.
func (b *Budget) Add(bytes int64, drop func()) *Item {
	i := &Item{bytes: bytes, drop: drop}
	b.mu.Lock()
	i.place = b.order.PushFront(i)
	b.bytes += bytes
	var out []*Item
	if bytes > b.most {
		out = append(out, i)
		b.remove(i)
	}
	for b.bytes > b.most {
		last := b.order.Back().Value.(*Item) //nolint:forcetypeassert // The list holds nothing else.
		out = append(out, last)
		b.remove(last)
	}
	b.mu.Unlock()
	for _, x := range out {
		x.drop()
	}
	return i
}

// Use notes that an item is used now.
func (b *Budget) Use(i *Item) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i != nil && i.place != nil {
		b.order.MoveToFront(i.place)
	}
}

// Remove notes that an item is not kept any more. Its drop is not called.
func (b *Budget) Remove(i *Item) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i != nil {
		b.remove(i)
	}
}

// remove takes an item out. b.mu is held.
func (b *Budget) remove(i *Item) {
	if i.place == nil {
		return
	}
	b.order.Remove(i.place)
	i.place = nil
	b.bytes -= i.bytes
}

// Bytes returns how many bytes are kept now.
func (b *Budget) Bytes() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes
}
