package mcp

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The kinds of kept events: the first byte of their data.
const (
	eventPrime   byte = 'p' // no message: it gives the client an id to come back with
	eventMessage byte = 'm'
	eventLast    byte = 'l' // the response, after which a stream ends
)

// standalone names the stream of GET requests among those of a session. Those of
// POST requests have random names.
const standalone = "get"

// storeTimeout bounds one request to the store.
const storeTimeout = 5 * time.Second

// An eventLog is one stream of a session in the store. The key holds principal
// and session, so that whatever id a client makes up, it reads its own streams.
type eventLog struct {
	f     *Frontend
	name  string // of the stream in event ids
	key   string // in the store
	prime bool   // from 2025-11-25: the stream begins with an id
	owner []byte // what the first event says of the call that the stream is of; nil to say nothing
}

func (f *Frontend) eventLog(req *request, name string) *eventLog {
	if name == "" {
		var random [8]byte
		rand.Read(random[:])
		name = hex.EncodeToString(random[:])
	}
	who := sha256.Sum256([]byte(req.principal.ID))
	key := hex.EncodeToString(who[:16]) + "/" + hex.EncodeToString(req.key[:]) + "/" + name
	return &eventLog{f: f, name: name, key: key, prime: req.rev >= rev20251125}
}

// readEventID reads what appendEventID wrote, and reports false for all else.
func readEventID(id string) (stream string, seq uint64, ok bool) {
	stream, number, _ := strings.Cut(id, "-")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil || seq == 0 || strconv.FormatUint(seq, 10) != number {
		return "", 0, false
	}
	if stream == standalone {
		return stream, seq, true
	}
	if len(stream) != 16 || strings.Trim(stream, "0123456789abcdef") != "" {
		return "", 0, false
	}
	return stream, seq, true
}

func appendEventID(b []byte, stream string, seq uint64) []byte {
	return strconv.AppendUint(append(append(b, stream...), '-'), seq, 10)
}

// append keeps an event and returns its number, or 0 where it could not be kept.
func (l *eventLog) append(kind byte, message []byte) uint64 {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout) //nolint:forbidigo // A stream outlives the requests that carry it.
	defer cancel()
	out := l.f.buffer()
	defer l.f.release(out)
	out.b = append(append(out.b, kind), message...)
	seq, err := l.f.o.Events.Append(ctx, l.key, out.b)
	if err != nil {
		l.f.o.Logger.WarnContext(ctx, "event of a stream was not kept", slog.Any("cause", err))
		return 0
	}
	return seq
}

func (l *eventLog) drop() {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout) //nolint:forbidigo // A stream outlives the requests that carry it.
	defer cancel()
	if err := l.f.o.Events.Drop(ctx, l.key); err != nil {
		l.f.o.Logger.WarnContext(ctx, "events of a session that ended are still kept", slog.Any("cause", err))
	}
}

// carriers know which connection carries a stream, so that no message goes out
// on two.
type carriers struct {
	mu sync.Mutex
	by map[string]*carrier
}

type carrier struct{ yield func() }

// yield has the connection of a stream give it up.
func (c *carriers) yield(key string) {
	c.mu.Lock()
	now := c.by[key]
	c.mu.Unlock()
	if now != nil {
		now.yield()
	}
}

// take makes a connection the one of a stream: yield is called when another
// takes it over, and must not block for long. The connection ends with leave.
func (c *carriers) take(key string, yield func()) (leave func()) {
	mine := &carrier{yield}
	c.mu.Lock()
	before := c.by[key]
	if c.by == nil {
		c.by = map[string]*carrier{}
	}
	c.by[key] = mine
	c.mu.Unlock()
	if before != nil {
		before.yield()
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.by[key] == mine {
			delete(c.by, key)
		}
	}
}
