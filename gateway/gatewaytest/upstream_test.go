package gatewaytest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/gatewaytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestFuncs holds the reference against the suite.
func TestFuncs(t *testing.T) {
	gatewaytest.TestUpstream(t, func(t *testing.T) gateway.Upstream {
		f, err := gatewaytest.NewFixture()
		if err != nil {
			t.Fatal(err)
		}
		return f
	})
}
