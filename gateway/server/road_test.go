package server_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/gateway"
)

// road returns the functions of this module on its caller's stack, outermost
// first, from the door to the upstream. Generated code is left out, and frames
// of one name that follow each other are one.
func road() []string {
	const module = "github.com/trilith-gateway/trilith/"
	pc := make([]uintptr, 256)
	frames := runtime.CallersFrames(pc[:runtime.Callers(3, pc)])
	var out []string
	for {
		f, more := frames.Next()
		if name, ours := strings.CutPrefix(f.Function, module); ours &&
			!strings.Contains(name, "_test.") && !strings.HasPrefix(name, "api/") && !strings.Contains(name, "/generated.") {
			out = append(out, plain(name))
		}
		if !more {
			break
		}
	}
	slices.Reverse(out)
	return slices.Compact(out)
}

var closure = regexp.MustCompile(`(-fm|\.func\d+|\.\d+)+(\.|$)`)

// plain is a function's name without what the compiler makes of closures: the
// Door's handlers all are auth.(*Door), whatever they were inlined into.
func plain(name string) string {
	if strings.Contains(name, "(*Door).") {
		return "auth.(*Door)"
	}
	return strings.TrimSuffix(closure.ReplaceAllString(name, "."), ".")
}

// TestOneRoad calls one tool through each door and compares the way it took
// with testdata/road.txt. From gateway.(*Gateway).Do on, all ways are one: this
// is the architecture, and it cannot go stale.
func TestOneRoad(t *testing.T) {
	var mu sync.Mutex
	roads := map[string][]string{}
	r := start(t, map[string]gateway.Upstream{"road": roadSource(t, func(via string, way []string) {
		mu.Lock()
		defer mu.Unlock()
		roads[via] = way
	})}, withPolicy(t, "p, role:dev, *, tool/road/*, call, allow\n"))

	if code, body := r.mcp(t, "dev", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"road.walk","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`); code != http.StatusOK {
		t.Errorf("mcp: %d %s", code, body)
	}
	h := func() http.Header { return http.Header{"Content-Type": {"application/json"}} }
	if code, body := r.send(t, "dev", http.MethodPost, "/graphql", h(), `{"query":"mutation{callTool(name:\"road.walk\"){isError}}"}`); code != http.StatusOK {
		t.Errorf("graphql: %d %s", code, body)
	}
	if code, body := r.send(t, "dev", http.MethodPost, "/v1/tools/road.walk:call", h(), `{}`); code != http.StatusOK {
		t.Errorf("rest: %d %s", code, body)
	}
	plainly := func(via string) { // What comes next through a door is another way.
		mu.Lock()
		defer mu.Unlock()
		roads["registry, "+via] = roads[via]
	}
	typed := func(via string) {
		mu.Lock()
		defer mu.Unlock()
		roads[via], roads[via+", typed"] = roads["registry, "+via], roads[via]
	}
	plainly("rest")
	if code, body := r.send(t, "dev", http.MethodPost, "/v1/call/road.walk", h(), `{}`); code != http.StatusOK {
		t.Errorf("rest, typed: %d %s", code, body)
	}
	typed("rest")
	plainly("graphql")
	if code, body := r.send(t, "dev", http.MethodPost, "/graphql", h(), `{"query":"mutation{road_walk{isError}}"}`); code != http.StatusOK || strings.Contains(body, "errors") {
		t.Errorf("graphql, typed: %d %s", code, body)
	}
	typed("graphql")
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+r.token(t, "dev"))
	if _, err := gatewayv1.NewGatewayServiceClient(r.grpc).CallTool(ctx, &gatewayv1.CallToolRequest{Name: "road.walk"}); err != nil {
		t.Errorf("grpc: %v", err)
	}
	plainly("grpc")
	poll(t, func() bool { // The types follow the registry.
		return r.grpc.Invoke(ctx, "/trilith.road.v1.RoadService/Walk", &emptypb.Empty{}, &emptypb.Empty{}) == nil
	})
	typed("grpc")

	var b strings.Builder
	for _, via := range []string{"mcp", "graphql", "graphql, typed", "grpc", "grpc, typed", "rest", "rest, typed"} {
		way := roads[via]
		at := slices.Index(way, "gateway.(*Gateway).Do")
		if at < 0 || !slices.Contains(way[:at], "auth.(*Door)") {
			t.Errorf("%s: the road does not lead through the Door to Do: %q", via, way)
		}
		fmt.Fprintf(&b, "%s\n\t%s\n", via, strings.Join(way, "\n\t"))
	}
	const golden = "testdata/road.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("the road has changed (-want +got):\n%s", diff)
	}
}

func roadSource(t *testing.T, walked func(via string, way []string)) *gateway.Funcs {
	t.Helper()
	f := new(gateway.Funcs)
	err := f.AddTool([]byte(`{"name":"walk","description":"For tests.","inputSchema":{"type":"object"}}`),
		func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
			walked(c.Via, road())
			return gateway.TextResult("ok"), nil
		})
	if err != nil {
		t.Fatal(err)
	}
	return f
}
