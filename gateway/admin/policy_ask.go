package admin

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/auth/policy"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/audit"
)

func (s *service) explainPolicy(ctx context.Context, _ *gateway.Call, req *adminv1.ExplainPolicyRequest) (*adminv1.ExplainPolicyResponse, error) {
	who, err := s.principal(ctx, req.GetWho())
	if err != nil {
		return nil, err
	}
	q := policy.Request{Principal: who, Object: req.GetObject(), Action: req.GetAction(), Via: req.GetVia()}
	if q.Action == "" {
		if q.Action = mainAction(q.Object); q.Action == "" {
			return nil, invalid("the object begins with none of tool/, resource/, prompt/ and admin/")
		}
	}
	if text := req.GetArgumentsJson(); text != "" {
		if !json.Valid([]byte(text)) {
			return nil, invalid("the arguments are not JSON")
		}
		q.Args = json.RawMessage(text)
	}
	e := s.Enforcer.Explain(ctx, q)
	res := &adminv1.ExplainPolicyResponse{Allowed: e.Allowed, Reason: e.Reason, Rule: e.Rule, Line: int32(e.Line), Path: e.Path} //nolint:gosec // Policies are bounded.
	for _, m := range e.Misses {
		res.NearMisses = append(res.NearMisses, &adminv1.NearMiss{Rule: m.Rule, Line: int32(m.Line), Difference: string(m.Why)}) //nolint:gosec // As above.
	}
	return res, nil
}

// mainAction is the action that makes an object visible.
func mainAction(object string) string {
	switch kind, _, _ := strings.Cut(object, "/"); kind {
	case "tool":
		return "call"
	case "resource", "admin":
		return "read"
	case "prompt":
		return "get"
	}
	return ""
}

func (s *service) listPermissions(ctx context.Context, _ *gateway.Call, req *adminv1.ListPermissionsRequest) (*adminv1.ListPermissionsResponse, error) {
	who, err := s.principal(ctx, req.GetWho())
	if err != nil {
		return nil, err
	}
	res := &adminv1.ListPermissionsResponse{}
	for _, p := range s.Enforcer.Effective(ctx, who, s.Registry.Snapshot()) {
		res.Permissions = append(res.Permissions, &adminv1.Permission{
			Object: p.Object, Action: p.Action, Rule: p.Rule, Line: int32(p.Line), Path: p.Path, Conditional: p.Conditional, //nolint:gosec // Policies are bounded.
		})
	}
	return res, nil
}

func (s *service) listGrantees(ctx context.Context, _ *gateway.Call, req *adminv1.ListGranteesRequest) (*adminv1.ListGranteesResponse, error) {
	action := req.GetAction()
	if action == "" {
		action = mainAction(req.GetObject())
	}
	all, more := s.Enforcer.WhoCan(ctx, req.GetObject(), action)
	res := &adminv1.ListGranteesResponse{Truncated: more}
	for _, g := range all {
		res.Grantees = append(res.Grantees, &adminv1.Grantee{
			Subject: g.Subject, Tenant: g.Tenant, Rule: g.Rule, Line: int32(g.Line), Path: g.Path, Conditional: g.Conditional, //nolint:gosec // Policies are bounded.
		})
	}
	return res, nil
}

// principal returns whom a question is about. Of a principal that is named by
// its id, the audit log says which groups and roles it had last.
func (s *service) principal(ctx context.Context, who *adminv1.Subject) (*gateway.Principal, error) {
	if (who.GetPrincipal() == "") == (len(who.GetSubjects()) == 0) {
		return nil, invalid("the request names a principal or subjects, and not both")
	}
	if id := who.GetPrincipal(); id != "" {
		p := &gateway.Principal{ID: id, Tenant: who.GetTenant()}
		if !policy.Identify(p) {
			return nil, invalid("the id of a principal is issuer|kind|subject")
		}
		return p, s.remember(ctx, p)
	}
	facts := who.GetSubjects()
	if t := who.GetTenant(); t != "" {
		facts = append(slices.Clip(facts), "tenant:"+t)
	}
	for _, f := range facts {
		if strings.ContainsAny(f, " \t\r\n") {
			return nil, invalid("subjects have no spaces")
		}
	}
	// The form of checks is how subjects are written.
	checks, err := policy.ParseChecks("subjects", []byte(strings.Join(facts, " ")+" call tool/any/any allow"))
	if err != nil || len(checks) != 1 {
		return nil, &gateway.Error{Code: gateway.InvalidArgument, By: by, Msg: "the subjects are not understood: write user:, client:, group: or role: with a name", Err: err}
	}
	return checks[0].Request.Principal, nil
}

