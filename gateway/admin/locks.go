package admin

import (
	"context"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/gateway"
)

// ProtoLocks are the locks of typed gRPC services, by the name of the source. The
// errors of both methods are for the caller.
type ProtoLocks interface {
	// Export returns the lock of a source as JSON.
	Export(ctx context.Context, source string) ([]byte, error)

	// Restore puts a lock back that was exported, where nothing that was given
	// since is lost or changed by that.
	Restore(ctx context.Context, source string, lock []byte) error
}

func (s *service) lockMethods() []method {
	const service = "SourceService"
	return []method{
		inspect(service, "GetProtoLock", s.getProtoLock),
		change(service, "RestoreProtoLock", s.restoreProtoLock),
	}
}

func (s *service) getProtoLock(ctx context.Context, _ *gateway.Call, req *adminv1.GetProtoLockRequest) (*adminv1.GetProtoLockResponse, error) {
	lock, err := s.Locks.Export(ctx, req.GetSource())
	if err != nil {
		return nil, err
	}
	return &adminv1.GetProtoLockResponse{LockJson: string(lock)}, nil
}

func (s *service) restoreProtoLock(ctx context.Context, _ *gateway.Call, req *adminv1.RestoreProtoLockRequest) (*adminv1.RestoreProtoLockResponse, error) {
	if err := s.Locks.Restore(ctx, req.GetSource(), []byte(req.GetLockJson())); err != nil {
		return nil, err
	}
	return &adminv1.RestoreProtoLockResponse{}, nil
}
