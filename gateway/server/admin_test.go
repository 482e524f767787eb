package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/gateway"
)

// TestAdministration lists and ends a session, over gRPC and REST, as whoever
// the policy lets administer; others learn nothing.
func TestAdministration(t *testing.T) {
	r := start(t, map[string]gateway.Upstream{"lab": lab(t)}, withPolicy(t, labPolicy+"p, role:admin, *, admin/**, *, allow\np, role:dev, *, admin/sessions, read, allow\n"))
	stream := r.watch(t, "dev")
	as := func(persona string) (adminv1.SessionServiceClient, metadata.MD) {
		return adminv1.NewSessionServiceClient(r.grpc), metadata.Pairs("authorization", "Bearer "+r.token(t, persona))
	}
	c, md := as("dev")
	list, err := c.ListSessions(metadata.NewOutgoingContext(t.Context(), md), &adminv1.ListSessionsRequest{})
	if err != nil || list.GetTotal() != 1 || list.GetSessions()[0].GetVia() != "rest" {
		t.Fatalf("sessions %v, %v", list, err)
	}
	id := list.GetSessions()[0].GetId()
	if _, err = c.EndSession(metadata.NewOutgoingContext(t.Context(), md), &adminv1.EndSessionRequest{Id: id}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("who may only look ended a session: %v", err)
	}
	c, md = as("guest")
	if _, err = c.ListSessions(metadata.NewOutgoingContext(t.Context(), md), &adminv1.ListSessionsRequest{}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a guest listed sessions: %v", err)
	}
	code, body := r.send(t, "admin", http.MethodDelete, "/admin/v1/sessions/"+id, nil, "")
	if code != http.StatusOK {
		t.Errorf("DELETE answered %d %s", code, body)
	}
	if rest, err := io.ReadAll(stream); err != nil || !strings.Contains(string(rest), "an administrator has ended the session") {
		t.Errorf("the stream ended with %q, %v", rest, err)
	}
}

// watch follows the capabilities over REST, until the test ends.
func (r *rig) watch(t *testing.T, persona string) io.Reader {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+"/v1/capabilities:watch", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token(t, persona))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	if _, err := res.Body.Read(make([]byte, 1)); err != nil { // The stream has begun.
		t.Fatal(err)
	}
	return res.Body
}
