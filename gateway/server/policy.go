package server

import (
	"context"
	"log/slog"

	"github.com/trilith-gateway/trilith/auth/policy"
	"github.com/trilith-gateway/trilith/gateway/config"
)

// setPolicy puts a policy in force, in every door at once: the next decision
// and the next list are made by it, watchers look again, and running calls that
// it does not allow end. With it come the toolsets that it can name, unless they
// are nil: then they stay.
func (s *Server) setPolicy(ctx context.Context, p *policy.Policy, sets policy.Toolsets) {
	same := p.Version() == s.policy.Policy().Version()
	if same && sets == nil {
		return
	}
	if sets == nil {
		sets = s.policy.Toolsets()
	}
	s.policy.SetAll(p, sets)
	s.registry.Refresh()
	ended := s.recheck()
	if same {
		return
	}
	s.log.InfoContext(ctx, "policy in force", slog.String("version", p.Version()), slog.Int("calls_ended", ended))
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
		if err == nil {
			err = s.take(ctx, file, csv)
		}
		if err != nil {
			s.log.ErrorContext(ctx, "policy not reloaded", slog.String("file", file), slog.Any("cause", err))
		}
	}
}

// take puts the text of a policy file in force, if the configuration still names
// that file.
func (s *Server) take(ctx context.Context, file string, csv []byte) error {
	p, err := policy.Parse(file, csv)
	if err != nil {
		return err
	}
	s.reload.Lock()
	defer s.reload.Unlock()
	if s.config.Load().Policy.File != file {
		return nil
	}
	if err := known(p, s.policy.Toolsets()); err != nil {
		return err
	}
	s.setPolicy(ctx, p, nil)
	return nil
}
