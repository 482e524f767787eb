package graphql

import (
	"context"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
)

// Pins returns a page of the definitions of pinned sources.
func (a administration) Pins(ctx context.Context, _ *generated.Administration, first *int32, after, source, state *string) (*generated.PinPage, error) {
	size, err := pageSize(first)
	if err != nil {
		return nil, err
	}
	res := &adminv1.ListPinsResponse{}
	err = a.administer(ctx, "sources.ListPins", &adminv1.ListPinsRequest{
		Source: value(source), State: value(state), PageSize: size, PageToken: value(after),
	}, res)
	return &generated.PinPage{Nodes: shown(res.GetPins()), EndCursor: optional(res.GetNextPageToken())}, err
}

// Pin returns one of them.
func (a administration) Pin(ctx context.Context, _ *generated.Administration, id string) (*adminv1.Pin, error) {
	res := &adminv1.GetPinResponse{}
	err := a.administer(ctx, "sources.GetPin", &adminv1.GetPinRequest{Id: id}, res)
	return res.GetPin(), err
}

// ApprovePin approves a definition.
func (m mutation) ApprovePin(ctx context.Context, id, hash string, allowHidden bool) (*string, error) {
	return &id, m.administer(ctx, "sources.ApprovePin", &adminv1.ApprovePinRequest{Id: id, Hash: hash, AllowHidden: allowHidden}, &adminv1.ApprovePinResponse{})
}

// RejectPin rejects a definition.
func (m mutation) RejectPin(ctx context.Context, id, hash string) (*string, error) {
	return &id, m.administer(ctx, "sources.RejectPin", &adminv1.RejectPinRequest{Id: id, Hash: hash}, &adminv1.RejectPinResponse{})
}

// ProtoLock returns the lock of a source's typed gRPC service.
func (a administration) ProtoLock(ctx context.Context, _ *generated.Administration, source string) (*string, error) {
	res := &adminv1.GetProtoLockResponse{}
	err := a.administer(ctx, "sources.GetProtoLock", &adminv1.GetProtoLockRequest{Source: source}, res)
	return optional(res.GetLockJson()), err
}

// RestoreProtoLock puts it back.
func (m mutation) RestoreProtoLock(ctx context.Context, source, lock string) (*string, error) {
	return &source, m.administer(ctx, "sources.RestoreProtoLock", &adminv1.RestoreProtoLockRequest{Source: source, LockJson: lock}, &adminv1.RestoreProtoLockResponse{})
}
