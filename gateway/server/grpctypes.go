package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/state"
	grpcdoor "github.com/trilith-gateway/trilith/protocols/grpc"
)

// typedGRPC returns the options of the gRPC door that are about typed services.
func (s *Server) typedGRPC(ctx context.Context, cfg *config.Config) (grpcdoor.Options, error) {
	o := grpcdoor.Options{Reflection: cfg.GRPC.Reflection != "off"}
	if !cfg.GRPC.Typed {
		return o, nil
	}
	locks, err := openLocks(ctx, s.state)
	if err != nil {
		return o, err
	}
	o.Registry, o.Locks = s.registry, locks
	return o, nil
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
