package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/rogpeppe/go-internal/testscript"
)

// stream opens an answer that does not end and reads it until the script does.
func stream(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithCancel(context.Background())
	ts.Defer(cancel)
	res, err := http.DefaultTransport.RoundTrip(request(ts, ctx, args))
	ts.Check(err)
	b := new(buffer)
	ts.Value("gateway").(*background).stream = b
	_, _ = fmt.Fprintf(b, "%d\n", res.StatusCode)
	go func() {
		defer res.Body.Close()
		for chunk := make([]byte, 4096); ; {
			n, err := res.Body.Read(chunk)
			_, _ = b.Write(chunk[:n])
			if err != nil {
				return
			}
		}
	}()
}

// socket opens a WebSocket at /mcp, sends the files one by one and prints as
// many messages as it has sent, or the status where it is refused.
func socket(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var messages []string
	var headers []string
	for _, a := range args {
		if file, ok := strings.CutPrefix(a, "@"); ok {
			messages = append(messages, content(ts, file))
		} else {
			headers = append(headers, a)
		}
	}
	req := request(ts, ctx, append([]string{http.MethodGet, "/mcp"}, headers...))
	conn, res, err := websocket.Dial(ctx, "ws://"+ts.Getenv("ADDR")+"/mcp", &websocket.DialOptions{HTTPHeader: req.Header, Host: req.Host})
	if err != nil && res != nil {
		_, _ = fmt.Fprintln(ts.Stdout(), res.StatusCode)
		return
	}
	ts.Check(err)
	defer func() { _ = conn.CloseNow() }()
	for _, m := range messages {
		ts.Check(conn.Write(ctx, websocket.MessageText, []byte(m)))
		_, answer, err := conn.Read(ctx)
		ts.Check(err)
		_, _ = fmt.Fprintf(ts.Stdout(), "%s\n", answer)
	}
}

// capture sets a variable to what a group of a pattern matches in what was
// printed last, or in the stream.
func capture(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: capture NAME PATTERN [stream]")
	}
	pattern := regexp.MustCompile(args[1])
	var found []string
	if len(args) > 2 {
		b := ts.Value("gateway").(*background).stream
		poll(ts, func() bool { found = pattern.FindStringSubmatch(b.String()); return found != nil })
	} else if found = pattern.FindStringSubmatch(ts.ReadFile("stdout")); found == nil {
		ts.Fatalf("nothing matches %s in\n%s", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], found[1])
}

// content is that of a file of the script, with what stands for variables
// replaced: ${NAME}.
func content(ts *testscript.TestScript, file string) string {
	return variable.ReplaceAllStringFunc(strings.TrimSpace(ts.ReadFile(file)), func(v string) string { return ts.Getenv(v[2 : len(v)-1]) })
}

var variable = regexp.MustCompile(`\$\{[A-Z]+\}`)

// asker is an MCP server behind its standard input, of the session era. Its
// tool "ask" asks the user about the word it is called with, and "slow" runs as
// a task that does not end.
func asker() {
	in := bufio.NewScanner(os.Stdin)
	calls := map[string]json.RawMessage{} // by the id of the question
	for in.Scan() {
		var m struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
			Params struct {
				Name      string `json:"name"`
				Arguments struct {
					Word string `json:"word"`
				} `json:"arguments"`
			} `json:"params"`
			Result json.RawMessage `json:"result"`
		}
		if json.Unmarshal(in.Bytes(), &m) != nil {
			return
		}
		answer := ""
		switch m.Method {
		case "initialize":
			answer = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"asker","version":"1"}}`
		case "tools/list":
			answer = `{"tools":[{"name":"ask","inputSchema":{"type":"object","properties":{"word":{"type":"string"}}}},` +
				`{"name":"slow","inputSchema":{"type":"object"},"execution":{"taskSupport":"required"}}]}`
		case "tools/call":
			if m.Params.Name == "slow" {
				continue
			}
			id := fmt.Sprintf(`"q%d"`, len(calls))
			calls[id] = m.ID
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"method":"elicitation/create","params":{"message":"about %s","requestedSchema":{"type":"object","properties":{}}}}`+"\n", id, m.Params.Arguments.Word)
			continue
		case "":
			if call := calls[string(m.ID)]; call != nil {
				fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"answered"}]}}`+"\n", call)
			}
			continue
		}
		switch {
		case m.ID == nil:
		case answer == "":
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}`+"\n", m.ID)
		default:
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":%s}`+"\n", m.ID, answer)
		}
	}
}

// shop is an MCP server behind its standard input, of the session era. Its tools
// are what the file tools.json says each time that it is asked, all of them
// answer the same, and with every call it says that they may have changed.
func shop() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var m struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
		}
		if json.Unmarshal(in.Bytes(), &m) != nil {
			return
		}
		switch m.Method {
		case "initialize":
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"shop","version":"1"}}}`+"\n", m.ID)
		case "tools/list":
			tools, err := os.ReadFile("tools.json")
			if err != nil {
				return
			}
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":{"tools":%s}}`+"\n", m.ID, strings.Join(strings.Fields(string(tools)), " "))
		case "tools/call":
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"three coins"}]}}`+"\n", m.ID)
			fmt.Println(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		default:
			if m.ID != nil {
				fmt.Printf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}`+"\n", m.ID)
			}
		}
	}
}
