package mcp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/protocols/mcp"
	"github.com/trilith-gateway/trilith/schema"
)

// A line is a client on pipes.
type line struct {
	t    *testing.T
	in   *io.PipeWriter
	out  chan string
	done chan error
}

func dial(t *testing.T, f *fixture, who string) *line {
	t.Helper()
	in, toServer := io.Pipe()
	fromServer, out := io.Pipe()
	l := &line{t, toServer, make(chan string, 100), make(chan error, 1)}
	go func() {
		l.done <- f.frontend.ServeStdio(t.Context(), in, out, principal(who))
		out.Close()
	}()
	go func() {
		defer close(l.out)
		lines := bufio.NewScanner(fromServer)
		lines.Buffer(nil, 8<<20)
		for lines.Scan() {
			l.out <- lines.Text()
		}
	}()
	return l
}

func (l *line) send(text string) {
	l.t.Helper()
	if _, err := io.WriteString(l.in, text+"\n"); err != nil {
		l.t.Fatal(err)
	}
}

func (l *line) want(text string) {
	l.t.Helper()
	if got := receive(l.t, l.out); got != text {
		l.t.Fatalf("got  %s\nwant %s", got, text)
	}
}

func (l *line) wantIn(text string) {
	l.t.Helper()
	if got := receive(l.t, l.out); !strings.Contains(got, text) {
		l.t.Fatalf("got %s without %s", got, text)
	}
}

// end closes the input and waits until the output has ended.
func (l *line) end() {
	l.t.Helper()
	l.in.Close()
	if err := receive(l.t, l.done); err != nil {
		l.t.Errorf("ServeStdio: %v", err)
	}
	for text := range l.out {
		l.t.Errorf("left over: %s", text)
	}
}

