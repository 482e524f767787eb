package graphql

import (
	"context"
	"encoding/json"
	"errors"
	"math"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
)

// errNotJSON keeps what is no JSON out of a response, which would not be JSON either.
var errNotJSON = errors.New("an audit record is not JSON")

// AuditRecords returns a page of the audit log.
func (a administration) AuditRecords(ctx context.Context, _ *generated.Administration, first *int32, after *string, filter *generated.AuditFilter, oldestFirst bool) (*generated.AuditRecordPage, error) {
	size, err := pageSize(first)
	if err != nil {
		return nil, err
	}
	res := &adminv1.ListRecordsResponse{}
	if err := a.administer(ctx, "audit.ListRecords", &adminv1.ListRecordsRequest{
		Filter: toRecordFilter(filter), OldestFirst: oldestFirst, PageSize: size, PageToken: value(after),
	}, res); err != nil {
		return nil, err
	}
	page := &generated.AuditRecordPage{EndCursor: optional(res.GetNextPageToken())}
	for _, record := range res.GetRecordsJson() {
		if !jsontext.Value(record).IsValid() {
			return nil, errNotJSON
		}
		page.Nodes = append(page.Nodes, json.RawMessage(record))
	}
	return page, nil
}

// AuditProof proves that a record stands in the log.
func (a administration) AuditProof(ctx context.Context, _ *generated.Administration, seq int64) (*adminv1.GetProofResponse, error) {
	res := &adminv1.GetProofResponse{}
	return res, a.administer(ctx, "audit.GetProof", &adminv1.GetProofRequest{Seq: seq}, res)
}

// VerifyAuditLog checks the whole log.
func (a administration) VerifyAuditLog(ctx context.Context, _ *generated.Administration) (*adminv1.VerifyLogResponse, error) {
	res := &adminv1.VerifyLogResponse{}
	return res, a.administer(ctx, "audit.VerifyLog", &adminv1.VerifyLogRequest{}, res)
}

// AuditRecords follows the audit log: the running call is fed each record as the reader takes them. It never fails
// itself: see fail.
func (s subscription) AuditRecords(ctx context.Context, filter *generated.AuditFilter) (<-chan *generated.AuditRecordEvent, error) {
	events := make(chan *generated.AuditRecordEvent, s.o.QueueLength)
	s.work.Go(func() {
		defer close(events)
		s.fail(ctx, s.tail(ctx, events, filter))
	})
	return events, nil
}

func (s subscription) tail(ctx context.Context, events chan<- *generated.AuditRecordEvent, filter *generated.AuditFilter) error {
	call, err := s.adminCall(ctx, "audit.TailRecords", &adminv1.TailRecordsRequest{Filter: toRecordFilter(filter)})
	if err != nil {
		return err
	}
	var dropped int64 // Since the beginning.
	call.Feed = func(ctx context.Context, line gateway.LogMessage, leftOut int64) error {
		dropped += leftOut
		if !jsontext.Value(line.Data).IsValid() {
			dropped++ // It cannot be shown.
			return nil
		}
		select {
		case events <- &generated.AuditRecordEvent{Record: line.Data, Dropped: int32(min(dropped, math.MaxInt32))}: //nolint:gosec // It fits.
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	_, err = s.do(ctx, s.o.Admin, call)
	return err
}

func toRecordFilter(f *generated.AuditFilter) *adminv1.RecordFilter {
	if f == nil {
		return nil
	}
	out := &adminv1.RecordFilter{
		Principal: value(f.Principal), Object: value(f.Object), Op: value(f.Op), Via: value(f.Via), Code: value(f.Code), By: value(f.By),
		Type: value(f.Type), Trace: value(f.Trace), Id: value(f.ID), Rule: value(f.Rule), Tenant: value(f.Tenant),
		Source: value(f.Source), Policy: value(f.Policy), Session: value(f.Session),
	}
	if f.From != nil {
		out.From = timestamppb.New(*f.From)
	}
	if f.To != nil {
		out.To = timestamppb.New(*f.To)
	}
	return out
}
