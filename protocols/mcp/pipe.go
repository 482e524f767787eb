package mcp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// respond writes an error response.
func (c *pipe) respond(ctx context.Context, req *request, e *wireError) {
	out := c.f.buffer()
	out.b = c.f.refuse(ctx, out.b, req, e)
	c.post(out)
}

// post queues a line and waits for room: a client that does not read is not
// read from either.
func (c *pipe) post(line *buffer) {
	select {
	case c.lines <- line:
		c.wake()
	case <-c.stopped:
		c.f.release(line)
	}
}

// wake lets the lines be written.
func (c *pipe) wake() {
	if c.waker != nil {
		c.waker.Wake()
	}
}

// put queues a line as post does and reports whether it did.
func (c *pipe) put(line []byte) bool {
	select {
	case c.lines <- &buffer{line}:
		c.wake()
		return true
	case <-c.stopped:
		return false
	}
}

// offer queues a notification if there is room.
func (c *pipe) offer(n []byte) {
	select {
	case c.lines <- &buffer{n}:
		c.wake()
	default:
		c.dropped.Add(1)
	}
}

// writeLines writes lines until the last. After an error the pipe is given up,
// and the rest is thrown away.
func (c *pipe) writeLines() {
	failed := false
	check := func(err error) {
		if err != nil && !failed {
			failed = true
			c.fail(fmt.Errorf("write: %w", err))
		}
	}
	line := func(b *buffer) {
		if !failed {
			check(c.write(flatten(b.b)))
		}
		c.f.release(b)
	}
	var quiet <-chan time.Time
	if c.idle != nil {
		t := time.NewTicker(c.f.o.KeepAlive)
		defer t.Stop()
		quiet = t.C
	}
	for {
		select {
		case b := <-c.lines:
			line(b)
		case <-quiet:
			if !failed {
				check(c.idle())
			}
		case <-c.last:
			for len(c.lines) > 0 {
				line(<-c.lines)
			}
			return
		}
	}
}

// A pipeStream is the stream of a feed on a pipe, within a context.
type pipeStream struct {
	c   *pipe
	ctx context.Context //nolint:containedctx // it stands for one run.
}

// send waits for room, unless the frontend closes: it waits for no reader.
func (s *pipeStream) send(message []byte) error {
	line := &buffer{bytes.Clone(message)}
	select {
	case s.c.lines <- line:
		return nil
	default:
	}
	select {
	case s.c.lines <- line:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	case <-s.c.f.streams.ending:
		return errors.New("the client does not read")
	}
}

func (s *pipeStream) idle() error { return nil }

// readLines sends each line of in, without its end. Too long a line is answered
// by what parsing it gives: one byte more than may be parsed.
func (f *Frontend) readLines(ctx context.Context, in io.Reader, p *gateway.Principal, to chan<- packet) error {
	r := bufio.NewReaderSize(in, 64<<10)
	for {
		line := f.buffer()
		var err error
		for {
			var part []byte
			part, err = r.ReadSlice('\n')
			if room := f.o.Bounds.Bytes + 1 - len(line.b); len(part) > room {
				part = part[:room]
			}
			line.b = append(line.b, part...)
			if !errors.Is(err, bufio.ErrBufferFull) {
				break
			}
		}
		if len(line.b) > 0 {
			select {
			case to <- packet{line, p}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read: %w", err)
		}
	}
}
