package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// checkName refuses names that cannot be part of a stream's name and of its subjects.
func checkName(name string) error {
	if name == "" || len(name) > 32 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return fmt.Errorf("%w: a name is 1 to 32 of a-z, 0-9, '-' and '_'", ErrInvalid)
	}
	return nil
}

// retry repeats what opens a bucket or log while the engine has no leader for it, until ctx ends, at most 30 seconds.
func (s *State) retry(ctx context.Context, op string, open func(context.Context) error) error {
	retryCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := s.attempt(ctx, open)
		if err == nil {
			return nil
		}
		if err = fail(ctx, op, err); errors.Is(err, errClosed) || !errors.Is(err, ErrUnavailable) {
			return err
		}
		select {
		case <-time.After(retryWait):
		case <-retryCtx.Done():
			return err
		case <-s.life.Done():
			return fail(ctx, op, errClosed)
		}
	}
}

// attempt runs one request to the engine within its bounds.
func (s *State) attempt(ctx context.Context, request func(context.Context) error) error {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	return request(ctx)
}

// place fills in what all streams have in common: where and how safely they are kept.
func (s *State) place(cfg *jetstream.StreamConfig, async bool) {
	cfg.MaxMsgs, cfg.MaxConsumers = -1, -1
	cfg.Storage, cfg.Replicas = s.storage, s.replicas
	// With several replicas a direct read may be answered by one that is behind; without it the leader answers.
	cfg.AllowDirect = s.replicas == 1
	cfg.Duplicates = 2 * time.Minute
	if cfg.MaxAge > 0 {
		cfg.Duplicates = min(cfg.Duplicates, cfg.MaxAge)
	}
	if async && s.engine != nil && s.storage == jetstream.FileStorage {
		cfg.PersistMode = jetstream.AsyncPersistMode
	}
}

// ensureStream makes one attempt to find, create or adjust a stream.
func (s *State) ensureStream(ctx context.Context, want jetstream.StreamConfig) (jetstream.Stream, error) {
	stream, err := s.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = s.js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return nil, fmt.Errorf("%w: created by another node meanwhile", ErrUnavailable) // The next attempt adjusts it.
		}
		return stream, err
	}
	if err != nil {
		return nil, err
	}
	have := stream.CachedInfo().Config
	if have.PersistMode != want.PersistMode {
		s.log.Warn("state stream keeps the durability it was created with",
			slog.String("stream", want.Name), slog.String("mode", have.PersistMode.String()))
	}
	if have.MaxAge != want.MaxAge || have.MaxMsgsPerSubject != want.MaxMsgsPerSubject || have.MaxBytes != want.MaxBytes ||
		have.MaxMsgSize != want.MaxMsgSize || have.Replicas != want.Replicas {
		want.Storage, want.PersistMode = have.Storage, have.PersistMode // The engine cannot change these.
		return s.js.UpdateStream(ctx, want)
	}
	return stream, nil
}
