package admin

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/auth/policy"
	"github.com/trilith-gateway/trilith/gateway"
)

func (s *service) keyMethods() []method {
	return []method{
		inspect("KeyService", "ListKeys", s.listKeys),
		change("KeyService", "CreateKey", s.createKey),
		change("KeyService", "RevokeKey", s.revokeKey),
	}
}

func (s *service) listKeys(context.Context, *gateway.Call, *adminv1.ListKeysRequest) (*adminv1.ListKeysResponse, error) {
	res := &adminv1.ListKeysResponse{}
	for _, k := range s.Keys.List() {
		res.Keys = append(res.Keys, keyOf(&k))
	}
	return res, nil
}

func (s *service) createKey(ctx context.Context, call *gateway.Call, req *adminv1.CreateKeyRequest) (*adminv1.CreateKeyResponse, error) {
	if err := s.mayGrant(ctx, call, req); err != nil {
		return nil, err
	}
	if req.GetTtlSeconds() <= 0 || req.GetTtlSeconds() > int64((100*365*24*time.Hour)/time.Second) {
		return nil, invalid("a key must expire: say after how many seconds")
	}
	n := auth.NewKey{
		Label: cmp.Or(req.GetLabel(), req.GetSubject()), Subject: req.GetSubject(), Tenant: req.GetTenant(), Groups: req.GetGroups(), Roles: req.GetRoles(),
		Expires: time.Now().Add(time.Duration(req.GetTtlSeconds()) * time.Second), By: call.Principal.ID,
	}
	if len(req.GetScopes()) > 0 {
		n.Scopes = req.GetScopes()
	}
	secret, k, err := s.Keys.Create(ctx, n)
	if err != nil {
		return nil, keyError(err)
	}
	return &adminv1.CreateKeyResponse{Key: keyOf(&k), Secret: secret}, nil
}

// mayGrant refuses a key with more than its maker has, unless the maker may
// change the policy and so give everybody everything. Nobody can give away
// scopes that their own credential lacks: no policy would lift that bound.
func (s *service) mayGrant(ctx context.Context, call *gateway.Call, req *adminv1.CreateKeyRequest) error {
	p := call.Principal
	if p.Scopes != nil && (len(req.GetScopes()) == 0 || !within(req.GetScopes(), p.Scopes)) {
		return &gateway.Error{Code: gateway.PermissionDenied, By: by, Msg: "your own credential is bounded by scopes: name some of them as those of the key"}
	}
	if within(req.GetRoles(), p.Roles) && within(req.GetGroups(), p.Groups) && p.Tenant == req.GetTenant() && s.isFree(p, req.GetSubject()) {
		return nil
	}
	return s.Enforcer.Check(ctx, policy.Request{Principal: p, Object: "admin/" + policy.AreaPolicy, Action: "admin", Via: call.Via})
}

func within(some, all []string) bool {
	return !slices.ContainsFunc(some, func(x string) bool { return !slices.Contains(all, x) })
}

// isFree reports whether a key that speaks for a subject speaks for nobody else
// than its maker: neither has the policy rules about the subject, nor has it
// another key.
func (s *service) isFree(maker *gateway.Principal, subject string) bool {
	if subject == "" || maker.Issuer == auth.KeyIssuer && maker.Subject == subject {
		return true
	}
	return !s.Enforcer.Policy().Names("client:"+auth.KeyIssuer+"|"+subject) &&
		!slices.ContainsFunc(s.Keys.List(), func(k auth.Key) bool { return k.Subject == subject })
}

func (s *service) revokeKey(ctx context.Context, call *gateway.Call, req *adminv1.RevokeKeyRequest) (*adminv1.RevokeKeyResponse, error) {
	if err := s.Keys.Revoke(ctx, req.GetId(), call.Principal.ID); err != nil {
		return nil, keyError(err)
	}
	return &adminv1.RevokeKeyResponse{}, nil
}

func keyError(err error) error {
	switch {
	case errors.Is(err, auth.ErrNoKey):
		return &gateway.Error{Code: gateway.NotFound, By: by, Msg: err.Error(), Err: err}
	case errors.Is(err, auth.ErrBadKey):
		return &gateway.Error{Code: gateway.InvalidArgument, By: by, Msg: err.Error(), Err: err}
	}
	return stateError(err)
}

func keyOf(k *auth.Key) *adminv1.Key {
	return &adminv1.Key{
		Id: k.ID, Subject: k.Subject, Label: k.Label, Groups: k.Groups, Roles: k.Roles, Scopes: k.Scopes, Tenant: k.Tenant,
		CreatedBy: k.CreatedBy, Created: stamp(k.Created), Expires: stamp(k.Expires), LastUsed: stamp(k.Used), Revoked: stamp(k.Revoked),
	}
}

// stamp returns a time as messages have it, nil for the zero time.
func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
