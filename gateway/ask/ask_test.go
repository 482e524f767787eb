package ask

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

// client answers every question but those of the method "no" with the question's own parameters. Its upstream answers
// with one input after another, then with text.
type client struct {
	inputs []*gateway.InputRequest
	wait   time.Duration // of an answer

	asked []string
	calls []*gateway.Call
}

func (c *client) Can(q gateway.Question) error {
	if q.Method == "no" {
		return gateway.NeedsCapability("elicitation")
	}
	return nil
}

func (c *client) Put(ctx context.Context, q gateway.Question) (json.RawMessage, error) {
	c.asked = append(c.asked, q.Method)
	select {
	case <-time.After(c.wait):
		return q.Params, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *client) Do(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
	c.calls = append(c.calls, call)
	if n := len(c.calls); n <= len(c.inputs) {
		return &gateway.Result{Input: c.inputs[n-1]}, nil
	}
	return gateway.TextResult("done"), nil
}

func (c *client) Refuse(_ context.Context, _ *gateway.Call, err error) error {
	return errors.Join(errors.New("refused"), err)
}

func (c *client) asker(call context.Context) *Asker {
	return &Asker{By: "test", Call: call, Client: c}
}

func questions(names ...string) *gateway.InputRequest {
	in := &gateway.InputRequest{Questions: map[string]gateway.Question{}, State: "s"}
	for _, n := range names {
		in.Questions[n] = gateway.Question{Method: n, Params: json.RawMessage(`"` + n + `"`)}
	}
	return in
}

// TestRounds: a call is made again with the answers, in the order of their names, and as the caller made it.
func TestRounds(t *testing.T) {
	c := &client{inputs: []*gateway.InputRequest{questions("b", "a"), {State: "t"}}}
	first := &gateway.Call{Op: gateway.OpCall, Name: "x", Args: json.RawMessage(`{}`), Meta: json.RawMessage(`{"a":1}`), Principal: &gateway.Principal{ID: "alice"}, Via: "test"}
	res, err := c.asker(t.Context()).Do(t.Context(), first)
	if err != nil || res.Input != nil || len(c.calls) != 3 {
		t.Fatalf("%v, %v after %d calls", res, err, len(c.calls))
	}
	if diff := cmp.Diff([]string{"a", "b"}, c.asked); diff != "" {
		t.Error(diff)
	}
	want := &gateway.Resume{Answers: map[string]json.RawMessage{"a": json.RawMessage(`"a"`), "b": json.RawMessage(`"b"`)}, State: "s"}
	if diff := cmp.Diff(want, c.calls[1].Resume); diff != "" {
		t.Error(diff)
	}
	if r := c.calls[2].Resume; r.State != "t" || len(r.Answers) != 0 {
		t.Errorf("resumed with %+v", r)
	}
	for _, again := range c.calls[1:] {
		if again == first || again.Name != "x" || string(again.Meta) != `{"a":1}` || again.Principal != first.Principal || again.Via != "test" {
			t.Errorf("made again as %+v", again)
		}
	}
}

// TestRefusals: what must not be asked, or cannot, is refused before anybody is asked.
func TestRefusals(t *testing.T) {
	many := questions()
	for i := range MaxAtOnce + 1 {
		many.Questions[strings.Repeat("x", i+1)] = gateway.Question{}
	}
	for name, tt := range map[string]struct {
		in   *gateway.InputRequest
		want gateway.Code
	}{
		"nothing":        {&gateway.InputRequest{}, gateway.Internal},
		"too many":       {many, gateway.Internal},
		"a large state":  {&gateway.InputRequest{State: strings.Repeat("x", MaxState+1)}, gateway.Internal},
		"one it can not": {questions("a", "no"), gateway.FailedPrecondition},
	} {
		c := &client{inputs: []*gateway.InputRequest{tt.in}}
		_, err := c.asker(t.Context()).Do(t.Context(), &gateway.Call{})
		e, ok := errors.AsType[*gateway.Error](err)
		if !ok || e.Code != tt.want || !strings.HasPrefix(err.Error(), "refused") || len(c.asked) != 0 || len(c.calls) != 1 {
			t.Errorf("%s: %v, asked %v in %d calls", name, err, c.asked, len(c.calls))
		}
	}
	c := &client{}
	if _, err := c.asker(t.Context()).Ask(t.Context(), gateway.Question{Method: "no"}); err == nil || len(c.asked) != 0 {
		t.Errorf("asked %v: %v", c.asked, err)
	}
}

// TestTooOften: a call that never stops asking ends, and one that only wants to be made again waits longer each time.
func TestTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &client{inputs: slices.Repeat([]*gateway.InputRequest{{State: "again"}}, 100)}
		began := time.Now()
		_, err := c.asker(t.Context()).Do(t.Context(), &gateway.Call{})
		if e, ok := errors.AsType[*gateway.Error](err); !ok || e.Code != gateway.ResourceExhausted || len(c.calls) != MaxRounds+1 {
			t.Errorf("%v after %d calls", err, len(c.calls))
		}
		if took := time.Since(began); took < time.Minute || took > MaxRounds*5*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// TestTurns: questions are put one after another, and end with their own context as with the call.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		call, end := context.WithCancel(t.Context())
		c := &client{wait: time.Minute}
		a := c.asker(call)
		var all sync.WaitGroup
		errs := map[string]error{}
		var mu sync.Mutex
		put := func(ctx context.Context, name string) {
			all.Go(func() {
				_, err := a.Ask(ctx, gateway.Question{Method: name, Params: json.RawMessage(`1`)})
				mu.Lock()
				defer mu.Unlock()
				errs[name] = err
			})
			synctest.Wait()
		}
		own, leave := context.WithCancel(t.Context())
		put(t.Context(), "first")
		put(own, "second")
		put(t.Context(), "third")
		leave()
		<-time.After(90 * time.Second) // The third is being asked.
		end()
		all.Wait()
		want := map[string]error{"first": nil, "second": context.Canceled, "third": context.Canceled}
		if !maps.EqualFunc(errs, want, errors.Is) {
			t.Error(errs)
		}
		if diff := cmp.Diff([]string{"first", "third"}, c.asked); diff != "" {
			t.Error(diff)
		}
	})
}
