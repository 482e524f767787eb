package mcp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/protocols/egress"
)

// A pipeTransport speaks to a program through its standard input and output, a
// message a line (transports, stdio).
type pipeTransport struct {
	c       *client
	p       *process
	out     chan []byte // lines to write
	writer  sync.WaitGroup
	wg      sync.WaitGroup
	once    sync.Once
	garbage int // lines that were no message; used by read alone

	awaited
}

// startProcess starts the program and the goroutines that speak to it.
func startProcess(ctx context.Context, c *client) error {
	p, err := spawnProcess(ctx, &c.u.o)
	if err != nil {
		return &lostError{err}
	}
	t := &pipeTransport{c: c, p: p, out: make(chan []byte, 64), awaited: newAwaited()}
	c.t = t // Before anything can arrive.
	t.writer.Go(t.write)
	t.wg.Go(t.read)
	return nil
}

func (t *pipeTransport) roundTrip(ctx context.Context, r *outgoing) (message, error) {
	ctx, cancel := until(ctx, r.by)
	defer cancel()
	ch := t.await(r.id)
	defer t.drop(r.id)
	if err := t.post(ctx, r.body); err != nil {
		return message{}, err
	}
	select {
	case a := <-ch:
		return a.m, a.err
	case <-t.c.ctx.Done():
		return message{}, t.gone()
	case <-ctx.Done():
		if r.method != "initialize" {
			select {
			case t.out <- append(cancelled(r.id), '\n'):
			default: // The server does not read; it would not read this either.
			}
		}
		return message{}, context.Cause(ctx)
	}
}

// drop forgets a request, unless the connection has ended: then the program is
// still to be told.
func (t *pipeTransport) drop(id uint64) {
	if t.c.ctx.Err() == nil {
		t.awaited.drop(id)
	}
}

func (t *pipeTransport) send(ctx context.Context, _ string, body []byte) error {
	return t.post(ctx, flatten(body))
}

// post queues a line, waiting for room.
func (t *pipeTransport) post(ctx context.Context, body []byte) error {
	select {
	case t.out <- append(body, '\n'):
		return nil
	case <-t.c.ctx.Done():
		return t.gone()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t *pipeTransport) gone() error { return lost(context.Cause(t.c.ctx)) }

// write writes lines until the connection ends. Then it says what is queued and
// that nobody waits any more, so that the program can end in peace.
func (t *pipeTransport) write() {
	for {
		select {
		case line := <-t.out:
			if _, err := t.p.stdin.Write(line); err != nil {
				t.fail(t.p.ended(fmt.Errorf("write: %w", err)))
				return
			}
		case <-t.c.ctx.Done():
			_ = t.p.stdin.SetWriteDeadline(time.Now().Add(drainTime)) // Pipes have deadlines.
			for _, line := range t.last() {
				if _, err := t.p.stdin.Write(line); err != nil {
					return
				}
			}
			return
		}
	}
}

func (t *pipeTransport) last() (lines [][]byte) {
	for {
		select {
		case line := <-t.out:
			lines = append(lines, line)
			continue
		default:
		}
		break
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.byID {
		lines = append(lines, append(cancelled(id), '\n'))
	}
	return lines
}

// read handles lines until the program's output ends, and then ends the
// connection.
func (t *pipeTransport) read() {
	r := bufio.NewReaderSize(t.p.stdout, 64<<10)
	for {
		line, whole, err := readLine(r, t.c.u.o.MaxMessage)
		if len(line) > 0 {
			t.handle(line, whole)
		}
		if err != nil {
			t.fail(t.p.ended(err))
			return
		}
	}
}

// fail ends the connection. What waits is told by its context.
func (t *pipeTransport) fail(err error) { t.c.cancel(&lostError{err}) }

// readLine returns a line without its end. Of one that is longer than most it
// returns the beginning, and false.
func readLine(r *bufio.Reader, most int) (line []byte, whole bool, err error) {
	whole = true
	for {
		var part []byte
		part, err = r.ReadSlice('\n')
		if room := most + 1 - len(line); len(part) > room {
			part, whole = part[:max(room, 0)], false
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) && len(line) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return bytes.TrimSpace(line), whole, err
		}
	}
}

// handle serves one line. Lines that are no message are skipped: programs have
// been seen to greet.
func (t *pipeTransport) handle(line []byte, whole bool) {
	if !whole {
		t.broken(line, errTooLarge)
		return
	}
	m, err := t.c.parseAnswer(line)
	switch {
	case err != nil:
		t.broken(line, err)
	case m.isNotification():
		t.c.notified(&m, nil)
	case m.isRequest():
		t.c.asked(&m, nil)
	default:
		if ch := t.take(m.ID); ch != nil {
			ch <- arrival{m: m}
		}
	}
}

// broken deals with a line that is no message: if it at least names a request,
// that fails now and not when its time is over.
func (t *pipeTransport) broken(line []byte, err error) {
	if t.failAnswer(line, err) {
		return
	}
	const most = 10 // Then it has been said.
	if t.garbage++; t.garbage <= most {
		t.c.u.o.Logger.WarnContext(t.c.ctx, "the server wrote a line that is not a message", slog.String("source", t.c.u.o.Name),
			slog.String("line", egress.OneLine(string(line[:min(len(line), 200)]), 200)), slog.Any("error", err))
	}
}

// stand has nothing to do: a pipe is always open.
func (t *pipeTransport) stand(_ context.Context, ready func()) { ready() }

// close ends the program and everything that it started.
func (t *pipeTransport) close() {
	t.once.Do(func() {
		t.writer.Wait()
		t.p.stop(t.c.u.o.Grace)
		t.wg.Wait()
		t.p.release()
	})
}
