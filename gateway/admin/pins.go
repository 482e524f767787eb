package admin

import (
	"context"
	"errors"
	"slices"
	"strings"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/audit"
	"github.com/trilith-gateway/trilith/gateway/pin"
	"github.com/trilith-gateway/trilith/internal/clip"
)

// Bounds of what is shown of a pin, in bytes.
const (
	maxPinName       = 2048 // what is longer is never registered
	maxPinDefinition = 1 << 20
)

func (s *service) pinMethods() []method {
	const service = "SourceService"
	return []method{
		inspect(service, "ListPins", s.listPins),
		inspect(service, "GetPin", s.getPin),
		change(service, "ApprovePin", s.approvePin),
		change(service, "RejectPin", s.rejectPin),
	}
}

func (s *service) listPins(_ context.Context, _ *gateway.Call, req *adminv1.ListPinsRequest) (*adminv1.ListPinsResponse, error) {
	switch pin.State(req.GetState()) {
	case "", pin.Approved, pin.Quarantined, pin.Changed, pin.Rejected:
	default:
		return nil, invalid("a state is approved, quarantined, changed or rejected")
	}
	all := slices.DeleteFunc(s.Pins.List(), func(p pin.Pin) bool {
		return req.GetSource() != "" && p.Source != req.GetSource() || req.GetState() != "" && string(p.State) != req.GetState()
	})
	if t := req.GetPageToken(); t != "" {
		last := slices.IndexFunc(all, func(p pin.Pin) bool { return p.ID == t })
		if last < 0 {
			return nil, invalid("the page token is none that a page gave, or its pin has gone: begin anew")
		}
		all = all[last+1:]
	}
	res := &adminv1.ListPinsResponse{}
	size := pageSize(req.GetPageSize(), 100, 1000)
	if len(all) > size {
		all = all[:size]
		res.NextPageToken = all[size-1].ID
	}
	for i := range all {
		p := pinOf(&all[i])
		if req.GetDiff() {
			p.Changes = changesOf(&all[i])
		}
		res.Pins = append(res.Pins, p)
	}
	return res, nil
}

func (s *service) getPin(_ context.Context, _ *gateway.Call, req *adminv1.GetPinRequest) (*adminv1.GetPinResponse, error) {
	p, ok := s.Pins.Get(req.GetId())
	if !ok {
		return nil, pinError(pin.ErrNoPin)
	}
	out := pinOf(&p)
	out.Changes = changesOf(&p)
	out.DefinitionJson, out.ApprovedJson = shown(p.Offered), shown(p.Approved)
	return &adminv1.GetPinResponse{Pin: out}, nil
}

func (s *service) approvePin(ctx context.Context, call *gateway.Call, req *adminv1.ApprovePinRequest) (*adminv1.ApprovePinResponse, error) {
	p, _ := s.Pins.Get(req.GetId())
	if err := s.Pins.Approve(ctx, req.GetId(), req.GetHash(), call.Principal.ID, req.GetAllowHidden()); err != nil {
		return nil, pinError(err)
	}
	return &adminv1.ApprovePinResponse{}, s.recordPin(ctx, call, &p, pin.Approved, req.GetHash())
}

func (s *service) rejectPin(ctx context.Context, call *gateway.Call, req *adminv1.RejectPinRequest) (*adminv1.RejectPinResponse, error) {
	p, _ := s.Pins.Get(req.GetId())
	if err := s.Pins.Reject(ctx, req.GetId(), req.GetHash(), call.Principal.ID); err != nil {
		return nil, pinError(err)
	}
	return &adminv1.RejectPinResponse{}, s.recordPin(ctx, call, &p, pin.Rejected, req.GetHash())
}

// recordPin puts on record which definition was decided on: the call's own
// record has no arguments by default.
func (s *service) recordPin(ctx context.Context, call *gateway.Call, p *pin.Pin, decision pin.State, hash string) error {
	if s.Audit == nil {
		return nil
	}
	return s.Audit.Event(ctx, audit.Event{
		Type: "pin", Principal: call.Principal, Via: call.Via, Outcome: "OK",
		Object: p.Kind.String() + "/" + p.Source + "/" + clip.Text(p.Origin, maxPinName), Detail: string(decision) + ", sha256 " + hash,
	})
}

func pinError(err error) error {
	switch {
	case errors.Is(err, pin.ErrNoPin):
		return &gateway.Error{Code: gateway.NotFound, By: by, Msg: err.Error(), Err: err}
	case errors.Is(err, pin.ErrChanged):
		return &gateway.Error{Code: gateway.Aborted, By: by, Msg: err.Error(), Err: err}
	case errors.Is(err, pin.ErrHidden):
		return &gateway.Error{Code: gateway.FailedPrecondition, By: by, Msg: err.Error(), Err: err}
	}
	return stateError(err)
}

func pinOf(p *pin.Pin) *adminv1.Pin {
	return &adminv1.Pin{
		Id: p.ID, Source: p.Source, Kind: p.Kind.String(), Name: clip.Text(p.Origin, maxPinName),
		State: string(p.State), Served: p.Served, Hash: p.OfferedHash, ApprovedHash: p.ApprovedHash, Since: stamp(p.Since),
		DecidedBy: p.By, Decided: stamp(p.At), Hidden: p.Hidden,
	}
}

func changesOf(p *pin.Pin) (out []*adminv1.PinChange) {
	for _, c := range p.Changes() {
		out = append(out, &adminv1.PinChange{Path: c.Path, Old: c.Old, New: c.New})
	}
	return out
}

// shown is a definition as messages can have it.
func shown(def []byte) string {
	if len(def) > maxPinDefinition {
		return ""
	}
	return strings.ToValidUTF8(string(def), "\ufffd")
}
