package guard

import (
	"encoding/json"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/gateway"
)

// What an upstream gives out to get it back names the endpoint that gave it:
// the state of a call that waits for answers as text before it, the handle of a
// task as a member beside it.
const stateMark = "endpoint:"

func (p *endpoint) wrap(state string) string { return stateMark + p.Name + ":" + state }

func unwrap(state string) (name, inner string, ok bool) {
	rest, ok := strings.CutPrefix(state, stateMark)
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, ":")
}

// A handle is what the caller of a task keeps.
type handle struct {
	Endpoint string          `json:"endpoint"`
	Handle   json.RawMessage `json:"handle"`
}

// choose returns the endpoint for a call, and the call as that endpoint is to
// see it.
func (e *Endpoints) choose(call *gateway.Call) (*endpoint, *gateway.Call, error) {
	switch {
	case call.Rejoin != nil:
		var h handle
		if jsonv2.Unmarshal(call.Rejoin, &h) != nil || e.named(h.Endpoint) == nil {
			return nil, nil, e.gone()
		}
		c := *call
		c.Rejoin = h.Handle
		return e.named(h.Endpoint), &c, nil
	case call.Resume != nil:
		name, inner, ok := unwrap(call.Resume.State)
		if !ok || e.named(name) == nil {
			return nil, nil, e.gone()
		}
		c, again := *call, *call.Resume
		again.State, c.Resume = inner, &again
		return e.named(name), &c, nil
	}
	p := e.pick(call)
	if p == nil {
		return nil, nil, &gateway.Error{Code: gateway.Unavailable, By: "upstream/" + e.o.Source, Msg: "no endpoint of the upstream is available now"}
	}
	if call.Began == nil {
		return p, call, nil
	}
	c := *call
	c.Began = func(inner json.RawMessage) {
		if raw, err := json.Marshal(handle{p.Name, inner}); err == nil {
			call.Began(raw)
		}
	}
	return p, &c, nil
}

// named returns the endpoint of that name, or nil.
func (e *Endpoints) named(name string) *endpoint {
	for _, p := range e.all {
		if p.Name == name && p.Role != Mirror {
			return p
		}
	}
	return nil
}

// gone is the refusal of a call that goes on with what no endpoint has.
func (e *Endpoints) gone() *gateway.Error {
	return &gateway.Error{Code: gateway.NotFound, By: "upstream/" + e.o.Source, Msg: "the endpoint at which the call began is not there any more"}
}
