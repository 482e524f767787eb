package graphql

import (
	"context"
	"encoding/json"
	"io"
	"strconv"

	"github.com/99designs/gqlgen/graphql"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
	"github.com/trilith-gateway/trilith/schema/gqlschema"
)

// Followed calls a tool that does not say what it returns, like ToolCall. It never fails itself: see fail.
func (s subscription) Followed(ctx context.Context) (<-chan generated.ToolCallEvent, error) {
	q := newCallQueue(s.o.QueueLength)
	s.work.Go(func() {
		defer q.close()
		_, call, err := s.typedCall(ctx, gateway.OpCall)
		if err == nil {
			err = s.follow(ctx, q, call)
		}
		s.fail(ctx, err)
	})
	return q.events, nil
}

// Typed calls a tool that says what it returns and streams what it says meanwhile. It never fails itself: see fail.
func (s subscription) Typed(ctx context.Context) (<-chan *generated.Typed, error) {
	q := newQueue[*generated.Typed](s.o.QueueLength)
	q.kept = func(event *generated.Typed) bool { return event.Kept }
	s.work.Go(func() {
		defer q.close()
		s.fail(ctx, s.followTyped(ctx, q))
	})
	return q.events, nil
}

func (s subscription) followTyped(ctx context.Context, q *queue[*generated.Typed]) error {
	to, call, err := s.typedCall(ctx, gateway.OpCall)
	if err != nil {
		return err
	}
	field := graphql.GetFieldContext(ctx)
	path := field.Path()
	put := func(kind gqlschema.EventKind, members func(b []byte) []byte) {
		q.put(func(dropped int32) *generated.Typed {
			event := append(members(strconv.AppendInt([]byte(`{"dropped":`), int64(dropped), 10)), '}')
			return &generated.Typed{Kept: kind == gqlschema.EventQuestion || kind == gqlschema.EventFinished, Write: func(ctx context.Context, w io.Writer) error {
				_, err := w.Write(to.plan.EventValue(projection(ctx, call.Name), field.Field, path, kind, event))
				return err
			}}
		})
	}
	call.Progress = func(p gateway.Progress) {
		if event := toProgress(p); event != nil {
			put(gqlschema.EventProgress, func(b []byte) []byte { return appendProgress(b, event) })
		}
	}
	call.Log = func(l gateway.LogMessage) {
		if json.Valid(l.Data) { // Otherwise it cannot be shown; the upstream is at fault.
			put(gqlschema.EventLog, func(b []byte) []byte { return appendLog(b, l) })
		}
	}
	res, err := s.runAsking(ctx, call, func(question *generated.ToolQuestion) {
		put(gqlschema.EventQuestion, func(b []byte) []byte { return appendQuestion(b, question) })
	})
	if err != nil {
		return err
	}
	value, err := structured(call.Name, res)
	if err != nil {
		return err
	}
	if len(value) == 0 {
		return wrongOutput(call.Name, "the tool returned no structured value")
	}
	put(gqlschema.EventFinished, func(b []byte) []byte { return append(append(b, `,"result":`...), value...) })
	return nil
}

// appendLog adds the members of ToolLog to an object.
func appendLog(b []byte, l gateway.LogMessage) []byte {
	b = gqlschema.AppendString(append(b, `,"level":`...), l.Level)
	if l.Logger != "" {
		b = gqlschema.AppendString(append(b, `,"logger":`...), l.Logger)
	}
	return append(append(b, `,"data":`...), l.Data...)
}

// appendQuestion adds the members of ToolQuestion to an object.
func appendQuestion(b []byte, q *generated.ToolQuestion) []byte {
	b = gqlschema.AppendString(append(b, `,"id":`...), q.ID)
	b = gqlschema.AppendString(append(b, `,"kind":`...), q.Kind)
	b = gqlschema.AppendString(append(b, `,"message":`...), q.Message)
	if q.Schema != nil {
		b = append(append(b, `,"schema":`...), q.Schema...)
	}
	if q.URL != nil {
		b = gqlschema.AppendString(append(b, `,"url":`...), *q.URL)
	}
	return b
}

// appendProgress adds the members of ToolProgress to an object.
func appendProgress(b []byte, p *generated.ToolProgress) []byte {
	b = strconv.AppendFloat(append(b, `,"progress":`...), p.Progress, 'g', -1, 64)
	if p.Total != nil {
		b = strconv.AppendFloat(append(b, `,"total":`...), *p.Total, 'g', -1, 64)
	}
	if p.Message != nil {
		b = gqlschema.AppendString(append(b, `,"message":`...), *p.Message)
	}
	return b
}
