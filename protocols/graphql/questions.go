package graphql

import (
	"context"
	"encoding/json"
	"net/url"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/ask"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
	"github.com/trilith-gateway/trilith/schema"
)

// The kinds of questions, which are the modes of MCP's elicitation.
const (
	kindForm = "form"
	kindURL  = "url"
)

// Bounds on what is asked: questions of one principal and of all that wait for answers.
const (
	maxQuestionsOfOne = 64
	maxQuestions      = 1 << 13
)

// An openQuestion waits for its answer.
type openQuestion struct {
	id     string // unguessable
	owner  string // the principal's ID
	form   bool
	schema *schema.Schema // of the answer to a form; nil for any object
	answer chan json.RawMessage
}

// questions are the open ones of all calls on this node.
type questions struct {
	mu    sync.Mutex
	byID  map[string]*openQuestion
	count map[string]int // by owner
}

// enter makes room for a question.
func (q *questions) enter(o *openQuestion) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.byID) >= maxQuestions || q.count[o.owner] >= maxQuestionsOfOne {
		return &gateway.Error{Code: gateway.ResourceExhausted, By: door, Msg: "too many questions wait for answers"}
	}
	if q.byID == nil {
		q.byID, q.count = map[string]*openQuestion{}, map[string]int{}
	}
	q.byID[o.id] = o
	q.count[o.owner]++
	return nil
}

// leave ends a question, and reports false where it has ended already.
func (q *questions) leave(o *openQuestion) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.byID[o.id] != o {
		return false
	}
	delete(q.byID, o.id)
	if q.count[o.owner]--; q.count[o.owner] == 0 {
		delete(q.count, o.owner)
	}
	return true
}

// find returns the open question of that id, if it was asked of this principal.
func (q *questions) find(id, owner string) (*openQuestion, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if o := q.byID[id]; o != nil && o.owner == owner {
		return o, nil
	}
	return nil, errNoQuestion()
}

// read returns an answer as MCP's ElicitResult.
func (o *openQuestion) read(action string, content json.RawMessage) (json.RawMessage, error) {
	content, err := object("content", content)
	switch {
	case err != nil:
		return nil, err
	case action != "accept" && action != "decline" && action != "cancel":
		return nil, invalidArgument("action must be accept, decline or cancel")
	case content != nil && (action != "accept" || !o.form):
		return nil, invalidArgument("content goes with accept to a form")
	case action != "accept" || !o.form:
		return json.RawMessage(`{"action":"` + action + `"}`), nil
	case content == nil:
		content = json.RawMessage(`{}`)
	}
	if o.schema != nil {
		if err := o.schema.Validate(content); err != nil {
			return nil, &gateway.Error{Code: gateway.InvalidArgument, By: door, Msg: "the content does not satisfy the schema of the question", Err: err}
		}
	}
	return append(append([]byte(`{"action":"accept","content":`), content...), '}'), nil
}

// answerable says which questions a field of Subscription wants: it must select their id, and what they are about.
func answerable(ctx context.Context) (form, visit bool) {
	in := graphql.GetFieldContext(ctx)
	if in == nil || in.Field.Field == nil || !graphql.HasOperationContext(ctx) {
		return false, false
	}
	field := in.Field
	types := []string{"ToolQuestion", "ToolCallEvent", field.Definition.Type.Name()}
	var id bool
	for _, f := range graphql.CollectFields(graphql.GetOperationContext(ctx), field.Selections, types) {
		switch f.Name {
		case "id":
			id = true
		case "schema":
			form = true
		case "url":
			visit = true
		}
	}
	return form && id, visit && id
}

// An asker shows the caller of one call its questions. It is an [ask.Client].
type asker struct {
	f     *Frontend
	owner string
	forms bool
	urls  bool
	show  func(*generated.ToolQuestion)
}

// runAsking takes a call along the road whose caller may be asked something, if its document says that it can answer.
// Where the upstream cannot wait for answers, the call is made again with them.
func (f *Frontend) runAsking(ctx context.Context, call *gateway.Call, show func(*generated.ToolQuestion)) (*gateway.Result, error) {
	a := &asker{f: f, owner: call.Principal.ID, show: show}
	if a.forms, a.urls = answerable(ctx); !a.forms && !a.urls {
		return a.Do(ctx, call)
	}
	questions := &ask.Asker{By: door, Call: ctx, Client: a}
	call.Ask, call.Capabilities = questions.Ask, a.capabilities()
	return questions.Do(ctx, call)
}

