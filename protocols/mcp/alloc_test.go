//go:build !race

package mcp_test

import "testing"

// TestAllocations bounds what one request allocates in this layer and the road
// behind it, which has no gates here.
func TestAllocations(t *testing.T) {
	f := benchFrontend(t)
	session := benchSession(t, f)
	for _, tt := range []struct {
		name, body, session string
		most                float64
	}{
		{"modern call", benchModernCall, "", 12},
		{"modern list", benchModernList, "", 10},
		{"legacy call", benchLegacyCall, session, 26},
		{"legacy list", benchLegacyList, session, 16},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := testing.AllocsPerRun(200, direct(t, f, tt.body, tt.session))
			t.Logf("%v allocations", got)
			if got > tt.most {
				t.Errorf("%v allocations, at most %v", got, tt.most)
			}
		})
	}
}
