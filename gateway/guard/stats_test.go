package guard_test

import (
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/guard"
)

// TestStatsOfEndpoints adds up what the guards of all endpoints have done.
func TestStatsOfEndpoints(t *testing.T) {
	outer, inner := guard.Options{Breaker: usual, Concurrency: guard.Concurrency{Max: 5}}.Split()
	var all []guard.Endpoint
	for _, name := range []string{"a", "b"} {
		up := guard.New(&script{errs: []error{fails(gateway.Unavailable)}}, inner)
		all = append(all, guard.Endpoint{Name: name, Up: up, Weight: 1})
		if name == "b" {
			for range 9 {
				_, _ = up.Do(t.Context(), use(tool(t, "a", writes)))
			}
		}
	}
	e, err := guard.NewEndpoints(all, guard.EndpointsOptions{Source: "s"})
	if err != nil {
		t.Fatal(err)
	}
	if st := guard.New(e, outer).Stats(); st.Breaker != "open" || st.Opened != 1 || st.Refused != 1 || st.Limit != 10 || st.Running != 0 {
		t.Errorf("%+v", st)
	}
}
