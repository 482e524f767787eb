// Package ask leads a call through the questions that it has for its caller, for doors whose clients are asked while
// they wait: an upstream that waits itself asks through [gateway.Call.Ask], any other ends the call with
// [gateway.Result.Input], and it is made again with the answers. How a client is asked is for the door to say.
package ask

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/pause"
)

// Bounds on what an upstream may ask.
const (
	MaxRounds = 32       // how often one call may come back for answers
	MaxAtOnce = 32       // questions of one round
	MaxState  = 64 << 10 // bytes that the caller brings back
)

// TooOften ends a call that never stops asking. By is the door.
func TooOften(by string) *gateway.Error {
	return &gateway.Error{Code: gateway.ResourceExhausted, By: by, Msg: "the call asked its caller too often"}
}

// Invalid refuses a question, or an [gateway.InputRequest], that no upstream may ask. By is the door, cause nil or what
// the operator should know.
func Invalid(by string, cause error) *gateway.Error {
	return &gateway.Error{Code: gateway.Internal, By: by, Msg: "the upstream asks for input in a way that is not valid", Err: cause}
}

// Check holds what a round asks against the bounds (MCP 2026-07-28, multi round-trip requests, server requirements). It
// returns [Invalid] or nil.
func Check(in *gateway.InputRequest, by string) error {
	if len(in.State) > MaxState || len(in.Questions) > MaxAtOnce || len(in.Questions) == 0 && in.State == "" {
		return Invalid(by, nil)
	}
	return nil
}

// A Client is that of one call, as its door reaches it.
type Client interface {
	// Can says why the client cannot be asked something, or returns nil.
	Can(gateway.Question) error
	// Put asks the client something, and waits for the answer. It is not called twice at once.
	Put(context.Context, gateway.Question) (json.RawMessage, error)
	// Do takes the call to its upstream.
	Do(context.Context, *gateway.Call) (*gateway.Result, error)
	// Refuse records that the call ends because its client could not be asked, and returns what the client is told.
	Refuse(context.Context, *gateway.Call, error) error
}

// An Asker asks the client of one call, one question after another. It must not be copied after its first use, and is safe
// for concurrent use.
type Asker struct {
	By     string          // the door
	Call   context.Context //nolint:containedctx // of the call.
	Client Client

	once sync.Once
	turn chan struct{} // made by once
}

// Ask is for [gateway.Call.Ask]. It waits for its turn and for the answer, until ctx or the call ends.
func (a *Asker) Ask(ctx context.Context, q gateway.Question) (json.RawMessage, error) {
	if err := a.Client.Can(q); err != nil {
		return nil, err
	}
	a.once.Do(func() { a.turn = make(chan struct{}, 1) })
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(a.Call, cancel)() //nolint:contextcheck // The asker's context may have nothing to do with the call's.
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
		return a.Client.Put(ctx, q)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Do makes a call, and makes it again with the answers as often as it comes back for some. The result has no Input.
func (a *Asker) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	for round := 0; ; round++ {
		res, err := a.Client.Do(ctx, call)
		if err != nil || res.Input == nil {
			return res, err
		}
		resume, err := a.answers(ctx, res.Input, round)
		if err != nil {
			return nil, a.Client.Refuse(ctx, call, err)
		}
		call = &gateway.Call{
			Op: call.Op, Name: call.Name, Args: call.Args, Meta: call.Meta, Principal: call.Principal, Via: call.Via,
			Progress: call.Progress, Log: call.Log, Ask: call.Ask, Capabilities: call.Capabilities, Resume: resume,
		}
	}
}

// answers asks what a call needs before it can go on.
func (a *Asker) answers(ctx context.Context, in *gateway.InputRequest, round int) (*gateway.Resume, error) {
	if round >= MaxRounds {
		return nil, TooOften(a.By)
	}
	if err := Check(in, a.By); err != nil {
		return nil, err
	}
	resume := &gateway.Resume{Answers: map[string]json.RawMessage{}, State: in.State}
	if len(in.Questions) == 0 { // It only wants to be made again, each time later.
		return resume, pause.For(ctx, min(100*time.Millisecond<<min(round, 10), 5*time.Second))
	}
	for _, q := range in.Questions { // Before the first is asked in vain.
		if err := a.Client.Can(q); err != nil {
			return nil, err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(in.Questions)) {
		answer, err := a.Ask(ctx, in.Questions[key])
		if err != nil {
			return nil, err
		}
		resume.Answers[key] = answer
	}
	return resume, nil
}
