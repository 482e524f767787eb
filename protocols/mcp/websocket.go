package mcp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
)

// The protocol defines no WebSocket, and names custom transports (transports,
// custom transports). This one carries what stdio carries: both eras, one
// message in each text frame, in the subprotocol "mcp" where the client names
// one.
const subprotocol = "mcp"

// isUpgrade reports whether a request is the handshake of a WebSocket (RFC 6455,
// section 4.1).
func isUpgrade(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// socket serves a WebSocket until the client or the frontend closes it or the
// credential expires.
func (f *Frontend) socket(w http.ResponseWriter, r *http.Request, req *request) {
	req.at = "websocket"
	leave, err := f.streams.enter(req.principal.ID)
	if err != nil {
		f.fail(w, r, req, err)
		return
	}
	defer leave()
	conn, failed := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{subprotocol},
		InsecureSkipVerify: true, // The door before this one has judged Origin.
	})
	if failed != nil { // And it has been answered.
		f.record(r.Context(), req, invalidRequest("no handshake of a WebSocket"))
		return
	}
	defer conn.CloseNow() //nolint:errcheck // it is closed then.
	conn.SetReadLimit(int64(f.o.Bounds.Bytes))
	ctx, cancel := auth.Until(context.WithoutCancel(r.Context()), req.principal)
	defer cancel()
	ctx, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	defer f.note(req.principal, req.at, func(why *gateway.Error) { refuse(why) }).Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.holdSocket(ctx, conn)
	}()
	_ = f.servePipe(context.WithoutCancel(ctx), wire{ // However it ends, the client connects again.
		at: req.at, principal: req.principal, bounded: true,
		read: func(ctx context.Context, to chan<- packet) error { return f.readSocket(ctx, conn, req, to) },
		write: func(line []byte) error {
			ctx, cancel := context.WithTimeout(ctx, f.o.WriteTimeout)
			defer cancel()
			return conn.Write(ctx, websocket.MessageText, line)
		},
	})
	cancel()
	<-done
}

// holdSocket finds out whether the client is still there and closes the socket
// when the frontend closes, the credential expires or the client has gone.
func (f *Frontend) holdSocket(ctx context.Context, conn *websocket.Conn) {
	quiet := time.NewTicker(f.o.KeepAlive)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				_ = conn.Close(websocket.StatusPolicyViolation, "the credential has expired") // It is closed in any case.
			} else if why, ok := errors.AsType[*gateway.Error](context.Cause(ctx)); ok {
				_ = conn.Close(websocket.StatusPolicyViolation, why.Msg) // As above.
			}
			return
		case <-f.streams.ending:
			_ = conn.Close(websocket.StatusGoingAway, "the server is shutting down") // As above.
			return
		case <-quiet.C:
			pong, cancel := context.WithTimeout(ctx, f.o.WriteTimeout)
			err := conn.Ping(pong)
			cancel()
			if err != nil && ctx.Err() == nil {
				_ = conn.CloseNow() // As above.
				return
			}
		}
	}
}

// readSocket sends each frame's message.
func (f *Frontend) readSocket(ctx context.Context, conn *websocket.Conn, req *request, to chan<- packet) error {
	for {
		kind, in, err := conn.Reader(ctx)
		if err != nil {
			return errClientGone
		}
		if kind != websocket.MessageText {
			f.record(ctx, req, invalidRequest("messages are text"))
			_ = conn.Close(websocket.StatusUnsupportedData, "messages are text") // It is closed in any case.
			return errClientGone
		}
		line := f.buffer()
		if line.b, err = drain(line.b, in); err != nil {
			f.release(line)
			if errors.Is(err, websocket.ErrMessageTooBig) {
				f.record(ctx, req, f.tooLarge())
			}
			return errClientGone
		}
		select {
		case to <- packet{line, req.principal}:
		case <-ctx.Done():
			return errClientGone
		}
	}
}

// drain appends what a reader holds.
func drain(b []byte, in io.Reader) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := in.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return b, err
		}
	}
}
