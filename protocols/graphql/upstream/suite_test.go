package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/gatewaytest"
)

const suiteSchema = `
"Any value."
scalar JSON
scalar Long
type Text { text: String! }
type Sum { sum: Long! }
type Query {
  "Send a text back."
  echo(text: String!): Text!
  "Add two numbers."
  add(a: Long!, b: Long!): Sum!
  "Answer with what is easily changed."
  exact: JSON
  "Fail."
  fail: JSON
  "Refuse."
  refuse: JSON
  "Wait for ever."
  wait: JSON
}
type Mutation {
  "Offer one tool more."
  grow: Text
  "Say that the note has changed."
  touch: Text
%s}
type Subscription {
  "Count and report each step."
  count(to: Int!): Text
}
`

// TestSuite holds the upstream against the contract, with subscriptions over
// either transport.
func TestSuite(t *testing.T) {
	for _, transport := range []string{SubscriptionsWebSocket, SubscriptionsSSE} {
		t.Run(transport, func(t *testing.T) {
			gatewaytest.TestUpstream(t, func(t *testing.T) gateway.Upstream { return fixture(t, transport) },
				gatewaytest.LacksPrompts, gatewaytest.LacksResources, gatewaytest.LacksContent, gatewaytest.LacksRefusals, gatewaytest.LacksTotals)
		})
	}
}

// fixture serves the suite's source in GraphQL and opens an upstream for it.
func fixture(t *testing.T, transport string) gateway.Upstream {
	f, err := gatewaytest.NewFixture()
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, fmt.Sprintf(suiteSchema, ""), nil)
	s.answer = func(ctx context.Context, r *request, emit func(string) error) string {
		call := &gateway.Call{Op: gateway.OpCall, Kind: gateway.KindTool, Name: r.field, Args: r.Variables}
		call.Target = &gateway.Capability{Kind: gateway.KindTool, Name: r.field, Origin: r.field, Source: "fixture"}
		if emit != nil {
			call.Progress = func(p gateway.Progress) { _ = emit(fmt.Sprintf(`{"data":{"count":{"text":%q}}}`, p.Message)) }
		}
		res, err := f.Do(ctx, call)
		switch {
		case err != nil:
			return failed(gateway.AsError(err).Msg, r.field)
		case res.IsError:
			return failed(text(res), r.field)
		case emit != nil:
			return ""
		}
		if r.field == gatewaytest.ToolGrow {
			s.setSchema(fmt.Sprintf(suiteSchema, "\"A tool more.\"\n"+gatewaytest.ToolGrown+": Text\n"))
		}
		p, err := res.Parts()
		if err != nil {
			return failed(err.Error(), r.field)
		}
		if p.Structured == nil {
			p.Structured, _ = json.Marshal(map[string]string{"text": text(res)})
		}
		return fmt.Sprintf(`{"data":{%q:%s}}`, r.field, p.Structured)
	}
	o := s.options()
	o.Subscriptions, o.Interval = transport, 20*time.Millisecond
	u, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func failed(msg, field string) string {
	m, _ := json.Marshal(msg)
	return fmt.Sprintf(`{"errors":[{"message":%s,"path":[%q]}],"data":{%q:null}}`, m, field, field)
}

// text returns the text of a result.
func text(res *gateway.Result) string {
	p, _ := res.Parts()
	var all strings.Builder
	for _, c := range p.Content {
		var block struct {
			Text string `json:"text"`
		}
		_ = json.Unmarshal(c, &block)
		all.WriteString(block.Text)
	}
	return all.String()
}
