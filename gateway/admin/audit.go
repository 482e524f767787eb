package admin

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/audit"
)

func (s *service) auditMethods() []method {
	return []method{
		inspect("AuditService", "ListRecords", s.listRecords),
		{"AuditService", "TailRecords", true, s.tailRecords},
		inspect("AuditService", "GetProof", s.getProof),
		inspect("AuditService", "VerifyLog", s.verifyLog),
	}
}

func (s *service) listRecords(ctx context.Context, _ *gateway.Call, req *adminv1.ListRecordsRequest) (*adminv1.ListRecordsResponse, error) {
	page, err := s.Audit.Query(ctx, audit.Query{
		Filter: filterOf(req.GetFilter()), Limit: pageSize(req.GetPageSize(), 100, 1000), Oldest: req.GetOldestFirst(), Cursor: req.GetPageToken(),
	})
	if err != nil {
		return nil, auditError(err)
	}
	res := &adminv1.ListRecordsResponse{NextPageToken: page.Next}
	for i := range page.Records {
		line, err := json.Marshal(&page.Records[i])
		if err != nil {
			return nil, err
		}
		res.RecordsJson = append(res.RecordsJson, string(line))
	}
	return res, nil
}

// tailRecords feeds each record that is written to the door, until the caller
// leaves. The log is read no faster than the door takes it.
func (s *service) tailRecords(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	req, err := decode[*adminv1.TailRecordsRequest](call)
	if err != nil {
		return nil, err
	}
	f := filterOf(req.GetFilter())
	if err := f.Check(); err != nil {
		return nil, invalid("%v", err)
	}
	if call.Feed == nil {
		return nil, &gateway.Error{Code: gateway.Unimplemented, By: by, Msg: "this door cannot follow records"}
	}
	for r, err := range s.Audit.Tail(ctx, f) {
		if err != nil {
			return nil, auditError(err)
		}
		if err := call.Feed(ctx, gateway.LogMessage{Level: "info", Logger: "audit", Data: bytes.Clone(r.Line)}, r.LeftOut); err != nil {
			return nil, err
		}
	}
	return nil, context.Cause(ctx)
}

func (s *service) getProof(ctx context.Context, _ *gateway.Call, req *adminv1.GetProofRequest) (*adminv1.GetProofResponse, error) {
	p, err := audit.Prove(ctx, s.AuditDir, req.GetSeq())
	if err != nil {
		return nil, auditError(err)
	}
	keys, err := audit.PublicKeys(s.AuditDir)
	if err != nil {
		return nil, auditError(err)
	}
	point, _, err := p.Check(keys...)
	if err != nil {
		return nil, auditError(err)
	}
	res := &adminv1.GetProofResponse{RecordJson: p.Record, Checkpoint: p.Checkpoint, Index: req.GetSeq() - 1, Size: point.Seq}
	for _, h := range p.Hashes {
		res.Hashes = append(res.Hashes, base64.StdEncoding.EncodeToString(h[:]))
	}
	return res, nil
}

func (s *service) verifyLog(context.Context, *gateway.Call, *adminv1.VerifyLogRequest) (*adminv1.VerifyLogResponse, error) {
	report, err := audit.Verify(s.AuditDir, audit.Proofs{})
	res := &adminv1.VerifyLogResponse{Ok: err == nil, Records: report.Records}
	if damage, ok := errors.AsType[*audit.Damage](err); ok {
		res.Problem = damage.Error()
		return res, nil
	}
	return res, auditError(err)
}

func filterOf(f *adminv1.RecordFilter) audit.Filter {
	one := func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	out := audit.Filter{
		Source: f.GetSource(), Policy: f.GetPolicy(), Login: f.GetSession(),
		Who: f.GetPrincipal(), What: f.GetObject(), Ops: one(f.GetOp()), Via: one(f.GetVia()), Codes: one(f.GetCode()),
		By: f.GetBy(), Types: one(f.GetType()), Trace: f.GetTrace(), ID: f.GetId(), Rule: f.GetRule(), Tenant: f.GetTenant(),
	}
	for _, t := range []struct {
		from interface {
			IsValid() bool
			AsTime() time.Time
		}
		into *time.Time
	}{{f.GetFrom(), &out.From}, {f.GetTo(), &out.Until}} {
		if t.from.IsValid() {
			*t.into = t.from.AsTime()
		}
	}
	return out
}

// auditError returns a failure of the audit log in words for the administrator,
// and nil for nil.
func auditError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, audit.ErrCursor):
		return &gateway.Error{Code: gateway.InvalidArgument, By: by, Msg: "the page token is none that a page gave", Err: err}
	case errors.Is(err, audit.ErrNoIndex):
		return &gateway.Error{Code: gateway.FailedPrecondition, By: by, Msg: "the audit log of this node has no index", Err: err}
	case errors.Is(err, audit.ErrNoRecord):
		return &gateway.Error{Code: gateway.NotFound, By: by, Msg: err.Error(), Err: err}
	}
	return refusal(err)
}
