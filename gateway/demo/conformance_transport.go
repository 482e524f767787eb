package demo

import (
	"context"
	"encoding/json"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/pause"
)

// addTransportTools adds the fixture that lets its client go in mid-call: the
// client comes back for the answer (MCP 2025-11-25, transports, sending
// messages).
func addTransportTools(f *gateway.Funcs) error {
	run := func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
		if call.Detach != nil {
			call.Detach()
		}
		if err := pause.For(ctx, step); err != nil {
			return nil, err
		}
		return &gateway.Result{Raw: json.RawMessage(`{"content":[{"type":"text","text":"The answer to who came back."}]}`)}, nil
	}
	return f.AddTool(toolDefinition("test_reconnection", "Lets its client go and answers when it has come back."), run)
}
