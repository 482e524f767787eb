package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// A user makes calls through an upstream and says what came of them. A call that
// fails is not the client's failure: scenarios have servers that refuse, and the
// suite judges by what it has seen.
type user struct {
	u       *mcp.Upstream
	catalog gateway.Catalog
}

// all uses everything that the server offers, once.
func (u *user) all(ctx context.Context) {
	for _, t := range u.catalog.Tools {
		u.call(ctx, t.Name, sample(t.Definition))
	}
	for _, r := range u.catalog.Resources {
		u.do(ctx, &gateway.Call{Op: gateway.OpRead, Kind: gateway.KindResource, Name: r.URI, Target: &r.Capability})
	}
	for _, p := range u.catalog.Prompts {
		u.do(ctx, &gateway.Call{Op: gateway.OpGet, Kind: gateway.KindPrompt, Name: p.Name, Target: &p.Capability, Args: json.RawMessage(`{}`)})
	}
}

// call calls a tool by name. One that is not offered, because its definition is
// not valid, is not called.
func (u *user) call(ctx context.Context, name string, args json.RawMessage) {
	for _, t := range u.catalog.Tools {
		if t.Name == name {
			u.do(ctx, &gateway.Call{Op: gateway.OpCall, Kind: gateway.KindTool, Name: name, Target: &t.Capability, Tool: t, Args: args})
			return
		}
	}
	fmt.Fprintf(os.Stderr, "%s: not offered\n", name)
}

// echoSchema sends a tool's input schema back to the server as the client has it.
func (u *user) echoSchema(ctx context.Context) error {
	for _, t := range u.catalog.Tools {
		if t.Name != "json_schema_2020_12_tool" {
			continue
		}
		var definition struct {
			Input json.RawMessage `json:"inputSchema"`
		}
		if err := json.Unmarshal(t.Definition, &definition); err != nil {
			return err
		}
		args, err := json.Marshal(map[string]json.RawMessage{"schema": definition.Input})
		if err != nil {
			return err
		}
		u.call(ctx, "json_schema_echo", args)
		return nil
	}
	return errors.New("the tool is not offered")
}

// do makes a call, and answers what the server wants to know before it goes on.
func (u *user) do(ctx context.Context, c *gateway.Call) {
	const mostRounds = 10
	c.Principal = &gateway.Principal{Subject: "conformance"}
	c.Ask, c.Capabilities = answer, json.RawMessage(answerable)
	for range mostRounds {
		res, err := u.u.Do(ctx, c)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", c.Name, err)
			return
		}
		if res.Input == nil {
			fmt.Fprintf(os.Stderr, "%s: %s\n", c.Name, res.Raw)
			return
		}
		again := *c
		again.Resume = &gateway.Resume{State: res.Input.State, Answers: map[string]json.RawMessage{}}
		for key, q := range res.Input.Questions {
			if again.Resume.Answers[key], err = answer(ctx, q); err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", c.Name, err)
				return
			}
		}
		c = &again
	}
	fmt.Fprintf(os.Stderr, "%s: asks without end\n", c.Name)
}

// sample returns arguments for a tool that needs some.
func sample(definition json.RawMessage) json.RawMessage {
	var tool struct {
		Input object `json:"inputSchema"`
	}
	_ = json.Unmarshal(definition, &tool)      // Anything else requires nothing.
	data, _ := json.Marshal(tool.Input.fill()) // It always can be.
	return data
}
