package graphql

import (
	"context"
	"strings"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/trilith-gateway/trilith/gateway"
)

// running is an operation on a socket.
type running struct{ cancel context.CancelFunc }

// subscribe starts an operation under the id that the client chose.
func (s *socket) subscribe(ctx context.Context, m *message) error {
	if !s.initialised() {
		return &closing{closeUnauthorized, "Unauthorized"}
	}
	if m.ID == "" || len(m.ID) > maxID {
		return &closing{closeBadRequest, "Invalid message"}
	}
	req, err := parseRequest(m.Payload, s.f.o.Bounds)
	if err != nil {
		return &closing{closeBadRequest, "Invalid message"}
	}
	s.mu.Lock()
	_, taken := s.running[m.ID]
	full := len(s.running) >= s.f.o.Operations
	s.mu.Unlock()
	switch {
	case taken:
		return &closing{closeDuplicate, "Subscriber for " + clip(m.ID) + " already exists"}
	case full:
		return s.error(ctx, m.ID, list(&gateway.Error{Code: gateway.ResourceExhausted, By: "graphql", Msg: "too many operations on this connection"}))
	}
	ctx, cancel := context.WithCancel(ctx)
	op := &running{cancel}
	s.mu.Lock()
	s.running[m.ID] = op
	s.mu.Unlock()
	s.work.Go(func() {
		defer cancel()
		s.run(ctx, m.ID, op, req)
	})
	return nil
}

// clip shortens an id so that it fits a close frame, which holds 123 bytes.
func clip(id string) string {
	const most = 64
	if len(id) <= most {
		return id
	}
	return strings.ToValidUTF8(id[:most], "") + "…"
}

// cancel ends an operation because its client wants no more of it.
func (s *socket) cancel(id string) {
	s.mu.Lock()
	op := s.running[id]
	delete(s.running, id)
	s.mu.Unlock()
	if op != nil {
		op.cancel()
	}
}

// run carries out an operation: responses, then complete, or one error and nothing else.
func (s *socket) run(ctx context.Context, id string, op *running, req *request) {
	p, err := s.caller(ctx)
	if err != nil {
		end := refused(err, false)
		s.close(end.code, end.reason)
		return
	}
	prepared, errs := s.f.prepare(ctx, req)
	if errs != nil {
		if s.finish(id, op) {
			_ = s.error(ctx, id, errs) // A failed write has ended the connection.
		}
		return
	}
	next := func(data []byte) { _ = s.write(ctx, message{ID: id, Type: "next", Payload: data}) }
	if errs = s.f.execute(ctx, p, prepared).each(next); errs != nil && ctx.Err() == nil {
		next(appendResponse(nil, nil, errs))
	}
	if s.finish(id, op) {
		_ = s.write(ctx, message{ID: id, Type: "complete"}) // A failed write has ended the connection.
	}
}

// caller returns the principal of an operation. A token is judged anew each time, so that one that was withdrawn
// starts nothing more.
func (s *socket) caller(ctx context.Context) (*gateway.Principal, error) {
	if s.token == "" {
		return s.owner, nil
	}
	p, err := s.f.authenticate(ctx, s.token)
	if err == nil && p.ID != s.owner.ID {
		err = errOtherOwner
	}
	return p, err
}

// finish frees the id. It reports false where the client has already cancelled the operation.
func (s *socket) finish(id string, op *running) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[id] != op {
		return false
	}
	delete(s.running, id)
	return true
}

func (s *socket) error(ctx context.Context, id string, errs gqlerror.List) error {
	return s.write(ctx, message{ID: id, Type: "error", Payload: appendErrors(nil, errs)})
}
