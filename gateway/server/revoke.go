package server

import (
	"context"
	"log/slog"

	"github.com/trilith-gateway/trilith/gateway"
)

// revoked reports whether the credential of a principal has been revoked.
func (s *Server) revoked(p *gateway.Principal) bool {
	return s.revocations.Revoked(p) || s.keys != nil && s.keys.Revoked(p) || s.logins.Revoked(p)
}

// credentialGate refuses calls whose credential was revoked after the Door has
// let it in, so that [gateway.Gateway.Recheck] finds those that run.
type credentialGate struct{ *Server }

// Admit refuses a revoked credential.
func (g credentialGate) Admit(_ context.Context, call *gateway.Call) error {
	if why := g.unwelcome(call.Principal); why != nil {
		return why
	}
	return nil
}

// View returns the whole snapshot: the Door keeps revoked credentials out.
func (credentialGate) View(_ *gateway.Principal, s *gateway.Snapshot) *gateway.Snapshot { return s }

// unwelcome returns why the sessions and calls of a principal end, or nil.
func (s *Server) unwelcome(p *gateway.Principal) *gateway.Error {
	if !s.revoked(p) {
		return nil
	}
	return &gateway.Error{Code: gateway.Unauthenticated, By: "auth", Msg: "the credential was revoked"}
}

// watchRevocations ends sessions and calls whose credential is revoked, on
// whatever node, until the context ends.
func (s *Server) watchRevocations(ctx context.Context) {
	for {
		revocations, logins := s.revocations.Changed(), s.logins.Changed()
		var keys <-chan struct{}
		if s.keys != nil {
			keys = s.keys.Changed()
		}
		sessions := s.sessions.End(func(x *gateway.Session) *gateway.Error { return s.unwelcome(x.Principal) })
		if calls := s.recheck(); sessions+calls > 0 {
			s.log.InfoContext(ctx, "revoked credentials", slog.Int("sessions_ended", sessions), slog.Int("calls_ended", calls))
		}
		select {
		case <-revocations:
		case <-keys:
		case <-logins:
		case <-ctx.Done():
			return
		}
	}
}
