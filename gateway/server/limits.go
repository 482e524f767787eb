package server

import (
	"context"

	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/limits"
)

// openLimits makes the gate that counts calls, with the overrides that all nodes
// share.
func (s *Server) openLimits(ctx context.Context, cfg *config.Config) (err error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // What follows the state outlasts the building.
	s.onClose(func() error { end(); return nil })
	defer context.AfterFunc(ctx, end)()
	if s.overrides, err = limits.OpenOverrides(life, s.state); err != nil {
		return err
	}
	s.limits, err = limits.New(cfg.Limits.Rates, limits.Options{Overrides: s.overrides, Roles: s.policy.Roles})
	return err
}
