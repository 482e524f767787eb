package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// A subject opens something to measure; wait returns once it has closed.
type subject func(context.Context) (e endpoint, wait func() error, err error)

func subjects() map[string]subject {
	return map[string]subject{"bare": bare, "trilith": trilith, "go-sdk": goSDK, "reverse-proxy": reverseProxy, "trilith-proxy": trilithProxy,
		"bare-stream": bareStream, "trilith-streams": streaming(false), "trilith-streams-tls": streaming(true),
		"grpc-orders": grpcOrders, "grpc-proxy": grpcProxy, "trilith-grpc": trilithGRPC}
}

func comparisons() []comparison {
	return []comparison{
		{name: "mcp/call", subjects: []string{"bare", "trilith", "go-sdk"}, request: callEcho},
		{name: "mcp/proxy", upstream: "bare", subjects: []string{"reverse-proxy", "trilith-proxy", direct}, request: callEcho},
		{name: "mcp/list", subjects: []string{"bare", "trilith", "go-sdk"}, request: list},
		{name: "grpc/proxy", upstream: "grpc-orders", subjects: []string{"grpc-proxy", "trilith-grpc", direct}, request: search},
	}
}

const (
	revision = "2026-07-28"
	echoed   = "The quick brown fox jumps over the lazy dog, and 21 °C in the shade: 0123456789."
)

// callEcho is tools/call of revision 2026-07-28 with a token, as a client
// sends it.
func callEcho(e endpoint) requester { return echo(e) }

func echo(e endpoint) request {
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "application/json, text/event-stream")
	h.Set("MCP-Protocol-Version", revision)
	h.Set("Mcp-Method", "tools/call")
	h.Set("Mcp-Name", e.Tool)
	h.Set("Authorization", "Bearer "+e.Token)
	return request{
		url: e.URL, header: h,
		body: []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + e.Tool + `","arguments":{"text":"` + echoed + `"},` +
			`"_meta":{"io.modelcontextprotocol/protocolVersion":"` + revision + `","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`),
		check: func(b []byte) bool { return bytes.Contains(b, []byte(echoed)) },
	}
}

// list is tools/list of a hundred tools and some.
func list(e endpoint) requester {
	r := echo(e)
	r.header.Set("Mcp-Method", "tools/list")
	r.header.Del("Mcp-Name")
	r.body = []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"` + revision +
		`","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`)
	r.check = func(b []byte) bool { return bytes.Count(b, []byte(`"inputSchema"`)) >= many }
	return r
}

// many is how many tools there are to list, each with a schema of usual size.
const many = 100

type tool struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	InputSchema json.RawMessage `json:"inputSchema"`
}

func manyTools() []tool {
	var out []tool
	for i := range many {
		out = append(out, tool{
			Name:        fmt.Sprintf("forecast_%03d", i),
			Description: fmt.Sprintf("Looks up the weather forecast of region %d and answers a short summary.", i),
			InputSchema: json.RawMessage(`{"type":"object","properties":{"city":{"type":"string","description":"City name or postal code","minLength":1,"maxLength":200},"units":{"type":"string","enum":["metric","imperial","standard"]},"days":{"type":"integer","minimum":1,"maximum":16,"description":"Number of days"},"filter":{"type":"object","properties":{"from":{"type":"string"},"to":{"type":"string"},"tags":{"type":"array","items":{"type":"string"},"maxItems":32}},"additionalProperties":false}},"required":["city"],"additionalProperties":false}`),
		})
	}
	return out
}

// listen serves a handler on loopback.
func listen(ctx context.Context, path string, h http.Handler) (endpoint, func() error, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return endpoint{}, nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(path, h)
	s := &http.Server{Handler: mux} //nolint:gosec // For this process alone.
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	return endpoint{URL: "http://" + l.Addr().String() + path, Token: "none", Tool: "demo.echo"}, func() error {
		_ = s.Close()
		<-done
		return nil
	}, nil
}

// bare is the control: net/http, one parse of the envelope, and the same bytes
// that the gateway answers. It is also the server behind proxies, because it
// costs little beside them.
func bare(ctx context.Context) (endpoint, func() error, error) {
	all := append(manyTools(), tool{Name: "demo.echo", Description: "Answers its text.", InputSchema: json.RawMessage(`{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}`)})
	result := []byte(`{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"trilith","version":"devel"}},"content":[{"type":"text","text":"` + echoed + `"}]}`)
	return listen(ctx, "/mcp", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, "read", http.StatusBadRequest)
			return
		}
		var env struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
			Params json.RawMessage `json:"params"`
		}
		if json.Unmarshal(body, &env) != nil {
			http.Error(w, "parse", http.StatusBadRequest)
			return
		}
		result := result
		switch env.Method {
		case "server/discover":
			result = []byte(`{"resultType":"complete","supportedVersions":["` + revision + `"],"capabilities":{"tools":{}},"serverInfo":{"name":"bare","version":"1"},"ttlMs":0,"cacheScope":"public"}`)
		case "tools/list":
			if result, err = json.Marshal(map[string]any{"tools": all}); err != nil {
				http.Error(w, "marshal", http.StatusInternalServerError)
				return
			}
		}
		out := append([]byte(`{"jsonrpc":"2.0","id":`), env.ID...)
		out = append(append(append(out, `,"result":`...), result...), '}')
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(out)))
		_, _ = w.Write(out)
	}))
}

