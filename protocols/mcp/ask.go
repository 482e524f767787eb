package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/ask"
)

// The methods of questions to clients (client features).
const (
	methodElicit = "elicitation/create"
	methodSample = "sampling/createMessage"
	methodRoots  = "roots/list"
)

// asks reports whether the client may be asked for the sake of a call (basic,
// multi round-trip requests, supported requests).
func asks(op gateway.Op) bool {
	return op == gateway.OpCall || op == gateway.OpGet || op == gateway.OpRead
}

// An ability is a set of questions that a client answers.
type ability uint8

// The abilities.
const (
	canElicit       ability = 1 << iota // forms
	canElicitURL                        // visits to a URL, from 2025-11-25
	canSample                           // without tools
	canSampleTools                      // from 2025-11-25
	canSampleTheirs                     // context of other servers
	canRoots
	abilityCount = canRoots << 1
)

// abilities reads ClientCapabilities.
func abilities(raw json.RawMessage) ability {
	var a ability
	o, _ := openObject(raw) // No object declares nothing.
	for o.next() {
		if !isObject(o.value) {
			continue
		}
		switch string(o.name) {
		case "elicitation":
			form, url := lookup(o.value, []string{"form"}), lookup(o.value, []string{"url"})
			if isObject(url) {
				a |= canElicitURL
			}
			if isObject(form) || !isObject(url) { // Neither stands for form (2025-11-25, elicitation, capabilities).
				a |= canElicit
			}
		case "sampling":
			a |= canSample
			if isObject(lookup(o.value, []string{"tools"})) {
				a |= canSampleTools
			}
			if isObject(lookup(o.value, []string{"context"})) {
				a |= canSampleTheirs
			}
		case "roots":
			a |= canRoots
		}
	}
	return a
}

// within returns what of the abilities a legacy revision knows.
func (a ability) within(rev string) ability {
	a &= abilityCount - 1
	if rev < rev20251125 {
		a &^= canElicitURL | canSampleTools | canSampleTheirs
	}
	if rev < rev20250618 {
		a &^= canElicit
	}
	return a
}

// declared returns the abilities as ClientCapabilities.
func (a ability) declared() json.RawMessage {
	b := []byte{'{'}
	add := func(members ability, text string) {
		if a&members != 0 {
			b = append(b, text...)
		}
	}
	add(canElicit|canElicitURL, `"elicitation":{`)
	add(canElicit, `"form":{},`)
	add(canElicitURL, `"url":{},`)
	add(canElicit|canElicitURL, `},`)
	add(canSample, `"sampling":{`)
	add(canSampleTools, `"tools":{},`)
	add(canSampleTheirs, `"context":{},`)
	add(canSample, `},`)
	add(canRoots, `"roots":{},`)
	return append(trimComma(bytes.ReplaceAll(b, []byte(",}"), []byte("}"))), '}')
}

// lacks returns the refusal of a question that a client with these abilities
// cannot be asked, or nil.
func (a ability) lacks(q gateway.Question) *gateway.Error {
	var need ability
	var part string
	switch q.Method {
	case methodElicit:
		need = canElicit
		if mode, _ := unquote(lookup(q.Params, []string{"mode"})); mode == "url" {
			need, part = canElicitURL, "url"
		}
	case methodSample:
		need = canSample
		if !isNull(lookup(q.Params, []string{"tools"})) || !isNull(lookup(q.Params, []string{"toolChoice"})) {
			need, part = canSample|canSampleTools, "tools"
		}
	case methodRoots:
		need = canRoots
	default:
		return &gateway.Error{Code: gateway.Unimplemented, By: door, Msg: "there is no such question to a client"}
	}
	if a&need == need {
		return nil
	}
	capability := q.Capability()
	e := gateway.NeedsCapability(capability)
	if part != "" {
		e.Needs = json.RawMessage(`{"` + capability + `":{"` + part + `":{}}}`)
	}
	return e
}

// fits reports whether an answer has the form that the question asks for:
// ElicitResult, CreateMessageResult or ListRootsResult.
func fits(q gateway.Question, answer json.RawMessage) bool {
	if !isObject(answer) {
		return false
	}
	switch q.Method {
	case methodElicit:
		action, _ := unquote(lookup(answer, []string{"action"}))
		content := lookup(answer, []string{"content"})
		return action == "decline" || action == "cancel" || action == "accept" && (isNull(content) || isObject(content))
	case methodSample:
		role, _ := unquote(lookup(answer, []string{"role"}))
		return role != "" && !isNull(lookup(answer, []string{"content"}))
	default:
		roots := lookup(answer, []string{"roots"})
		return len(roots) > 0 && roots[0] == '['
	}
}

