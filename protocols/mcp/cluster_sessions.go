package mcp

import (
	"context"
	"slices"
	"sync"

	"github.com/trilith-gateway/trilith/gateway"
)

// Bounds on what a node remembers of the sessions that other nodes hold. The
// oldest are forgotten first.
const (
	maxMemories    = 1 << 14
	maxMemoryBytes = 16 << 20
)

// memories are what other nodes told of sessions that clients may bring here.
type memories struct {
	mu    sync.Mutex
	by    map[sessionKey]*memory
	order []sessionKey // oldest first
	bytes int          // of URIs
}

// A memory is what a session has set.
type memory struct {
	level string // "" for none
	uris  []string
}

// change changes what is remembered of a session.
func (m *memories) change(key sessionKey, change func(*memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.by == nil {
		m.by = map[sessionKey]*memory{}
	}
	s := m.by[key]
	if s == nil {
		s = &memory{}
		m.by[key] = s
		m.order = append(m.order, key)
	}
	m.bytes -= s.size()
	change(s)
	m.bytes += s.size()
	for len(m.order) > maxMemories || m.bytes > maxMemoryBytes && len(m.order) > 1 {
		m.drop(m.order[0])
	}
}

// drop forgets a session. m.mu is held.
func (m *memories) drop(key sessionKey) {
	if s := m.by[key]; s != nil {
		m.bytes -= s.size()
		delete(m.by, key)
		i := slices.Index(m.order, key)
		m.order = slices.Delete(m.order, i, i+1)
	}
}

// end forgets a session that has ended.
func (m *memories) end(key sessionKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(key)
}

// of returns what is remembered of a session.
func (m *memories) of(key sessionKey) memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.by[key]; s != nil {
		return memory{s.level, slices.Clone(s.uris)}
	}
	return memory{}
}

func (s *memory) size() (n int) {
	for _, uri := range s.uris {
		n += len(uri)
	}
	return n
}

func (s *memory) follow(uri string) {
	if !slices.Contains(s.uris, uri) && len(s.uris) < maxFollows {
		s.uris = append(s.uris, uri)
	}
}

func (s *memory) unfollow(uri string) {
	s.uris = slices.DeleteFunc(s.uris, func(u string) bool { return u == uri })
}

// tellSet tells the other nodes what a legacy request has set, unless its session
// belongs to one connection.
func (f *Frontend) tellSet(ctx context.Context, r *request, t told) {
	if s := r.session; s == nil || s.idle != nil {
		f.tell(ctx, r.key, t)
	}
}

// hearSession takes what a session has set at another node.
func (f *Frontend) hearSession(t *told) {
	key := sessionKey(t.Session)
	if t.Op == toldLevel && severity(t.Level) < 0 {
		return
	}
	f.memories.change(key, func(m *memory) {
		switch t.Op {
		case toldLevel:
			m.level = t.Level
		case toldFollow:
			m.follow(t.URI)
		case toldUnfollow:
			m.unfollow(t.URI)
		}
	})
	se := f.sessions.holding(key)
	if se == nil {
		return
	}
	switch t.Op {
	case toldLevel:
		se.setLevel(t.Level)
	case toldFollow:
		if p := t.Principal; p != nil && p.ID == se.owner {
			go func() {
				_ = se.feed.follow(context.Background(), p, t.URI) //nolint:forbidigo // It is bounded. The other node's answer has been given.
			}()
		}
	case toldUnfollow:
		se.feed.unfollow(t.URI)
	}
}

// levelOf returns the least severe log line that the client of a legacy request
// wants.
func (f *Frontend) levelOf(r *request) string {
	if r.session == nil && f.o.Cluster != nil {
		if m := f.memories.of(r.key); m.level != "" {
			return m.level
		}
	}
	return r.session.logLevel()
}

// recalled returns a session's feed and level as they were at other nodes. What
// it followed is taken up by its next stream.
func (f *Frontend) recalled(key sessionKey, p *gateway.Principal) (*feed, string) {
	d := f.legacyFeed(p)
	if f.o.Cluster == nil {
		return d, ""
	}
	m := f.memories.of(key)
	for _, uri := range m.uris {
		d.expect(uri)
	}
	return d, m.level
}