// TestBothErasOnOnePipe speaks both eras at once and makes every mistake.
func TestBothErasOnOnePipe(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{Name: "test", Version: "1", Bounds: schema.Bounds{Bytes: 1000}})
	l := dial(t, f, "bob")
	const info = `"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"test","version":"1"}}`

	l.send(``)
	l.send(`nonsense`)
	l.wantIn(`-32700`)
	l.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"` + strings.Repeat("x", 2000) + `"}}`)
	l.wantIn(`longer than 1000 bytes`)
	l.send(`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"named"}}`)
	l.wantIn(`the session begins with initialize`)
	l.send(`{"jsonrpc":"2.0","id":1,"method":"server/discover"}`)
	l.wantIn(`-32602`)
	l.send(`{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"v9","io.modelcontextprotocol/clientCapabilities":{}}}}`)
	l.wantIn(`-32022`)
	l.send(`{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{` + modernMeta + `}}`)
	l.wantIn(`"supportedVersions":["2026-07-28"`)
	l.send(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"fails",` + modernMeta + `}}`)
	l.want(`{"jsonrpc":"2.0","id":2,"result":{"resultType":"complete",` + info + `,"content":[{"type":"text","text":"it broke"}],"isError":true}}`)
	l.send(`{"jsonrpc":"2.0","id":3,"method":"ping"}`)
	l.want(`{"jsonrpc":"2.0","id":3,"result":{}}`)
	l.send(`{"jsonrpc":"2.0","id":4,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}`)
	l.wantIn(`"protocolVersion":"2025-06-18"`)
	l.send(`{"jsonrpc":"2.0","id":5,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}`)
	l.wantIn(`already initialized`)
	l.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	l.send(`{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"echo"}}`)
	l.wantIn(`"code":-32602`)
	l.send(`{"jsonrpc":"2.0","id":7,"method":"unknown/method"}`)
	l.wantIn(`-32601`)
	l.send(`{"jsonrpc":"2.0","id":8,"method":"initialize","params":{` + modernMeta + `}}`)
	l.wantIn(`-32601`)
	l.send(`{"jsonrpc":"2.0","id":9,"result":{}}`)

	// A message on several lines of an upstream is one line here.
	l.send(`{"jsonrpc":"2.0","id":10,"method":"tools/call","params":{"name":"report","_meta":{"progressToken":"p"}}}`)
	l.want(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1,"total":2,"message":"half\n\"way\""}}`)
	l.want(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":2.50}}`)
	l.want(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"warning","logger":"up","data":{"line": 1}}}`)
	l.want(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":null}}`)
	l.want(`{"jsonrpc":"2.0","id":10,"result":{"content": []}}`)

	// Changes are told in both ways, each to who asked, and only what bob sees.
	l.send(`{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["test://secret","test://text"]},` + modernMeta + `}}`)
	l.want(ackOf(`{"toolsListChanged":true,"resourceSubscriptions":["test://text"]}`))
	f.addTool(t, "secret.more")
	f.funcs.Updated("test://text")
	l.want(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{` + tagged + `,"uri":"test://text"}}`)
	f.addTool(t, "more")
	got := []string{receive(t, l.out), receive(t, l.out)}
	if got[0] != changed("tools", "") {
		got[0], got[1] = got[1], got[0]
	}
	if got[0] != changed("tools", "") || got[1] != changed("tools", tagged) {
		t.Errorf("told %q", got)
	}

	// A cancelled request has no response; a cancelled listen is silent too.
	l.send(`{"jsonrpc":"2.0","id":11,"method":"tools/call","params":{"name":"hang",` + modernMeta + `}}`)
	receive(t, f.started)
	l.send(`{"jsonrpc":"2.0","id":11,"method":"ping"}`)
	l.wantIn(`a request with this id is running`)
	l.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":11}}`)
	receive(t, f.ended)
	l.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"L"}}`)
	receive(t, f.released)
	l.end()
}

func TestStdioCloses(t *testing.T) {
	t.Run("frontend", func(t *testing.T) {
		f := newFixture(t, mcp.FrontendOptions{})
		l := dial(t, f, "alice")
		l.send(`{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":{},` + modernMeta + `}}`)
		l.want(ackOf(`{}`))
		f.frontend.Close()
		l.want(endOfL)
		l.end()
	})
	t.Run("input with a running call", func(t *testing.T) {
		f := newFixture(t, mcp.FrontendOptions{WriteTimeout: 20 * time.Millisecond})
		l := dial(t, f, "alice")
		l.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"hang",` + modernMeta + `}}`)
		receive(t, f.started)
		l.in.Close()
		receive(t, f.ended)
		if err := receive(t, l.done); err != nil {
			t.Errorf("ServeStdio: %v", err)
		}
	})
	t.Run("context", func(t *testing.T) {
		f := newFixture(t, mcp.FrontendOptions{})
		ctx, cancel := context.WithCancelCause(t.Context())
		in, toServer := io.Pipe()
		defer toServer.Close()
		done := make(chan error, 1)
		go func() { done <- f.frontend.ServeStdio(ctx, in, io.Discard, principal("alice")) }()
		why := errors.New("enough")
		cancel(why)
		if err := receive(t, done); !errors.Is(err, why) {
			t.Errorf("ServeStdio: %v", err)
		}
	})
	t.Run("output", func(t *testing.T) {
		f := newFixture(t, mcp.FrontendOptions{})
		in, toServer := io.Pipe()
		closed, out := io.Pipe()
		closed.Close()
		done := make(chan error, 1)
		go func() { done <- f.frontend.ServeStdio(t.Context(), in, out, principal("alice")) }()
		io.WriteString(toServer, `{"jsonrpc":"2.0","id":1,"method":"ping"}`+"\n")
		if err := receive(t, done); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("ServeStdio: %v", err)
		}
	})
	t.Run("last line without an end", func(t *testing.T) {
		f := newFixture(t, mcp.FrontendOptions{})
		var out strings.Builder
		err := f.frontend.ServeStdio(t.Context(), strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`), &out, principal("alice"))
		if err != nil || out.String() != `{"jsonrpc":"2.0","id":1,"result":{}}`+"\n" {
			t.Errorf("%v, %q", err, out.String())
		}
	})
	t.Run("expired credential", func(t *testing.T) {
		f := newFixture(t, mcp.FrontendOptions{})
		p := principal("alice")
		p.Expiry = time.Now().Add(-time.Second)
		var out strings.Builder
		err := f.frontend.ServeStdio(t.Context(), strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`), &out, p)
		if err != nil || !strings.Contains(out.String(), "UNAUTHENTICATED") {
			t.Errorf("%v, %q", err, out.String())
		}
	})
}

// TestTooManyRequestsOnOnePipe keeps reading, and refuses what is too much.
func TestTooManyRequestsOnOnePipe(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{WriteTimeout: 20 * time.Millisecond})
	l := dial(t, f, "alice")
	const most = 128
	for i := range most {
		l.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"hang",%s}}`, i, modernMeta))
		receive(t, f.started)
	}
	l.send(`{"jsonrpc":"2.0","id":"one more","method":"tools/call","params":{"name":"named",` + modernMeta + `}}`)
	l.wantIn(`RESOURCE_EXHAUSTED`)
	l.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`)
	receive(t, f.ended)
	l.in.Close()
	for range most - 1 {
		receive(t, f.ended)
	}
	if err := receive(t, l.done); err != nil {
		t.Errorf("ServeStdio: %v", err)
	}
}
