package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/state"
	grpcdoor "github.com/trilith-gateway/trilith/protocols/grpc"
	"github.com/trilith-gateway/trilith/schema/protoschema"
)

// typedGRPC returns the options of the gRPC door that are about typed services.
func (s *Server) typedGRPC(cfg *config.Config) grpcdoor.Options {
	o := grpcdoor.Options{Reflection: cfg.GRPC.Reflection != "off"}
	if !cfg.GRPC.Typed {
		return o
	}
	o.Registry, o.Locks = s.registry, s.locks
	return o
}

// publicGRPC returns the gRPC methods that need no credential.
func publicGRPC(cfg *config.Config) []string {
	public := []string{"/grpc.health.v1.Health/"}
	if cfg.GRPC.Reflection == "open" {
		public = append(public, "/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/")
	}
	return public
}

// Bounds of a lock, in bytes.
const (
	maxLockPacked = 4 << 20
	maxLock       = 256 << 20
)

// locks keeps the names and numbers of typed gRPC services in the shared state,
// by source.
type locks struct{ bucket *state.Bucket[packedLock] }

type packedLock struct {
	GZIP []byte `json:"gzip"`
}

func openLocks(ctx context.Context, s *state.State) (*locks, error) {
	o := state.BucketOptions{Name: "grpc-locks", MaxValueBytes: maxLockPacked}
	b, err := state.OpenBucket[packedLock](ctx, s, o)
	if errors.Is(err, state.ErrInvalid) { // An external server takes less.
		o.MaxValueBytes = 0
		b, err = state.OpenBucket[packedLock](ctx, s, o)
	}
	return &locks{b}, err
}

// Load returns the lock of a source and its revision.
func (l *locks) Load(ctx context.Context, source string) ([]byte, uint64, error) {
	e, err := l.bucket.Get(ctx, source)
	switch {
	case errors.Is(err, state.ErrNotFound):
		return nil, 0, nil
	case err != nil:
		return nil, 0, err
	}
	data, err := unpack(e.Value.GZIP)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: lock of source %q: %w", state.ErrCorrupt, source, err)
	}
	return data, e.Revision, nil
}

// Save writes the lock of a source whose revision is still that.
func (l *locks) Save(ctx context.Context, source string, data []byte, revision uint64) (uint64, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		return 0, err
	}
	if err := w.Close(); err != nil {
		return 0, err
	}
	value := packedLock{b.Bytes()}
	var next uint64
	var err error
	if revision == 0 {
		next, err = l.bucket.Create(ctx, source, value)
	} else {
		next, err = l.bucket.Update(ctx, source, value, revision)
	}
	if errors.Is(err, state.ErrConflict) {
		err = fmt.Errorf("%w: %w", grpcdoor.ErrLockConflict, err)
	}
	return next, err
}

// Export returns the lock of a source, for a backup.
func (l *locks) Export(ctx context.Context, source string) ([]byte, error) {
	data, _, err := l.Load(ctx, source)
	switch {
	case err != nil:
		return nil, &gateway.Error{Code: gateway.Unavailable, By: byLocks, Msg: "the lock cannot be read", Err: err}
	case data == nil:
		return nil, &gateway.Error{Code: gateway.NotFound, By: byLocks, Msg: "the source has no lock"}
	}
	return data, nil
}

// Restore puts back a lock that has all that the lock of the source has now.
func (l *locks) Restore(ctx context.Context, source string, data []byte) error {
	next, err := protoschema.ParseLock(data)
	if err == nil {
		err = next.Check()
	}
	if err == nil && next.Source != source {
		err = fmt.Errorf("it is that of source %q", next.Source)
	}
	if err != nil {
		return &gateway.Error{Code: gateway.InvalidArgument, By: byLocks, Msg: "the lock cannot be taken: " + err.Error(), Err: err}
	}
	have, revision, err := l.Load(ctx, source)
	if err != nil {
		return &gateway.Error{Code: gateway.Unavailable, By: byLocks, Msg: "the lock that the source has cannot be read", Err: err}
	}
	if have != nil {
		now, err := protoschema.ParseLock(have)
		if err != nil || !next.Extends(now) {
			return &gateway.Error{
				Code: gateway.FailedPrecondition, By: byLocks, Err: err,
				Msg: "the source has a lock whose names and numbers are not all in this one: programs may rely on them",
			}
		}
	}
	if data, err = next.JSON(); err == nil {
		_, err = l.Save(ctx, source, data, revision)
	}
	switch {
	case errors.Is(err, grpcdoor.ErrLockConflict):
		return &gateway.Error{Code: gateway.Aborted, By: byLocks, Msg: "the lock has changed meanwhile", Err: err}
	case err != nil:
		return &gateway.Error{Code: gateway.Unavailable, By: byLocks, Msg: "the lock cannot be written", Err: err}
	}
	return nil
}

// byLocks names the locks in refusals.
const byLocks = "grpc-locks"

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r, maxLock+1))
	if err == nil && len(data) > maxLock {
		err = fmt.Errorf("it has more than %d bytes", maxLock)
	}
	return data, err
}
