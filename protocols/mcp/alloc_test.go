//go:build !race

package mcp_test

import (
	"net"
	"testing"

	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// TestAllocations bounds what one request allocates in this layer and the road
// behind it, which has no gates here.
func TestAllocations(t *testing.T) {
	f := benchFrontend(t)
	session := benchSession(t, f)
	for _, tt := range []struct {
		name, body, session string
		most                float64
	}{
		{"modern call", benchModernCall, "", 8},
		{"modern list", benchModernList, "", 8},
		{"legacy call", benchLegacyCall, session, 21},
		{"legacy list", benchLegacyList, session, 15},
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

// TestUpstreamAllocations bounds what a call to a server behind HTTP allocates,
// from the call to the result. The server allocates nothing.
func TestUpstreamAllocations(t *testing.T) {
	out := make([]byte, 0, 1<<10)
	u := openUpstream(t, mcp.UpstreamOptions{URL: rawServer(t, func(c net.Conn, id, _ []byte) {
		out = appendRaw(out[:0], id, benchRawResult)
		c.Write(out)
	})})
	call := toolCall("tool_042", `{"city":"Zurich","days":3}`)
	const most = 10
	got := testing.AllocsPerRun(200, func() {
		if _, err := u.Do(t.Context(), call); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%v allocations", got)
	if got > most {
		t.Errorf("%v allocations, at most %v", got, most)
	}
}
