package mcp

import (
	"encoding/json"
	"maps"
	"slices"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/ask"
)

// appendClientCapabilities appends what a caller's client declared of the
// capabilities that the gateway passes questions on for, as an object. The
// extension is that for tasks, which the gateway itself has.
func appendClientCapabilities(b []byte, call *gateway.Call, extension bool) []byte {
	b = append(b, '{')
	if call != nil && asks(call.Op) {
		o, _ := openObject(call.Capabilities) // None is given as nil.
		for o.next() {
			switch name := string(o.name); name {
			case "elicitation", "sampling", "roots":
				if isObject(o.value) {
					b = append(quote(b, name), ':')
					b = append(append(b, o.value...), ',')
				}
			}
		}
	}
	if extension {
		b = append(b, `"extensions":{"`+extensionTasks+`":{}}`...)
	}
	return append(dropComma(b), '}')
}

// appendResume appends the params that bring answers back to a modern server.
// A legacy one has asked nothing of the kind.
func (c *client) appendResume(b []byte, call *gateway.Call) ([]byte, error) {
	r := call.Resume
	if r == nil || !asks(call.Op) {
		return b, nil
	}
	if !c.modern() {
		if r.State == "" {
			return b, nil // Answers that nobody has asked for.
		}
		return nil, &gateway.Error{Code: gateway.Aborted, By: c.u.by, Msg: "the upstream no longer knows of this call: begin again"}
	}
	if len(r.Answers) > 0 {
		b = append(b, `"inputResponses":{`...)
		for _, key := range slices.Sorted(maps.Keys(r.Answers)) {
			b = append(quote(b, key), ':')
			b = append(append(b, r.Answers[key]...), ',')
		}
		b = append(dropComma(b), "},"...)
	}
	if r.State != "" {
		b = append(quote(append(b, `"requestState":`...), r.State), ',')
	}
	return b, nil
}

// input reads an answer that asks for input (basic, multi round-trip requests).
func (c *client) input(raw json.RawMessage, call *gateway.Call) (*gateway.Result, error) {
	if !asks(call.Op) {
		return nil, badAnswer("input is not asked for by the answer to such a request")
	}
	var d struct {
		Requests map[string]struct {
			Method string          `json:"method"`
			Params json.RawMessage `json:"params"`
		} `json:"inputRequests"`
		State string `json:"requestState"`
	}
	if err := jsonv2.Unmarshal(raw, &d, halves()); err != nil {
		return nil, badAnswer(err.Error())
	}
	if len(d.Requests) == 0 && d.State == "" || len(d.Requests) > ask.MaxAtOnce {
		return nil, badAnswer("it asks for no input, or for too much")
	}
	in := &gateway.InputRequest{State: d.State, Questions: make(map[string]gateway.Question, len(d.Requests))}
	for _, key := range slices.Sorted(maps.Keys(d.Requests)) {
		q := gateway.Question{Method: d.Requests[key].Method, Params: d.Requests[key].Params}
		switch {
		case q.Capability() == "" || !isNull(q.Params) && !isObject(q.Params):
			return nil, badAnswer("what it asks is not a question to a client")
		case !call.CanAnswer(q):
			return nil, gateway.NeedsCapability(q.Capability())
		}
		in.Questions[key] = q
	}
	if call.Capabilities == nil {
		return nil, &gateway.Error{Code: gateway.Unimplemented, By: c.u.by, Msg: "the upstream wants the call to be made again, which this client cannot do"}
	}
	return &gateway.Result{Input: in}, nil
}
