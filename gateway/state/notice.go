package state

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"

	"github.com/nats-io/nats.go"
)

const (
	noticePrefix = "trilith.notice."
	// maxNoticeBytes bounds what is parsed of a notice from the network.
	maxNoticeBytes = 1 << 10
)

// Notice says that something changed, not what: a hint to look again. It reaches the nodes connected at the moment,
// at most once.
type Notice struct {
	Topic string
	// Origin is the name of the node that published it; empty when only Missed is known.
	Origin string
	// Local: this very State published it.
	Local bool
	// Revision is the publisher's number.
	Revision uint64
	// Missed: the connection was interrupted since the last notice, so others may have been lost.
	Missed bool
}

// wireNotice is a Notice on the wire.
type wireNotice struct {
	Origin   string `json:"origin"`
	Instance string `json:"instance"`
	Revision uint64 `json:"revision"`
}

// Publish sends a notice to all subscribers of the topic on all nodes, this one included. A topic is any string of 1
// to MaxKeyBytes bytes. It fails with ErrUnavailable when the engine is away; success promises no delivery.
func (s *State) Publish(ctx context.Context, topic string, revision uint64) error {
	err := func() error {
		enc, err := encodeKey(topic)
		if err != nil {
			return err
		}
		_, done, err := s.begin(ctx)
		if err != nil {
			return err
		}
		defer done()
		data, err := json.Marshal(wireNotice{s.name, s.instance, revision})
		if err != nil {
			return err
		}
		return s.nc.Publish(noticePrefix+enc, data)
	}()
	if err != nil {
		return fail(ctx, "publish notice", err)
	}
	return nil
}

// Subscribe delivers the topic's notices until ctx ends or the State is closed, then it closes the channel. It is in
// effect when it returns, so state read afterwards misses nothing.
//
// A subscriber that is slow sees the newest notice of this node and the newest of all others, nothing in between; it
// never holds up the bus or other subscribers.
func (s *State) Subscribe(ctx context.Context, topic string) (<-chan Notice, error) {
	const op = "subscribe to notices"
	enc, err := encodeKey(topic)
	if err != nil {
		return nil, fail(ctx, op, err)
	}
	opCtx, done, err := s.begin(ctx)
	if err != nil {
		return nil, fail(ctx, op, err)
	}
	defer done()
	box := &noticeBox{changed: make(chan struct{}, 1)}
	link := s.link.next()
	sub, err := s.nc.Subscribe(noticePrefix+enc, func(msg *nats.Msg) {
		var w wireNotice
		if len(msg.Data) > maxNoticeBytes || json.Unmarshal(msg.Data, &w) != nil {
			s.log.Warn("state engine: malformed notice", slog.String("topic", topic))
			return
		}
		box.put(Notice{Topic: topic, Origin: w.Origin, Local: w.Instance == s.instance, Revision: w.Revision})
	})
	if err == nil {
		if err = s.nc.FlushWithContext(opCtx); err != nil { // Until the server knows of the subscription.
			_ = sub.Unsubscribe()
		}
	}
	if err != nil {
		return nil, fail(ctx, op, err)
	}
	out := make(chan Notice)
	s.busy.Go(func() { // Cannot race with Close, which still waits for this request.
		defer close(out)
		defer func() { _ = sub.Unsubscribe() }() // Fails only when the connection is gone.
		s.deliver(ctx, topic, box, link, out)
	})
	return out, nil
}

// deliver passes notices from the box on.
func (s *State) deliver(ctx context.Context, topic string, box *noticeBox, link <-chan struct{}, out chan<- Notice) {
	for {
		var n Notice
		var send chan<- Notice // Nil, and so never ready, while there is nothing to send.
		next := box.peek()
		if next != nil {
			n, send = *next, out
		}
		select {
		case send <- n:
			box.drop(next)
		case <-box.changed:
		case <-link:
			link = s.link.next()
			if s.nc.IsConnected() {
				box.put(Notice{Topic: topic, Missed: true})
			}
		case <-ctx.Done():
			return
		case <-s.life.Done():
			return
		}
	}
}

// noticeBox holds the newest notice of this node and the newest of all others. Notices in it never change.
type noticeBox struct {
	mu      sync.Mutex
	local   *Notice
	remote  *Notice
	changed chan struct{} // Holds one token when something was put.
}

func (b *noticeBox) put(n Notice) {
	b.mu.Lock()
	if n.Local {
		b.local = &n
	} else {
		if b.remote != nil && b.remote.Missed {
			n.Missed = true
		} else if b.remote != nil && n.Missed {
			n.Origin, n.Revision = b.remote.Origin, b.remote.Revision
		}
		b.remote = &n
	}
	b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// peek returns what to deliver next, nil for nothing, and leaves it in place, so that a newer one can still replace it.
func (b *noticeBox) peek() *Notice {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.remote != nil {
		return b.remote
	}
	return b.local
}

// drop removes what was delivered, unless it has been replaced meanwhile.
func (b *noticeBox) drop(n *Notice) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch n {
	case b.remote:
		b.remote = nil
	case b.local:
		b.local = nil
	}
}
