package mcp_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

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
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, mcp.FrontendOptions{})
		h := http.Header{"Test-Principal": {"carol"}, "Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
		send := func(ctx context.Context, w http.ResponseWriter, method, body string) {
			r := httptest.NewRequestWithContext(ctx, method, "/mcp", strings.NewReader(body))
			r.Header = h.Clone()
			f.ServeHTTP(w, r)
		}
		w := httptest.NewRecorder()
		send(t.Context(), w, http.MethodPost, initializeIn("2025-11-25"))
		h.Set("Mcp-Session-Id", w.Header().Get("Mcp-Session-Id"))
		send(t.Context(), httptest.NewRecorder(), http.MethodPost, request("resources/subscribe", `{"uri":"test://text"}`))
		receive(t, f.followed)
		receive(t, f.released)
		ctx, stop := context.WithCancel(t.Context())
		stream, served := &eventWriter{}, make(chan struct{})
		go func() {
			defer close(served)
			send(ctx, stream, http.MethodGet, "")
		}()
		receive(t, f.followed)
		f.funcs.Updated("test://text")
		synctest.Wait()
		if got := strings.Join(stream.take(), ""); !strings.Contains(got, "data: "+updatedText("")+"\n") {
			t.Errorf("got %q", got)
		}
		receive(t, f.released)
		stop()
		<-served
	})
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
