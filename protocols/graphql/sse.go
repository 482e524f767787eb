package graphql

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/trilith-gateway/trilith/gateway"
)

// serveEvents answers with an event stream: a "next" for each response, then "complete" (GraphQL over
// Server-Sent Events, distinct connections mode). A document that cannot be executed is told in the stream too,
// because the browser's EventSource does not show the body of a refusal.
func (f *Frontend) serveEvents(w http.ResponseWriter, r *http.Request, p *gateway.Principal, operation string, op *graphql.OperationContext, errs gqlerror.List) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	conn, err := f.conns.enter(false, func() { cancel(errShutdown) })
	if err == nil {
		defer conn.leave()
		err = conn.own(p, "stream", func(why *gateway.Error) { cancel(why) })
	}
	if err != nil {
		f.refuse(w, r, operation, typeJSON, statusOfRefusal(err), list(err))
		return
	}
	if !p.Expiry.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadlineCause(ctx, p.Expiry, errExpired)
		defer stop()
	}

	s := &eventStream{w: w, control: http.NewResponseController(w), timeout: f.o.WriteTimeout, gone: cancel}
	var run *execution
	if errs == nil {
		run = f.execute(ctx, p, op)
	} else {
		f.record(ctx, requestCall(r, operation), errs[0])
	}
	// The client sees the stream open when the operation has begun: it misses nothing from then on.
	_ = s.control.SetReadDeadline(time.Time{}) // The server's limit for reading a request does not end a stream.
	w.Header().Set("Content-Type", typeEvents+"; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no")
	s.write([]byte(":\n\n"))
	defer s.keepAlive(ctx, f.o.KeepAlive)()

	if run != nil {
		errs = run.each(func(data []byte) { s.write(appendEvent(nil, data)) })
	}
	if errs != nil {
		s.write(appendEvent(nil, appendResponse(nil, nil, errs)))
	}
	s.write([]byte("event: complete\ndata:\n\n"))
}

// appendEvent writes a "next" event. A line break in the data, which JSON from an upstream may have between its
// values, would end the field: each line becomes one of its own.
func appendEvent(b, data []byte) []byte {
	b = append(b, "event: next\n"...)
	for line := range bytes.FieldsFuncSeq(data, func(r rune) bool { return r == '\n' || r == '\r' }) {
		b = append(append(append(b, "data: "...), line...), '\n')
	}
	return append(b, '\n')
}

// An eventStream writes to a client, which may be slow: a write that takes too long ends the stream.
type eventStream struct {
	mu      sync.Mutex
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	gone    context.CancelCauseFunc
}

func (s *eventStream) write(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.control.SetWriteDeadline(time.Now().Add(s.timeout)) // Writers that have no deadlines are not connections.
	_, err := s.w.Write(b)
	if err == nil {
		err = s.control.Flush()
	}
	if err != nil {
		s.gone(err)
	}
}

// keepAlive writes a comment now and then until the function that it returns is called.
func (s *eventStream) keepAlive(ctx context.Context, every time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				s.write([]byte(":\n\n"))
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}
