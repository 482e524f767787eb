package mcp_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	"golang.org/x/tools/txtar"
)

// A saying is something that a server says, byte for byte.
type saying struct {
	kind, name, raw string
	long            bool // so that it is not said over every pair of transports
}

// A corpus is what a fake server says.
type corpus []saying

// readCorpus reads testdata/fidelity and adds what is too long for a file.
func readCorpus() (corpus, error) {
	var c corpus
	for _, kind := range []string{"tools", "resources", "prompts", "completions", "errors", "definitions"} {
		archive, err := txtar.ParseFile("testdata/fidelity/" + kind + ".txtar")
		if err != nil {
			return nil, err
		}
		for _, f := range archive.Files {
			c = append(c, saying{kind: kind, name: f.Name, raw: strings.TrimSuffix(string(f.Data), "\n")})
		}
	}
	long := strings.Repeat(`é\n\u003c`, 100_000)
	return append(c,
		saying{"tools", "a-megabyte", `{"content":[{"type":"text","text":"` + long + `"}]}`, true},
		saying{"tools", "many-blocks", `{"content":[{"type":"x-n","n":9007199254740993}` + strings.Repeat(`,{"type":"x-n","n":1.10}`, 20_000) + `]}`, true},
		saying{"tools", "deep", `{"content":[],"structuredContent":` + strings.Repeat(`[{"":`, 100) + `0` + strings.Repeat(`}]`, 100) + `}`, true},
		saying{"resources", "a-megabyte", `{"contents":[{"uri":"test://resource/a-megabyte","blob":"` + strings.Repeat("AAEC", 1<<18) + `"}]}`, true},
		saying{"prompts", "a-megabyte", `{"messages":[{"role":"user","content":{"type":"text","text":"` + long + `"}}]}`, true},
	), nil
}

// find returns what is said of a kind under a name.
func (c corpus) find(kind, name string) string {
	for _, s := range c {
		if s.kind == kind && s.name == name {
			return s.raw
		}
	}
	return ""
}

// list returns the definitions of a list, in the form of a result's member.
func (c corpus) list(member string) string {
	var all []string
	for _, s := range c {
		switch {
		case s.kind == "definitions" && strings.HasPrefix(s.name, member+"/"):
			all = append(all, s.raw)
		case member == "tools" && (s.kind == "tools" || s.kind == "errors"):
			all = append(all, fmt.Sprintf(`{"name":%q,"inputSchema":{"type":"object"}}`, s.kind+"."+s.name))
		case member == "resources" && s.kind == "resources":
			all = append(all, fmt.Sprintf(`{"uri":"test://resource/%s","name":%q}`, s.name, s.name))
		case member == "prompts" && (s.kind == "prompts" || s.kind == "completions"):
			all = append(all, fmt.Sprintf(`{"name":%q}`, s.kind+"."+s.name))
		}
	}
	return `{"` + member + `":[` + strings.Join(all, ",") + `]}`
}

// asModern gives a result the members that revision 2026-07-28 demands, where
// it lacks them. What can be cached has its hints, too.
func asModern(raw, hints string) string {
	var has map[string]json.RawMessage
	if json.Unmarshal([]byte(raw), &has) != nil || has["resultType"] != nil {
		return raw
	}
	own := `"_meta":{` + metaOfServer + `:{"name":"fake","version":"1"}},`
	if has["_meta"] != nil {
		own = "" // The door will name itself.
	}
	return "{" + hints + `"resultType":"complete",` + own + raw[1:]
}

const metaOfServer = `"io.modelcontextprotocol/serverInfo"`

// An asking is a request, or a notification, as a fake server reads it.
type asking struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name string `json:"name"`
		URI  string `json:"uri"`
		Ref  struct {
			Name string `json:"name"`
		} `json:"ref"`
		Meta struct {
			Token json.RawMessage `json:"progressToken"`
		} `json:"_meta"`
	} `json:"params"`
}

