package mcp_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// TestUpstreamEndpoint checks where a server of two endpoints can have messages
// sent, and what it is when it names none.
func TestUpstreamEndpoint(t *testing.T) {
	var elsewhere atomic.Int32
	other := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	for name, tt := range map[string]struct {
		event []string
		works bool
	}{
		"relative":       {[]string{"event: endpoint", "data: /said?s=1"}, true},
		"absolute":       {[]string{"event: endpoint", "data: $SELF/said?s=1"}, true},
		"another origin": {[]string{"event: endpoint", "data: " + other + "/said?s=1"}, false},
		"without scheme": {[]string{"event: endpoint", "data: //" + strings.TrimPrefix(other, "http://") + "/said"}, false},
		"another scheme": {[]string{"event: endpoint", "data: https:$HOST/said"}, false},
		"credentials":    {[]string{"event: endpoint", "data: http://u:p@$HOST/said"}, false},
		"not a URL":      {[]string{"event: endpoint", "data: ::"}, false},
		"no endpoint":    {[]string{`data: {"jsonrpc":"2.0","id":1,"result":{}}`}, false},
	} {
		t.Run(name, func(t *testing.T) {
			said := make(chan string, 8)
			url := serve(t, fake(t, func(r *received) {
				switch {
				case r.http.Method == http.MethodGet:
					for i := range tt.event {
						tt.event[i] = strings.NewReplacer("$SELF", "http://"+r.http.Host, "$HOST", "//"+r.http.Host).Replace(tt.event[i])
					}
					r.event(tt.event...)
					for {
						select {
						case line := <-said:
							r.event("event: message", "data: "+line)
						case <-r.http.Context().Done():
							return
						}
					}
				case r.http.URL.Path != "/said":
					r.answer.WriteHeader(http.StatusMethodNotAllowed)
				default:
					r.answer.WriteHeader(http.StatusAccepted)
					switch r.Method {
					case "initialize":
						said <- `{"jsonrpc":"2.0","id":` + string(r.ID) + `,"result":` + strings.Replace(legacyServer, "2025-06-18", "2024-11-05", 1) + `}`
					case "tools/call":
						said <- `{"jsonrpc":"2.0","id":99,"result":{}}`
						said <- `{"jsonrpc":"2.0","id":` + string(r.ID) + `,"result":{"content":[]}}`
					}
				}
			}))
			u := openUpstream(t, mcp.UpstreamOptions{URL: url + "/sse", Headers: http.Header{"Authorization": {"Bearer x"}}})
			_, err := u.Do(t.Context(), toolCall("x", `{}`))
			if works := err == nil; works != tt.works {
				t.Errorf("works: %v (%v), want %v", works, err, tt.works)
			}
		})
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d requests reached another origin", n)
	}
}
