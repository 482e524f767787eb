package server

import (
	"context"

	"github.com/trilith-gateway/trilith/gateway/canary"
	"github.com/trilith-gateway/trilith/gateway/config"
)

// openCanaries opens what is decided of the canaries of sources.
func (s *Server) openCanaries(ctx context.Context, _ *config.Config) (err error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // What follows the state outlasts the building.
	defer context.AfterFunc(ctx, end)()
	if s.canaries, err = canary.Open(life, s.state, s.log); err != nil {
		end()
		return err
	}
	s.onClose(func() error { end(); return s.canaries.Close() })
	return nil
}
