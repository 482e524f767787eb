package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/trilith-gateway/trilith/gateway"
)

// answerable is what the user's client can answer.
const answerable = `{"elicitation":{"form":{}}}`

// answer is a user who accepts every form as it is: fields keep their defaults,
// and those that have none but are required get some value.
func answer(_ context.Context, q gateway.Question) (json.RawMessage, error) {
	if q.Method != "elicitation/create" {
		return nil, fmt.Errorf("%s is not answered", q.Method)
	}
	var params struct {
		Schema object `json:"requestedSchema"`
	}
	if err := json.Unmarshal(q.Params, &params); err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"action": "accept", "content": params.Schema.fill()})
}

// An object is a JSON Schema of one, as far as filling it in goes.
type object struct {
	Required   []string `json:"required"`
	Properties map[string]struct {
		Type    any             `json:"type"` // a name or several
		Default json.RawMessage `json:"default"`
	} `json:"properties"`
}

// fill returns an object with all defaults and what is required: numbers are 1,
// texts are "a".
func (o object) fill() map[string]any {
	filled := map[string]any{}
	for _, name := range o.Required {
		switch o.Properties[name].Type {
		case "number", "integer":
			filled[name] = 1
		case "boolean":
			filled[name] = true
		case "object":
			filled[name] = struct{}{}
		case "array":
			filled[name] = []any{}
		default:
			filled[name] = "a"
		}
	}
	for name, p := range o.Properties {
		if p.Default != nil {
			filled[name] = p.Default
		}
	}
	return filled
}
