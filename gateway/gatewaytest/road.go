package gatewaytest

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// patience is how long anything that must happen may take. Tests that pass do
// not wait for it.
const patience = 20 * time.Second

// source is the name under which the suite attaches the upstream.
const source = "suite"

// A road is a gateway with the upstream under test as its only source.
type road struct {
	up    gateway.Upstream
	reg   *gateway.Registry
	gw    *gateway.Gateway
	lacks []Lack
}

func (r *road) has(what Lack) bool { return !slices.Contains(r.lacks, what) }

// arguments returns the fixture's as the upstream has them.
func (r *road) arguments(args json.RawMessage) json.RawMessage {
	if r.has(LacksArguments) {
		return args
	}
	return json.RawMessage(`{"body":` + string(args) + `}`)
}

// said returns the text that a tool answered with.
func (r *road) said(t *testing.T, p gateway.Parts) string {
	t.Helper()
	if !r.has(LacksContent) && len(p.Structured) > 0 {
		var value struct {
			Text string `json:"text"`
		}
		if err := json.Unmarshal(p.Structured, &value); err != nil {
			t.Fatalf("%v in %s", err, p.Structured)
		}
		return value.Text
	}
	return textOf(t, p.Content)
}

// connect attaches the upstream and waits for its catalog. It is detached, and
// closed, with the test.
func connect(t *testing.T, up gateway.Upstream) *road {
	t.Helper()
	r := &road{up: up, reg: &gateway.Registry{}}
	var err error
	if r.gw, err = gateway.New(r.reg, nil, []gateway.Gate{gateway.ValidateArgs{}, starter{}}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var mu sync.Mutex
	var last error
	wg.Go(func() {
		r.reg.Follow(ctx, source, up, gateway.Options{Prefix: source + "."}, func(err error) {
			mu.Lock()
			defer mu.Unlock()
			last = err
		})
	})
	t.Cleanup(func() {
		stop()
		wg.Wait()
		if c, ok := up.(io.Closer); ok {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	})
	r.await(t, func(s *gateway.Snapshot) bool { return len(s.Tools) > 0 }, func() any {
		mu.Lock()
		defer mu.Unlock()
		return last
	})
	return r
}

// await waits until a snapshot of the registry is as it should be.
func (r *road) await(t *testing.T, as func(*gateway.Snapshot) bool, why func() any) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		changed := r.reg.Changed()
		if as(r.reg.Snapshot()) {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			t.Fatalf("the catalog did not arrive: %v", why())
		}
	}
}

// do makes a call as the suite's caller, in its own time.
func (r *road) do(t *testing.T, call *gateway.Call) (*gateway.Result, *gateway.Error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return r.within(ctx, call)
}

func (r *road) within(ctx context.Context, call *gateway.Call) (*gateway.Result, *gateway.Error) {
	call.Principal, call.Via = Caller(), "test"
	if call.Op == gateway.OpCall {
		call.Args = r.arguments(call.Args)
	}
	res, err := r.gw.Do(ctx, call)
	return res, gateway.AsError(err)
}

func tool(name, args string) *gateway.Call {
	return &gateway.Call{Op: gateway.OpCall, Name: source + "." + name, Args: json.RawMessage(args)}
}

// parts makes a call that must succeed.
func (r *road) parts(t *testing.T, call *gateway.Call) gateway.Parts {
	t.Helper()
	res, err := r.do(t, call)
	if err != nil {
		t.Fatalf("%s %s: %v", call.Op, call.Name, err)
	}
	p, perr := res.Parts()
	if perr != nil {
		t.Fatalf("%s %s: %v in %s", call.Op, call.Name, perr, res.Raw)
	}
	if p.IsError != res.IsError {
		t.Errorf("%s %s: IsError is %v, in the result %v", call.Op, call.Name, res.IsError, p.IsError)
	}
	return p
}

// textOf returns the texts of content blocks, joined.
func textOf(t *testing.T, blocks []json.RawMessage) string {
	t.Helper()
	var all strings.Builder
	for _, b := range blocks {
		var block struct {
			Text string `json:"text"`
		}
		if err := json.Unmarshal(b, &block); err != nil {
			t.Fatal(err)
		}
		all.WriteString(block.Text)
	}
	return all.String()
}
