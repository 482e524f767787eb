package mcp_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

func listen(t testing.TB, srv *httptest.Server, who, filter string) *tap {
	t.Helper()
	return openTap(t, srv, "POST", modern("subscriptions/listen", "", who),
		`{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":`+filter+`,`+modernMeta+`}}`)
}

func ackOf(filter string) string {
	return `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{` + tagged + `,"notifications":` + filter + `}}`
}

func changed(list, tag string) string {
	return `{"jsonrpc":"2.0","method":"notifications/` + list + `/list_changed","params":{` + tag + `}}`
}

func TestListen(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	srv := f.serve(t)
	alice := listen(t, srv, "alice", `{"toolsListChanged":true,"promptsListChanged":true}`)
	alice.want(ackOf(`{"toolsListChanged":true,"promptsListChanged":true}`))
	bob := listen(t, srv, "bob", `{"toolsListChanged":true,"promptsListChanged":false,"resourcesListChanged":true}`)
	bob.want(ackOf(`{"toolsListChanged":true,"resourcesListChanged":true}`))
	prompts := listen(t, srv, "alice", `{"promptsListChanged":true}`)
	prompts.want(ackOf(`{"promptsListChanged":true}`))

	f.addTool(t, "secret.more") // Bob must not hear of it.
	alice.want(changed("tools", tagged))
	f.addTool(t, "more")
	alice.want(changed("tools", tagged))
	bob.want(changed("tools", tagged))
	err := f.funcs.AddPrompt(json.RawMessage(`{"name":"another","description":"Another."}`), func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return nil, errors.New("not asked")
	})
	if err != nil {
		t.Fatal(err)
	}
	f.publish(t)
	alice.want(changed("prompts", tagged))
	prompts.want(changed("prompts", tagged)) // and nothing about tools before

	if got := alice.res.Header.Get("X-Accel-Buffering"); got != "no" {
		t.Errorf("X-Accel-Buffering: %q", got)
	}
	f.frontend.Close()
	for _, s := range []*tap{alice, bob, prompts} {
		s.want(endOfL)
		s.want("end of stream")
	}
	late := listen(t, srv, "alice", `{}`)
	if late.res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a stream was opened after the end: %s", late.res.Status)
	}
}

func TestListenToResources(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	srv := f.serve(t)
	const filter = `{"resourceSubscriptions":["test://text","test://secret","test://nothing","test://item/7"]}`
	bob := listen(t, srv, "bob", filter)
	bob.want(ackOf(`{"resourceSubscriptions":["test://text","test://item/7"]}`))
	f.funcs.Updated("test://secret")
	f.funcs.Updated("test://text")
	bob.want(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{` + tagged + `,"uri":"test://text"}}`)
	f.funcs.Updated("test://item/7")
	bob.want(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{` + tagged + `,"uri":"test://item/7"}}`)

	// What may no longer be seen is no longer told.
	f.funcs.Remove(gateway.KindResource, "test://text")
	f.publish(t)
	f.funcs.Updated("test://text")
	if got := receive(t, f.followed) + receive(t, f.followed); got == "" {
		t.Error("nothing was followed")
	}
	if got := receive(t, f.released); got != "test://text" {
		t.Errorf("released %q", got)
	}
	bob.close()
	if got := receive(t, f.released); got != "test://item/7" {
		t.Errorf("released %q", got)
	}
}

func TestListenEndsWithItsCredential(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	s := listen(t, f.serve(t), "carol", `{"toolsListChanged":true}`)
	s.want(ackOf(`{"toolsListChanged":true}`))
	s.want(endOfL)
	s.want("end of stream")
}

func TestTooManyStreams(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{StreamsPerPrincipal: 1})
	srv := f.serve(t)
	first := listen(t, srv, "alice", `{}`)
	first.want(ackOf(`{}`))
	if s := listen(t, srv, "alice", `{}`); s.res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("second stream: %s", s.res.Status)
	}
	listen(t, srv, "bob", `{}`).want(ackOf(`{}`))
	first.close()
	deadline := time.Now().Add(patience)
	for listen(t, srv, "alice", `{}`).res.StatusCode != http.StatusOK {
		if time.Now().After(deadline) {
			t.Fatal("the place of a closed stream was not freed")
		}
	}
}

func TestKeepAlive(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{KeepAlive: 5 * time.Millisecond})
	s := listen(t, f.serve(t), "alice", `{}`)
	s.want(ackOf(`{}`))
	receive(t, s.beat)
	receive(t, s.beat)
}
