package upstream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/gatewaytest"
	"github.com/trilith-gateway/trilith/protocols/grpc/upstream"
)

// TestUpstream holds the upstream against the contract, over every way to learn what a server offers.
func TestUpstream(t *testing.T) {
	for _, reflect := range []string{"v1", "v1alpha"} {
		t.Run(reflect, func(t *testing.T) {
			gatewaytest.TestUpstream(t, func(t *testing.T) gateway.Upstream {
				s := serveFixture(t, reflect)
				return bareNames{upstreamTo(t, s.addr, func(o *upstream.Options) {
					o.Descriptors = fixtureSet(t, nil) // for the comments
					o.Services = []string{"fixture.v1.Fixture"}
				})}
			}, gatewaytest.LacksPrompts, gatewaytest.LacksResources, gatewaytest.LacksContent, gatewaytest.LacksRefusals, gatewaytest.LacksTotals, gatewaytest.LacksNumbers)
		})
	}
}

// serveFixture serves what the suite calls.
func serveFixture(t testing.TB, reflect string) *fakeServer {
	t.Helper()
	s := serve(t, serverOptions{set: bare(fixtureSet(t, without("grown"))), reflect: reflect})
	text := func(text string) handler {
		return func(_ context.Context, _ string, send func(string) error) error {
			b, err := json.Marshal(map[string]string{"text": text})
			if err != nil {
				return err
			}
			return send(string(b))
		}
	}
	s.on("echo", func(_ context.Context, in string, send func(string) error) error { return send(in) })
	s.on("add", func(_ context.Context, in string, send func(string) error) error {
		var args struct {
			A int64 `json:"a,string"`
			B int64 `json:"b,string"`
		}
		if err := json.Unmarshal([]byte(in), &args); err != nil {
			return err
		}
		return send(fmt.Sprintf(`{"sum":%d}`, args.A+args.B))
	})
	s.on("exact", func(_ context.Context, _ string, send func(string) error) error {
		return send(`{"n":9007199254740993,"tiny":1.0e-7,"b":null,"a":[]}`)
	})
	s.on("fail", func(context.Context, string, func(string) error) error {
		return status.Error(codes.Internal, gatewaytest.FailText)
	})
	s.on("refuse", func(context.Context, string, func(string) error) error {
		return status.Error(codes.FailedPrecondition, gatewaytest.RefuseText)
	})
	s.on("count", func(_ context.Context, in string, send func(string) error) error {
		var args struct{ To int }
		if err := json.Unmarshal([]byte(in), &args); err != nil {
			return err
		}
		for i := range args.To {
			if err := send(fmt.Sprintf(`{"text":"step %d"}`, i+1)); err != nil {
				return err
			}
		}
		return nil
	})
	s.on("wait", func(ctx context.Context, _ string, _ func(string) error) error {
		<-ctx.Done()
		return ctx.Err()
	})
	s.on("touch", text("touched"))
	s.on("grown", text("yes"))
	s.on("grow", func(ctx context.Context, in string, send func(string) error) error {
		s.describe(t, bare(fixtureSet(t, nil)))
		return text("grown")(ctx, in, send)
	})
	return s
}

// bareNames calls tools after their methods alone, as the suite does.
type bareNames struct{ *upstream.Upstream }

const service = "Fixture."

func (b bareNames) Watch(ctx context.Context) iter.Seq2[gateway.Catalog, error] {
	return func(yield func(gateway.Catalog, error) bool) {
		for c, err := range b.Upstream.Watch(ctx) {
			tools := make([]*gateway.Tool, len(c.Tools))
			for i, t := range c.Tools {
				own := *t
				own.Name = own.Name[len(service):]
				own.Origin = own.Name
				tools[i] = &own
			}
			c.Tools = tools
			if !yield(c, err) {
				return
			}
		}
	}
}

func (b bareNames) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	own, target := *call, *call.Target
	target.Origin = service + target.Origin
	own.Target = &target
	return b.Upstream.Do(ctx, &own)
}

var _ io.Closer = bareNames{}
