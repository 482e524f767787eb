package mcp_test

import (
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/gatewaytest"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// TestUpstream puts this package's upstream in front of its own frontend, in
// every era and over every transport, and holds the pair against the contract.
func TestUpstream(t *testing.T) {
	for _, era := range []string{"auto", "legacy"} {
		t.Run("http "+era, func(t *testing.T) {
			gatewaytest.TestUpstream(t, func(t *testing.T) gateway.Upstream {
				return openUpstream(t, mcp.UpstreamOptions{URL: serveFixture(t), Era: era})
			})
		})
		t.Run("stdio "+era, func(t *testing.T) {
			gatewaytest.TestUpstream(t, func(t *testing.T) gateway.Upstream {
				o := program(t, "fixture")
				o.Era = era
				return openUpstream(t, o)
			})
		})
	}
}
