package server_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
)

// TestRightsEndWhatIsHeld opens everything that can be held open, on the node
// that answers the administrator and on another, then takes the credential or
// the rights away: all of it ends at once, in its protocol's words,
// and a revoked credential opens nothing more.
func TestRightsEndWhatIsHeld(t *testing.T) {
	n := startNodes(t)
	for _, c := range []struct {
		name  string
		take  func(t *testing.T, id string) error
		after func(ending) string
	}{
		{"credentials", func(t *testing.T, _ string) error {
			_, err := adminv1.NewSessionServiceClient(n.all[0].grpc).RevokeCredentials(n.as(t), &adminv1.RevokeCredentialsRequest{Principal: "key|client|credentials"})
			return err
		}, func(e ending) string { return e.revoked }},
		{"key", func(t *testing.T, id string) error {
			_, err := adminv1.NewKeyServiceClient(n.all[0].grpc).RevokeKey(n.as(t), &adminv1.RevokeKeyRequest{Id: id})
			return err
		}, func(e ending) string { return e.revoked }},
		{"activation", func(t *testing.T, _ string) error {
			n.activate(t, "p, client:key|first, *, admin/**, *, allow\n")
			return nil
		}, func(e ending) string { return e.refused }},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, id := n.key(t, c.name, "dev", "auditor")
			var all []held
			for _, r := range n.all {
				for name := range holders() {
					all = append(all, n.hold(t, r, name, key))
				}
			}
			if err := c.take(t, id); err != nil {
				t.Fatal(err)
			}
			late, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			stay := 0
			for _, h := range all {
				want := c.after(endings()[h.name])
				if want == "stays" {
					stay++
					continue
				}
				h.endsWith(late, t, want)
			}
			if stay > 0 {
				for _, h := range all {
					if c.after(endings()[h.name]) == "stays" && len(h.ended) > 0 {
						t.Errorf("%s did not stay: %s", h.name, <-h.ended)
					}
				}
				return
			}
			n.shutOut(t, key)
		})
	}
}

// shutOut sends requests with a credential that was revoked to every door.
func (n *nodes) shutOut(t *testing.T, key string) {
	t.Helper()
	for i, r := range n.all {
		for path, body := range map[string]string{"/mcp": forbidden, "/mcp/all": forbidden, "/graphql": `{"query":"{viewer{id}}"}`, "/v1/tools/slow.wait:call": "{}", "/messages": forbidden} {
			if code, _, answer := r.post(t, path, key, body); code != http.StatusUnauthorized {
				t.Errorf("node %d, %s: %d %s", i, path, code, answer)
			}
		}
		if _, err := gatewayv1.NewGatewayServiceClient(r.grpc).ListTools(outgoing(t.Context(), key), &gatewayv1.ListToolsRequest{}); status.Code(err) != codes.Unauthenticated {
			t.Errorf("node %d, gRPC: %v", i, err)
		}
	}
}
