package egress

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/gateway"
)

// Admit returns the context for the requests of a call: with the credential of
// its caller, where each caller has one. A caller who has to consent first is
// asked to by [gateway.Call.Ask], if its client shows URLs, and waited for. The
// error is a [*gateway.Error], or that of ctx.
func (c *Client) Admit(ctx context.Context, call *gateway.Call) (context.Context, error) {
	long, err := c.Enter(ctx, call)
	need, ok := errors.AsType[*NeedsConnection](err)
	switch {
	case !ok:
		return long, err
	case call.Ask == nil || !ShowsURLs(call):
		return nil, need.Refusal()
	}
	answer, err := call.Ask(ctx, need.Question())
	if err != nil {
		return nil, err
	}
	return need.Await(ctx, answer)
}

// Enter is [Client.Admit] for who asks callers in a way of its own: where the
// caller has to consent first, the error is a [*NeedsConnection].
func (c *Client) Enter(ctx context.Context, call *gateway.Call) (context.Context, error) {
	if c.each == nil {
		return ctx, nil
	}
	ctx, err := c.each.admit(ctx, call.Principal)
	if err != nil {
		return nil, err
	}
	timed, cancel := context.WithTimeoutCause(ctx, c.o.Timeout, ErrSlow)
	defer cancel()
	_, err = c.each.Authorization(timed)
	if need, ok := errors.AsType[*NeedsConnection](err); ok {
		need.c, need.ctx = c, ctx
		return nil, need
	}
	if err != nil {
		return nil, c.Fault(timed, &AuthError{err})
	}
	return ctx, nil
}

// A NeedsConnection is why a call cannot be made: its user has to visit a URL
// first.
type NeedsConnection struct {
	name, url string
	c         *Client
	ctx       context.Context //nolint:containedctx // of the call, with its caller.
}

// Error says what is missing, without the URL.
func (e *NeedsConnection) Error() string { return "the user has not connected the upstream" }

// params are those of elicitation/create (MCP, elicitation, URL mode).
func (e *NeedsConnection) params() json.RawMessage {
	id := e.url[strings.LastIndexByte(e.url, '/')+1:]
	b, _ := json.Marshal(struct { // Strings always marshal.
		Mode    string `json:"mode"`
		Message string `json:"message"`
		URL     string `json:"url"`
		ID      string `json:"elicitationId"`
	}{"url", "Connect " + e.name + " to go on: the gateway will call it on your behalf.", e.url, id[:min(len(id), 16)]})
	return b
}

// Question returns what the caller's client is to be asked.
func (e *NeedsConnection) Question() gateway.Question {
	return gateway.Question{Method: "elicitation/create", Params: e.params()}
}

// Refusal is that of a call whose caller cannot be asked to visit the URL: it is
// told where to go. Its Data has the form that MCP clients know, and its Err is
// the NeedsConnection.
func (e *NeedsConnection) Refusal() *gateway.Error {
	return &gateway.Error{
		Code: gateway.FailedPrecondition, By: "upstream/" + e.name,
		Data: append(append([]byte(`{"elicitations":[`), e.params()...), "]}"...),
		Msg:  "connect the upstream first, at " + e.url + ", then call again", Err: e,
	}
}

// lookAgain is how often it is looked whether a user has connected.
const lookAgain = 250 * time.Millisecond

// Await takes the answer to the question and waits until the user has connected,
// for at most [Options].Timeout. It returns the context to go on with, or the
// refusal. The context is that of the call.
func (e *NeedsConnection) Await(ctx context.Context, answer json.RawMessage) (context.Context, error) {
	var said struct {
		Action string `json:"action"`
	}
	_ = jsonv2.Unmarshal(answer, &said) // Anything else is no consent.
	if said.Action != "accept" {
		return nil, e.Refusal()
	}
	waiting, cancel := context.WithTimeoutCause(e.ctx, e.c.o.Timeout, ErrSlow)
	defer cancel()
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-waiting.Done():
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, e.Refusal()
		}
		_, err := e.c.each.Authorization(waiting)
		if _, still := errors.AsType[*NeedsConnection](err); err == nil {
			return e.ctx, nil
		} else if !still && waiting.Err() == nil {
			return nil, e.c.Fault(waiting, &AuthError{err})
		}
	}
}

// ShowsURLs reports whether the caller's client shows URLs to its user.
func ShowsURLs(call *gateway.Call) bool {
	var declared struct {
		Elicitation struct {
			URL *struct{} `json:"url"`
		} `json:"elicitation"`
	}
	return len(call.Capabilities) > 0 && jsonv2.Unmarshal(call.Capabilities, &declared) == nil && declared.Elicitation.URL != nil
}
