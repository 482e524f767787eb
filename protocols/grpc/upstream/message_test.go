package upstream_test

import (
	"bytes"
	"context"
	"testing"

	"google.golang.org/grpc"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/gatewaytest"
	"github.com/trilith-gateway/trilith/protocols/grpc/upstream"
	"github.com/trilith-gateway/trilith/schema/protoschema"
	"github.com/trilith-gateway/trilith/schema/transcode"
)

// planOf returns what a door makes of a tool's output schema.
func planOf(t *testing.T, tool *gateway.Tool) *transcode.Plan {
	t.Helper()
	module, err := protoschema.Compile([]protoschema.Method{{Key: "tool/t", Name: "t", Input: tool.Input.JSON(), Output: tool.Output.JSON()}},
		protoschema.NewLock("t", "trilith.t.v1"))
	if err != nil {
		t.Fatal(err)
	}
	return transcode.NewCompiler(transcode.Options{
		Dialect: transcode.ToolJSON, Absent: module.Absent, Inline: module.Inline, Whole: module.Whole,
	}).Plan(module.RPCs[0].Output)
}

// TestMessage asks for messages instead of JSON: they must be those that the JSON makes. What has no such message, or
// comes in pieces, is JSON as ever.
func TestMessage(t *testing.T) {
	s, u, _, c := fixture(t, nil)
	s.on("exact", func(_ context.Context, _ string, send func(string) error) error {
		return send(`{"n":"-7","tiny":1e-300,"b":{"x":[null,1]},"a":["","é\u0000"]}`)
	})
	s.on("Nest", func(_ context.Context, in string, send func(string) error) error { return send(in) })
	s.on("Wrapped", func(_ context.Context, _ string, send func(string) error) error {
		return send(`"2026-11-24T00:00:00Z"`)
	})
	s.on("Free", func(_ context.Context, in string, send func(string) error) error { return send(in) })
	for _, test := range []struct {
		tool, args string
		message    bool
	}{
		{"Fixture.exact", `{}`, true},
		{"Odd.Nest", `{"name":"a","children":[{"children":[{"name":"b"}]},{}]}`, true},
		{"Odd.Wrapped", `{"value":"x"}`, false},
		{"Odd.Free", `{"x":1}`, false},
	} {
		want, err := call(t.Context(), u, test.tool, test.args, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // A door has another plan when the tool has changed.
			to := planOf(t, toolOf(t, c, test.tool))
			got := into(t, u, test.tool, test.args, to)
			parts, err := got.Parts()
			if err != nil || (got.Message != nil) != test.message || !equalJSON(t, parts.Structured, string(want.Structured())) {
				t.Errorf("%s: message %x, %s, %v, want %s", test.tool, got.Message, got.JSON(), err, want.Raw)
			}
			if !test.message {
				continue
			}
			if message, err := to.AppendWire(nil, parts.Structured); err != nil || !bytes.Equal(message, got.Message) {
				t.Errorf("%s: message %x, the JSON makes %x, %v", test.tool, got.Message, message, err)
			}
		}
	}
}

// TestMessagePieces has a server that sends a field twice.
func TestMessagePieces(t *testing.T) {
	pieces := []byte{0x0a, 1, 'a', 0x0a, 1, 'b'}
	addr := listen(t, grpc.NewServer(grpc.ForceServerCodecV2(rawFrames{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		var in []byte
		if err := stream.RecvMsg(&in); err != nil {
			return err
		}
		return stream.SendMsg(pieces)
	})))
	u := upstreamTo(t, addr, func(o *upstream.Options) { o.Reflection, o.Descriptors = false, fixtureSet(t, nil) })
	c := watch(t, u).catalog(t)
	got := into(t, u, "Odd.Nest", `{}`, planOf(t, toolOf(t, c, "Odd.Nest")))
	if got.Message != nil || !equalJSON(t, got.Structured(), `{"name":"b","children":[]}`) {
		t.Errorf("message %x, %s", got.Message, got.Raw)
	}
}

func into(t *testing.T, u *upstream.Upstream, tool, args string, to *transcode.Plan) *gateway.Result {
	t.Helper()
	res, err := u.Do(t.Context(), &gateway.Call{
		Op: gateway.OpCall, Kind: gateway.KindTool, Name: tool, Args: []byte(args), Principal: gatewaytest.Caller(), Via: "test",
		Target: &gateway.Capability{Kind: gateway.KindTool, Name: tool, Origin: tool}, Into: to,
	})
	if err != nil {
		t.Fatal(err)
	}
	return res
}