// says returns what the server says to a request: its "result" or its "error",
// raw.
func (c corpus) says(a *asking, modern bool) (member, raw string) {
	hints := ""
	switch a.Method {
	case "server/discover":
		if !modern {
			return "error", `{"code":-32601,"message":"no"}`
		}
		return "result", asModern(`{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{},"resources":{},"prompts":{},"completions":{}},"ttlMs":0,"cacheScope":"private"}`, "")
	case "initialize":
		return "result", `{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"resources":{},"prompts":{},"completions":{}},"serverInfo":{"name":"fake","version":"1"}}`
	case "tools/list":
		raw = c.list("tools")
	case "resources/list":
		raw = c.list("resources")
	case "resources/templates/list":
		raw = c.list("resourceTemplates")
	case "prompts/list":
		raw = c.list("prompts")
	case "tools/call":
		kind, name, _ := strings.Cut(a.Params.Name, ".")
		raw = c.find(kind, name)
		if kind == "errors" {
			return "error", raw
		}
	case "prompts/get":
		raw = c.find("prompts", strings.TrimPrefix(a.Params.Name, "prompts."))
	case "completion/complete":
		raw = c.find("completions", strings.TrimPrefix(a.Params.Ref.Name, "completions."))
	case "resources/read":
		raw = c.find("resources", strings.TrimPrefix(a.Params.URI, "test://resource/"))
		hints = `"ttlMs":0,"cacheScope":"private",`
	}
	if raw == "" {
		return "error", `{"code":-32601,"message":"no"}`
	}
	if strings.HasSuffix(a.Method, "/list") {
		hints = `"ttlMs":0,"cacheScope":"private",`
	}
	if modern {
		raw = asModern(raw, hints)
	}
	return "result", raw
}

// answer returns a response, and before it a report of progress where the
// request wants such.
func (c corpus) answer(a *asking, modern bool) (report, response string) {
	member, raw := c.says(a, modern)
	if a.Params.Meta.Token != nil {
		report = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":` + string(a.Params.Meta.Token) + `,"progress":1}}`
	}
	return report, `{"jsonrpc":"2.0","id":` + string(a.ID) + `,"` + member + `":` + raw + `}`
}

// overHTTP is the server behind streamable HTTP, which answers in JSON or in
// events.
func (c corpus) overHTTP(modern, events bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var a asking
		if r.Method != http.MethodPost {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		if json.NewDecoder(r.Body).Decode(&a) != nil || a.ID == nil {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		if a.Method == "initialize" {
			w.Header().Set("Mcp-Session-Id", "s")
		}
		report, response := c.answer(&a, modern)
		if !events {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, response)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		if report != "" {
			io.WriteString(w, eventOf(report))
		}
		io.WriteString(w, eventOf(response))
	})
}

// eventOf returns a message as an event, with a data field for each line.
func eventOf(message string) string {
	return "data: " + strings.ReplaceAll(message, "\n", "\ndata: ") + "\n\n"
}

// overSSE is the server behind HTTP+SSE of 2024-11-05.
func (c corpus) overSSE() http.Handler {
	var mu sync.Mutex
	streams := map[string]chan string{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			out := make(chan string, 16)
			mu.Lock()
			id := fmt.Sprint(len(streams))
			streams[id] = out
			mu.Unlock()
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "event: endpoint\ndata: /messages?id="+id+"\n\n")
			for {
				http.NewResponseController(w).Flush()
				select {
				case m := <-out:
					io.WriteString(w, "event: message\n"+eventOf(m))
				case <-r.Context().Done():
					return
				}
			}
		}
		mu.Lock()
		out := streams[r.URL.Query().Get("id")]
		mu.Unlock()
		var a asking
		if out == nil {
			w.WriteHeader(http.StatusNotFound) // This is no streamable HTTP.
			return
		}
		if json.NewDecoder(r.Body).Decode(&a) == nil && a.ID != nil {
			report, response := c.answer(&a, false)
			if report != "" {
				out <- report
			}
			out <- response
		}
		w.WriteHeader(http.StatusAccepted)
	})
}

// overPipe is the server as a program.
func overPipe(modern bool) error {
	c, err := readCorpus()
	if err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var a asking
		if err := json.Unmarshal(in.Bytes(), &a); err != nil {
			return err
		}
		if a.ID == nil {
			continue
		}
		report, response := c.answer(&a, modern)
		if report != "" {
			fmt.Println(report)
		}
		fmt.Println(oneLineOf(response))
	}
	return in.Err()
}

// oneLineOf is a JSON text without line breaks, as it must be on a pipe.
func oneLineOf(raw string) string { return strings.ReplaceAll(raw, "\n", " ") }