// Do implements [ask.Client].
func (a *asker) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	return a.f.do(ctx, a.f.gw, call)
}

// Refuse implements [ask.Client].
func (a *asker) Refuse(ctx context.Context, call *gateway.Call, err error) error {
	return recorded(call, a.f.gw.Refuse(ctx, call, err))
}

// capabilities are those of a client of MCP that answers the same questions.
func (a *asker) capabilities() json.RawMessage {
	switch {
	case !a.urls:
		return json.RawMessage(`{"elicitation":{"form":{}}}`)
	case !a.forms:
		return json.RawMessage(`{"elicitation":{"url":{}}}`)
	}
	return json.RawMessage(`{"elicitation":{"form":{},"url":{}}}`)
}

// Can implements [ask.Client].
func (a *asker) Can(q gateway.Question) error {
	_, err := a.parse(q)
	return err
}

// Put implements [ask.Client]: it shows a question and waits for the answer.
func (a *asker) Put(ctx context.Context, q gateway.Question) (json.RawMessage, error) {
	shown, err := a.parse(q)
	if err != nil {
		return nil, err
	}
	shown.ID = a.f.newQuestionID()
	o := &openQuestion{id: shown.ID, owner: a.owner, form: shown.Kind == kindForm, answer: make(chan json.RawMessage, 1)}
	if o.form && shown.Schema != nil {
		if o.schema, err = schema.Compile(shown.Schema); err != nil {
			return nil, ask.Invalid(door, err)
		}
	}
	if err := a.f.questions.enter(o); err != nil {
		return nil, err
	}
	defer a.f.questions.leave(o)
	a.show(shown)
	late := time.NewTimer(a.f.o.AnswerTimeout)
	defer late.Stop()
	select {
	case answer := <-o.answer:
		return answer, nil
	case <-late.C:
		return nil, &gateway.Error{Code: gateway.DeadlineExceeded, By: "client", Msg: "the question was not answered in time"}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// parse returns a question as it is shown, but for its id, or why it is not. What it says comes from the upstream.
func (a *asker) parse(q gateway.Question) (*generated.ToolQuestion, error) {
	if q.Method != "elicitation/create" {
		if q.Capability() == "" {
			return nil, &gateway.Error{Code: gateway.Unimplemented, By: door, Msg: "there is no such question"}
		}
		return nil, gateway.NeedsCapability(q.Capability())
	}
	var p struct {
		Mode    string         `json:"mode"`
		Message string         `json:"message"`
		Schema  jsontext.Value `json:"requestedSchema"`
		URL     string         `json:"url"`
	}
	if err := jsonv2.Unmarshal(q.Params, &p); err != nil {
		return nil, ask.Invalid(door, err)
	}
	shown := &generated.ToolQuestion{Kind: kindForm, Message: p.Message}
	switch p.Mode {
	case "", kindForm:
		if !a.forms {
			return nil, needs(kindForm)
		}
		if !objectOrNull(p.Schema) {
			return nil, ask.Invalid(door, nil)
		}
		if len(p.Schema) > 0 && p.Schema.Kind() == jsontext.KindBeginObject {
			shown.Schema = json.RawMessage(p.Schema)
		}
	case kindURL:
		if !a.urls {
			return nil, needs(kindURL)
		}
		to, err := url.Parse(p.URL)
		if err != nil || to.Scheme != "https" && to.Scheme != "http" || to.Host == "" { // A page may open it.
			return nil, ask.Invalid(door, err)
		}
		shown.Kind, shown.URL = kindURL, &p.URL
	default:
		return nil, ask.Invalid(door, nil)
	}
	return shown, nil
}

// needs is the refusal of a question of a kind that the caller's document does not select.
func needs(kind string) error {
	e := gateway.NeedsCapability("elicitation")
	e.Needs = json.RawMessage(`{"elicitation":{"` + kind + `":{}}}`)
	return e
}
