package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
)

// broad and narrow are policies that differ in what developers may do.
const (
	broad = `p, role:admin, *, **,            *,    allow
p, role:admin, *, admin/**,      *,    allow
p, role:dev,   *, tool/demo/*,   call, allow
p, role:dev,   *, admin/audit,   read, allow
p, role:dev,   *, admin/sources, read, allow
`
	narrow = `p, role:admin, *, **,             *,    allow
p, role:admin, *, admin/**,       *,    allow
p, role:dev,   *, tool/demo/echo, call, allow
`
)

// TestGraphQLAdministration changes the policy through GraphQL alone: a draft, its impact, its activation, the way
// back; follows it in the audit log; and ends what is no longer allowed.
func TestGraphQLAdministration(t *testing.T) {
	r := start(t, nil, nil)
	const add = `mutation{callTool(name:"demo.add",arguments:{a:1,b:2}){structured}}`
	activate := func(csv string) (version int64) {
		t.Helper()
		var d struct{ CreatePolicyDraft draft }
		r.query(t, "admin", `mutation{createPolicyDraft(comment:"c"){id revision}}`, nil, &d)
		var saved struct {
			SavePolicyDraft struct {
				Draft    draft
				Problems []struct{ Message string }
			}
		}
		r.query(t, "admin", `mutation($id:ID!,$revision:SafeInt!,$csv:String!){savePolicyDraft(id:$id,revision:$revision,csv:$csv){draft{id revision} problems{message}}}`,
			map[string]any{"id": d.CreatePolicyDraft.ID, "revision": d.CreatePolicyDraft.Revision, "csv": csv}, &saved)
		if len(saved.SavePolicyDraft.Problems) != 0 {
			t.Errorf("problems %v", saved.SavePolicyDraft.Problems)
		}
		variables := map[string]any{"id": saved.SavePolicyDraft.Draft.ID, "revision": saved.SavePolicyDraft.Draft.Revision}
		if csv == narrow {
			var looked struct {
				Admin struct {
					PolicyImpact struct {
						Changes []struct{ PrincipalName, Object, Before, After string }
					}
					DiffPolicy struct{ Removed []string }
				}
			}
			r.query(t, "admin", `query($id:ID!){admin{policyImpact(draft:$id){changes{principalName object before after}} diffPolicy(draft:$id){removed}}}`,
				map[string]any{"id": variables["id"]}, &looked)
			changes := looked.Admin.PolicyImpact.Changes
			if len(changes) == 0 || changes[0].Object != "tool/demo/add" || changes[0].Before != "allowed" || changes[0].After != "denied" || len(looked.Admin.DiffPolicy.Removed) != 3 {
				t.Errorf("before it is in force: %+v", looked)
			}
		}
		var active struct{ ActivatePolicy struct{ ID int64 } }
		r.query(t, "admin", `mutation($id:ID!,$revision:SafeInt!){activatePolicy(id:$id,revision:$revision){id}}`, variables, &active)
		return active.ActivatePolicy.ID
	}

	first := activate(broad)
	if got := r.playGraphQL(t, "dev", add); !strings.Contains(got, `{"structured":{"sum":3}}`) {
		t.Errorf("a developer got %s", got)
	}
	tail, ended := r.follow(t, "admin"), r.follow(t, "dev")
	second := activate(narrow)
	if second != first+1 {
		t.Errorf("version %d after %d", second, first)
	}
	last := ""
	for event := range ended {
		last = event
	}
	if !strings.Contains(last, `"PERMISSION_DENIED"`) {
		t.Errorf("a stream that is no longer allowed ended with %q", last)
	}
	if got := r.playGraphQL(t, "dev", add); !strings.Contains(got, `"NOT_FOUND"`) {
		t.Errorf("after its right was taken a developer got %s", got)
	}
	var back struct {
		RollbackPolicy struct{ ID, Restores int64 }
	}
	r.query(t, "admin", `mutation($to:SafeInt!,$active:SafeInt!){rollbackPolicy(to:$to,active:$active){id restores}}`, map[string]any{"to": first, "active": second}, &back)
	if back.RollbackPolicy.ID != second+1 || back.RollbackPolicy.Restores != first {
		t.Errorf("rolled back to %+v", back)
	}
	if got := r.playGraphQL(t, "dev", add); !strings.Contains(got, `{"structured":{"sum":3}}`) {
		t.Errorf("after its right was given back a developer got %s", got)
	}
	seen := map[string]bool{}
	poll(t, func() bool {
		var event struct {
			Data struct {
				AuditRecords struct {
					Record struct{ Name, Object, Via, Code string }
				}
			}
		}
		data := <-tail
		if err := json.Unmarshal([]byte(data), &event); err != nil {
			t.Fatalf("%v: %q", err, data)
		}
		if rec := event.Data.AuditRecords.Record; rec.Object == "admin/policy" && rec.Via == "graphql" && rec.Code == "OK" {
			seen[rec.Name] = true
		}
		return seen["policy.RollbackPolicy"]
	})
	for _, name := range []string{"policy.CreatePolicyDraft", "policy.SavePolicyDraft", "policy.GetPolicyImpact", "policy.ActivatePolicy", "policy.RollbackPolicy"} {
		if !seen[name] {
			t.Errorf("who follows the log saw %v, not %s", seen, name)
		}
	}
}

type draft struct {
	ID       string
	Revision uint64
}

