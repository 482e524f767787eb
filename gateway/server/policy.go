package server

import (
	"context"
	"log/slog"
	"path/filepath"

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

// recheck ends the running calls that are no longer allowed, those of
// administration too, and returns how many.
func (s *Server) recheck() int {
	ended := s.gateway.Recheck() + s.toolsets.recheck()
	if s.admin != nil {
		ended += s.admin.Recheck()
	}
	return ended
}

// watchPolicy reloads the policy whenever its file changes, or follows the
// versions in the shared state where there is no file, and follows the
// configuration from one to the other. A bad edit is reported, and so is a state
// that is away: the policy in force stays.
func (s *Server) watchPolicy(ctx context.Context) {
	for ctx.Err() == nil {
		here, leave := context.WithCancel(ctx)
		s.rewatch.Store(&leave) // Before the file's name is read: Reload sets the name, then leaves.
		if file := s.config.Load().Policy.File; file != "" {
			s.watchFile(here, file)
		} else {
			s.followVersions(here)
		}
		<-here.Done()
		leave()
	}
}

func (s *Server) watchFile(ctx context.Context, file string) {
	for csv, err := range config.WatchFile(ctx, file) {
		if err == nil {
			err = s.take(ctx, file, csv)
		}
		if err != nil {
			s.log.ErrorContext(ctx, "policy not reloaded", slog.String("file", file), slog.Any("cause", err))
		}
	}
}

// followVersions puts each version in force that comes into force on any node.
func (s *Server) followVersions(ctx context.Context) {
	for now, err := range s.policies.Follow(ctx) {
		if err != nil {
			if ctx.Err() == nil {
				s.log.ErrorContext(ctx, "policy not renewed", slog.Any("cause", err))
			}
			continue
		}
		s.reload.Lock()
		if s.config.Load().Policy.File == "" {
			if err := known(now.Policy, s.policy.Toolsets()); err != nil {
				// What it takes away must end here too. Rules with such a toolset allow nothing and deny everything.
				s.log.ErrorContext(ctx, "the policy does not fit the configuration of this node", slog.Any("cause", err))
			}
			s.setPolicy(ctx, now.Policy, nil)
		}
		s.reload.Unlock()
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
	if _, err := s.policies.Record(ctx, string(csv), "file:"+filepath.Base(file)); err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "the policy's file is not in the history of versions", slog.Any("cause", err))
	}
	return nil
}
