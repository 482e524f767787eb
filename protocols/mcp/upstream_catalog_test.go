package mcp_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// TestUpstreamCatalog checks what a careless or hostile list does: bad
// definitions are left out, and endless ones end.
func TestUpstreamCatalog(t *testing.T) {
	watch := func(t *testing.T, url string) (gateway.Catalog, error) {
		t.Helper()
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		for c, err := range openUpstream(t, mcp.UpstreamOptions{URL: url}).Watch(ctx) {
			return c, err
		}
		return gateway.Catalog{}, ctx.Err()
	}
	t.Run("pages and bad definitions", func(t *testing.T) {
		c, err := watch(t, modernServer(t, func(r *received) {
			switch {
			case r.Method != "tools/list":
				r.result(`{}`)
			case r.Params.Cursor == "":
				r.result(`{"tools":[{"name":"a","x-new":{"n":12345678901234567890}},{"name":"bad","inputSchema":{"type":7}},{"noname":1}],"nextCursor":"2"}`)
			default:
				r.result(`{"tools":[{"name":"b"},{"name":"a"},
					{"name":"h","inputSchema":{"type":"object","properties":{"x":{"type":"array","items":{"type":"string","x-mcp-header":"X"}}}}},
					{"name":"n","inputSchema":{"type":"object","properties":{"x":{"type":"number","x-mcp-header":"X"}}}}]}`)
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, tool := range c.Tools {
			names = append(names, tool.Name)
		}
		if diff := cmp.Diff([]string{"a", "b"}, names); diff != "" {
			t.Errorf("tools (-want +got):\n%s", diff)
		}
		if got, want := string(c.Tools[0].Definition), `{"name":"a","x-new":{"n":12345678901234567890}}`; got != want {
			t.Errorf("definition %s, want %s", got, want)
		}
	})
	t.Run("circle", func(t *testing.T) {
		if _, err := watch(t, modernServer(t, func(r *received) { r.result(`{"nextCursor":"again"}`) })); err == nil {
			t.Error("no error")
		}
	})
	t.Run("endless", func(t *testing.T) {
		var n atomic.Int64
		_, err := watch(t, modernServer(t, func(r *received) {
			var list strings.Builder
			for range 500 {
				fmt.Fprintf(&list, `,{"name":"t%d"}`, n.Add(1))
			}
			r.result(fmt.Sprintf(`{"tools":[%s],"nextCursor":"%d"}`, list.String()[1:], n.Load()))
		}))
		if err == nil || n.Load() > 11_000 {
			t.Errorf("%v after %d tools", err, n.Load())
		}
	})
}
