package mcp_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/trilith-gateway/trilith/protocols/mcp"
)

func updatedText(tag string) string {
	return `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{` + tag + `"uri":"test://text"}}`
}

// TestLostFollow has an upstream stop watching: a modern client is told by the
// end of its stream, a legacy one by an update.
func TestLostFollow(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	srv := f.serve(t)
	s := listen(t, srv, "alice", `{"resourceSubscriptions":["test://text"]}`)
	s.want(ackOf(`{"resourceSubscriptions":["test://text"]}`))
	f.lose <- struct{}{}
	s.want(endOfL)
	s.want("end of stream")

	h := begin(t, srv, "alice")
	stream := openTap(t, srv, "GET", h, "")
	const subscribe = `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"test://text"}}`
	post(t, srv, h, subscribe)
	f.lose <- struct{}{}
	stream.want(updatedText(""))
	post(t, srv, h, subscribe) // It may be taken up again.
	f.funcs.Updated("test://text")
	stream.want(updatedText(""))
}

// TestExpiredFollow has a credential end: the next stream, with a fresh one,
// takes up what the session follows.
func TestExpiredFollow(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	srv := f.serve(t)
	h := begin(t, srv, "carol")
	post(t, srv, h, `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"test://text"}}`)
	receive(t, f.followed)
	receive(t, f.released)
	stream := openTap(t, srv, "GET", h, "")
	receive(t, f.followed)
	f.funcs.Updated("test://text")
	if got := stream.next(); got != updatedText("") && got != "end of stream" {
		t.Errorf("got %s", got)
	}
	receive(t, f.released)
}

func TestTooManyFollows(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	srv := f.serve(t)
	h := begin(t, srv, "alice")
	const most = 256
	for i := range most + 1 {
		status, body := post(t, srv, h, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"test://item/%d"}}`, i))
		want := `{"jsonrpc":"2.0","id":1,"result":{}}`
		if i == most {
			want = `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"too many subscriptions","data":{"code":"RESOURCE_EXHAUSTED"}}}`
		}
		if status != http.StatusOK || body != want {
			t.Fatalf("subscription %d: %d %s", i, status, body)
		}
	}
}
