package admin

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/auth/login"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/state"
)

// maxSessions bounds a list of sessions.
const maxSessions = 10_000

func (s *service) sessionMethods() []method {
	return []method{
		inspect("SessionService", "ListSessions", s.listSessions),
		change("SessionService", "EndSession", s.endSession),
	}
}

func (s *service) listSessions(ctx context.Context, _ *gateway.Call, req *adminv1.ListSessionsRequest) (*adminv1.ListSessionsResponse, error) {
	res := s.sessionsHere(req)
	answers, missing := s.askPeers(ctx, peerList, req)
	for _, data := range answers {
		var theirs adminv1.ListSessionsResponse
		if err := proto.Unmarshal(data, &theirs); err != nil {
			return nil, stateError(err)
		}
		res.Sessions = append(res.Sessions, theirs.GetSessions()...)
		res.Total += theirs.GetTotal()
	}
	s.addLogins(req, res)
	slices.SortFunc(res.Sessions, func(a, b *adminv1.Session) int {
		return cmp.Or(a.GetOpened().AsTime().Compare(b.GetOpened().AsTime()), cmp.Compare(a.GetId(), b.GetId()))
	})
	res.Sessions = res.Sessions[:min(len(res.Sessions), maxSessions)]
	res.MissingNodes = missing
	return res, nil
}

// sessionsHere returns what is open on this node, in no order.
func (s *service) sessionsHere(req *adminv1.ListSessionsRequest) *adminv1.ListSessionsResponse {
	all := slices.DeleteFunc(s.Sessions.All(), func(x gateway.Session) bool {
		return req.GetPrincipal() != "" && x.Principal.ID != req.GetPrincipal()
	})
	slices.SortFunc(all, func(a, b gateway.Session) int { return a.Opened.Compare(b.Opened) })
	res := &adminv1.ListSessionsResponse{Total: int64(len(all))}
	for _, x := range all[:min(len(all), maxSessions)] {
		res.Sessions = append(res.Sessions, &adminv1.Session{
			Id: x.ID, Node: s.Node, Via: x.Via, Kind: x.Kind,
			Principal: x.Principal.ID, PrincipalName: x.Principal.Name, Opened: timestamppb.New(x.Opened),
		})
	}
	return res
}

// addLogins adds the browsers whose users have signed in, which are of no node.
func (s *service) addLogins(req *adminv1.ListSessionsRequest, res *adminv1.ListSessionsResponse) {
	if s.Logins == nil {
		return
	}
	for _, x := range s.Logins.All() {
		if req.GetPrincipal() != "" && req.GetPrincipal() != x.Principal.ID {
			continue
		}
		res.Total++
		res.Sessions = append(res.Sessions, &adminv1.Session{
			Id: x.ID, Via: "http", Kind: "login", Principal: x.Principal.ID, PrincipalName: x.Principal.Name, Opened: timestamppb.New(x.Since),
		})
	}
}

// endLogin ends what a browser has signed in to, and reports whether there is
// such a session.
func (s *service) endLogin(ctx context.Context, call *gateway.Call, id string) (bool, error) {
	if s.Logins == nil {
		return false, nil
	}
	err := s.Logins.End(ctx, id, "ended by "+call.Principal.ID)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, login.ErrNoSession), errors.Is(err, state.ErrInvalid), errors.Is(err, state.ErrTooLarge): // No key, no session.
		return false, nil
	}
	return false, stateError(err)
}

func (s *service) endSession(ctx context.Context, call *gateway.Call, req *adminv1.EndSessionRequest) (*adminv1.EndSessionResponse, error) {
	if s.endHere(req.GetId()) {
		return &adminv1.EndSessionResponse{}, nil
	}
	if was, err := s.endLogin(ctx, call, req.GetId()); was || err != nil {
		return &adminv1.EndSessionResponse{}, err
	}
	answers, missing := s.askPeers(ctx, peerEnd, req)
	if slices.ContainsFunc(answers, func(data []byte) bool { return string(data) == peerEnded }) {
		return &adminv1.EndSessionResponse{}, nil
	}
	if len(missing) > 0 {
		return nil, &gateway.Error{
			Code: gateway.Unavailable, By: by,
			Msg: "no session of that id is open on the nodes that answered; these did not: " + strings.Join(missing, ", "),
		}
	}
	return nil, &gateway.Error{Code: gateway.NotFound, By: by, Msg: "no session of that id is open"}
}

// endHere ends a session of this node, and reports whether there is one.
func (s *service) endHere(id string) bool {
	why := &gateway.Error{Code: gateway.Aborted, By: by, Msg: "an administrator has ended the session"}
	return s.Sessions.End(func(x *gateway.Session) *gateway.Error {
		if x.ID == id {
			return why
		}
		return nil
	}) > 0
}

// revokeCredentials revokes, then ends what those who hold the credentials have
// open on this node. Other nodes do the same when they learn of it.
func (s *service) revokeCredentials(ctx context.Context, call *gateway.Call, req *adminv1.RevokeCredentialsRequest) (*adminv1.RevokeCredentialsResponse, error) {
	r := auth.Revocation{Principal: req.GetPrincipal(), Token: req.GetTokenId(), Issuer: req.GetIssuer(), Reason: req.GetReason(), By: call.Principal.ID}
	if r.Principal != "" {
		r.Before = time.Now()
	}
	if (r.Principal == "") == (r.Token == "") || (r.Token == "") != (r.Issuer == "") {
		return nil, invalid("the request names either a principal, or a token and its issuer")
	}
	if err := s.Revocations.Revoke(ctx, r); err != nil {
		return nil, stateError(err)
	}
	why := &gateway.Error{Code: gateway.Unauthenticated, By: by, Msg: "the credential was revoked"}
	ended := s.Sessions.End(func(x *gateway.Session) *gateway.Error {
		if s.Revocations.Revoked(x.Principal) {
			return why
		}
		return nil
	})
	return &adminv1.RevokeCredentialsResponse{Ended: int64(ended)}, nil
}
