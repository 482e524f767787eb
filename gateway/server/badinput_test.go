package server_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/audit"
	"github.com/trilith-gateway/trilith/gateway/config"
)

// A badInput is a request that no door can serve.
type badInput struct {
	name   string
	send   func(t *testing.T, r *rig) string // returns the answer, its status first
	answer string                            // how the answer begins, and after "…" what else is in it
	record string                            // the one record that it leaves
}

// marker is in the bodies of bad inputs. Records have nothing of a body.
const marker = "hunter2"

const bodyMost = 32 << 10

// TestBadInput sends every kind of bad input through the doors: each answers in
// its own terms without saying more than it should, leaves exactly one record,
// and serves the next.
func TestBadInput(t *testing.T) {
	r := start(t, nil, func(cfg *config.Config) { cfg.Limits.BodyBytes = bodyMost })
	seen := 0
	for _, inputs := range [][]badInput{badMCP(), badGraphQL(), badSockets(), badREST(), badGRPC()} {
		for _, in := range inputs {
			t.Run(in.name, func(t *testing.T) {
				in.checkAnswer(t, in.send(t, r))
				if n := len(r.records(t, seen+1)); n > seen+1 {
					t.Errorf("%d records, want one", n-seen)
				}
				code, body := r.send(t, "dev", http.MethodPost, "/v1/tools/demo.add:call", jsonHeader(), `{"a":1,"b":2}`)
				records := r.records(t, seen+2)
				fresh := records[seen:]
				seen = len(records)
				if len(fresh) != 2 || code != http.StatusOK || fresh[1].Code != "OK" {
					t.Fatalf("afterwards a good call has %d %s; records %+v, want one and that of the good call", code, body, fresh)
				}
				in.checkRecord(t, fresh[0])
			})
		}
	}
	if n := len(r.records(t, seen)); n != seen {
		t.Errorf("%d records came late", n-seen)
	}
}

func (in badInput) checkAnswer(t *testing.T, answer string) {
	t.Helper()
	start, others, _ := strings.Cut(in.answer, "…")
	if !strings.HasPrefix(answer, start) {
		t.Errorf("answer %.300q, want %q", answer, in.answer)
	}
	for part := range strings.SplitSeq(others, "…") {
		if !strings.Contains(answer, part) {
			t.Errorf("answer %.300q, want %q in it", answer, part)
		}
	}
	for _, leak := range []string{"goroutine", ".go:", "panic"} {
		if strings.Contains(answer, leak) {
			t.Errorf("the answer has %q: %s", leak, answer)
		}
	}
}

func (in badInput) checkRecord(t *testing.T, record audit.Record) {
	t.Helper()
	if got := recordLine(record); got != in.record {
		t.Errorf("record\n%s, want\n%s", got, in.record)
	}
	raw, err := json.Marshal(record)
	if err != nil || strings.Contains(string(raw), marker) || len(raw) > 2048 {
		t.Errorf("the record holds the body: %s %v", raw, err)
	}
	if record.By == record.Via && (record.ArgsHMAC != "" || record.BytesIn != 0) {
		t.Errorf("the record has arguments: %s", raw)
	}
}

func recordLine(r audit.Record) string {
	return fmt.Sprintf("%s %s by=%s as=%s %s %.64q", r.Via, r.Code, r.By, r.Principal.Name, r.Op, r.Name)
}

func jsonHeader() http.Header { return http.Header{"Content-Type": {"application/json"}} }

// overHTTP sends one HTTP request as dev.
func overHTTP(method, path, body string, header ...string) func(*testing.T, *rig) string {
	return func(t *testing.T, r *rig) string {
		h := jsonHeader()
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		code, answer := r.send(t, "dev", method, path, h, body)
		return fmt.Sprintf("%d %s", code, answer)
	}
}

