package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// patience is how long an attack may occupy the gateway, on a slow machine.
const patience = time.Minute

func repeat(n int, f func(i int) string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(f(i))
	}
	return b.String()
}

func introspectionOf(types string) string {
	return `{"__schema":{"queryType":{"name":"Query"},"types":[` + types + `]}}`
}

const (
	stringType = `{"kind":"SCALAR","name":"String"}`
	aString    = `"type":{"kind":"SCALAR","name":"String"}`
)

// TestIntrospectionAttacks reads schemas that are made to hurt whoever does.
func TestIntrospectionAttacks(t *testing.T) {
	field := func(name, of string) string {
		return `{"name":"` + name + `","args":[],"type":` + of + `}`
	}
	query := func(fields string) string { return `{"kind":"OBJECT","name":"Query","fields":[` + fields + `]}` }
	ok := query(field("a", `{"kind":"SCALAR","name":"String"}`))
	ref := func(name string) string { return `{"kind":"OBJECT","name":"` + name + `"}` }
	for _, tt := range []struct {
		name, data string
		err        string // part of the error, or
		tools      int
		notes      int // at least
	}{
		{name: "a bomb of types", data: introspectionOf(ok + "," + repeat(100_000, func(i int) string { return fmt.Sprintf(`{"kind":"OBJECT","name":"T%d"}`, i) })), err: "100001 types"},
		{
			name: "a bomb of fields", err: "more than 200000",
			data: introspectionOf(query(repeat(210_000, func(i int) string { return fmt.Sprintf(`{"name":"f%d"}`, i) }))),
		},
		{name: "long text", data: introspectionOf(`{"kind":"OBJECT","name":"Query","fields":[{"name":"a","description":"` + strings.Repeat("ä", 1<<20) + `","args":[],` + aString + `}]}`), tools: 1},
		{name: "too long", data: introspectionOf(`{"kind":"OBJECT","name":"Query","description":"` + strings.Repeat("x", maxSchemaBytes) + `"}`), err: "longer than"},
		{name: "deep", data: introspectionOf(query(field("a", strings.Repeat(`{"kind":"LIST","ofType":`, 1000)+"null"+strings.Repeat("}", 1000)))), err: "nested deeper"},
		{name: "deep lists", data: introspectionOf(query(field("a", strings.Repeat(`{"kind":"LIST","ofType":`, 12)+`{"kind":"SCALAR","name":"String"}`+strings.Repeat("}", 12)))), notes: 1},
		{name: "non-null of non-null", data: introspectionOf(query(field("a", `{"kind":"NON_NULL","ofType":{"kind":"NON_NULL","ofType":{"kind":"SCALAR","name":"String"}}}`))), notes: 1},
		{name: "no names", data: introspectionOf(`{"kind":"OBJECT","name":"Query","fields":[{"name":"a b",` + aString + `},{"name":"__a",` + aString + `},{"name":"",` + aString + `},{"name":"b){x",` + aString + `}]}`), notes: 4},
		{name: "names twice", data: introspectionOf(query(field("a", `{"kind":"SCALAR","name":"String"}`)+","+field("a", `{"kind":"SCALAR","name":"Int"}`)) + "," + ok), tools: 1, notes: 2},
		{name: "types that are not there", data: introspectionOf(query(field("a", ref("Gone")))), notes: 1},
		{name: "an input as an output", data: introspectionOf(query(field("a", `{"kind":"INPUT_OBJECT","name":"In"}`)) + `,{"kind":"INPUT_OBJECT","name":"In","inputFields":[]}`), notes: 1},
		{name: "a built-in type that is another", data: introspectionOf(ok + `,{"kind":"OBJECT","name":"String","fields":[]},{"kind":"OBJECT","name":"__Schema","fields":[]}`), tools: 1},
		{name: "unknown kinds", data: introspectionOf(ok + `,{"kind":"MONAD","name":"M"}`), tools: 1, notes: 1},
		{name: "no query type", data: `{"__schema":{"queryType":{"name":"Gone"},"types":[]}}`, err: "no query type"},
		{name: "a query type that is a scalar", data: introspectionOf(`{"kind":"SCALAR","name":"Query"}`), err: "no query type"},
		{name: "nothing", data: `{}`, err: "no query type"},
		{name: "a list", data: `[]`, err: "not the answer"},
		{name: "a default that is more than a value", data: introspectionOf(`{"kind":"OBJECT","name":"Query","fields":[{"name":"a",` + aString +
			`,"args":[{"name":"x","defaultValue":"1) { evil } b(y: 2",` + aString + `}]}]}`), tools: 1, notes: 1},
		{
			name: "circles", tools: 1,
			data: introspectionOf(query(field("a", ref("T0"))) + "," + repeat(100, func(i int) string {
				return fmt.Sprintf(`{"kind":"OBJECT","name":"T%d","fields":[%s]}`, i, repeat(100, func(j int) string { return field(fmt.Sprintf("f%d", j), ref(fmt.Sprintf("T%d", j))) }))
			})), notes: 1,
		},
		{
			name: "an interface of many", tools: 1, notes: 1,
			data: introspectionOf(query(field("a", `{"kind":"INTERFACE","name":"I"}`)) + `,{"kind":"INTERFACE","name":"I","fields":[],"possibleTypes":[` +
				repeat(5000, func(i int) string { return fmt.Sprintf(`{"name":"T%d"}`, i) }) + "]}," + repeat(5000, func(i int) string {
				return fmt.Sprintf(`{"kind":"OBJECT","name":"T%d","fields":[%s]}`, i, field(fmt.Sprintf("f%d", i), `{"kind":"SCALAR","name":"String"}`))
			})),
		},
		{
			name: "recursive inputs", tools: 1,
			data: introspectionOf(`{"kind":"OBJECT","name":"Query","fields":[{"name":"a",` + aString + `,"args":[{"name":"x","type":{"kind":"NON_NULL","ofType":{"kind":"INPUT_OBJECT","name":"A"}}}]}]},` +
				`{"kind":"INPUT_OBJECT","name":"A","inputFields":[{"name":"b","type":{"kind":"NON_NULL","ofType":{"kind":"INPUT_OBJECT","name":"B"}}}]},` +
				`{"kind":"INPUT_OBJECT","name":"B","inputFields":[{"name":"a","type":{"kind":"NON_NULL","ofType":{"kind":"INPUT_OBJECT","name":"A"}}}]}`),
		},
		{
			name: "large inputs", tools: 1, notes: 1,
			data: introspectionOf(`{"kind":"OBJECT","name":"Query","fields":[{"name":"a",` + aString + `,"args":[{"name":"x","type":{"kind":"INPUT_OBJECT","name":"I0"}}]}]},` +
				repeat(3000, func(i int) string {
					return fmt.Sprintf(`{"kind":"INPUT_OBJECT","name":"I%d","inputFields":[%s]}`, i, repeat(10, func(j int) string {
						return fmt.Sprintf(`{"name":"f%d","type":{"kind":"INPUT_OBJECT","name":"I%d"}}`, j, (i*10+j)%3000)
					}))
				})),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			start := time.Now()
			u := open(t, Options{HTTP: at("http://127.0.0.1:1")})
			n := &notes{}
			s, err := parseIntrospection([]byte(tt.data), n)
			var ops map[string]*operation
			if err == nil {
				ops = u.fromFields(s, n)
			}
			runtime.ReadMemStats(&after)
			took := time.Since(start)
			t.Logf("%v, %d KiB allocated, %d notes", took, (after.TotalAlloc-before.TotalAlloc)>>10, len(n.all))
			if took > patience {
				t.Errorf("took %v", took)
			}
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || len(err.Error()) > 1000 {
					t.Fatalf("got %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(ops) != tt.tools || len(n.all) < tt.notes || len(n.all) > maxNotes {
				t.Errorf("%d tools, %d notes: %v", len(ops), len(n.all), n.all[:min(3, len(n.all))])
			}
			for _, o := range ops {
				if len(o.tool.Definition) > 1<<20 || len(o.head) > 64<<10 {
					t.Errorf("a definition of %d bytes, a request of %d", len(o.tool.Definition), len(o.head))
				}
			}
		})
	}
}

