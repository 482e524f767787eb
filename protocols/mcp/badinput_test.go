package mcp_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// TestBadInput sends what no door can serve over every transport: each answers
// with the protocol's code and serves the next.
func TestBadInput(t *testing.T) {
	batch := "[" + strings.Repeat(request("ping", `{}`)+",", 9_999) + request("ping", `{}`) + "]"
	deep := strings.Repeat(`{"a":`, 100) + "0" + strings.Repeat("}", 100)
	inputs := []struct {
		name, text string
		code       int
		http       int // the code over HTTP, where headers come first; 0 is the same
	}{
		{"cut off", `{"jsonrpc":"2.0","id":1,"method":"ping"`, -32700, 0},
		{"no JSON", `hello`, -32700, 0},
		{"half a surrogate pair", `{"jsonrpc":"2.0","id":1,"method":"\ud800"}`, -32700, 0},
		{"duplicate id", `{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}`, -32700, 0},
		{"duplicate name", request("tools/call", `{"name":"echo","name":"secret"}`), -32700, 0},
		{"duplicate by escape", request("tools/call", `{"name":"echo","n\u0061me":"secret"}`), -32700, 0},
		{"too deep", request("tools/call", deep), -32700, 0},
		{"too many tokens", request("tools/call", `{"name":"echo","arguments":{"a":[`+strings.Repeat("0,", 200_000)+`0]}}`), -32700, 0},
		{"batch of 10,000", batch, -32600, 0},
		{"empty batch", `[]`, -32600, 0},
		{"a number", `7`, -32600, 0},
		{"another version of JSON-RPC", `{"jsonrpc":"1.0","id":1,"method":"ping"}`, -32600, 0},
		{"jsonrpc in capitals", `{"JSONRPC":"2.0","id":1,"method":"ping"}`, -32600, 0},
		{"method in capitals", `{"jsonrpc":"2.0","id":1,"Method":"ping"}`, -32600, 0},
		{"name in capitals too", request("tools/call", `{"name":"nothing","Name":"echo"}`), -32602, 0},
		{"null id", `{"jsonrpc":"2.0","id":null,"method":"ping"}`, -32600, 0},
		{"object as id", `{"jsonrpc":"2.0","id":{},"method":"ping"}`, -32600, 0},
		{"long id", `{"jsonrpc":"2.0","id":"` + strings.Repeat("x", 300) + `","method":"ping"}`, -32600, 0},
		{"number as method", `{"jsonrpc":"2.0","id":1,"method":7}`, -32600, 0},
		{"list as params", `{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}`, -32600, 0},
		{"request and response", `{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}`, -32600, 0},
		{"unknown method", request("nothing/nothing", `{}`), -32601, 0},
		{"unknown tool", request("tools/call", `{"name":"nothing"}`), -32602, 0},
		{"number as name", request("tools/call", `{"name":7}`), -32602, 0},
		{"list as arguments", request("tools/call", `{"name":"echo","arguments":[]}`), -32602, 0},
		{"forged cursor", request("tools/list", `{"cursor":"!"}`), -32602, 0},
		{"missing resource", request("resources/read", `{"uri":"test://nothing"}`), -32002, 0},
		{"modern without capabilities", request("tools/list", `{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}`), -32602, 0},
		{"unknown revision", request("tools/list", `{"_meta":{"io.modelcontextprotocol/protocolVersion":"2099-01-01","io.modelcontextprotocol/clientCapabilities":{}}}`), -32022, -32020},
		{"missing resource, modern", request("resources/read", `{"uri":"test://nothing",`+modernMeta+`}`), -32602, -32020},
		{"removed method, modern", request("ping", `{`+modernMeta+`}`), -32601, -32020},
	}
	for _, tr := range []struct {
		name string
		dial func(t *testing.T, f *fixture) (ask func(text string) string, end func())
	}{
		{"http", badOverHTTP},
		{"websocket", badOverSocket},
		{"pipe", badOverPipe},
	} {
		t.Run(tr.name, func(t *testing.T) {
			ask, end := tr.dial(t, newFixture(t, mcp.FrontendOptions{}))
			defer end()
			for _, in := range inputs {
				want := in.code
				if tr.name == "http" && in.http != 0 {
					want = in.http
				}
				var got struct{ Error struct{ Code int } }
				answer := ask(in.text)
				if err := json.Unmarshal([]byte(answer), &got); err != nil || got.Error.Code != want {
					t.Errorf("%s: %.200s, want %d", in.name, answer, want)
				}
				if next := ask(requestAs(2, "tools/call", `{"name":"echo","arguments":{"text":"next"}}`)); !strings.Contains(next, `"text":"next"`) {
					t.Fatalf("after %s: %s", in.name, next)
				}
			}
		})
	}
}

// TestBatchTooLong: also where batches are known there are too many of them.
func TestBatchTooLong(t *testing.T) {
	srv := newFixture(t, mcp.FrontendOptions{}).serve(t)
	h := open(t, srv, "alice", "2025-03-26", `{}`)
	ping := request("ping", `{}`)
	status, body := post(t, srv, h, "["+strings.Repeat(ping+",", 9_999)+ping+"]")
	if status != http.StatusBadRequest || !strings.Contains(body, `"code":-32600`) {
		t.Errorf("%d %.200s", status, body)
	}
	if status, body := post(t, srv, h, "["+ping+"]"); status != http.StatusOK || !strings.Contains(body, `"result":{}`) {
		t.Errorf("the next: %d %s", status, body)
	}
}

func badOverHTTP(t *testing.T, f *fixture) (ask func(string) string, end func()) {
	srv := f.serve(t)
	h := open(t, srv, "alice", "2025-11-25", `{}`)
	return func(text string) string {
		status, body := post(t, srv, h, text)
		if status == http.StatusOK && strings.Contains(body, `"code":-32700`) {
			t.Errorf("a parse error has status %d", status)
		}
		return body
	}, func() {}
}

func badOverSocket(t *testing.T, f *fixture) (ask func(string) string, end func()) {
	p := plugIn(t, f.serve(t), "alice")
	p.say(initializeIn("2025-11-25"))
	p.want("2025-11-25")
	p.say(initialized)
	return func(text string) string {
		p.say(text)
		_, answer, err := p.conn.Read(p.ctx)
		if err != nil {
			t.Fatal(err)
		}
		return string(answer)
	}, func() {}
}

func badOverPipe(t *testing.T, f *fixture) (ask func(string) string, end func()) {
	l := dial(t, f, "alice")
	l.send(initializeIn("2025-11-25"))
	l.wantIn("2025-11-25")
	l.send(initialized)
	return func(text string) string {
		l.send(text)
		return receive(t, l.out)
	}, l.end
}