func badMCP() []badInput {
	const refused = `mcp INVALID_ARGUMENT by=mcp as=Dee Developer  `
	post := func(body string, header ...string) func(*testing.T, *rig) string {
		return overHTTP(http.MethodPost, "/mcp", body, append([]string{"Accept", "application/json, text/event-stream"}, header...)...)
	}
	modern := func(method, params string) func(*testing.T, *rig) string {
		return post(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":{`+params+
			`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`,
			"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", method, "Mcp-Name", "demo.add")
	}
	// inSession sends a body in a session of a revision.
	inSession := func(rev, method, body string, header ...string) func(*testing.T, *rig) string {
		return func(t *testing.T, r *rig) string {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+"/mcp", strings.NewReader(
				`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"`+rev+`","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + r.token(t, "dev")}}
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			h := append([]string{"Accept", "application/json, text/event-stream", "Mcp-Session-Id", res.Header.Get("Mcp-Session-Id")}, header...)
			return overHTTP(method, "/mcp", body, h...)(t, r)
		}
	}
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	return []badInput{
		{"mcp: malformed JSON", post(`{"method":"` + marker), `400 …-32700`, refused + `"POST /mcp"`},
		{"mcp: duplicate key", post(`{"id":1,"id":"` + marker + `"}`), `400 …-32700`, refused + `"POST /mcp"`},
		{"mcp: oversized", post(`{"id":"` + strings.Repeat(marker, bodyMost/5) + `"}`), `413 …-32600`, `mcp RESOURCE_EXHAUSTED by=mcp as=Dee Developer  "POST /mcp"`},
		{"mcp: not JSON by type", overHTTP(http.MethodPost, "/mcp", marker, "Content-Type", "text/plain"), `415 `, refused + `"POST /mcp"`},
		{"mcp: no session", post(ping), `400 …-32600`, refused + `"ping"`},
		{"mcp: bad session id", post(ping, "Mcp-Session-Id", marker), `404 …-32600`, `mcp NOT_FOUND by=mcp as=Dee Developer  "ping"`},
		{"mcp: header mismatch", post(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, "MCP-Protocol-Version", "2026-07-28", "Mcp-Method", marker), `400 …-32020`, refused + `"tools/list"`},
		{"mcp: unknown method", modern("nothing/nothing", ""), `404 …-32601`, `mcp UNIMPLEMENTED by=mcp as=Dee Developer  "nothing/nothing"`},
		{"mcp: bad cursor", modern("tools/list", `"cursor":"`+marker+`!",`), `200 …-32602`, refused + `"tools/list"`},
		{"mcp: arguments are a list", modern("tools/call", `"name":"demo.add","arguments":["`+marker+`"],`), `200 …-32602`, `mcp INVALID_ARGUMENT by=mcp as=Dee Developer call "demo.add"`},
		{"mcp: HTTP method", overHTTP(http.MethodPut, "/mcp", marker), `405 `, `mcp UNIMPLEMENTED by=mcp as=Dee Developer  "/mcp"`},
		{"mcp: second initialize", inSession("2025-11-25", http.MethodPost, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`), `400 …-32600`, refused + `"initialize"`},
		{"mcp: batch of another revision", inSession("2025-11-25", http.MethodPost, `[`+ping+`]`), `400 …-32600`, refused + `"POST /mcp"`},
		{"mcp: batch bomb", inSession("2025-03-26", http.MethodPost, `[`+strings.Repeat(ping+`,`, 500)+ping+`]`), `400 …-32600`, refused + `"POST /mcp"`},
		{"mcp: forged event id", inSession("2025-11-25", http.MethodGet, "", "Last-Event-ID", "0123456789abcdef-1"), `400 …-32600`, refused + `"GET /mcp"`},
		{"mcp: malformed WebSocket", overHTTP(http.MethodGet, "/mcp", "", "Connection", "Upgrade", "Upgrade", "websocket"), `4`, refused + `"websocket"`},
		{"mcp: message for no session", overHTTP(http.MethodPost, "/messages?sessionId="+marker, ping), `404 …-32600`, `mcp NOT_FOUND by=mcp as=Dee Developer  "POST /messages"`},
	}
}

func badGraphQL() []badInput {
	const refused = `graphql INVALID_ARGUMENT by=graphql as=Dee Developer  `
	post := func(body string) func(*testing.T, *rig) string {
		return overHTTP(http.MethodPost, "/graphql", body, "Accept", "application/graphql-response+json")
	}
	query := func(q string) func(*testing.T, *rig) string {
		body, err := json.Marshal(map[string]string{"query": q})
		if err != nil {
			panic(err) // Strings marshal.
		}
		return post(string(body))
	}
	deep := strings.Repeat(`{a`, 25) + strings.Repeat(`}`, 25)
	return []badInput{
		{"graphql: malformed JSON", post(`{"query":"` + marker), `400 …"BAD_REQUEST"`, refused + `"POST /graphql"`},
		{"graphql: duplicate key", post(`{"query":"{viewer{id}}","query":"` + marker + `"}`), `400 …"BAD_REQUEST"`, refused + `"POST /graphql"`},
		{"graphql: too deep", post(`{"query":"` + marker + `","variables":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`), `400 …"BAD_REQUEST"`, refused + `"POST /graphql"`},
		{"graphql: invalid UTF-8", post("{\"query\":\"\xff\"}"), `400 …"BAD_REQUEST"`, refused + `"POST /graphql"`},
		{"graphql: oversized", post(`{"query":"` + strings.Repeat(marker, bodyMost/5) + `"}`), `413 …"BAD_REQUEST"`, `graphql RESOURCE_EXHAUSTED by=graphql as=Dee Developer  "POST /graphql"`},
		{"graphql: batch", post(`[{"query":"{viewer{id}}"}]`), `400 …"BAD_REQUEST"`, refused + `"POST /graphql"`},
		{"graphql: no query", post(`{"q":"` + marker + `"}`), `400 …"BAD_REQUEST"`, refused + `"POST /graphql"`},
		{"graphql: variables are a list", post(`{"query":"{viewer{id}}","variables":["` + marker + `"]}`), `400 …"BAD_REQUEST"`, refused + `"POST /graphql"`},
		{"graphql: not JSON by type", overHTTP(http.MethodPost, "/graphql", marker, "Content-Type", "text/plain"), `415 …"BAD_REQUEST"`, refused + `"POST /graphql"`},
		{"graphql: unknown method", overHTTP(http.MethodPut, "/graphql", "{}"), `405 …"BAD_REQUEST"`, `graphql UNIMPLEMENTED by=graphql as=Dee Developer  "PUT /graphql"`},
		{"graphql: not acceptable", overHTTP(http.MethodPost, "/graphql", "{}", "Accept", "image/png"), `406 …"BAD_REQUEST"`, refused + `"POST /graphql"`},
		{"graphql: mutation by GET", overHTTP(http.MethodGet, "/graphql?query="+url.QueryEscape(`mutation Add{callTool(name:"demo.add"){isError}}`)+"&operationName=Add", ""), `405 …"BAD_REQUEST"`, `graphql UNIMPLEMENTED by=graphql as=Dee Developer  "Add"`},
		{"graphql: subscription without a stream", query(`subscription{capabilitiesChanged{tools}}`), `406 …"BAD_REQUEST"`, refused + `"POST /graphql"`},
		{"graphql: does not parse", query(`{viewer{id} "` + marker + `"`), `400 …"GRAPHQL_PARSE_FAILED"`, refused + `"POST /graphql"`},
		{"graphql: unknown field", query(`{` + marker + `}`), `400 …"GRAPHQL_VALIDATION_FAILED"`, refused + `"POST /graphql"`},
		{"graphql: many unknown fields", query(`{` + marker + ` b c d e f}`), `400 …"GRAPHQL_VALIDATION_FAILED"`, refused + `"POST /graphql"`},
		{"graphql: breaks a limit", query(deep), `400 …"GRAPHQL_LIMIT_EXCEEDED"`, `graphql RESOURCE_EXHAUSTED by=graphql as=Dee Developer  "POST /graphql"`},
		{"graphql: breaks a limit, for a client of application/json", overHTTP(http.MethodPost, "/graphql", `{"query":"`+deep+`"}`), `200 …"GRAPHQL_LIMIT_EXCEEDED"`, `graphql RESOURCE_EXHAUSTED by=graphql as=Dee Developer  "POST /graphql"`},
		{"graphql: unknown operation", post(`{"query":"query A{viewer{id}} query B{viewer{id}}","operationName":"C"}`), `400 …"GRAPHQL_VALIDATION_FAILED"`, refused + `"C"`},
		{"graphql: wrong variable", post(`{"query":"query A($n:Int){tools(first:$n){totalCount}}","operationName":"A","variables":{"n":"` + marker + `"}}`), `400 …"GRAPHQL_VALIDATION_FAILED"`, refused + `"A"`},
		{"graphql: endless operation name", post(`{"query":"{` + marker + `}","operationName":"` + strings.Repeat("x", 20_000) + `"}`), `400 …"GRAPHQL_VALIDATION_FAILED"`, refused + `"` + strings.Repeat("x", 64) + `"`},
		{"graphql: bad cursor", query(`{tools(after:"` + marker + `!"){totalCount}}`), `200 …"INVALID_ARGUMENT"`, refused + `"tools"`},
		{"graphql: page too large", query(`{prompts(first:101){totalCount}}`), `200 …"INVALID_ARGUMENT"`, refused + `"prompts"`},
		{"graphql: arguments are a list", query(`mutation{callTool(name:"demo.add",arguments:["` + marker + `"]){isError}}`), `200 …"INVALID_ARGUMENT"`, `graphql INVALID_ARGUMENT by=graphql as=Dee Developer call "demo.add"`},
		{"graphql: completion of nothing", query(`{complete(ref:{},argument:"a",value:"` + marker + `"){values}}`), `200 …"INVALID_ARGUMENT"`, `graphql INVALID_ARGUMENT by=graphql as=Dee Developer complete "complete"`},
		{"graphql: unknown tool", query(`mutation{callTool(name:"demo.nope"){isError}}`), `200 …"NOT_FOUND"`, `graphql NOT_FOUND by=registry as=Dee Developer call "demo.nope"`},
		{"graphql: event stream of a bad document", overHTTP(http.MethodPost, "/graphql", `{"query":"{`+marker+`}"}`, "Accept", "text/event-stream"), `200 …GRAPHQL_VALIDATION_FAILED…event: complete`, refused + `"POST /graphql"`},
		{"graphql: event stream of bad arguments", overHTTP(http.MethodPost, "/graphql", `{"query":"subscription{toolCall(name:\"demo.add\",arguments:[\"`+marker+`\"]){dropped}}"}`, "Accept", "text/event-stream"), `200 …INVALID_ARGUMENT…event: complete`, `graphql INVALID_ARGUMENT by=graphql as=Dee Developer call "demo.add"`},
	}
}

// overSocket sends text messages on a WebSocket of dev, and returns how it ends,
// or the first message that is an error or has errors.
func overSocket(messages ...string) func(*testing.T, *rig) string {
	return func(t *testing.T, r *rig) string {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		c, res, err := websocket.Dial(ctx, r.URL()+"/graphql", &websocket.DialOptions{
			Subprotocols: []string{"graphql-transport-ws"}, HTTPHeader: http.Header{"Authorization": {"Bearer " + r.token(t, "dev")}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if res.Body != nil {
			_ = res.Body.Close()
		}
		defer c.CloseNow()
		for _, m := range messages {
			kind := websocket.MessageText
			if strings.HasPrefix(m, "\x00") {
				kind = websocket.MessageBinary
			}
			if err := c.Write(ctx, kind, []byte(m)); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Fatal(err)
			}
		}
		for {
			_, m, err := c.Read(ctx)
			if err != nil {
				return fmt.Sprint(int(websocket.CloseStatus(err)), " ", err)
			}
			if strings.Contains(string(m), `"code":`) {
				return string(m)
			}
		}
	}
}

// overFrames sends bytes behind the handshake of a WebSocket, and returns the
// code of the close frame that answers; 0 is an end without one.
func overFrames(protocol string, frames ...byte) func(*testing.T, *rig) string {
	return func(t *testing.T, r *rig) string {
		host := strings.TrimPrefix(r.URL(), "http://")
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET /graphql HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\nAuthorization: Bearer %s\r\n\r\n%s", host, protocol, r.token(t, "dev"), frames)
		in := bufio.NewReader(c)
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("upgrade: %v %v", res, err)
		}
		defer res.Body.Close()
		rest, err := io.ReadAll(in)
		if len(rest) >= 4 && rest[0] == 0x88 {
			return fmt.Sprint(binary.BigEndian.Uint16(rest[2:]), " ", string(rest[4:]))
		}
		return fmt.Sprint(0, err)
	}
}

func badSockets() []badInput {
	const refused = `graphql INVALID_ARGUMENT by=graphql as=Dee Developer  "websocket"`
	// The oversized message is too long by so little that it is sent before it is refused.
	const hello = `{"type":"connection_init"}`
	subscribe := func(payload string) string { return `{"id":"1","type":"subscribe","payload":` + payload + `}` }
	return []badInput{
		{"socket: malformed JSON", overSocket(`{"type":"` + marker), `4400 `, refused},
		{"socket: duplicate key", overSocket(`{"type":"ping","type":"` + marker + `"}`), `4400 `, refused},
		{"socket: binary message", overSocket("\x00" + marker), `4400 `, refused},
		{"socket: not an object", overSocket(`["` + marker + `"]`), `4400 `, refused},
		{"socket: unknown type", overSocket(hello, `{"type":"`+marker+`"}`), `4400 `, refused},
		{"socket: malformed connection_init", overSocket(`{"type":"connection_init","payload":"` + marker + `"}`), `4400 `, refused},
		{"socket: connection_init twice", overSocket(hello, hello), `4429 `, refused},
		{"socket: subscribe without id", overSocket(hello, `{"type":"subscribe","payload":{"query":"{viewer{id}}"}}`), `4400 `, refused},
		{"socket: subscribe without query", overSocket(hello, subscribe(`{"q":"`+marker+`"}`)), `4400 `, refused},
		{"socket: subscribe before connection_init", overSocket(subscribe(`{"query":"{viewer{id}}"}`)), `4401 `, `graphql UNAUTHENTICATED by=graphql as=Dee Developer  "websocket"`},
		{"socket: id taken", overSocket(hello, subscribe(`{"query":"subscription{capabilitiesChanged{tools}}"}`), subscribe(`{"query":"{viewer{id}}"}`)), `4409 `, `graphql ALREADY_EXISTS by=graphql as=Dee Developer  "websocket"`},
		{"socket: oversized message", overSocket(strings.Repeat("x", bodyMost+2)), `1009 `, `graphql RESOURCE_EXHAUSTED by=graphql as=Dee Developer  "websocket"`},
		{"socket: does not parse", overSocket(hello, subscribe(`{"query":"{`+marker+`"}`)), `{"type":"error"…GRAPHQL_PARSE_FAILED`, refused},
		{"socket: unknown field", overSocket(hello, subscribe(`{"query":"query Q{`+marker+`}","operationName":"Q"}`)), `{"type":"error"…GRAPHQL_VALIDATION_FAILED`, strings.Replace(refused, "websocket", "Q", 1)},
		{"socket: bad cursor", overSocket(hello, subscribe(`{"query":"{tools(after:\"`+marker+`!\"){totalCount}}"}`)), `{"type":"next"…INVALID_ARGUMENT`, strings.Replace(refused, "websocket", "tools", 1)},
		{"socket: bad arguments", overSocket(hello, subscribe(`{"query":"subscription{toolCall(name:\"demo.add\",arguments:[1]){dropped}}"}`)), `{"type":"next"…INVALID_ARGUMENT`, `graphql INVALID_ARGUMENT by=graphql as=Dee Developer call "demo.add"`},
		{"socket: unknown subprotocol", overFrames("graphql-ws", 0x88, 0x80, 0, 0, 0, 0), `4406 `, refused},
		{"socket: reserved bits", overFrames("graphql-transport-ws", 0xf1, 0x80, 0, 0, 0, 0), `1002 `, refused},
		{"socket: unknown opcode", overFrames("graphql-transport-ws", 0x83, 0x80, 0, 0, 0, 0), `1002 `, refused},
		{"socket: unmasked frame", overFrames("graphql-transport-ws", 0x81, 0x01, 'x'), `0`, refused},
		{"socket: malformed upgrade", overHTTP(http.MethodGet, "/graphql", "", "Connection", "Upgrade", "Upgrade", "websocket"), `4`, `graphql INVALID_ARGUMENT by=graphql as=Dee Developer  "GET /graphql"`},
	}
}

func badREST() []badInput {
	const refused = `rest INVALID_ARGUMENT by=rest as=Dee Developer  `
	const call = "/v1/tools/demo.add:call"
	args := `rest INVALID_ARGUMENT by=rest as=Dee Developer call "demo.add"`
	return []badInput{
		{"rest: malformed JSON", overHTTP(http.MethodPost, call, `{"a":"`+marker), `400 …"INVALID_ARGUMENT"`, args},
		{"rest: duplicate key", overHTTP(http.MethodPost, call, `{"a":1,"a":"`+marker+`"}`), `400 …"INVALID_ARGUMENT"`, args},
		{"rest: too deep", overHTTP(http.MethodPost, call, strings.Repeat("[", 100)), `400 …"INVALID_ARGUMENT"`, args},
		{"rest: arguments are a list", overHTTP(http.MethodPost, call, `["`+marker+`"]`), `400 …"INVALID_ARGUMENT"`, args},
		{"rest: event stream of malformed JSON", overHTTP(http.MethodPost, call, `{"a":"`+marker, "Accept", "text/event-stream"), `400 …"INVALID_ARGUMENT"`, args},
		{"rest: oversized", overHTTP(http.MethodPost, call, `{"a":"`+strings.Repeat(marker, bodyMost/5)+`"}`), `413 …"RESOURCE_EXHAUSTED"`, `rest RESOURCE_EXHAUSTED by=rest as=Dee Developer  "POST ` + call + `"`},
		{"rest: not JSON by type", overHTTP(http.MethodPost, call, marker, "Content-Type", "text/plain"), `415 …"INVALID_ARGUMENT"`, refused + `"POST ` + call + `"`},
		{"rest: unknown route", overHTTP(http.MethodGet, "/v1/"+"nothing", ""), `404 …"NOT_FOUND"`, `rest NOT_FOUND by=rest as=Dee Developer  "GET /v1/nothing"`},
		{"rest: endless route", overHTTP(http.MethodGet, "/v1/"+strings.Repeat("x", 8000), ""), `404 …"NOT_FOUND"`, `rest NOT_FOUND by=rest as=Dee Developer  "GET /v1/` + strings.Repeat("x", 56) + `"`},
		{"rest: unknown method", overHTTP(http.MethodDelete, "/v1/tools", ""), `405 …"UNIMPLEMENTED"`, `rest UNIMPLEMENTED by=rest as=Dee Developer  "DELETE /v1/tools"`},
		{"rest: method of another route", overHTTP(http.MethodGet, call, ""), `405 …"UNIMPLEMENTED"`, `rest UNIMPLEMENTED by=rest as=Dee Developer  "GET ` + call + `"`},
		{"rest: unknown verb", overHTTP(http.MethodPost, "/v1/tools/demo.add:run", `{}`), `404 …"NOT_FOUND"`, `rest NOT_FOUND by=rest as=Dee Developer  "POST /v1/tools/demo.add:run"`},
		{"rest: method of the description", overHTTP(http.MethodPost, "/openapi.json", `{}`), `405 …"UNIMPLEMENTED"`, `rest UNIMPLEMENTED by=rest as=Dee Developer  "POST /openapi.json"`},
		{"rest: unknown parameter", overHTTP(http.MethodGet, "/v1/tools?page=2", ""), `400 …"INVALID_ARGUMENT"`, refused + `"GET /v1/tools"`},
		{"rest: page size", overHTTP(http.MethodGet, "/v1/tools?pageSize=many", ""), `400 …"INVALID_ARGUMENT"`, refused + `"GET /v1/tools"`},
		{"rest: page token", overHTTP(http.MethodGet, "/v1/tools?pageToken="+marker, ""), `400 …"INVALID_ARGUMENT"`, refused + `"GET /v1/tools"`},
		{"rest: malformed envelope", overHTTP(http.MethodPost, "/v1:complete", `{"prompt":"`+marker), `400 …"INVALID_ARGUMENT"`, refused + `"POST /v1:complete"`},
		{"rest: unknown member", overHTTP(http.MethodPost, "/v1:complete", `{"`+marker+`":1}`), `400 …"INVALID_ARGUMENT"`, refused + `"POST /v1:complete"`},
		{"rest: member of a wrong type", overHTTP(http.MethodPost, "/v1:complete", `{"prompt":["`+marker+`"]}`), `400 …"INVALID_ARGUMENT"`, refused + `"POST /v1:complete"`},
		{"rest: completion of nothing", overHTTP(http.MethodPost, "/v1:complete", `{}`), `400 …"INVALID_ARGUMENT"`, `rest INVALID_ARGUMENT by=rest as=Dee Developer complete ""`},
		{"rest: prompt's arguments are no strings", overHTTP(http.MethodPost, "/v1/prompts/demo.greet:get", `{"name":{"`+marker+`":1}}`), `400 …"INVALID_ARGUMENT"`, refused + `"POST /v1/prompts/demo.greet:get"`},
		{"rest: unknown tool's definition", overHTTP(http.MethodGet, "/v1/tools/demo.nope", ""), `404 …"NOT_FOUND"`, `rest NOT_FOUND by=rest as=Dee Developer  "demo.nope"`},
		{"rest: unknown tool", overHTTP(http.MethodPost, "/v1/tools/demo.nope:call", `{}`), `404 …"NOT_FOUND"`, `rest NOT_FOUND by=registry as=Dee Developer call "demo.nope"`},
	}
}

// rawMessage is a codec that sends what it is given in place of a message.
type rawMessage []byte

func (m rawMessage) Marshal(any) ([]byte, error) { return m, nil }
func (m rawMessage) Unmarshal([]byte, any) error { return nil }
func (rawMessage) Name() string                  { return "proto" }

// overGRPC makes one gRPC call as dev and returns the code and the message.
func overGRPC(call func(context.Context, *rig) error) func(*testing.T, *rig) string {
	return func(t *testing.T, r *rig) string {
		err := call(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+r.token(t, "dev")), r)
		return gateway.Code(status.Code(err)).String() + " " + fmt.Sprint(status.Convert(err).Proto())
	}
}

func badGRPC() []badInput {
	const route = "/gateway.v1.GatewayService/"
	invoke := func(method string, opts ...grpc.CallOption) func(*testing.T, *rig) string {
		return overGRPC(func(ctx context.Context, r *rig) error {
			return r.grpc.Invoke(ctx, method, &gatewayv1.ListToolsRequest{}, &gatewayv1.ListToolsResponse{}, opts...)
		})
	}
	list := func(req *gatewayv1.ListToolsRequest) func(*testing.T, *rig) string {
		return overGRPC(func(ctx context.Context, r *rig) error {
			_, err := gatewayv1.NewGatewayServiceClient(r.grpc).ListTools(ctx, req)
			return err
		})
	}
	call := func(args string) func(*testing.T, *rig) string {
		return overGRPC(func(ctx context.Context, r *rig) error {
			_, err := gatewayv1.NewGatewayServiceClient(r.grpc).CallTool(ctx, &gatewayv1.CallToolRequest{Name: "demo.add", ArgumentsJson: args})
			return err
		})
	}
	stream := func(args string) func(*testing.T, *rig) string {
		return overGRPC(func(ctx context.Context, r *rig) error {
			s, err := gatewayv1.NewGatewayServiceClient(r.grpc).CallToolStream(ctx, &gatewayv1.CallToolStreamRequest{Name: "demo.add", ArgumentsJson: args})
			if err == nil {
				_, err = s.Recv()
			}
			return err
		})
	}
	const args = `grpc INVALID_ARGUMENT by=grpc as=Dee Developer call "demo.add"`
	const refused = `grpc INVALID_ARGUMENT by=grpc as=Dee Developer  "` + route + `ListTools"`
	return []badInput{
		{"grpc: malformed arguments_json", call(`{"a":"` + marker), `INVALID_ARGUMENT`, args},
		{"grpc: duplicate key", call(`{"a":1,"a":"` + marker + `"}`), `INVALID_ARGUMENT`, args},
		{"grpc: too deep", call(strings.Repeat(`[`, 100)), `INVALID_ARGUMENT`, args},
		{"grpc: oversized arguments_json", call(`{"a":"` + strings.Repeat(marker, bodyMost/5) + `"}`), `INVALID_ARGUMENT`, args},
		{"grpc: arguments are a list", call(`["` + marker + `"]`), `INVALID_ARGUMENT`, args},
		{"grpc: stream of malformed arguments_json", stream(`{"a":"` + marker), `INVALID_ARGUMENT`, args},
		{"grpc: page token", list(&gatewayv1.ListToolsRequest{PageToken: marker}), `INVALID_ARGUMENT`, refused},
		{"grpc: page size", list(&gatewayv1.ListToolsRequest{PageSize: -1}), `INVALID_ARGUMENT`, refused},
		{"grpc: oversized message", list(&gatewayv1.ListToolsRequest{PageToken: strings.Repeat("x", 5<<20)}), `RESOURCE_EXHAUSTED`, strings.Replace(refused, "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", 1)},
		{"grpc: not a message", invoke(route+"ListTools", grpc.ForceCodec(rawMessage("\xff"+marker))), `INTERNAL`, strings.Replace(refused, "INVALID_ARGUMENT", "INTERNAL", 1)},
		{"grpc: unknown method", invoke(route + "Nothing"), `UNIMPLEMENTED`, `grpc UNIMPLEMENTED by=grpc as=Dee Developer  "` + route + `Nothing"`},
		{"grpc: unknown service", invoke("/other.Service/Method"), `UNIMPLEMENTED`, `grpc UNIMPLEMENTED by=grpc as=Dee Developer  "/other.Service/Method"`},
		{"grpc: completion of nothing", overGRPC(func(ctx context.Context, r *rig) error {
			_, err := gatewayv1.NewGatewayServiceClient(r.grpc).Complete(ctx, &gatewayv1.CompleteRequest{Argument: marker})
			return err
		}), `INVALID_ARGUMENT`, `grpc INVALID_ARGUMENT by=grpc as=Dee Developer complete ""`},
		{"grpc: endless URI", overGRPC(func(ctx context.Context, r *rig) error {
			_, err := gatewayv1.NewGatewayServiceClient(r.grpc).ReadResource(ctx, &gatewayv1.ReadResourceRequest{Uri: "demo://" + strings.Repeat("x", 9<<10)})
			return err
		}), `INVALID_ARGUMENT`, `grpc INVALID_ARGUMENT by=grpc as=Dee Developer read "demo://` + strings.Repeat("x", 57) + `"`},
		{"grpc: unknown tool's definition", overGRPC(func(ctx context.Context, r *rig) error {
			_, err := gatewayv1.NewGatewayServiceClient(r.grpc).GetTool(ctx, &gatewayv1.GetToolRequest{Name: "demo.nope"})
			return err
		}), `NOT_FOUND`, `grpc NOT_FOUND by=grpc as=Dee Developer  "demo.nope"`},
	}
}