// TestManyOperations bounds what a schema with very many root fields becomes.
func TestManyOperations(t *testing.T) {
	u := open(t, Options{HTTP: at("http://127.0.0.1:1")})
	n := &notes{}
	s, err := parseIntrospection([]byte(introspectionOf(`{"kind":"OBJECT","name":"Query","fields":[`+
		repeat(maxOperations+1000, func(i int) string { return fmt.Sprintf(`{"name":"f%d","args":[],%s}`, i, aString) })+`]}`)), n)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	ops := u.fromFields(s, n)
	t.Logf("%d tools in %v", len(ops), time.Since(start))
	if len(ops) != maxOperations || len(n.all) != 1000 || time.Since(start) > 2*patience {
		t.Errorf("%d tools, %d notes after %v", len(ops), len(n.all), time.Since(start))
	}
}

// TestEndless ends a subscription that never does, at each of its bounds.
func TestEndless(t *testing.T) {
	for _, transport := range []string{SubscriptionsWebSocket, SubscriptionsSSE} {
		s := newServer(t, `type Query { a: Int } type Subscription { a: String }`, func(ctx context.Context, _ *request, emit func(string) error) string {
			for i := 0; emit(fmt.Sprintf(`{"data":{"a":"%d"}}`, i)) == nil; i++ {
				select {
				case <-ctx.Done():
					return "-"
				default:
				}
			}
			return "-"
		})
		big := newServer(t, `type Query { a: Int } type Subscription { a: String }`, func(_ context.Context, _ *request, emit func(string) error) string {
			event := `{"data":{"a":"` + strings.Repeat("x", 1<<20) + `"}}`
			for emit(event) == nil { // Until the client has gone.
			}
			return "-"
		})
		quiet := newServer(t, `type Query { a: Int } type Subscription { a: String }`, func(ctx context.Context, _ *request, emit func(string) error) string {
			_ = emit(`{"data":{"a":"once"}}`)
			<-ctx.Done()
			return "-"
		})
		for _, tt := range []struct {
			s      *server
			end    string
			events int // at least
		}{{s, endEvents, 50}, {big, endSize, 3}, {quiet, endTime, 1}} {
			t.Run(transport+"/"+tt.end, func(t *testing.T) {
				o := tt.s.options()
				o.Subscriptions, o.MaxEvents, o.MaxTime = transport, 50, patience
				if tt.end == endTime {
					o.MaxTime = 200 * time.Millisecond
				}
				u := tt.s.loaded(t, o)
				reports := 0
				res, err := runCall(t.Context(), u, u.only("a"), &gateway.Call{Progress: func(p gateway.Progress) {
					reports++
					if len(p.Message) > maxEventText {
						t.Errorf("a report of %d bytes", len(p.Message))
					}
				}})
				if err != nil {
					t.Fatal(err)
				}
				p, perr := res.Parts()
				var out struct {
					Events []string
					End    string
				}
				if perr != nil || json.Unmarshal(p.Structured, &out) != nil || out.End != tt.end || len(out.Events) < tt.events || reports != len(out.Events) {
					t.Errorf("%d events, %d reports, end %q, %v", len(out.Events), reports, out.End, perr)
				}
				if err := u.operation(&gateway.Call{Op: gateway.OpCall, Target: &gateway.Capability{Origin: u.only("a")}}).tool.Output.Validate(p.Structured); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// only returns the name of the subscription to a field.
func (u *Upstream) only(field string) string {
	if u.catalog.Load().operations[field+"_subscription"] != nil {
		return field + "_subscription"
	}
	return field
}

// TestBrokenStreams breaks subscriptions in every way that a server can.
func TestBrokenStreams(t *testing.T) {
	const sdl = `type Query { q: Int } type Subscription { a: Int }`
	for _, transport := range []string{SubscriptionsWebSocket, SubscriptionsSSE} {
		for _, tt := range []struct {
			name   string
			answer func(ctx context.Context, emit func(string) error) string
			end    string       // of the result, or
			code   gateway.Code // of the error, or
			fails  string       // the text of the tool's error
		}{
			{name: "lost before the first event", answer: func(context.Context, func(string) error) string { return "-" }, code: gateway.Unavailable},
			{name: "lost after an event", answer: func(_ context.Context, emit func(string) error) string { _ = emit(`{"data":{"a":1}}`); return "-" }, end: endLost},
			{name: "an error at once", answer: func(context.Context, func(string) error) string { return `{"errors":[{"message":"no"}]}` }, fails: "no"},
			{name: "an error later", answer: func(_ context.Context, emit func(string) error) string {
				_ = emit(`{"data":{"a":1}}`)
				return `{"errors":[{"message":"no"}],"data":null}`
			}, end: endError},
			{name: "no event at all", answer: func(context.Context, func(string) error) string { return "" }, end: endComplete},
			{name: "no response", answer: func(context.Context, func(string) error) string { return `[1]` }, code: gateway.Unknown},
			{name: "another member", answer: func(context.Context, func(string) error) string { return `{"data":{"b":1}}` }, code: gateway.Unknown},
		} {
			t.Run(transport+"/"+tt.name, func(t *testing.T) {
				s := newServer(t, sdl, func(ctx context.Context, _ *request, emit func(string) error) string { return tt.answer(ctx, emit) })
				o := s.options()
				o.Subscriptions = transport
				res, err := run(t, s.loaded(t, o), "a", "")
				switch {
				case tt.code != 0:
					if err == nil || err.Code != tt.code {
						t.Errorf("got %v %s", err, rawOf(res))
					}
				case err != nil:
					t.Error(err)
				case tt.fails != "":
					if !res.IsError || text(res) != tt.fails {
						t.Errorf("got %s", res.Raw)
					}
				default:
					if p, err := res.Parts(); err != nil || !strings.Contains(string(p.Structured), `"end":"`+tt.end+`"`) {
						t.Errorf("got %s, %v", res.Raw, err)
					}
				}
			})
		}
	}
}

// TestHalfOpen gives up servers that accept a connection and then say nothing,
// or refuse the upgrade.
func TestHalfOpen(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				conns = append(conns, c)
			}
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
		for _, c := range conns {
			_ = c.Close()
		}
	})
	s := newServer(t, `type Query { q: Int } type Subscription { a: Int }`, nil)
	for _, transport := range []string{SubscriptionsWebSocket, SubscriptionsSSE} {
		o := s.options()
		o.Subscriptions, o.HTTP.Timeout = transport, 100*time.Millisecond
		loaded := s.loaded(t, o)
		o.HTTP = at("http://" + listener.Addr().String())
		o.HTTP.Timeout = 100 * time.Millisecond
		u := open(t, o)
		u.catalog.Store(loaded.catalog.Load())
		if _, err := run(t, u, "a", ""); err == nil || err.Code != gateway.DeadlineExceeded {
			t.Errorf("%s: %v", transport, err)
		}
	}
	for status, code := range map[int]gateway.Code{
		http.StatusUnauthorized: gateway.FailedPrecondition, http.StatusServiceUnavailable: gateway.Unavailable, http.StatusNotFound: gateway.Unknown,
		http.StatusOK: gateway.Unknown,
	} {
		s := newServer(t, `type Query { q: Int } type Subscription { a: Int }`, nil)
		u := s.loaded(t, s.options())
		s.intercept = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(status); return true }
		if _, err := run(t, u, "a", ""); err == nil || err.Code != code {
			t.Errorf("an upgrade answered %d: %v", status, err)
		}
	}
}
