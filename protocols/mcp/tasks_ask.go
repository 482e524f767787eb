package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// A taskQuestion waits for tasks/update.
type taskQuestion struct {
	key    string
	asks   gateway.Question
	answer chan json.RawMessage // of length 1
}

// ask puts a question to the task's client and waits for tasks/update.
func (t *task) ask(ctx context.Context, q gateway.Question) (json.RawMessage, error) {
	open, err := t.pose(q)
	if err != nil {
		return nil, err
	}
	t.saved(ctx)
	return t.await(ctx, open)
}

// askAll asks all at once and waits for all answers.
func (t *task) askAll(ctx context.Context, questions map[string]gateway.Question) (map[string]json.RawMessage, error) {
	open := make(map[string]*taskQuestion, len(questions))
	for _, key := range slices.Sorted(maps.Keys(questions)) {
		var err error
		if open[key], err = t.pose(questions[key]); err != nil {
			return nil, err
		}
	}
	if len(open) == 0 { // The upstream wants to be asked again, but not at once.
		wait := time.NewTimer(t.of.o.Poll)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	t.saved(ctx)
	answers := make(map[string]json.RawMessage, len(open))
	for key, o := range open {
		var err error
		if answers[key], err = t.await(ctx, o); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// pose opens a question. Its key is never used again in this task.
func (t *task) pose(q gateway.Question) (*taskQuestion, error) {
	if e := t.can.lacks(q); e != nil {
		return nil, e
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case isFinal(t.status) || t.ended:
		return nil, gateway.AsError(context.Canceled)
	case len(t.open) >= taskQuestions:
		return nil, &gateway.Error{Code: gateway.ResourceExhausted, By: door, Msg: "too many questions at once"}
	}
	t.asked++
	if t.asked == 1 {
		close(t.asking)
	}
	q.Params = bytes.Clone(q.Params)
	o := &taskQuestion{key: t.prefix + strconv.Itoa(t.asked), asks: q, answer: make(chan json.RawMessage, 1)}
	t.open = append(t.open, o)
	t.status = statusInput
	t.changed()
	return o, nil
}

// await waits for an answer. A question that nobody waits for any more is
// withdrawn.
func (t *task) await(ctx context.Context, o *taskQuestion) (json.RawMessage, error) {
	select {
	case a := <-o.answer:
		return a, nil
	case <-t.over:
		return nil, gateway.AsError(context.Canceled)
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeQuestion(o)
	return nil, ctx.Err()
}

// closeQuestion takes a question off the task. t.mu is held.
func (t *task) closeQuestion(o *taskQuestion) {
	i := slices.Index(t.open, o)
	if i < 0 {
		return // Answered or withdrawn before.
	}
	t.open = slices.Delete(t.open, i, i+1)
	if len(t.open) == 0 {
		t.status = statusWorking
	}
	t.changed()
}
