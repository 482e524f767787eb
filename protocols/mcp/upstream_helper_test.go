package mcp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/gatewaytest"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// programVariable makes the test binary an MCP server on its standard input and
// output, of the kind that it names.
const programVariable = "TRILITH_TEST_PROGRAM"

// runProgram serves as the program that the environment asks for, if any, and
// reports whether it did.
func runProgram() bool {
	kind := os.Getenv(programVariable)
	if kind == "" {
		return false
	}
	if err := programs()[kind](); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// frontendOf returns the MCP door of a gateway that follows one source until
// the context ends.
func frontendOf(ctx context.Context, source gateway.Upstream) (*mcp.Frontend, error) {
	reg := &gateway.Registry{}
	first := make(chan error, 1)
	go reg.Follow(ctx, "origin", source, gateway.Options{}, func(err error) {
		select {
		case first <- err:
		default: // Nobody asks about later ones.
		}
	})
	if err := <-first; err != nil {
		return nil, err
	}
	gw, err := gateway.New(reg, nil, nil)
	if err != nil {
		return nil, err
	}
	return mcp.NewFrontend(gw, mcp.FrontendOptions{}), nil
}

// programs are the servers that the test binary can be.
func programs() map[string]func() error {
	return map[string]func() error{
		"fixture": func() error {
			ctx, stop := context.WithCancel(context.Background())
			defer stop()
			f, err := fixtureFrontend(ctx)
			if err != nil {
				return err
			}
			return f.ServeStdio(ctx, os.Stdin, os.Stdout, gatewaytest.Caller())
		},
		"mischief":      mischief,
		"asking":        func() error { return askingServer().Run(context.Background(), &sdk.StdioTransport{}) },
		"busy":          func() error { return busyServer().Run(context.Background(), &sdk.StdioTransport{}) },
		"corpus":        func() error { return overPipe(true) },
		"corpus of old": func() error { return overPipe(false) },
		"growing":       func() error { return growingServer().Run(context.Background(), &sdk.StdioTransport{}) },
	}
}

func fixtureFrontend(ctx context.Context) (*mcp.Frontend, error) {
	funcs, err := gatewaytest.NewFixture()
	if err != nil {
		return nil, err
	}
	return frontendOf(ctx, funcs)
}

// serveFixture serves gatewaytest's fixture on a loopback port.
func serveFixture(t *testing.T) string {
	t.Helper()
	f, err := fixtureFrontend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.ServeHTTP(w, r.WithContext(auth.With(r.Context(), gatewaytest.Caller())))
	}))
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

// loopback is where test servers are.
func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// openUpstream returns an upstream named "up" that is closed with the test.
func openUpstream(t testing.TB, o mcp.UpstreamOptions) *mcp.Upstream {
	t.Helper()
	o.Name = "up"
	if o.URL != "" && o.AllowPrivate == nil {
		o.AllowPrivate = loopback()
	}
	if o.Backoff == 0 {
		o.Backoff = time.Millisecond
	}
	if o.Grace == 0 {
		o.Grace = 500 * time.Millisecond
	}
	u, err := mcp.NewUpstream(mcp.ListingOften(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	return u
}

// program returns the options of an upstream that is a program of that kind.
func program(t testing.TB, kind string) mcp.UpstreamOptions {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return mcp.UpstreamOptions{Command: self, Env: []string{programVariable + "=" + kind}}
}

// toolCall is a call of a tool by the name that the server gave it.
func toolCall(name, args string) *gateway.Call {
	return &gateway.Call{
		Op: gateway.OpCall, Kind: gateway.KindTool, Name: "up." + name, Args: json.RawMessage(args), Principal: gatewaytest.Caller(),
		Target: &gateway.Capability{Kind: gateway.KindTool, Name: "up." + name, Origin: name, Source: "up"},
	}
}

// textFrom calls a tool and returns the text that it answers.
func textFrom(t *testing.T, u *mcp.Upstream, tool string) string {
	t.Helper()
	res, err := u.Do(t.Context(), toolCall(tool, `{}`))
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	p, err := res.Parts()
	if err != nil {
		t.Fatal(err)
	}
	var block struct {
		Text string `json:"text"`
	}
	if err := json.Unmarshal(p.Content[0], &block); err != nil {
		t.Fatal(err)
	}
	return block.Text
}

// firstCatalog returns what a source offers first.
func firstCatalog(t *testing.T, u *mcp.Upstream) gateway.Catalog {
	t.Helper()
	for c, err := range u.Watch(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Fatal("no catalog")
	return gateway.Catalog{}
}
