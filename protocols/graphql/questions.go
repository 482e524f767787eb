package graphql

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
	"github.com/trilith-gateway/trilith/schema"
)

// The kinds of questions, which are the modes of MCP's elicitation.
const (
	kindForm = "form"
	kindURL  = "url"
)

// Bounds on what is asked: questions of one principal and of all that wait for answers, how many a call may ask at once,
// and how often one may come back for more.
const (
	maxQuestionsOfOne = 64
	maxQuestions      = 1 << 13
	maxAtOnce         = 32
	maxRounds         = 32
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
	return nil, errNoQuestion
}

var errNoQuestion = &gateway.Error{Code: gateway.NotFound, By: door, Msg: "no question of that id waits for you"}

// AnswerQuestion answers a question that ToolCall has delivered.
func (m mutation) AnswerQuestion(ctx context.Context, id, action string, content json.RawMessage) (*bool, error) {
	o, err := m.questions.find(id, caller(ctx).ID)
	if err != nil {
		return nil, err
	}
	answer, err := o.read(action, content)
	if err != nil {
		return nil, err
	}
	if !m.questions.leave(o) { // Somebody was faster, or the call has ended.
		return nil, errNoQuestion
	}
	o.answer <- answer
	yes := true
	return &yes, nil
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

// An asker asks the caller of one call, one question after another.
type asker struct {
	f     *Frontend
	call  context.Context //nolint:containedctx // of the call.
	owner string
	forms bool
	urls  bool
	show  func(*generated.ToolQuestion)
	turn  chan struct{}
}

// runAsking takes a call along the road whose caller may be asked something, if its document says that it can answer.
// Where the upstream cannot wait for answers, the call is made again with them.
func (f *Frontend) runAsking(ctx context.Context, call *gateway.Call, show func(*generated.ToolQuestion)) (*gateway.Result, error) {
	a := &asker{f: f, call: ctx, owner: call.Principal.ID, show: show, turn: make(chan struct{}, 1)}
	if a.forms, a.urls = answerable(ctx); !a.forms && !a.urls {
		return f.do(ctx, f.gw, call)
	}
	call.Ask, call.Capabilities = a.ask, a.capabilities()
	res, err := f.do(ctx, f.gw, call)
	for round := 0; err == nil && res.Input != nil; round++ {
		var resume *gateway.Resume
		if resume, err = a.answers(ctx, res.Input, round); err != nil {
			return nil, recorded(call, f.gw.Refuse(ctx, call, err))
		}
		call = &gateway.Call{
			Op: call.Op, Name: call.Name, Args: call.Args, Principal: call.Principal, Via: call.Via,
			Progress: call.Progress, Log: call.Log, Ask: call.Ask, Capabilities: call.Capabilities, Resume: resume,
		}
		res, err = f.do(ctx, f.gw, call)
	}
	return res, err
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

// ask is the call's Ask.
func (a *asker) ask(ctx context.Context, q gateway.Question) (json.RawMessage, error) {
	shown, err := a.parse(q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(a.call, cancel)() //nolint:contextcheck // The asker's context may have nothing to do with the call's.
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	o := &openQuestion{id: shown.ID, owner: a.owner, form: shown.Kind == kindForm, answer: make(chan json.RawMessage, 1)}
	if o.form && shown.Schema != nil {
		if o.schema, err = schema.Compile(shown.Schema); err != nil {
			return nil, badQuestion(err)
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

// parse returns a question as it is shown, or why it is not. What it says comes from the upstream.
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
		return nil, badQuestion(err)
	}
	shown := &generated.ToolQuestion{ID: rand.Text(), Kind: kindForm, Message: p.Message}
	switch p.Mode {
	case "", kindForm:
		if !a.forms {
			return nil, needs(kindForm)
		}
		if !objectOrNull(p.Schema) {
			return nil, badQuestion(nil)
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
			return nil, badQuestion(err)
		}
		shown.Kind, shown.URL = kindURL, &p.URL
	default:
		return nil, badQuestion(nil)
	}
	return shown, nil
}

func badQuestion(cause error) error {
	return &gateway.Error{Code: gateway.Internal, By: door, Msg: "the upstream asks in a way that is not valid", Err: cause}
}

// needs is the refusal of a question of a kind that the caller's document does not select.
func needs(kind string) error {
	e := gateway.NeedsCapability("elicitation")
	e.Needs = json.RawMessage(`{"elicitation":{"` + kind + `":{}}}`)
	return e
}

// answers asks what a call needs before it can go on.
func (a *asker) answers(ctx context.Context, in *gateway.InputRequest, round int) (*gateway.Resume, error) {
	switch {
	case round >= maxRounds:
		return nil, &gateway.Error{Code: gateway.ResourceExhausted, By: door, Msg: "the call asked its caller too often"}
	case len(in.Questions) > maxAtOnce || len(in.Questions) == 0 && in.State == "":
		return nil, badQuestion(nil)
	case len(in.Questions) == 0:
		return &gateway.Resume{State: in.State}, pause(ctx, round)
	}
	for _, q := range in.Questions { // Before the first is asked in vain.
		if _, err := a.parse(q); err != nil {
			return nil, err
		}
	}
	resume := &gateway.Resume{Answers: map[string]json.RawMessage{}, State: in.State}
	for _, key := range slices.Sorted(maps.Keys(in.Questions)) {
		answer, err := a.ask(ctx, in.Questions[key])
		if err != nil {
			return nil, err
		}
		resume.Answers[key] = answer
	}
	return resume, nil
}

// pause waits before a call that only wants to be made again is, longer each time.
func pause(ctx context.Context, round int) error {
	t := time.NewTimer(min(100*time.Millisecond<<min(round, 10), 5*time.Second))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
