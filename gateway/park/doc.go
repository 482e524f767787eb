// Package park keeps answers that go on and on, such as event streams, without
// a goroutine and without buffers for each. A handler begins its answer as any
// other and then parks it: the connection is taken from net/http and from then
// on costs little more than its descriptor. Whoever has something to say wakes
// the stream; a few goroutines, which exist only while there is work, let its
// [Handler] write.
//
// It parks HTTP/1, with and without TLS, and finds out through epoll that a
// client has gone or reads again. Other systems than Linux, and connections that
// are no sockets, cost a small goroutine each. It is not for HTTP/2, whose
// streams share a connection that net/http must keep: [Lot.Park] says no there,
// and the handler goes on as it is. Nor is it for answers that read: what a
// client sends on a parked connection is not looked at.
//
// Parked connections are no longer those of the http.Server: its Shutdown and
// Close know nothing of them. Whoever made the [Lot] ends them.
package park

import (
	"errors"
	"log/slog"
	"time"
)

// A Handler says what is written on one stream.
type Handler interface {
	// Next is called once after the stream was parked and again after each
	// [Stream.Wake], never twice at once, and not before everything that was
	// written is on its way to the client. It writes with [Stream.Write] until
	// [Stream.Full]; what is left it writes the next time. False ends the answer
	// after what it has written. It may be called for no reason, and should
	// return soon.
	Next(*Stream) bool
	// Ended is called once, in nobody's way, when the connection has been closed:
	// with nil after an answer that was written to its end.
	Ended(error)
}

// The errors of streams that do not come to their end.
var (
	ErrGone   = errors.New("the client has gone")
	ErrSlow   = errors.New("the client does not read")
	ErrClosed = errors.New("the server has closed")
)

// Options are those of a [Lot]. Zero values take the defaults named with each.
type Options struct {
	KeepAlive    time.Duration // after which Comment is written to a quiet stream; 25 seconds
	Comment      []byte        // keeps connections open through proxies that close quiet ones; nil for nothing
	WriteTimeout time.Duration // for a client to take what waits for it, after which it is given up; 10 seconds
	QueueBytes   int           // waiting for one client, after which its stream is full; 64 KiB

	// Changed returns a channel that is closed by the next change that concerns
	// all streams: each is woken, at the first one at once and then no more often
	// than every 25 ms. Nil for none.
	Changed func() <-chan struct{}

	Logger *slog.Logger // for the operator; nil discards
}
