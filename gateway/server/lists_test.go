package server_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/gateway"
)

// TestNotCallableMeansNotListed asks every door for its tools, as every
// persona, and calls every tool: what is listed can be called, what is not
// listed cannot, and all doors agree.
func TestNotCallableMeansNotListed(t *testing.T) {
	r := start(t, map[string]gateway.Upstream{"lab": lab(t)}, withPolicy(t, labPolicy))
	all := r.Gateway().View(admin).Tools
	if len(all) < 5 {
		t.Fatalf("the administrator sees %d tools", len(all))
	}
	for _, persona := range []string{"admin", "dev", "guest"} {
		t.Run(persona, func(t *testing.T) {
			caller := &gateway.Principal{ID: "test|user|" + persona, Kind: "user", Subject: persona, Roles: []string{persona}}
			var callable []string
			for _, tool := range all {
				if tool.Name == "lab.hang" || tool.Name == "lab.panic" {
					continue
				}
				_, err := r.Gateway().Do(t.Context(), &gateway.Call{Op: gateway.OpCall, Name: tool.Name, Principal: caller})
				if e := gateway.AsError(err); e == nil || e.By != "policy" {
					callable = append(callable, tool.Name)
				}
			}
			for via, list := range map[string][]string{
				"mcp": r.listMCP(t, persona), "graphql": r.listGraphQL(t, persona), "grpc": r.listGRPC(t, persona), "rest": r.listREST(t, persona),
			} {
				list = slices.DeleteFunc(list, func(n string) bool { return n == "lab.hang" || n == "lab.panic" })
				if diff := cmp.Diff(callable, list); diff != "" {
					t.Errorf("%s (-callable +listed):\n%s", via, diff)
				}
			}
		})
	}
}

type named struct {
	Name string `json:"name"`
}

func names(all []named) (out []string) {
	for _, n := range all {
		out = append(out, n.Name)
	}
	return out
}

func (r *rig) listMCP(t *testing.T, persona string) []string {
	t.Helper()
	var a struct {
		Result struct {
			Tools []named `json:"tools"`
		} `json:"result"`
	}
	_, body := r.mcp(t, persona, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`)
	decode(t, body, &a)
	return names(a.Result.Tools)
}

func (r *rig) listGraphQL(t *testing.T, persona string) []string {
	t.Helper()
	var a struct {
		Data struct {
			Tools struct {
				Nodes []struct {
					Node named `json:"node"`
				} `json:"edges"`
			} `json:"tools"`
		} `json:"data"`
	}
	_, body := r.send(t, persona, http.MethodPost, "/graphql", http.Header{"Content-Type": {"application/json"}}, `{"query":"{tools{edges{node{name}}}}"}`)
	decode(t, body, &a)
	var out []string
	for _, e := range a.Data.Tools.Nodes {
		out = append(out, e.Node.Name)
	}
	return out
}

func (r *rig) listGRPC(t *testing.T, persona string) (out []string) {
	t.Helper()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+r.token(t, persona))
	res, err := gatewayv1.NewGatewayServiceClient(r.grpc).ListTools(ctx, &gatewayv1.ListToolsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range res.GetTools() {
		out = append(out, tool.GetName())
	}
	return out
}

func (r *rig) listREST(t *testing.T, persona string) []string {
	t.Helper()
	var a struct {
		Tools []named `json:"tools"`
	}
	_, body := r.send(t, persona, http.MethodGet, "/v1/tools", nil, "")
	if body == "" {
		t.Fatal("no answer")
	}
	decode(t, body, &a)
	return names(a.Tools)
}
