package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/gateway"
)

// rawMessage is a codec that sends what it is given in place of a message.
type rawMessage []byte

func (m rawMessage) Marshal(any) ([]byte, error) { return m, nil }
func (m rawMessage) Unmarshal([]byte, any) error { return nil }
func (rawMessage) Name() string                  { return "proto" }

// overGRPC makes one gRPC call as dev and returns the code and the message.
func overGRPC(call func(context.Context, *rig) error) func(*testing.T, *rig) string {
	return func(t *testing.T, r *rig) string {
		err := call(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+r.token(t, "dev")), r)
		return gateway.Code(status.Code(err)).String() + " " + fmt.Sprint(status.Convert(err).Proto())
	}
}

func badGRPC() []badInput {
	const route = "/gateway.v1.GatewayService/"
	invoke := func(method string, opts ...grpc.CallOption) func(*testing.T, *rig) string {
		return overGRPC(func(ctx context.Context, r *rig) error {
			return r.grpc.Invoke(ctx, method, &gatewayv1.ListToolsRequest{}, &gatewayv1.ListToolsResponse{}, opts...)
		})
	}
	list := func(req *gatewayv1.ListToolsRequest) func(*testing.T, *rig) string {
		return overGRPC(func(ctx context.Context, r *rig) error {
			_, err := gatewayv1.NewGatewayServiceClient(r.grpc).ListTools(ctx, req)
			return err
		})
	}
	call := func(args string) func(*testing.T, *rig) string {
		return overGRPC(func(ctx context.Context, r *rig) error {
			_, err := gatewayv1.NewGatewayServiceClient(r.grpc).CallTool(ctx, &gatewayv1.CallToolRequest{Name: "demo.add", ArgumentsJson: args})
			return err
		})
	}
	stream := func(args string) func(*testing.T, *rig) string {
		return overGRPC(func(ctx context.Context, r *rig) error {
			s, err := gatewayv1.NewGatewayServiceClient(r.grpc).CallToolStream(ctx, &gatewayv1.CallToolStreamRequest{Name: "demo.add", ArgumentsJson: args})
			if err == nil {
				_, err = s.Recv()
			}
			return err
		})
	}
	const args = `grpc INVALID_ARGUMENT by=grpc as=Dee Developer call "demo.add"`
	const refused = `grpc INVALID_ARGUMENT by=grpc as=Dee Developer  "` + route + `ListTools"`
	return []badInput{
		{"grpc: malformed arguments_json", call(`{"a":"` + marker), `INVALID_ARGUMENT`, args},
		{"grpc: duplicate key", call(`{"a":1,"a":"` + marker + `"}`), `INVALID_ARGUMENT`, args},
		{"grpc: too deep", call(strings.Repeat(`[`, 100)), `INVALID_ARGUMENT`, args},
		{"grpc: oversized arguments_json", call(`{"a":"` + strings.Repeat(marker, bodyMost/5) + `"}`), `INVALID_ARGUMENT`, args},
		{"grpc: arguments are a list", call(`["` + marker + `"]`), `INVALID_ARGUMENT`, args},
		{"grpc: stream of malformed arguments_json", stream(`{"a":"` + marker), `INVALID_ARGUMENT`, args},
		{"grpc: page token", list(&gatewayv1.ListToolsRequest{PageToken: marker}), `INVALID_ARGUMENT`, refused},
		{"grpc: page size", list(&gatewayv1.ListToolsRequest{PageSize: -1}), `INVALID_ARGUMENT`, refused},
		{"grpc: oversized message", list(&gatewayv1.ListToolsRequest{PageToken: strings.Repeat("x", 5<<20)}), `RESOURCE_EXHAUSTED`, strings.Replace(refused, "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", 1)},
		{"grpc: not a message", invoke(route+"ListTools", grpc.ForceCodec(rawMessage("\xff"+marker))), `INTERNAL`, strings.Replace(refused, "INVALID_ARGUMENT", "INTERNAL", 1)},
		{"grpc: unknown method", invoke(route + "Nothing"), `UNIMPLEMENTED`, `grpc UNIMPLEMENTED by=grpc as=Dee Developer  "` + route + `Nothing"`},
		{"grpc: unknown service", invoke("/other.Service/Method"), `UNIMPLEMENTED`, `grpc UNIMPLEMENTED by=grpc as=Dee Developer  "/other.Service/Method"`},
		{"grpc: completion of nothing", overGRPC(func(ctx context.Context, r *rig) error {
			_, err := gatewayv1.NewGatewayServiceClient(r.grpc).Complete(ctx, &gatewayv1.CompleteRequest{Argument: marker})
			return err
		}), `INVALID_ARGUMENT`, `grpc INVALID_ARGUMENT by=grpc as=Dee Developer complete ""`},
		{"grpc: endless URI", overGRPC(func(ctx context.Context, r *rig) error {
			_, err := gatewayv1.NewGatewayServiceClient(r.grpc).ReadResource(ctx, &gatewayv1.ReadResourceRequest{Uri: "demo://" + strings.Repeat("x", 9<<10)})
			return err
		}), `INVALID_ARGUMENT`, `grpc INVALID_ARGUMENT by=grpc as=Dee Developer read "demo://` + strings.Repeat("x", 57) + `"`},
		{"grpc: unknown tool's definition", overGRPC(func(ctx context.Context, r *rig) error {
			_, err := gatewayv1.NewGatewayServiceClient(r.grpc).GetTool(ctx, &gatewayv1.GetToolRequest{Name: "demo.nope"})
			return err
		}), `NOT_FOUND`, `grpc NOT_FOUND by=grpc as=Dee Developer  "demo.nope"`},
	}
}
