package mcp_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/trilith-gateway/trilith/gateway"
)

// growingServer is a server of another SDK with a resource to follow and a tool
// that adds a tool.
func growingServer() *sdk.Server {
	s := sdk.NewServer(&sdk.Implementation{Name: "growing", Version: "1"}, &sdk.ServerOptions{
		SubscribeHandler:   func(context.Context, *sdk.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *sdk.UnsubscribeRequest) error { return nil },
	})
	s.AddResource(&sdk.Resource{Name: "watched", URI: "test://watched"}, func(context.Context, *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
		return &sdk.ReadResourceResult{}, nil
	})
	var grow sdk.ToolHandlerFor[struct{}, any]
	n := 0
	grow = func(context.Context, *sdk.CallToolRequest, struct{}) (*sdk.CallToolResult, any, error) {
		n++
		sdk.AddTool(s, &sdk.Tool{Name: fmt.Sprint("grown", n)}, grow)
		return &sdk.CallToolResult{}, nil, nil
	}
	sdk.AddTool(s, &sdk.Tool{Name: "grow"}, grow)
	return s
}

// TestUpstreamHearsOn checks that changes of the lists of a program are heard
// after somebody has ceased to follow a resource of it.
func TestUpstreamHearsOn(t *testing.T) {
	t.Parallel() // It waits most of the time.
	u := openUpstream(t, program(t, "growing"))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	catalogs := make(chan gateway.Catalog, 8)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for c, err := range u.Watch(ctx) {
			if err != nil {
				t.Errorf("watch: %v", err)
				return
			}
			catalogs <- c
		}
	}()
	await := func(tools int) {
		t.Helper()
		for {
			select {
			case c := <-catalogs:
				if len(c.Tools) == tools {
					return
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("no catalog of %d tools", tools)
			}
		}
	}
	await(1)
	following, cease := context.WithCancel(ctx)
	_, err := u.Do(following, &gateway.Call{
		Op: gateway.OpSubscribe, Kind: gateway.KindResource, Name: "test://watched",
		Target:       &gateway.Capability{Kind: gateway.KindResource, Origin: "test://watched"},
		Subscription: &gateway.Subscription{Ready: cease, Updated: func(string) {}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Do(ctx, toolCall("grow", `{}`)); err != nil {
		t.Fatal(err)
	}
	await(2)
	if _, err := u.Do(ctx, toolCall("grow", `{}`)); err != nil {
		t.Fatal(err)
	}
	await(3)
	stop()
	<-ended
}
