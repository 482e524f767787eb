package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"go.uber.org/goleak"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A request is what the test server is asked.
type request struct {
	Query         string          `json:"query"`
	OperationName string          `json:"operationName"`
	Variables     json.RawMessage `json:"variables"`

	kind  ast.Operation
	field string // the first root field
}

// A server is a GraphQL server as a test wants it: its schema is told by
// introspection, and one function answers everything else.
type server struct {
	*httptest.Server
	t *testing.T

	mu  sync.Mutex
	sdl string

	// answer returns a response. It may be called for each event of a subscription
	// with emit, which is nil otherwise.
	answer func(ctx context.Context, r *request, emit func(response string) error) string
	// intercept, where it is set and reports true, has answered the request.
	intercept func(http.ResponseWriter, *http.Request) bool
}

func newServer(t *testing.T, sdl string, answer func(context.Context, *request, func(string) error) string) *server {
	t.Helper()
	s := &server{t: t, sdl: sdl, answer: answer}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.CloseClientConnections)
	t.Cleanup(s.Close)
	return s
}

func (s *server) setSchema(sdl string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sdl = sdl
}

func (s *server) schema() *ast.Schema {
	s.mu.Lock()
	defer s.mu.Unlock()
	schema, err := parseSDL("test.graphql", s.sdl)
	if err != nil {
		s.t.Errorf("the test's schema: %v", err)
	}
	return schema
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.intercept != nil && s.intercept(w, r) {
		return
	}
	if r.Header.Get("Upgrade") == "websocket" {
		s.serveSocket(w, r)
		return
	}
	var q request
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if strings.Contains(q.Query, "__schema") || strings.Contains(q.Query, "__type(") {
		w.Header().Set("Content-Type", typeGraphQL)
		fmt.Fprintf(w, `{"data":%s}`, introspected(s.schema(), q.Query))
		return
	}
	if err := q.parse(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.Header.Get("Accept") == typeSSE {
		w.Header().Set("Content-Type", typeSSE)
		flush := http.NewResponseController(w)
		_ = flush.Flush()
		last := s.answer(r.Context(), &q, func(response string) error {
			_, err := fmt.Fprintf(w, ": a comment\nevent: next\ndata: %s\n\n", response)
			_ = flush.Flush()
			return err
		})
		if last == "" {
			fmt.Fprint(w, "event: complete\ndata:\n\n")
		} else if last != "-" {
			fmt.Fprintf(w, "event: next\ndata: %s\n\nevent: complete\n\n", last)
		}
		return
	}
	w.Header().Set("Content-Type", typeGraphQL+"; charset=utf-8")
	fmt.Fprint(w, s.answer(r.Context(), &q, nil))
}

func (q *request) parse() error {
	doc, err := parser.ParseQuery(&ast.Source{Input: q.Query})
	if err != nil {
		return err
	}
	op := doc.Operations.ForName(q.OperationName)
	if op == nil {
		return fmt.Errorf("no operation %q", q.OperationName)
	}
	q.kind = op.Operation
	if f, ok := op.SelectionSet[0].(*ast.Field); ok {
		q.field = f.Name
	}
	return nil
}

// serveSocket speaks just enough graphql-transport-ws for one operation.
func (s *server) serveSocket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	send := func(text string) error { return conn.Write(ctx, websocket.MessageText, []byte(text)) }
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return
		}
		var f frame
		if err := json.Unmarshal(data, &f); err != nil {
			return
		}
		switch f.Type {
		case "connection_init":
			_ = send(`{"type":"ping"}`)
			_ = send(`{"type":"connection_ack"}`)
		case "subscribe":
			var q request
			if json.Unmarshal(f.Payload, &q) != nil || q.parse() != nil {
				return
			}
			running, stop := context.WithCancel(ctx)
			var reader sync.WaitGroup
			reader.Go(func() { // Until the client completes, or is gone.
				defer stop()
				for {
					if _, data, err := conn.Read(ctx); err != nil || strings.Contains(string(data), `"complete"`) {
						return
					}
				}
			})
			defer reader.Wait()
			emit := func(response string) error { return send(`{"type":"next","id":"1","payload":` + response + `}`) }
			if last := s.answer(running, &q, emit); last != "" && last != "-" {
				_ = emit(last)
			} else if last == "-" {
				_ = conn.CloseNow()
				return
			}
			_ = send(`{"type":"complete","id":"1"}`)
			<-running.Done()
			_ = conn.CloseNow()
			return
		}
	}
}

// options returns the options of an upstream for the server.
func (s *server) options() Options {
	return Options{
		HTTP:          at(s.URL + "/graphql"),
		Subscriptions: SubscriptionsWebSocket,
	}
}

// open returns an upstream that is closed with the test.
func open(t *testing.T, o Options) *Upstream {
	t.Helper()
	u, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return u
}

// loaded returns an upstream that has read the schema of the server.
func (s *server) loaded(t *testing.T, o Options) *Upstream {
	t.Helper()
	u := open(t, o)
	c, err := u.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u.catalog.Store(c)
	return u
}

