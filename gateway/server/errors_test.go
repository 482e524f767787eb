package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/gateway"
)

const errorsDoc = "../../docs/errors.md"

// meanings say for readers of docs/errors.md what each code means.
func meanings() map[gateway.Code]string {
	return map[gateway.Code]string{
		gateway.Canceled:           "The caller went away or cancelled.",
		gateway.Unknown:            "The source failed and did not say how.",
		gateway.InvalidArgument:    "The call or its arguments are malformed. Mend the call.",
		gateway.DeadlineExceeded:   "The call took longer than it was given.",
		gateway.NotFound:           "No such capability, or not one that you may see.",
		gateway.AlreadyExists:      "What was to be made exists.",
		gateway.PermissionDenied:   "You may see the capability but not do this with it.",
		gateway.ResourceExhausted:  "A limit refused the call. Try again after the time given.",
		gateway.FailedPrecondition: "The state of the system does not allow the call.",
		gateway.Aborted:            "A concurrent change won. Try again.",
		gateway.OutOfRange:         "Past the end, such as an expired cursor.",
		gateway.Unimplemented:      "The capability exists but cannot do that.",
		gateway.Internal:           "A bug, here or in the source. The operator sees the cause.",
		gateway.Unavailable:        "The source is away. Try again later.",
		gateway.DataLoss:           "What was stored cannot be read.",
		gateway.Unauthenticated:    "No credential, or one that is not valid.",
	}
}

// TestErrorsReference asks every door what it makes of every code, and holds
// docs/errors.md against the answers; -update rewrites the table.
func TestErrorsReference(t *testing.T) {
	r := start(t, map[string]gateway.Upstream{"lab": unbroken(t)}, withPolicy(t, labPolicy))
	var b bytes.Buffer
	b.WriteString("# Errors\n\nEvery refusal has one code, the same through every door. This table is made by asking the doors; a test\n" +
		"keeps it true. A tool that ran and failed is not a refusal: it is a result with `isError`.\n\n" +
		"| code | MCP error | GraphQL `extensions.code` | gRPC status | HTTP status (REST) | what it means |\n|---|---|---|---|---|---|\n")
	for code := gateway.Canceled; int(code) < gateway.CodeCount; code++ {
		args := fmt.Sprintf(`{"code":%d}`, code)
		mcp, graphql, grpc := r.codeMCP(t, args), r.codeGraphQL(t, args), r.codeGRPC(t, args)
		rest, _ := r.send(t, "dev", http.MethodPost, "/v1/tools/lab.fail:call", http.Header{"Content-Type": {"application/json"}}, args)
		fmt.Fprintf(&b, "| `%s` | %d | `%s` | `%s` | %d | %s |\n", code, mcp, graphql, grpc, rest, meanings()[code])
	}
	b.WriteString(`
The answer holds more where there is more to say:

| | MCP ` + "`error.data`" + ` | GraphQL ` + "`extensions`" + ` | gRPC status details | REST problem document |
|---|---|---|---|---|
| what is wrong with the arguments | the message (a tool's: a result with ` + "`isError`" + `) | ` + "`violations`" + ` | ` + "`BadRequest`" + ` | ` + "`violations`" + ` |
| when to try again | ` + "`retryAfterMs`" + ` | ` + "`retryAfterMs`" + ` | ` + "`RetryInfo`" + ` | header ` + "`Retry-After`" + ` |
| what the source said | ` + "`data`" + ` | ` + "`data`" + ` | ` + "`UpstreamDetail`" + ` | ` + "`data`" + ` |

The door itself answers 401 with a challenge (RFC 6750, RFC 9728) or ` + "`Unauthenticated`" + ` before a request
becomes a call, and 403 for a foreign ` + "`Origin`" + ` or ` + "`Host`" + `.
`)
	if *update {
		if err := os.WriteFile(errorsDoc, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(errorsDoc)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("docs/errors.md is out of date, run make generate (-doc +real):\n%s", diff)
	}
}

func (r *rig) codeMCP(t *testing.T, args string) int {
	t.Helper()
	_, body := r.mcp(t, "dev", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"lab.fail","arguments":`+args+`,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`)
	var answer struct {
		Error struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	decode(t, body, &answer)
	return answer.Error.Code
}

func (r *rig) codeGraphQL(t *testing.T, args string) string {
	t.Helper()
	_, body := r.send(t, "dev", http.MethodPost, "/graphql", http.Header{"Content-Type": {"application/json"}},
		`{"query":"mutation($a:JSON){callTool(name:\"lab.fail\",arguments:$a){isError}}","variables":{"a":`+args+`}}`)
	var answer struct {
		Errors []struct {
			Extensions struct {
				Code string `json:"code"`
			} `json:"extensions"`
		} `json:"errors"`
	}
	decode(t, body, &answer)
	if len(answer.Errors) != 1 {
		t.Fatalf("graphql: %s", body)
	}
	return answer.Errors[0].Extensions.Code
}

func (r *rig) codeGRPC(t *testing.T, args string) string {
	t.Helper()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+r.token(t, "dev"))
	_, err := gatewayv1.NewGatewayServiceClient(r.grpc).CallTool(ctx, &gatewayv1.CallToolRequest{Name: "lab.fail", ArgumentsJson: args})
	return status.Code(err).String()
}

func decode(t *testing.T, body string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
}
