package grpc

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
)

// heartbeat is how often a silent stream of events shows that it lives, which
// also shows us whether the client does.
const heartbeat = 20 * time.Second

// events is the stream of a streaming method as Server-Sent Events (WHATWG
// HTML, section 9.2). The answer begins with the first event, so that a
// refusal before it is an ordinary problem document.
type events[T any] struct {
	grpc.ServerStream // nil: service uses Send and Context alone
	ctx               context.Context
	timeout           time.Duration
	name              func(*T) (event string, data []byte, err error)

	mu     sync.Mutex // held while writing, so that the handler does not return meanwhile
	w      http.ResponseWriter
	begun  bool
	closed bool
}

// serveEvents runs a streaming method and answers with what it sends.
func serveEvents[Req, T any](h *rest, w http.ResponseWriter, r *http.Request, name func(*T) (string, []byte, error),
	req *Req, method func(*Req, grpc.ServerStreamingServer[T]) error,
) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	ctx, err := runtime.AnnotateIncomingContext(ctx, h.mux, r, "")
	if err != nil {
		h.fail(w, r, err)
		return
	}
	s := &events[T]{ctx: ctx, timeout: h.options.WriteTimeout, name: name, w: w}
	var beat sync.WaitGroup
	beat.Go(func() { s.beat(ctx) })
	err = method(req, s)
	cancel()
	beat.Wait()

	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
	case !s.begun:
		h.fail(w, r, err)
	default:
		_ = s.write("error", toProblem(h.failed(r, err)).json()) // The client went away.
	}
	s.closed = true
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // Where it could not be set, it was not.
}

// Context returns the context of the request.
func (s *events[T]) Context() context.Context { return s.ctx }

// Send writes one message as an event.
func (s *events[T]) Send(m *T) error {
	event, data, err := s.name(m)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write(event, data)
}

// beat writes a comment now and then. The first also begins an answer that has
// nothing to tell yet, for proxies that would give up on it.
func (s *events[T]) beat(ctx context.Context) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		err := s.put([]byte(": still here\n\n"))
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// write writes an event. s.mu is held.
func (s *events[T]) write(event string, data []byte) error {
	b := make([]byte, 0, len(data)+len(event)+32)
	if event != "" {
		b = append(append(append(b, "event: "...), event...), '\n')
	}
	// Line breaks in JSON are white space between tokens, but they end a field.
	b = append(b, "data: "...)
	for _, c := range data {
		if c == '\n' || c == '\r' {
			c = ' '
		}
		b = append(b, c)
	}
	return s.put(append(b, "\n\n"...))
}

// put writes and flushes within the timeout. s.mu is held.
func (s *events[T]) put(b []byte) error {
	if s.closed {
		return io.ErrClosedPipe
	}
	c := http.NewResponseController(s.w)
	if err := c.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", "text/event-stream")
		s.w.Header().Set("X-Accel-Buffering", "no") // For proxies that would collect the events.
		s.w.WriteHeader(http.StatusOK)
	}
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	return c.Flush()
}

// messageEvent is the event of a watch: nameless, with the message.
func messageEvent[T any, P interface {
	*T
	proto.Message
}](m *T) (string, []byte, error) {
	data, err := appendMessage(nil, P(m).ProtoReflect())
	return "", data, err
}

// callEvent is the event of a running call, named after what happened.
func callEvent(m *gatewayv1.CallToolStreamResponse) (string, []byte, error) {
	lost := ""
	if n := m.GetDropped(); n > 0 {
		lost = "dropped\ndata: {\"dropped\":" + strconv.FormatInt(n, 10) + "}\n\nevent: "
	}
	var data []byte
	var err error
	switch e := m.GetEvent().(type) {
	case *gatewayv1.CallToolStreamResponse_Progress:
		data, err = appendMessage(nil, e.Progress.ProtoReflect())
		return lost + "progress", data, err
	case *gatewayv1.CallToolStreamResponse_Log:
		data, err = appendMessage(nil, e.Log.ProtoReflect())
		return lost + "log", data, err
	default:
		return lost + "result", []byte(m.GetResult().GetResultJson()), nil
	}
}

// acceptsEvents reports whether the client asks for a stream of events.
func acceptsEvents(r *http.Request) bool {
	for _, accept := range r.Header["Accept"] {
		for media := range strings.SplitSeq(accept, ",") {
			media, _, _ = strings.Cut(media, ";")
			if strings.EqualFold(strings.TrimSpace(media), "text/event-stream") {
				return true
			}
		}
	}
	return false
}
