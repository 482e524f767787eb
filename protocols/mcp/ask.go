package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// The methods of questions to clients (client features).
const (
	methodElicit = "elicitation/create"
	methodSample = "sampling/createMessage"
	methodRoots  = "roots/list"
)

// maxRounds bounds how often one call may ask its client.
const maxRounds = 32

// errTooManyRounds ends a call that never stops asking.
func errTooManyRounds() *gateway.Error {
	return &gateway.Error{Code: gateway.ResourceExhausted, By: door, Msg: "the call asked its client too often"}
}

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

// maxQuestions bounds what is asked at once.
const maxQuestions = 32

// checkInput refuses what an upstream must not ask for (basic, multi round-trip
// requests, server requirements).
func checkInput(in *gateway.InputRequest) error {
	if len(in.State) > maxUpstreamState || len(in.Questions) > maxQuestions || len(in.Questions) == 0 && in.State == "" {
		return &gateway.Error{Code: gateway.Internal, By: door, Msg: "the upstream asks for input in a way that is not valid"}
	}
	return nil
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
	can := r.can.within(r.rev)
	call.Capabilities = f.declared[can]
	var a *asker
	if can != 0 {
		a = &asker{f: f, r: r, can: can, call: ctx, turn: make(chan struct{}, 1)}
		call.Ask = a.ask
	}
	res, err := f.gw.Do(ctx, call)
	if err != nil || res.Input == nil {
		return res, err
	}
	if a == nil {
		a = &asker{} // It answers nothing.
	}
	for round := range maxRounds {
		resume, err := a.answers(ctx, res.Input, round)
		if err != nil {
			return nil, f.gw.Refuse(ctx, call, err)
		}
		call = &gateway.Call{
			Op: call.Op, Name: call.Name, Args: call.Args, Meta: call.Meta, Principal: call.Principal, Via: call.Via,
			Progress: call.Progress, Log: call.Log, Ask: call.Ask, Capabilities: call.Capabilities, Resume: resume,
		}
		res, err = f.gw.Do(ctx, call)
		if err != nil || res.Input == nil {
			return res, err
		}
	}
	return nil, f.gw.Refuse(ctx, call, errTooManyRounds())
}

// An asker asks a legacy client on behalf of one call, one question after
// another.
type asker struct {
	f    *Frontend
	r    *request
	can  ability
	call context.Context //nolint:containedctx // of the call.
	turn chan struct{}
}

func (a *asker) ask(ctx context.Context, q gateway.Question) (json.RawMessage, error) {
	if e := a.can.lacks(q); e != nil {
		return nil, e
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(a.call, cancel)() // The asker's context may have nothing to do with the call's.
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
		return a.f.ask(ctx, a.r, q)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answers asks what a call needs before it can go on.
func (a *asker) answers(ctx context.Context, in *gateway.InputRequest, round int) (*gateway.Resume, error) {
	if err := checkInput(in); err != nil {
		return nil, err
	}
	resume := &gateway.Resume{Answers: map[string]json.RawMessage{}, State: in.State}
	if len(in.Questions) == 0 {
		return resume, pause(ctx, round)
	}
	for _, q := range in.Questions { // Before the first is asked in vain.
		if e := a.can.lacks(q); e != nil {
			return nil, e
		}
	}
	for _, key := range slices.Sorted(maps.Keys(in.Questions)) {
		answer, err := a.ask(ctx, in.Questions[key])
		if err != nil {
			return nil, err
		}
		resume.Answers[key] = answer
	}
	return resume, nil
}

// pause waits before a call that only wants to be made again is, longer each
// time.
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
