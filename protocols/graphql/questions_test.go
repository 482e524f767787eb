package graphql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
	"github.com/trilith-gateway/trilith/schema"
)

const (
	askForm = `{"message":"Who are you?","requestedSchema":{"type":"object","properties":{"name":{"type":"string","maxLength":5}},"required":["name"]}}`
	askURL  = `{"mode":"url","message":"Go there.","url":"https://a.example/b"}`

	questionFields = `...on ToolQuestion{id kind message schema url}`
)

// asking is a fixture whose tools ask: demo.ask waits for the answer, demo.typed too and says what it returns, and
// demo.again comes back with it. The argument q is the question's parameters, and m its method.
func asking(t *testing.T, o Options) *fixture {
	t.Helper()
	f := newFixture(t, o)
	question := func(c *gateway.Call) gateway.Question {
		var in struct {
			Q json.RawMessage
			M string
		}
		if err := json.Unmarshal(c.Args, &in); err != nil {
			t.Error(err)
		}
		if in.M == "" {
			in.M = "elicitation/create"
		}
		return gateway.Question{Method: in.M, Params: in.Q}
	}
	ask := func(ctx context.Context, c *gateway.Call) (json.RawMessage, error) {
		q := question(c)
		if c.Ask == nil || !c.CanAnswer(q) {
			return nil, gateway.NeedsCapability(q.Capability())
		}
		return c.Ask(ctx, q)
	}
	f.offer(t, `{"name":"ask","inputSchema":{"type":"object","properties":{"q":{},"m":{"type":"string"}}}}`, func(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
		answer, err := ask(ctx, c)
		if err != nil {
			return nil, err
		}
		return gateway.TextResult(string(answer)), nil
	})
	f.offer(t, `{"name":"typed","inputSchema":{"type":"object","properties":{"q":{}}},"outputSchema":{"type":"object","properties":{"action":{"type":"string"},"content":{}},"required":["action"]}}`,
		func(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
			answer, err := ask(ctx, c)
			if err != nil {
				return nil, err
			}
			return gateway.StructuredResult(answer), nil
		})
	f.offer(t, `{"name":"again","inputSchema":{"type":"object"}}`, func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
		if c.Resume == nil {
			return &gateway.Result{Input: &gateway.InputRequest{Questions: map[string]gateway.Question{"a": question(c), "b": question(c)}, State: "s"}}, nil
		}
		if len(c.Resume.Answers) == 2 {
			return &gateway.Result{Input: &gateway.InputRequest{State: "t"}}, nil
		}
		return gateway.TextResult(c.Resume.State), nil
	})
	return f
}

// next returns the question that a stream delivers next.
func (r reader) question(field string) *generated.ToolQuestion {
	r.t.Helper()
	e, _ := r.next()
	var got struct {
		Data map[string]*generated.ToolQuestion
	}
	if err := json.Unmarshal([]byte(e.data), &got); err != nil || got.Data[field] == nil || got.Data[field].ID == "" {
		r.t.Fatalf("no question: %v %v", err, e)
	}
	return got.Data[field]
}

func answerTo(id, rest string) string {
	return fmt.Sprintf(`mutation{answerQuestion(id:%q,%s)}`, id, rest)
}