// remember fills in what the audit log has last seen of a principal.
func (s *service) remember(ctx context.Context, p *gateway.Principal) error {
	if s.Audit == nil {
		return nil
	}
	page, err := s.Audit.Query(ctx, audit.Query{Filter: audit.Filter{Who: p.ID, Types: []string{audit.TypeCall}}, Limit: 1})
	if errors.Is(err, audit.ErrNoIndex) {
		return nil
	}
	if err != nil {
		return auditError(err)
	}
	for _, r := range page.Records {
		p.Name, p.Groups, p.Roles = r.Principal.Name, r.Principal.Groups, r.Principal.Roles
		if p.Tenant == "" {
			p.Tenant = r.Principal.Tenant
		}
	}
	return nil
}

// The bounds of an impact.
const (
	impactDays     = 7
	impactDaysMost = 90
	impactCalls    = 200_000
)

func (s *service) getPolicyImpact(ctx context.Context, call *gateway.Call, req *adminv1.GetPolicyImpactRequest) (*adminv1.GetPolicyImpactResponse, error) {
	if err := s.Enforcer.Check(ctx, policy.Request{Principal: call.Principal, Object: "admin/" + policy.AreaAudit, Action: "read", Via: call.Via}); err != nil {
		return nil, err
	}
	draft, err := s.parse(ctx, req.GetCsv(), req.GetDraft())
	if err != nil {
		return nil, err
	}
	res := &adminv1.GetPolicyImpactResponse{}
	since := time.Now().AddDate(0, 0, -pageSize(req.GetDays(), impactDays, impactDaysMost))
	impact, err := s.Enforcer.Impact(ctx, draft, s.recorded(ctx, since, &res.Truncated))
	if err != nil {
		return nil, auditError(err)
	}
	res.Calls, res.Changed, res.Undecided = int64(impact.Calls), int64(impact.Changed), int64(impact.Undecidable)
	for _, c := range impact.Changes {
		res.Changes = append(res.Changes, &adminv1.PolicyImpact{
			Principal: c.Principal, PrincipalName: c.Name, Object: c.Object, Action: c.Action,
			Before: string(c.Before), After: string(c.After), BeforeRule: c.BeforeRule, AfterRule: c.AfterRule,
			Calls: int64(c.Count), Last: timestamppb.New(c.Last), Examples: c.Examples,
		})
	}
	return res, nil
}

// recorded yields the calls since a time, the newest first, and reports whether
// there were more than it yields.
func (s *service) recorded(ctx context.Context, since time.Time, more *bool) iter.Seq2[policy.Recorded, error] {
	return func(yield func(policy.Recorded, error) bool) {
		q := audit.Query{Filter: audit.Filter{Types: []string{audit.TypeCall}, From: since}, Limit: 1000}
		for n := 0; ; {
			page, err := s.Audit.Query(ctx, q)
			if err != nil {
				yield(policy.Recorded{}, err)
				return
			}
			for i := range page.Records {
				if n++; n > impactCalls {
					*more = true
					return
				}
				if !yield(recordedOf(&page.Records[i]), nil) {
					return
				}
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				return
			}
		}
	}
}

func recordedOf(r *audit.Record) policy.Recorded {
	p := r.Principal
	return policy.Recorded{
		ID: r.ID, Time: r.Time, Object: r.Object, Action: r.Op, Via: r.Via, Allowed: r.By != "policy",
		Principal: gateway.Principal{ID: p.ID, Name: p.Name, Kind: p.Kind, Groups: p.Groups, Roles: p.Roles, Scopes: p.Scopes, Tenant: p.Tenant},
		ArgsKnown: r.BytesIn == 0 || len(r.Args) > 0, Args: r.Args,
	}
}
