package mcp

import (
	"strconv"
	"time"

	"github.com/trilith-gateway/trilith/internal/clip"
)

// note shows how far the call says it has come.
func (t *task) note(message string) {
	if message == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !isFinal(t.status) {
		t.message, t.updated = clip.Text(message, maxQuoted), time.Now()
	}
}

// changed marks a change of status for those who watch. t.mu is held.
func (t *task) changed() {
	t.updated = time.Now()
	for w := range t.watchers {
		(*w)()
	}
}

// watch lets changed be called at each change of status, with the task locked,
// until stop is called.
func (t *task) watch(changed func()) (stop func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watchers[&changed] = struct{}{}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.watchers, &changed)
	}
}

// appendHead appends the members that every task shows, without the id and
// braces. t.mu is held.
func (t *task) appendHead(b []byte) []byte {
	b = append(append(append(b, `"status":"`...), t.status...), `","createdAt":`...)
	b = append(timestamp(b, t.created), `,"lastUpdatedAt":`...)
	b = append(timestamp(b, t.updated), `,"ttlMs":`...)
	b = strconv.AppendInt(b, t.of.o.TTL.Milliseconds(), 10)
	b = strconv.AppendInt(append(b, `,"pollIntervalMs":`...), t.of.o.Poll.Milliseconds(), 10)
	if t.message != "" {
		b = quote(append(b, `,"statusMessage":`...), t.message)
	}
	return b
}

// state returns the task as tasks/get shows it, an object without the id.
// t.mu is held.
func (t *task) state() []byte {
	b := t.appendHead(append(make([]byte, 0, 256+len(t.payload)), '{'))
	if len(t.open) > 0 {
		b = append(b, `,"inputRequests":{`...)
		for i, o := range t.open {
			if i > 0 {
				b = append(b, ',')
			}
			b = quote(append(quote(b, o.key), `:{"method":`...), o.asks.Method)
			b = append(appendParams(b, o.asks.Params), '}')
		}
		b = append(b, '}')
	}
	if t.payload != nil {
		b = append(append(b, ','), t.payload...)
	}
	return append(b, '}')
}