// appendParams appends a question's params member; roots/list may have none.
func appendParams(b []byte, params json.RawMessage) []byte {
	if params = bytes.TrimSpace(params); isObject(params) {
		return append(append(b, `,"params":`...), params...)
	}
	return append(b, `,"params":{}`...)
}

// doLegacy sends a call down the road for a client that is asked by requests on
// the stream of its own request. A call that does not wait for answers is made
// again with them, until it has ended.
func (f *Frontend) doLegacy(ctx context.Context, r *request, call *gateway.Call) (*gateway.Result, error) {
	c := &legacyClient{f: f, r: r, can: r.can.within(r.rev)}
	c.asker = ask.Asker{By: door, Call: ctx, Client: c}
	call.Capabilities = f.declared[c.can]
	if c.can != 0 {
		call.Ask = c.asker.Ask
	}
	return c.asker.Do(ctx, call)
}

// A legacyClient is the client of one call.
type legacyClient struct {
	f     *Frontend
	r     *request
	can   ability
	asker ask.Asker
}

// Can implements [ask.Client].
func (c *legacyClient) Can(q gateway.Question) error {
	if e := c.can.lacks(q); e != nil {
		return e
	}
	return nil
}

// Put implements [ask.Client].
func (c *legacyClient) Put(ctx context.Context, q gateway.Question) (json.RawMessage, error) {
	return c.f.ask(ctx, c.r, q)
}

// Do implements [ask.Client].
func (c *legacyClient) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	return c.f.gw.Do(ctx, call)
}

// Refuse implements [ask.Client].
func (c *legacyClient) Refuse(ctx context.Context, call *gateway.Call, err error) error {
	return c.f.gw.Refuse(ctx, call, err)
}

// ask sends a question to a legacy client and waits for the answer.
func (f *Frontend) ask(ctx context.Context, r *request, q gateway.Question) (json.RawMessage, error) {
	o, err := f.questions.open(r, f.questionID(r))
	if err != nil {
		return nil, err
	}
	defer f.questions.close(o)
	if r.rev == rev20251125 {
		q.Params = withElicitationID(q, o.id)
	}
	b := append(quote([]byte(`{"jsonrpc":"2.0","id":`), o.id), `,"method":"`...)
	b = append(append(b, q.Method...), '"')
	b = append(appendParams(b, q.Params), '}')
	if !r.send(flatten(b)) {
		return nil, &gateway.Error{Code: gateway.Unavailable, By: door, Msg: "the client can no longer be asked"}
	}
	late := time.NewTimer(f.o.AnswerTimeout)
	defer late.Stop()
	select {
	case a := <-o.answer:
		if a.err == nil && !fits(q, a.result) {
			a.err = &gateway.Error{Code: gateway.InvalidArgument, By: "client", Msg: "the client's answer does not fit the question"}
		}
		return a.result, a.err
	case <-late.C:
		err = &gateway.Error{Code: gateway.DeadlineExceeded, By: "client", Msg: "the client did not answer in time"}
	case <-ctx.Done():
		err = gateway.AsError(ctx.Err())
	}
	if r.notify != nil { // The client need not go on (basic, cancellation).
		n := appendNotification(nil, "notifications/cancelled")
		r.notify(append(quote(append(n, `"requestId":`...), o.id), "}}"...))
	}
	return nil, err
}

// withElicitationID returns the params of a visit to a URL with the id that
// revision 2025-11-25 requires and no other has.
func withElicitationID(q gateway.Question, id string) json.RawMessage {
	mode, _ := unquote(lookup(q.Params, []string{"mode"}))
	if mode != "url" || !isNull(lookup(q.Params, []string{"elicitationId"})) {
		return q.Params
	}
	b := quote([]byte(`{"elicitationId":`), id)
	return append(append(b, ','), bytes.TrimSpace(q.Params)[1:]...) // The mode stands after the brace.
}

// clientError is a client's error response as the asker sees it.
func clientError(raw json.RawMessage) *gateway.Error {
	e := readError(bytes.Clone(raw))
	msg := "the client refused to answer"
	if e.message != "" {
		msg += ": " + e.message
	}
	return &gateway.Error{Code: gateway.FailedPrecondition, By: "client", Msg: msg, Err: e}
}
