package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// maxPayload bounds a message of the embedded server, and so MaxValueBytes.
	maxPayload = 8 << 20
	// syncInterval bounds what buckets with Async lose to a power cut.
	syncInterval = 10 * time.Second
	// startTimeout bounds the start of the embedded server, recovery of its files included, and the first connection
	// to an external one.
	startTimeout = 30 * time.Second
)

// engine is the embedded server with the directory it owns.
type engine struct {
	srv     *server.Server
	lock    *os.File // Nil in memory.
	scratch string   // Removed at the end; "" on disk.
}

// startEngine starts a server without network listener in dir, or in memory when dir is empty.
func startEngine(ctx context.Context, dir string, log *serverLog) (_ *engine, err error) {
	e := &engine{}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.stop())
		}
	}()
	if dir == "" {
		// JetStream wants a directory even when all its streams are in memory; it stays empty.
		if e.scratch, err = os.MkdirTemp("", "trilith-state-"); err != nil {
			return nil, fmt.Errorf("scratch directory of the in-memory engine: %w", err)
		}
		dir = e.scratch
	} else {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("state directory: %w", err)
		}
		if e.lock, err = lockFile(filepath.Join(dir, "LOCK")); err != nil {
			return nil, fmt.Errorf("lock state directory %s: %w", dir, err)
		}
	}
	e.srv, err = server.NewServer(&server.Options{
		ServerName:             "trilith",
		DontListen:             true,
		JetStream:              true,
		StoreDir:               dir,
		SyncAlways:             true,
		SyncInterval:           syncInterval,
		MaxPayload:             maxPayload,
		NoSigs:                 true,
		DisableJetStreamBanner: true,
	})
	if err != nil {
		return nil, fmt.Errorf("configure embedded engine: %w", err)
	}
	e.srv.SetLoggerV2(log, false, false, false)
	return e, e.start(ctx, log)
}

// start waits until the server has recovered its files and takes connections.
func (e *engine) start(ctx context.Context, log *serverLog) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	started := make(chan struct{})
	go func() { // Ends with Start, which returns when the server is up, has failed or was shut down.
		defer close(started)
		e.srv.Start()
	}()
	select {
	case <-started:
	case <-ctx.Done():
		return fmt.Errorf("%w: embedded engine did not start: %w", ErrUnavailable, context.Cause(ctx))
	}
	if !e.srv.ReadyForConnections(time.Second) || !e.srv.JetStreamEnabled() {
		return fmt.Errorf("%w: embedded engine did not start: %s", ErrUnavailable, log.last())
	}
	return nil
}

// stop ends the server, waits for it and gives the directory back. Nil and half-started engines are fine.
func (e *engine) stop() error {
	if e == nil {
		return nil
	}
	var errs []error
	if e.srv != nil {
		e.srv.Shutdown()
		e.srv.WaitForShutdown()
	}
	if e.lock != nil {
		errs = append(errs, e.lock.Close())
	}
	if e.scratch != "" {
		errs = append(errs, os.RemoveAll(e.scratch))
	}
	return errors.Join(errs...)
}