// run calls a tool.
func run(t *testing.T, u *Upstream, name, args string) (*gateway.Result, *gateway.Error) {
	t.Helper()
	return runCall(t.Context(), u, name, &gateway.Call{Args: json.RawMessage(args)})
}

func runCall(ctx context.Context, u *Upstream, name string, call *gateway.Call) (*gateway.Result, *gateway.Error) {
	call.Op, call.Kind, call.Name = gateway.OpCall, gateway.KindTool, name
	call.Principal = &gateway.Principal{ID: "test|user|caller"}
	call.Target = &gateway.Capability{Kind: gateway.KindTool, Name: name, Origin: name, Source: "suite"}
	res, err := u.Do(ctx, call)
	return res, gateway.AsError(err)
}

// introspected answers an introspection query about the schema: with everything
// that it could ask for, as far as it does.
func introspected(s *ast.Schema, query string) string {
	if !strings.Contains(query, "__schema") {
		return `{"type":{"fields":[{"name":"isOneOf","args":[]},{"name":"specifiedByURL","args":[]},{"name":"inputFields","args":[{"name":"includeDeprecated"}]}]},` +
			`"field":{"fields":[{"name":"args","args":[{"name":"includeDeprecated"}]}]}}`
	}
	root := func(d *ast.Definition) any {
		if d == nil {
			return nil
		}
		return map[string]any{"name": d.Name}
	}
	var types []any
	for _, d := range s.Types {
		types = append(types, introspectedType(s, d))
	}
	out, err := json.Marshal(map[string]any{"__schema": map[string]any{
		"queryType": root(s.Query), "mutationType": root(s.Mutation), "subscriptionType": root(s.Subscription), "types": types,
	}})
	if err != nil {
		panic(err)
	}
	return string(out)
}

func introspectedType(s *ast.Schema, d *ast.Definition) map[string]any {
	t := map[string]any{"kind": d.Kind, "name": d.Name, "description": d.Description, "isOneOf": d.Directives.ForName("oneOf") != nil}
	if by := d.Directives.ForName("specifiedBy"); by != nil {
		t["specifiedByURL"] = by.Arguments.ForName("url").Value.Raw
	}
	fields, inputs := []any{}, []any{}
	for _, f := range d.Fields {
		if d.Kind == ast.InputObject {
			inputs = append(inputs, introspectedInput(s, f.Name, f.Description, f.Type, f.DefaultValue, f.Directives))
			continue
		}
		if strings.HasPrefix(f.Name, "__") {
			continue
		}
		args := []any{}
		for _, a := range f.Arguments {
			args = append(args, introspectedInput(s, a.Name, a.Description, a.Type, a.DefaultValue, a.Directives))
		}
		fields = append(fields, map[string]any{
			"name": f.Name, "description": f.Description, "type": ref(s, f.Type), "args": args, "isDeprecated": isDeprecated(f.Directives),
		})
	}
	values, possible, interfaces := []any{}, []any{}, []any{}
	for _, v := range d.EnumValues {
		values = append(values, map[string]any{"name": v.Name, "description": v.Description, "isDeprecated": isDeprecated(v.Directives)})
	}
	if d.IsAbstractType() {
		for _, p := range s.PossibleTypes[d.Name] {
			possible = append(possible, map[string]any{"name": p.Name})
		}
	}
	for _, i := range d.Interfaces {
		interfaces = append(interfaces, map[string]any{"name": i})
	}
	t["fields"], t["inputFields"], t["enumValues"], t["possibleTypes"], t["interfaces"] = fields, inputs, values, possible, interfaces
	return t
}

func introspectedInput(s *ast.Schema, name, description string, typ *ast.Type, value *ast.Value, d ast.DirectiveList) map[string]any {
	in := map[string]any{"name": name, "description": description, "type": ref(s, typ), "isDeprecated": isDeprecated(d)}
	if value != nil {
		in["defaultValue"] = value.String()
	}
	return in
}

func ref(s *ast.Schema, t *ast.Type) map[string]any {
	if t.NonNull {
		of := *t
		of.NonNull = false
		return map[string]any{"kind": "NON_NULL", "ofType": ref(s, &of)}
	}
	if t.Elem != nil {
		return map[string]any{"kind": "LIST", "ofType": ref(s, t.Elem)}
	}
	return map[string]any{"kind": s.Types[t.NamedType].Kind, "name": t.NamedType}
}

// at returns options for a server at that URL.
func at(url string) egress.Options {
	return egress.Options{Name: "suite", URL: url, AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
}

// offline returns an upstream for what connects to nothing.
func offline(tb testing.TB) *Upstream {
	tb.Helper()
	u, err := New(Options{HTTP: at("http://127.0.0.1:1"), Subscriptions: SubscriptionsWebSocket})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = u.Close() })
	return u
}

func shop(tb testing.TB) string {
	tb.Helper()
	sdl, err := os.ReadFile("testdata/shop.graphql")
	if err != nil {
		tb.Fatal(err)
	}
	return string(sdl)
}