// goSDK is the official SDK's handler as it comes: no identity, no policy, no
// audit.
func goSDK(ctx context.Context) (endpoint, func() error, error) {
	s := sdk.NewServer(&sdk.Implementation{Name: "bench", Version: "1"}, nil)
	type in struct {
		Text string `json:"text"`
	}
	sdk.AddTool(s, &sdk.Tool{Name: "demo.echo"}, func(_ context.Context, _ *sdk.CallToolRequest, in in) (*sdk.CallToolResult, any, error) {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: in.Text}}}, nil, nil
	})
	for _, t := range manyTools() {
		s.AddTool(&sdk.Tool{Name: t.Name, Description: t.Description, InputSchema: t.InputSchema}, func(context.Context, *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
			return &sdk.CallToolResult{}, nil
		})
	}
	return listen(ctx, "/mcp", sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, &sdk.StreamableHTTPOptions{
		Stateless: true, JSONResponse: true, Logger: slog.New(slog.DiscardHandler),
	}))
}

// reverseProxy passes everything on.
func reverseProxy(ctx context.Context) (endpoint, func() error, error) {
	to, err := url.Parse(os.Getenv(upstreamVariable))
	if err != nil {
		return endpoint{}, nil, err
	}
	p := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL, r.Out.Host = to, to.Host },
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}
	return listen(ctx, "/mcp", p)
}

// trilithProxy is the whole gateway in front of the same server.
func trilithProxy(ctx context.Context) (endpoint, func() error, error) {
	up, err := mcp.NewUpstream(mcp.UpstreamOptions{
		Name: "up", URL: os.Getenv(upstreamVariable), AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: time.Minute,
	})
	if err != nil {
		return endpoint{}, nil, err
	}
	return open(ctx, "up.demo.echo", map[string]gateway.Upstream{"up": up})
}

// trilith is the whole gateway: identity, policy, argument validation and the
// audit log on disk, in front of an echo tool.
func trilith(ctx context.Context) (endpoint, func() error, error) {
	f := new(gateway.Funcs)
	for _, t := range manyTools() {
		def, err := json.Marshal(t)
		if err == nil {
			err = f.AddTool(def, func(context.Context, *gateway.Call) (*gateway.Result, error) { return gateway.TextResult("ok"), nil })
		}
		if err != nil {
			return endpoint{}, nil, err
		}
	}
	return open(ctx, "demo.echo", map[string]gateway.Upstream{"bench": f})
}

// open runs a gateway with these sources and the demo toolset.
func open(ctx context.Context, tool string, sources map[string]gateway.Upstream) (endpoint, func() error, error) {
	return openWith(ctx, tool, sources, func(*config.Config) error { return nil })
}

// openWith is open with changes to the configuration.
func openWith(ctx context.Context, tool string, sources map[string]gateway.Upstream, change func(*config.Config) error) (endpoint, func() error, error) {
	return openServer(ctx, tool, sources, change, new(string))
}

// openServer is openWith that also says where gRPC is.
func openServer(ctx context.Context, tool string, sources map[string]gateway.Upstream, change func(*config.Config) error, grpcAddress *string) (endpoint, func() error, error) {
	server.KeepHeap() // As gateway serve does, to the end of the process.
	dir, err := os.MkdirTemp("", "trilith-bench-")
	if err != nil {
		return endpoint{}, nil, err
	}
	cfg := config.Default()
	cfg.Listen.HTTP, cfg.Listen.GRPC, cfg.Data = "127.0.0.1:0", "127.0.0.1:0", dir
	server.DevSources(cfg)
	if err := change(cfg); err != nil {
		return endpoint{}, nil, err
	}
	s, err := server.New(ctx, cfg, server.Options{Dev: &server.Dev{}, Sources: sources})
	if err != nil {
		return endpoint{}, nil, err
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-done:
		return endpoint{}, nil, err
	}
	*grpcAddress = s.GRPCAddr()
	token, err := s.Token("admin")
	return endpoint{URL: s.URL() + "/mcp", Token: token, Tool: tool}, func() error {
		err := <-done
		_ = os.RemoveAll(dir) // What is left is in the system's temporary folder.
		return err
	}, err
}
