package server

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/audit"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/pin"
)

// openPins opens the approvals of definitions.
func (s *Server) openPins(ctx context.Context, _ *config.Config) (err error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // What follows the state outlasts the building.
	s.onClose(func() error { end(); return nil })
	building := context.AfterFunc(ctx, end)
	if s.pins, err = pin.Open(life, s.state, pin.Options{Report: s.reportPin}); err != nil {
		return err
	}
	if !building() {
		return context.Cause(ctx)
	}
	return nil
}

// reportPin logs and records that a source offers what nobody has approved, or
// what hides something.
func (s *Server) reportPin(ctx context.Context, r pin.Report) {
	e := audit.Event{Type: "pin", Actor: "gateway", Outcome: gateway.PermissionDenied.String(), Object: "source/" + r.Source, Reason: "in quarantine"}
	if r.Served {
		e.Outcome, e.Reason = "OK", "offered all the same"
	}
	detail := fmt.Sprintf("%d more definitions", r.More)
	if r.More == 0 {
		e.Object = r.Kind.String() + "/" + r.Source + "/" + r.Origin
		detail = string(r.State) + ", sha256 " + r.Hash
		if len(r.Paths) > 0 {
			detail += ", differs in " + strings.Join(r.Paths, ", ")
		}
		if len(r.Hidden) > 0 {
			detail += ", hides: " + strings.Join(r.Hidden, ", ")
		}
	}
	e.Detail = detail
	s.log.WarnContext(ctx, "definition", slog.String("object", e.Object), slog.String("outcome", e.Reason), slog.String("detail", detail))
	if err := s.audit.Event(ctx, e); err != nil {
		s.log.ErrorContext(ctx, "audit record is missing", slog.String("type", e.Type), slog.Any("cause", err))
	}
}
