package graphql

import (
	"cmp"
	"context"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/internal/clip"
)

// running is an operation on a socket.
type running struct{ cancel context.CancelFunc }

// subscribe starts an operation under the id that the client chose.
func (s *socket) subscribe(ctx context.Context, m *message) error {
	if !s.initialised() {
		return &closing{closeUnauthorized, "Unauthorized", errNobody}
	}
	if m.ID == "" || len(m.ID) > maxID {
		return badMessage("the id of an operation has 1 to 256 bytes")
	}
	req, err := parseRequest(m.Payload, s.f.o.Bounds)
	if err != nil {
		return badMessage(err.Error())
	}
	s.mu.Lock()
	_, taken := s.running[m.ID]
	full := len(s.running) >= s.f.o.Operations
	s.mu.Unlock()
	switch {
	case taken:
		return &closing{closeDuplicate, "Subscriber for " + clip.Text(m.ID, 64) + " already exists", errDuplicate}
	case full:
		return s.error(ctx, m.ID, req, list(errBusy))
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
		s.end(ctx, refused(err, false))
		return
	}
	if s.token != "" {
		ctx = auth.WithToken(ctx, s.token)
	}
	prepared, errs := s.f.prepare(ctx, p, req)
	if errs != nil {
		if s.finish(id, op) {
			_ = s.error(ctx, id, req, errs) // A failed write has ended the connection.
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

// finish frees the id. It reports false where the client has already cancelled the operation, or the connection ends:
// then nothing more is told of it.
func (s *socket) finish(id string, op *running) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[id] != op {
		return false
	}
	delete(s.running, id)
	return !s.ended
}

// error answers an operation that was not executed.
func (s *socket) error(ctx context.Context, id string, req *request, errs gqlerror.List) error {
	s.f.record(ctx, gateway.Call{Principal: s.principal(), Name: cmp.Or(req.OperationName, socketName)}, errs[0])
	return s.write(ctx, message{ID: id, Type: "error", Payload: appendErrors(nil, errs)})
}