// query executes a document, which must not fail.
func (r *rig) query(t *testing.T, persona, query string, variables map[string]any, into any) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	_, answer := r.send(t, persona, http.MethodPost, "/graphql", http.Header{"Content-Type": {"application/json"}}, string(body))
	var res struct{ Errors, Data json.RawMessage }
	if err := json.Unmarshal([]byte(answer), &res); err != nil || res.Errors != nil {
		t.Fatalf("%s\nanswers %s, %v", query, answer, err)
	}
	if err := json.Unmarshal(res.Data, into); err != nil {
		t.Fatal(err)
	}
}

// follow follows the audit log by a subscription, until the test ends. It returns the events that come after the first.
func (r *rig) follow(t *testing.T, persona string) <-chan string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+"/graphql", strings.NewReader(`{"query":"subscription{auditRecords{record}}"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"text/event-stream"}, "Authorization": {"Bearer " + r.token(t, persona)}}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	events, done := make(chan string, 1000), make(chan struct{})
	go func() {
		defer close(done)
		defer close(events)
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				events <- data
			}
		}
	}()
	t.Cleanup(func() { _ = res.Body.Close(); <-done })
	poll(t, func() bool { // Only what is written from now on is told.
		r.playGraphQL(t, "admin", `{admin{sources{name}}}`)
		return len(events) > 0
	})
	return events
}

// TestAdministrationParity asks for the same through GraphQL and gRPC as different personas: both decide alike, and
// leave records that differ in the door alone.
func TestAdministrationParity(t *testing.T) {
	edit := withPolicy(t, broad)
	r := start(t, nil, func(cfg *config.Config) {
		edit(cfg)
		cfg.Auth.APIKeys = &config.APIKeys{Header: "X-API-Key", MaxLife: time.Hour}
	})
	policies, keys, sources := adminv1.NewPolicyServiceClient(r.grpc), adminv1.NewKeyServiceClient(r.grpc), adminv1.NewSourceServiceClient(r.grpc)
	audits, sessions := adminv1.NewAuditServiceClient(r.grpc), adminv1.NewSessionServiceClient(r.grpc)
	for _, c := range []struct {
		query string
		grpc  func(context.Context) error
		want  map[string]codes.Code
	}{
		{`{admin{policy{id}}}`, func(ctx context.Context) error {
			_, err := policies.GetPolicy(ctx, &adminv1.GetPolicyRequest{})
			return err
		}, map[string]codes.Code{"admin": codes.OK, "dev": codes.PermissionDenied, "guest": codes.PermissionDenied}},
		{`mutation{activatePolicy(id:"none",revision:1){id}}`, func(ctx context.Context) error {
			_, err := policies.ActivatePolicy(ctx, &adminv1.ActivatePolicyRequest{Id: "none", Revision: 1})
			return err
		}, map[string]codes.Code{"admin": codes.FailedPrecondition, "dev": codes.PermissionDenied}},
		{`mutation{revokeKey(id:"none")}`, func(ctx context.Context) error {
			_, err := keys.RevokeKey(ctx, &adminv1.RevokeKeyRequest{Id: "none"})
			return err
		}, map[string]codes.Code{"admin": codes.NotFound, "dev": codes.PermissionDenied}},
		{`mutation{endSession(id:"none")}`, func(ctx context.Context) error {
			_, err := sessions.EndSession(ctx, &adminv1.EndSessionRequest{Id: "none"})
			return err
		}, map[string]codes.Code{"admin": codes.NotFound, "dev": codes.PermissionDenied}},
		{`mutation{revokeCredentials{ended}}`, func(ctx context.Context) error {
			_, err := sessions.RevokeCredentials(ctx, &adminv1.RevokeCredentialsRequest{})
			return err
		}, map[string]codes.Code{"admin": codes.InvalidArgument, "dev": codes.PermissionDenied}},
		{`{admin{sources{name}}}`, func(ctx context.Context) error {
			_, err := sources.ListSources(ctx, &adminv1.ListSourcesRequest{})
			return err
		}, map[string]codes.Code{"admin": codes.OK, "dev": codes.OK, "guest": codes.PermissionDenied}},
		{`{admin{verifyAuditLog{ok}}}`, func(ctx context.Context) error {
			_, err := audits.VerifyLog(ctx, &adminv1.VerifyLogRequest{})
			return err
		}, map[string]codes.Code{"admin": codes.OK, "dev": codes.OK, "guest": codes.PermissionDenied}},
	} {
		for persona, want := range c.want {
			before := len(r.records(t, 0))
			err := c.grpc(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+r.token(t, persona)))
			if status.Code(err) != want {
				t.Errorf("%s as %s: gRPC answers %v, want %v", c.query, persona, err, want)
			}
			answer := r.playGraphQL(t, persona, c.query)
			if code := gateway.Code(want).String(); want == codes.OK && strings.Contains(answer, `"errors"`) || want != codes.OK && !strings.Contains(answer, `"code":"`+code+`"`) {
				t.Errorf("%s as %s: GraphQL answers %s, want %s", c.query, persona, answer, code)
			}
			if want != codes.OK && !strings.Contains(strings.ReplaceAll(answer, `\"`, `"`), status.Convert(err).Message()) {
				t.Errorf("%s as %s: GraphQL answers %s, gRPC %v", c.query, persona, answer, err)
			}
			summary(t, r.records(t, before+2)[before:])
		}
	}
}
