package guard_test

import (
	"context"
	"errors"
	"path"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// tool returns a tool of the source "s" with these hints.
func tool(t testing.TB, origin, annotations string) *gateway.Tool {
	t.Helper()
	tool, err := gateway.ParseTool([]byte(`{"name":"` + origin + `","inputSchema":{"type":"object"},"annotations":` + annotations + `}`))
	if err != nil {
		t.Fatal(err)
	}
	tool.Source, tool.Object = "s", "tool/s/"+origin
	return tool
}

const (
	reads   = `{"readOnlyHint":true}`
	repeats = `{"idempotentHint":true}`
	writes  = `{}`
)

// use returns a call of the tool as Gateway.Do would resolve it.
func use(tool *gateway.Tool) *gateway.Call {
	return &gateway.Call{
		Op: gateway.OpCall, Kind: gateway.KindTool, Name: tool.Name, Principal: &gateway.Principal{ID: "i|user|ann"},
		Object: tool.Object, Target: &tool.Capability, Tool: tool,
	}
}

// A script is an upstream that answers with the errors of a list, nil for a
// result, and with the last one from then on.
type script struct {
	errs  []error
	calls atomic.Int64
}

func (s *script) Do(context.Context, *gateway.Call) (*gateway.Result, error) {
	n := int(s.calls.Add(1))
	if err := s.errs[min(n, len(s.errs))-1]; err != nil {
		return nil, err
	}
	return gateway.TextResult("ok"), nil
}

// hang is an upstream that never answers.
var hang = gateway.Func(func(ctx context.Context, _ *gateway.Call) (*gateway.Result, error) {
	<-ctx.Done()
	return nil, ctx.Err()
})

func fails(code gateway.Code) error {
	return &gateway.Error{Code: code, By: "upstream/s", Msg: "no"}
}

func failsFor(code gateway.Code, retry time.Duration) error {
	return &gateway.Error{Code: code, By: "upstream/s", Msg: "no", Retry: retry}
}

// check reports an error that has not that code and author.
func check(t *testing.T, err error, code gateway.Code, by string) *gateway.Error {
	t.Helper()
	e := gateway.AsError(err)
	if e == nil || e.Code != code || e.By != by {
		t.Fatalf("got %v, want %v by %s", err, code, by)
	}
	return e
}

// match returns what matches the patterns of path.Match.
func match(patterns ...string) func(string) bool {
	return func(origin string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { ok, _ := path.Match(p, origin); return ok })
	}
}

var errPlain = errors.New("plain")