// TestQuestion: a question is answered once, by whom it was asked, as its schema says.
func TestQuestion(t *testing.T) {
	f := asking(t, Options{})
	s := f.serve(t)
	r := f.open(t, s, `subscription{toolCall(name:"demo.ask",arguments:{q:`+inline(askForm)+`}){__typename `+questionFields+` ...on ToolFinished{result{content{text}}}}}`)
	q := r.question("toolCall")
	if q.Kind != "form" || q.Message != "Who are you?" || q.URL != nil || !strings.Contains(string(q.Schema), `"maxLength":5`) || len(q.ID) < 26 {
		t.Errorf("asked %+v", q)
	}
	for name, c := range map[string]struct{ rest, want string }{
		"no action":           {`action:"maybe"`, `"INVALID_ARGUMENT"`},
		"no object":           {`action:"accept",content:[1]`, `"INVALID_ARGUMENT"`},
		"too long":            {`action:"accept",content:{name:"Ferdinand"}`, `"violations":[{"pointer":"/name"`},
		"nothing filled in":   {`action:"accept"`, `"violations":[`},
		"content of a refuse": {`action:"decline",content:{name:"Ada"}`, `"INVALID_ARGUMENT"`},
	} {
		if got := f.run(t, answerTo(q.ID, c.rest)); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
	bob := &gateway.Principal{ID: "https://idp.example|user|bob", Kind: "user", Name: "Bob"}
	if _, err := (mutation{f.Frontend}).AnswerQuestion(withCaller(t.Context(), bob), q.ID, "accept", json.RawMessage(`{"name":"Bob"}`)); gateway.AsError(err).Code != gateway.NotFound {
		t.Errorf("somebody else answers: %v", err)
	}
	answer := answerTo(q.ID, `action:"accept",content:{name:"Ada"}`)
	if got := f.run(t, answer); got != `{"data":{"answerQuestion":true}}` {
		t.Errorf("answered: %s", got)
	}
	if got := f.run(t, answer); !strings.Contains(got, `"NOT_FOUND"`) {
		t.Errorf("answered twice: %s", got)
	}
	want := []event{{"next", `{"data":{"toolCall":{"__typename":"ToolFinished","result":{"content":[{"text":"{\"action\":\"accept\",\"content\":{\"name\":\"Ada\"}}"}]}}}}`}, {"complete", ""}}
	if diff := cmp.Diff(want, r.all(), cmp.AllowUnexported(event{})); diff != "" {
		t.Error(diff)
	}
}

// inline writes JSON as a literal of GraphQL: without quotes around the names of members.
func inline(text string) string {
	for _, name := range []string{"mode", "message", "requestedSchema", "url", "type", "properties", "name", "maxLength", "required"} {
		text = strings.ReplaceAll(text, `"`+name+`":`, name+":")
	}
	return text
}

// TestQuestionFields: typed fields ask, too, of both kinds, and a call that comes back for answers gets them.
func TestQuestionFields(t *testing.T) {
	f := asking(t, Options{})
	s := f.serve(t)
	for name, c := range map[string]struct{ query, content, want string }{
		"no result type": {
			`subscription{x:demo_ask(q:` + inline(askForm) + `){__typename ...Q ...on ToolFinished{result{content{text}}}}} fragment Q on ToolCallEvent{` + questionFields + `}`,
			`content:{name:"Ada"}`, `"{\"action\":\"accept\",\"content\":{\"name\":\"Ada\"}}"`,
		},
		"a result type": {
			`subscription{x:demo_typed(q:` + inline(askForm) + `){__typename ...on ToolQuestion{dropped id kind message schema url} ...on DemoTypedFinished{result{action content}}}}`,
			`content:{name:"Ada"}`, `{"__typename":"DemoTypedFinished","result":{"action":"accept","content":{"name":"Ada"}}}`,
		},
		"a visit": {
			`subscription{x:demo_typed(q:` + inline(askURL) + `){...on ToolQuestion{id kind url message} ...on DemoTypedFinished{result{action content}}}}`,
			``, `{"result":{"action":"accept","content":null}}`,
		},
	} {
		r := f.open(t, s, c.query)
		q := r.question("x")
		if visit := name == "a visit"; visit != (q.Kind == "url" && q.URL != nil && *q.URL == "https://a.example/b") || visit == (q.Schema != nil) {
			t.Errorf("%s: asked %+v", name, q)
		}
		if got := f.run(t, answerTo(q.ID, `action:"accept",`+c.content)); got != `{"data":{"answerQuestion":true}}` {
			t.Errorf("%s: %s", name, got)
		}
		if e, _ := r.next(); !strings.Contains(e.data, c.want) {
			t.Errorf("%s: ended with %s", name, e.data)
		}
	}
	r := f.open(t, s, `subscription{toolCall(name:"demo.again",arguments:{q:`+inline(askForm)+`}){`+questionFields+` ...on ToolFinished{result{content{text}}}}}`)
	for range 2 {
		if got := f.run(t, answerTo(r.question("toolCall").ID, `action:"decline"`)); got != `{"data":{"answerQuestion":true}}` {
			t.Error(got)
		}
	}
	if e, _ := r.next(); e.data != `{"data":{"toolCall":{"result":{"content":[{"text":"t"}]}}}}` {
		t.Errorf("coming back ended with %s", e.data)
	}
}

// TestUnasked: what cannot be asked is refused, and nobody is asked.
func TestUnasked(t *testing.T) {
	f := asking(t, Options{AnswerTimeout: 20 * time.Millisecond})
	s := f.serve(t)
	for name, c := range map[string]struct{ method, params, selection, want string }{
		"the document has no questions":  {"", askForm, `dropped`, "FAILED_PRECONDITION"},
		"it has no id":                   {"", askForm, `...on ToolQuestion{message schema}`, "FAILED_PRECONDITION"},
		"it has no forms":                {"", askForm, `...on ToolQuestion{id url}`, "FAILED_PRECONDITION"},
		"it has no visits":               {"", askURL, `...on ToolQuestion{id schema}`, "FAILED_PRECONDITION"},
		"it leaves them out":             {"", askForm, `dropped ...on ToolQuestion @skip(if:true){id schema url}`, "FAILED_PRECONDITION"},
		"a model":                        {"sampling/createMessage", `{}`, questionFields, "FAILED_PRECONDITION"},
		"roots":                          {"roots/list", `{}`, questionFields, "FAILED_PRECONDITION"},
		"a mode that there is not":       {"", `{"mode":"telepathy","message":""}`, questionFields, "INTERNAL"},
		"a script":                       {"", `{"mode":"url","message":"","url":"javascript:alert(1)"}`, questionFields, "INTERNAL"},
		"a file":                         {"", `{"mode":"url","message":"","url":"file:///etc/passwd"}`, questionFields, "INTERNAL"},
		"no object for a schema":         {"", `{"message":"","requestedSchema":5}`, questionFields, "INTERNAL"},
		"a schema that is none":          {"", `{"message":"","requestedSchema":{"type":5}}`, questionFields, "INTERNAL"},
		"a schema from elsewhere":        {"", `{"message":"","requestedSchema":{"$ref":"https://a.example/"}}`, questionFields, "INTERNAL"},
		"parameters that are no object":  {"", `[]`, questionFields, "INTERNAL"},
		"members that are not as agreed": {"", `{"message":5}`, questionFields, "INTERNAL"},
	} {
		args, err := json.Marshal(map[string]any{"q": json.RawMessage(c.params), "m": c.method})
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(map[string]any{
			"query": `subscription($a:JSON){toolCall(name:"demo.ask",arguments:$a){` + c.selection + `}}`, "variables": map[string]any{"a": json.RawMessage(args)},
		})
		if err != nil {
			t.Fatal(err)
		}
		got := f.post(t, string(body), "Accept", typeEvents).Body.String()
		if !strings.Contains(got, `"code":"`+c.want+`"`) || strings.Contains(got, `"data":{"toolCall"`) {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := f.run(t, `mutation{callTool(name:"demo.ask",arguments:{q:`+inline(askForm)+`}){isError}}`); !strings.Contains(got, "FAILED_PRECONDITION") {
		t.Errorf("a mutation: %s", got)
	}
	r := f.open(t, s, `subscription{toolCall(name:"demo.ask",arguments:{q:`+inline(askForm)+`}){`+questionFields+`}}`)
	late := r.question("toolCall")
	if e, _ := r.next(); !strings.Contains(e.data, "DEADLINE_EXCEEDED") {
		t.Errorf("a question that nobody answers: %v", e)
	}
	if got := f.run(t, answerTo(late.ID, `action:"cancel"`)); !strings.Contains(got, `"NOT_FOUND"`) {
		t.Errorf("a late answer: %s", got)
	}
}

// TestQuestionEnds: a question ends with its call, and one principal has so many.
func TestQuestionEnds(t *testing.T) {
	f := asking(t, Options{})
	for range maxQuestionsOfOne - 1 {
		if err := f.questions.enter(&openQuestion{id: fmt.Sprint(f.questions.count[alice().ID]), owner: alice().ID}); err != nil {
			t.Fatal(err)
		}
	}
	s := f.serve(t)
	socket := f.dial(t, "ws"+s.URL[len("http"):]+"/graphql", nil)
	socket.send(initMessage)
	socket.want(ack)
	subscribe := func(id string) {
		query, err := json.Marshal(`subscription{toolCall(name:"demo.ask",arguments:{q:` + inline(askForm) + `}){` + questionFields + `}}`)
		if err != nil {
			t.Fatal(err)
		}
		socket.send(`{"id":"` + id + `","type":"subscribe","payload":{"query":` + string(query) + `}}`)
	}
	subscribe("1")
	var shown struct {
		Payload struct {
			Data struct{ ToolCall generated.ToolQuestion }
		}
	}
	if text := socket.receive(); json.Unmarshal([]byte(text), &shown) != nil || shown.Payload.Data.ToolCall.ID == "" {
		t.Fatalf("asked: %s", text)
	}
	subscribe("2")
	if text := socket.receive(); !strings.Contains(text, "RESOURCE_EXHAUSTED") {
		t.Errorf("one too many: %s", text)
	}
	if text := socket.receive(); !strings.Contains(text, `"complete"`) {
		t.Errorf("the end of it: %s", text)
	}
	socket.send(`{"id":"1","type":"complete"}`)
	deadline := time.After(10 * time.Second)
	for ended := false; !ended; {
		f.questions.mu.Lock()
		ended = f.questions.byID[shown.Payload.Data.ToolCall.ID] == nil
		f.questions.mu.Unlock()
		select {
		case <-deadline:
			t.Fatal("the question goes on after its call")
		case <-time.After(time.Millisecond):
		}
	}
	socket.send(`{"id":"3","type":"subscribe","payload":{"query":"mutation{answerQuestion(id:\"` + shown.Payload.Data.ToolCall.ID + `\",action:\"cancel\")}"}}`)
	if text := socket.receive(); !strings.Contains(text, "NOT_FOUND") {
		t.Errorf("an answer after the end: %s", text)
	}
}

// TestQueueKeeps: what is kept makes room only for what is.
func TestQueueKeeps(t *testing.T) {
	q := newQueue[int32](2)
	q.kept = func(n int32) bool { return n >= 100 }
	put := func(n int32) { q.put(func(int32) int32 { return n }) }
	for _, n := range []int32{1, 100, 2, 3, 101, 4, 102} {
		put(n)
	}
	q.close()
	var got []int32
	for n := range q.events {
		got = append(got, n)
	}
	if diff := cmp.Diff([]int32{101, 102}, got); diff != "" || q.dropped != 5 {
		t.Errorf("%s, %d dropped", diff, q.dropped)
	}
}

// nodes join doors in memory.
type nodes struct {
	name string
	all  map[string]*Frontend
	err  error // of requests
}

func (n *nodes) Node() string { return n.name }

func (n *nodes) Request(ctx context.Context, node string, data []byte) ([]byte, error) {
	switch f := n.all[node]; {
	case n.err != nil:
		return nil, n.err
	case f == nil:
		return nil, fmt.Errorf("%w: %s", ErrNodeGone, node)
	default:
		return f.Answer(ctx, data)
	}
}

// TestAnswerAtAnotherNode: an answer reaches the node that asks, and what that has against it the caller.
func TestAnswerAtAnotherNode(t *testing.T) {
	a, b := &nodes{name: "A", all: map[string]*Frontend{}}, &nodes{name: "B", all: map[string]*Frontend{}}
	f, other := asking(t, Options{Cluster: a}), newFixture(t, Options{Cluster: b})
	b.all["A"] = f.Frontend
	r := f.open(t, f.serve(t), `subscription{toolCall(name:"demo.ask",arguments:{q:`+inline(askForm)+`}){__typename `+questionFields+` ...on ToolFinished{result{content{text}}}}}`)
	q := r.question("toolCall")
	if !strings.HasPrefix(q.ID, "A.") || len(q.ID) < 28 {
		t.Errorf("the id is %q", q.ID)
	}
	b.err = errors.New("the cable is cut")
	answer := answerTo(q.ID, `action:"accept",content:{name:"Ada"}`)
	if got := other.run(t, answer); !strings.Contains(got, `"UNAVAILABLE"`) || strings.Contains(got, "cable") {
		t.Errorf("without a way to it: %s", got)
	}
	b.err = nil
	if got := other.run(t, answerTo(q.ID, `action:"accept",content:{name:"Ferdinand"}`)); !strings.Contains(got, `"violations":[{"pointer":"/name"`) {
		t.Errorf("too long: %s", got)
	}
	if got := other.run(t, answerTo(q.ID, `action:"accept"`)); !strings.Contains(got, `"violations":[`) {
		t.Errorf("nothing filled in: %s", got)
	}
	if got := other.run(t, answer); got != `{"data":{"answerQuestion":true}}` {
		t.Errorf("answered: %s", got)
	}
	if got := fmt.Sprint(r.all()); !strings.Contains(got, `\"content\":{\"name\":\"Ada\"}`) {
		t.Errorf("ended with %s", got)
	}
	for _, id := range []string{q.ID, "C." + q.ID} {
		if got := other.run(t, answerTo(id, `action:"cancel"`)); !strings.Contains(got, `"NOT_FOUND"`) {
			t.Errorf("%s afterwards: %s", id, got)
		}
	}
	if _, err := f.Answer(t.Context(), []byte("nonsense")); err == nil {
		t.Error("nonsense was taken for an answer")
	}
}

// TestDoors: where the gateway is reached is told.
func TestDoors(t *testing.T) {
	f := newFixture(t, Options{Doors: Doors{HTTP: "https://gw.example", GRPC: "https://gw.example:443"}})
	if got := f.run(t, `{doors{http grpc}}`); got != `{"data":{"doors":{"http":"https://gw.example","grpc":"https://gw.example:443"}}}` {
		t.Error(got)
	}
}

// FuzzQuestion: what an upstream asks is shown as it may be, and what a caller answers is JSON.
func FuzzQuestion(f *testing.F) {
	for _, params := range []string{askForm, askURL, `{}`, `{"message":"x","requestedSchema":null}`, `{"mode":"url","url":"http://"}`} {
		f.Add([]byte(params), []byte(`{"name":"Ada"}`))
	}
	f.Fuzz(func(t *testing.T, params, content []byte) {
		a := &asker{forms: true, urls: true}
		shown, err := a.parse(gateway.Question{Method: "elicitation/create", Params: params})
		if err != nil {
			return
		}
		if (shown.Kind == kindURL) != (shown.URL != nil) || shown.Kind == kindURL && !strings.HasPrefix(strings.ToLower(*shown.URL), "http") {
			t.Errorf("%q is shown as %+v", params, shown)
		}
		if shown.Schema != nil && !json.Valid(shown.Schema) {
			t.Errorf("the schema %q", shown.Schema)
		}
		if schema.Check(content, schema.DefaultBounds()) != nil {
			return // No request has it.
		}
		o := &openQuestion{form: shown.Kind == kindForm}
		if answer, err := o.read("accept", content); err == nil && !json.Valid(answer) {
			t.Errorf("the answer %q", answer)
		}
	})
}
