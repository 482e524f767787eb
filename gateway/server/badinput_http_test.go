package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

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
