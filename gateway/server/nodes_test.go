package server_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
)

// nodes are two gateways that share their state, as operators run them: without
// the development mode, with the first API key, and with a policy of versions.
type nodes struct {
	all   []*rig
	admin string      // the first API key
	began chan string // doors of calls that run
}

const waiterPolicy = "p, client:key|first, *, admin/**, *, allow\n" +
	"p, role:dev, *, tool/slow/*, call, allow\np, role:dev, *, resource/**, *, allow\np, role:auditor, *, admin/audit, read, allow\np, role:auditor, *, admin/traffic, read, allow\np, role:auditor, *, admin/sources, read, allow\n"

func startNodes(t *testing.T) *nodes {
	t.Helper()
	url := shared(t)
	n := &nodes{began: make(chan string, 64)}
	for range 2 {
		slow := new(gateway.Funcs)
		for _, err := range []error{
			slow.AddTool(json.RawMessage(`{"name":"wait","inputSchema":{"type":"object"}}`), func(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
				n.began <- c.Via
				<-ctx.Done()
				return nil, ctx.Err()
			}),
			slow.AddResource(json.RawMessage(`{"uri":"slow://news","name":"news"}`), func(context.Context, *gateway.Call) (*gateway.Result, error) {
				return gateway.NewResult(json.RawMessage(`{"contents":[]}`))
			}),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		n.all = append(n.all, startWith(t, server.Options{Sources: map[string]gateway.Upstream{"slow": slow}}, func(cfg *config.Config) {
			cfg.Sources = nil
			cfg.State.NATSURL = url
			cfg.Auth.APIKeys = &config.APIKeys{MaxLife: 24 * time.Hour}
			cfg.Limits.CallTimeout = time.Minute
			cfg.Toolsets = []config.Toolset{{Name: "all", Tools: []string{"**"}}}
		}))
	}
	key, err := os.ReadFile(filepath.Join(n.all[0].config.Data, "first-api-key"))
	if err != nil {
		t.Fatal(err)
	}
	n.admin = strings.TrimSpace(string(key))
	n.activate(t, waiterPolicy)
	return n
}

// as returns a context of the administrator.
func (n *nodes) as(t *testing.T) context.Context { return outgoing(t.Context(), n.admin) }

// activate puts a policy in force by the admin API of the first node.
func (n *nodes) activate(t *testing.T, csv string) {
	t.Helper()
	c := adminv1.NewPolicyServiceClient(n.all[0].grpc)
	made, err := c.CreatePolicyDraft(n.as(t), &adminv1.CreatePolicyDraftRequest{Comment: "test"})
	if err != nil {
		t.Fatal(err)
	}
	saved, err := c.SavePolicyDraft(n.as(t), &adminv1.SavePolicyDraftRequest{Id: made.GetDraft().GetId(), Revision: made.GetDraft().GetRevision(), Csv: &csv})
	if err == nil {
		_, err = c.ActivatePolicy(n.as(t), &adminv1.ActivatePolicyRequest{Id: made.GetDraft().GetId(), Revision: saved.GetDraft().GetRevision()})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// key makes an API key by the admin API, which is then good on both nodes.
func (n *nodes) key(t *testing.T, subject string, roles ...string) (secret, id string) {
	t.Helper()
	made, err := adminv1.NewKeyServiceClient(n.all[0].grpc).CreateKey(n.as(t), &adminv1.CreateKeyRequest{Subject: subject, Roles: roles, TtlSeconds: 3600})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range n.all {
		poll(t, func() bool {
			_, err := gatewayv1.NewGatewayServiceClient(r.grpc).ListTools(outgoing(t.Context(), made.GetSecret()), &gatewayv1.ListToolsRequest{})
			return err == nil
		})
	}
	return made.GetSecret(), made.GetKey().GetId()
}
