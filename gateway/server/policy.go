package server

import (
	"context"
	"log/slog"

	"github.com/trilith-gateway/trilith/auth/policy"
	"github.com/trilith-gateway/trilith/gateway/config"
)

// setPolicy puts a policy in force, in every door at once: the next decision
// and the next list are made by it, watchers look again, and running calls that
// it does not allow end.
func (s *Server) setPolicy(ctx context.Context, p *policy.Policy) {
	if p.Version() == s.policy.Policy().Version() {
		return
	}
	s.policy.Set(p)
	s.registry.Refresh()
	s.log.InfoContext(ctx, "policy in force", slog.String("version", p.Version()), slog.Int("calls_ended", s.recheck()))
	s.event(ctx, "policy", "version "+p.Version())
	s.publishPolicy(ctx, p.Version())
}

// recheck ends the running calls that are no longer allowed, and returns how
// many.
func (s *Server) recheck() int { return s.gateway.Recheck() + s.toolsets.recheck() }

// watchPolicy reloads the policy whenever its file changes, and follows the
// configuration to another file. A bad edit is reported, and the policy in
// force stays.
func (s *Server) watchPolicy(ctx context.Context) {
	for ctx.Err() == nil {
		here, leave := context.WithCancel(ctx)
		s.rewatch.Store(&leave) // Before the file's name is read: Reload sets the name, then leaves.
		s.watchFile(here, s.config.Load().Policy.File)
		<-here.Done()
		leave()
	}
}

func (s *Server) watchFile(ctx context.Context, file string) {
	if file == "" {
		return
	}
	for csv, err := range config.WatchFile(ctx, file) {
		var p *policy.Policy
		if err == nil {
			p, err = policy.Parse(file, csv)
		}
		if err != nil {
			s.log.ErrorContext(ctx, "policy not reloaded", slog.String("file", file), slog.Any("cause", err))
			continue
		}
		s.reload.Lock()
		if s.config.Load().Policy.File == file {
			s.setPolicy(ctx, p)
		}
		s.reload.Unlock()
	}
}
