package graphql

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
)

// ToolCall calls a tool and streams what it says meanwhile. It never fails itself: see fail.
func (s subscription) ToolCall(ctx context.Context, name string, arguments json.RawMessage) (<-chan generated.ToolCallEvent, error) {
	q := newCallQueue(s.o.QueueLength)
	s.work.Go(func() {
		defer q.close()
		s.fail(ctx, s.callTool(ctx, q, name, arguments))
	})
	return q.events, nil
}

func (s subscription) callTool(ctx context.Context, q *queue[generated.ToolCallEvent], name string, arguments json.RawMessage) error {
	call, err := newCall(ctx, gateway.OpCall, name, arguments)
	if err != nil {
		return err
	}
	return s.follow(ctx, q, call)
}

// newCallQueue returns a queue of events of which questions and results are kept.
func newCallQueue(length int) *queue[generated.ToolCallEvent] {
	q := newQueue[generated.ToolCallEvent](length)
	q.kept = func(event generated.ToolCallEvent) bool {
		switch event.(type) {
		case *generated.ToolQuestion, *generated.ToolFinished:
			return true
		}
		return false
	}
	return q
}

// follow makes a call and streams what happens.
func (s subscription) follow(ctx context.Context, q *queue[generated.ToolCallEvent], call *gateway.Call) error {
	call.Progress = func(p gateway.Progress) {
		if event := toProgress(p); event != nil {
			q.put(func(dropped int32) generated.ToolCallEvent {
				event.Dropped = dropped
				return event
			})
		}
	}
	call.Log = func(l gateway.LogMessage) {
		if !jsontext.Value(l.Data).IsValid() {
			return // It cannot be shown; the upstream is at fault.
		}
		q.put(func(dropped int32) generated.ToolCallEvent {
			return &generated.ToolLog{Dropped: dropped, Level: l.Level, Logger: optional(l.Logger), Data: l.Data}
		})
	}
	res, err := s.runAsking(ctx, call, func(question *generated.ToolQuestion) {
		q.put(func(dropped int32) generated.ToolCallEvent {
			question.Dropped = dropped
			return question
		})
	})
	if err != nil {
		return err
	}
	result, err := toCallResult(res)
	if err != nil {
		return err
	}
	q.put(func(dropped int32) generated.ToolCallEvent {
		return &generated.ToolFinished{Dropped: dropped, Result: result}
	})
	return nil
}

// ResourceUpdated follows a resource until the caller goes away or may no longer see it. It never fails itself:
// see fail.
func (s subscription) ResourceUpdated(ctx context.Context, uri string) (<-chan *generated.ResourceUpdate, error) {
	q := newQueue[*generated.ResourceUpdate](s.o.QueueLength)
	ctx, cancel := context.WithCancelCause(ctx)
	s.work.Go(func() { s.watchSight(ctx, uri, cancel) })
	s.work.Go(func() {
		defer q.close()
		defer cancel(nil)
		call, err := newCall(ctx, gateway.OpSubscribe, uri, nil)
		if err != nil {
			s.fail(ctx, err)
			return
		}
		call.Subscription = &gateway.Subscription{
			Ready: func() {},
			Updated: func(uri string) {
				q.put(func(int32) *generated.ResourceUpdate { return &generated.ResourceUpdate{URI: uri} })
			},
		}
		if _, err = s.do(ctx, s.gw, call); ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		s.fail(ctx, err)
	})
	return q.events, nil
}

// watchSight ends a subscription when its caller may no longer see the resource.
func (s subscription) watchSight(ctx context.Context, uri string, cancel context.CancelCauseFunc) {
	for {
		changed := s.gw.Changed()
		if !sees(s.view(ctx), uri) {
			cancel(&gateway.Error{Code: gateway.NotFound, By: "gateway", Msg: "the resource is no longer there for you"})
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func sees(v *gateway.Snapshot, uri string) bool {
	if v.Resource(uri) != nil {
		return true
	}
	for _, t := range v.Templates {
		if t.Matches(uri) {
			return true
		}
	}
	return false
}

// CapabilitiesChanged tells when the caller's own view changes. A change that the reader has not taken yet and
// the next become one.
func (s subscription) CapabilitiesChanged(ctx context.Context) (<-chan *generated.CapabilitiesChange, error) {
	out := make(chan *generated.CapabilitiesChange)
	changed := s.gw.Changed()
	seen, rights := s.view(ctx), s.o.Rights(caller(ctx))
	s.work.Go(func() {
		defer close(out)
		pending := &generated.CapabilitiesChange{}
		for {
			var send chan<- *generated.CapabilitiesChange
			if *pending != (generated.CapabilitiesChange{}) {
				send = out
			}
			select {
			case <-ctx.Done():
				return
			case send <- pending:
				pending = &generated.CapabilitiesChange{}
			case <-changed:
				changed = s.gw.Changed()
				now, may := s.view(ctx), s.o.Rights(caller(ctx))
				pending = &generated.CapabilitiesChange{
					Tools:     pending.Tools || !now.SameTools(seen),
					Resources: pending.Resources || !now.SameResources(seen),
					Prompts:   pending.Prompts || !now.SamePrompts(seen),
					Viewer:    pending.Viewer || !slices.Equal(may, rights),
				}
				seen, rights = now, may
			}
		}
	})
	return out, nil
}
