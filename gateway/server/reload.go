package server

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"

	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/limits"
)

// Reload puts a new configuration in force, all of it or nothing: policy,
// rate limits, sources and toolsets at once, and the rest, which is named in the
// log, at the next start.
// On an error everything stays as it was.
func (s *Server) Reload(ctx context.Context, cfg *config.Config) error {
	s.reload.Lock()
	defer s.reload.Unlock()
	named, err := selectors(cfg)
	if err != nil {
		return err
	}
	p := s.policy.Policy()
	if cfg.Policy.File != "" || s.config.Load().Policy.File != "" { // Otherwise followVersions renews it.
		p, err = s.readPolicy(ctx, cfg)
	}
	if err == nil {
		err = known(p, named)
	}
	if err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	if err := limits.Check(cfg.Limits.Rates); err != nil {
		return err
	}
	sets, err := s.makeToolsets(cfg)
	if err != nil {
		return err
	}
	next, err := s.makeSources(cfg, s.sources.current)
	if err != nil {
		return err
	}
	s.logChanges(ctx, cfg)
	old := s.config.Swap(cfg)
	if err := s.limits.Set(cfg.Limits.Rates); err != nil { // It was checked.
		s.log.ErrorContext(ctx, "rate limits not reloaded", slog.Any("cause", err))
	}
	s.keepTokens.Store(exchanges(cfg))
	moved := old.Policy.File != cfg.Policy.File
	if leave := s.rewatch.Load(); moved && leave != nil {
		(*leave)()
	}
	if reflect.DeepEqual(old.Toolsets, cfg.Toolsets) {
		named = nil
	}
	s.setPolicy(ctx, p, named)
	s.sources.replace(next)
	if s.toolsets.replace(sets) {
		s.registry.Refresh() // The snapshot keeps the views of the toolsets that ended.
	}
	s.event(ctx, "reload", "configuration")
	return nil
}

// logChanges says what differs in the next configuration.
func (s *Server) logChanges(ctx context.Context, cfg *config.Config) {
	for _, c := range config.Changes(s.config.Load(), cfg) {
		level := slog.LevelInfo
		if c.Restart {
			level = slog.LevelWarn
		}
		s.log.Log(ctx, level, "configuration changed", slog.String("change", c.String()), slog.Bool("restart", c.Restart))
	}
}

// Follow reloads the configuration whenever its file changes, until the
// context ends. The override, which may be nil, changes what was read, and the
// result is checked again. A bad edit is reported, and the running
// configuration stays.
func (s *Server) Follow(ctx context.Context, path string, override func(*config.Config)) {
	for cfg, err := range config.Watch(ctx, path, s.config.Load()) {
		if err == nil && override != nil {
			override(cfg)
			err = cfg.Check()
		}
		if err == nil {
			err = s.Reload(ctx, cfg)
		}
		if err != nil {
			s.log.ErrorContext(ctx, "configuration not reloaded", slog.String("file", path), slog.Any("cause", err))
		}
	}
}
