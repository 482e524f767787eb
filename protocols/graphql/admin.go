package graphql

import (
	"bytes"
	"context"
	"encoding/json"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
)

// An administration resolves the fields of administration. Each is a method of admin.v1: it makes the call that
// gRPC and REST make of it, and shows the answer. Who may do what is decided on the road.
type administration struct{ *Frontend }

// Administration returns the resolvers of the type Administration.
func (r resolvers) Administration() generated.AdministrationResolver { return administration{r.f} }

// Admin returns what the fields of administration hang on. It tells nothing itself.
func (query) Admin(context.Context) (*generated.Administration, error) {
	return &generated.Administration{}, nil
}

// adminCall returns the call of a method, by the name of its tool, or an error where nothing is administered here.
func (f *Frontend) adminCall(ctx context.Context, tool string, req proto.Message) (*gateway.Call, error) {
	call := &gateway.Call{Op: gateway.OpAdmin, Kind: gateway.KindTool, Name: tool, Principal: caller(ctx), Via: door}
	if f.o.Admin == nil {
		return nil, gateway.NotFoundError(call, door, nil)
	}
	args, err := protojson.Marshal(req)
	if err != nil {
		return nil, err
	}
	// protojson puts white space where it likes, which the audit record's hash would show.
	var b bytes.Buffer
	if err := json.Compact(&b, args); err != nil {
		return nil, err
	}
	call.Args = b.Bytes()
	return call, nil
}

// administer takes a request along the road and reads the answer into res, which stays empty where that fails.
func (f *Frontend) administer(ctx context.Context, tool string, req, res proto.Message) error {
	call, err := f.adminCall(ctx, tool, req)
	if err != nil {
		return err
	}
	out, err := f.do(ctx, f.o.Admin, call)
	if err != nil {
		return err
	}
	parts, err := out.Parts()
	if err != nil {
		return err
	}
	return protojson.Unmarshal(parts.Structured, res)
}

// Keys lists the API keys.
func (a administration) Keys(ctx context.Context, _ *generated.Administration) ([]*adminv1.Key, error) {
	res := &adminv1.ListKeysResponse{}
	err := a.administer(ctx, "keys.ListKeys", &adminv1.ListKeysRequest{}, res)
	return shown(res.GetKeys()), err
}

// CreateKey makes an API key.
func (m mutation) CreateKey(ctx context.Context, subject string, ttlSeconds int64, label *string, groups, roles, scopes []string, tenant *string) (*adminv1.CreateKeyResponse, error) {
	res := &adminv1.CreateKeyResponse{}
	return res, m.administer(ctx, "keys.CreateKey", &adminv1.CreateKeyRequest{
		Subject: subject, Label: value(label), Groups: groups, Roles: roles, Scopes: scopes, Tenant: value(tenant), TtlSeconds: ttlSeconds,
	}, res)
}

// RevokeKey revokes an API key.
func (m mutation) RevokeKey(ctx context.Context, id string) (*string, error) {
	return &id, m.administer(ctx, "keys.RevokeKey", &adminv1.RevokeKeyRequest{Id: id}, &adminv1.RevokeKeyResponse{})
}

// Sessions lists what is open.
func (a administration) Sessions(ctx context.Context, _ *generated.Administration, principal *string) (*adminv1.ListSessionsResponse, error) {
	res := &adminv1.ListSessionsResponse{}
	return res, a.administer(ctx, "sessions.ListSessions", &adminv1.ListSessionsRequest{Principal: value(principal)}, res)
}

// EndSession ends a session.
func (m mutation) EndSession(ctx context.Context, id string) (*string, error) {
	return &id, m.administer(ctx, "sessions.EndSession", &adminv1.EndSessionRequest{Id: id}, &adminv1.EndSessionResponse{})
}

// RevokeCredentials revokes the credentials of a principal, or a token.
func (m mutation) RevokeCredentials(ctx context.Context, principal, tokenID, issuer, reason *string) (*adminv1.RevokeCredentialsResponse, error) {
	res := &adminv1.RevokeCredentialsResponse{}
	return res, m.administer(ctx, "sessions.RevokeCredentials", &adminv1.RevokeCredentialsRequest{
		Principal: value(principal), TokenId: value(tokenID), Issuer: value(issuer), Reason: value(reason),
	}, res)
}

// Sources lists the sources.
func (a administration) Sources(ctx context.Context, _ *generated.Administration) ([]*adminv1.Source, error) {
	res := &adminv1.ListSourcesResponse{}
	err := a.administer(ctx, "sources.ListSources", &adminv1.ListSourcesRequest{}, res)
	return shown(res.GetSources()), err
}

// Sources follows the sources: each report is a log line of the running call. It never fails itself: see fail.
func (s subscription) Sources(ctx context.Context) (<-chan []*adminv1.Source, error) {
	q := newQueue[[]*adminv1.Source](1) // Only the latest is of interest.
	s.work.Go(func() {
		defer q.close()
		s.fail(ctx, s.watchSources(ctx, q))
	})
	return q.events, nil
}

func (s subscription) watchSources(ctx context.Context, q *queue[[]*adminv1.Source]) error {
	call, err := s.adminCall(ctx, "sources.WatchSources", &adminv1.WatchSourcesRequest{})
	if err != nil {
		return err
	}
	call.Log = func(line gateway.LogMessage) {
		res := &adminv1.WatchSourcesResponse{}
		if protojson.Unmarshal(line.Data, res) == nil { // It comes from this process.
			q.put(func(int32) []*adminv1.Source { return shown(res.GetSources()) })
		}
	}
	_, err = s.do(ctx, s.o.Admin, call)
	return err
}

// ImportNotes returns a page of what of a source is not offered as it is.
func (a administration) ImportNotes(ctx context.Context, _ *generated.Administration, source string, first *int32, after, change *string) (*generated.ImportNotePage, error) {
	size, err := pageSize(first)
	if err != nil {
		return nil, err
	}
	res := &adminv1.ListImportNotesResponse{}
	err = a.administer(ctx, "sources.ListImportNotes", &adminv1.ListImportNotesRequest{
		Source: source, Change: value(change), PageSize: size, PageToken: value(after),
	}, res)
	return &generated.ImportNotePage{Nodes: shown(res.GetNotes()), EndCursor: optional(res.GetNextPageToken()), Total: res.GetTotal()}, err
}

// value is the text that a nullable argument stands for.
func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// shown is a list that is not null, even where it is empty.
func shown[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// pageSize returns how many items are asked for. What a document may cost counts on the bound.
func pageSize(first *int32) (int32, error) {
	switch {
	case first == nil:
		return defaultPage, nil
	case *first < 1 || *first > maxPage:
		return 0, invalidArgument("first must be 1 to 100")
	}
	return *first, nil
}
