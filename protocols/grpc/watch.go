package grpc

import (
	"cmp"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
)

// eventMost is the bytes that an event of a running call may have, so that a
// queue of them stays small. A result is bounded like any other.
const eventMost = 64 << 10

// CallToolStream runs a tool and tells how it comes along. When events come
// faster than they are read, the oldest of those that wait give way, and the
// next one says how many did.
func (s *service) CallToolStream(req *gatewayv1.CallToolStreamRequest, stream grpc.ServerStreamingServer[gatewayv1.CallToolStreamResponse]) error {
	call := &gateway.Call{Op: gateway.OpCall, Name: req.GetName()}
	if err := setArguments(call, req.GetArgumentsJson(), s.options.Bounds); err != nil {
		return err
	}
	return s.streamCall(call, stream)
}

// streamCall is CallToolStream for a call that has its arguments.
func (s *service) streamCall(call *gateway.Call, stream grpc.ServerStreamingServer[gatewayv1.CallToolStreamResponse]) error {
	box, err := open(stream.Context(), s, stream, false)
	if err != nil {
		return err
	}
	defer box.close()
	var lost int64 // What was left out since the last event; the outbox guards it.
	add := func(event *gatewayv1.CallToolStreamResponse) {
		box.edit(func(queue []*gatewayv1.CallToolStreamResponse) []*gatewayv1.CallToolStreamResponse {
			if event.GetResult() == nil && proto.Size(event) > eventMost {
				lost++
				return queue
			}
			event.Dropped, lost = lost, 0
			return append(shed(queue, s.options.Queue, event, func(e *gatewayv1.CallToolStreamResponse) *int64 { return &e.Dropped }), event)
		})
	}
	call.Progress = func(p gateway.Progress) { add(toProgress(p)) }
	call.Log = func(m gateway.LogMessage) { add(toLog(m)) }
	res, err := s.do(box.ctx, call)
	if err == nil {
		add(&gatewayv1.CallToolStreamResponse{Event: &gatewayv1.CallToolStreamResponse_Result{Result: toolResponse(res)}})
	}
	return cmp.Or(box.flush(), err)
}

// shed makes room in a full queue for the next event. Dropped is where an event
// says how many were left out before it.
func shed[T any](queue []*T, most int, next *T, dropped func(*T) *int64) []*T {
	if len(queue) < most {
		return queue
	}
	lost := *dropped(queue[0]) + 1
	if queue = queue[1:]; len(queue) > 0 {
		next = queue[0]
	}
	*dropped(next) += lost
	return queue
}

// WatchCapabilities tells which lists of the caller have changed.
func (s *service) WatchCapabilities(_ *gatewayv1.WatchCapabilitiesRequest, stream grpc.ServerStreamingServer[gatewayv1.WatchCapabilitiesResponse]) error {
	box, err := open(stream.Context(), s, stream, true)
	if err != nil {
		return err
	}
	defer box.close()
	p := auth.From(stream.Context())
	changed, view := s.gw.Changed(), s.gw.View(p)
	tell(box, &gatewayv1.WatchCapabilitiesResponse{Tools: true, Resources: true, Prompts: true})
	for {
		select {
		case <-changed:
		case <-box.ctx.Done():
			return box.cause()
		}
		changed = s.gw.Changed()
		next := s.gw.View(p)
		news := &gatewayv1.WatchCapabilitiesResponse{
			Tools: !view.SameTools(next), Resources: !view.SameResources(next), Prompts: !view.SamePrompts(next),
		}
		view = next
		if news.GetTools() || news.GetResources() || news.GetPrompts() {
			tell(box, news)
		}
	}
}

// tell queues what has changed, as one with what waits already.
func tell(box *outbox[gatewayv1.WatchCapabilitiesResponse], news *gatewayv1.WatchCapabilitiesResponse) {
	box.edit(func(queue []*gatewayv1.WatchCapabilitiesResponse) []*gatewayv1.WatchCapabilitiesResponse {
		for _, old := range queue {
			news.Tools = news.Tools || old.GetTools()
			news.Resources = news.Resources || old.GetResources()
			news.Prompts = news.Prompts || old.GetPrompts()
		}
		return append(queue[:0], news)
	})
}

// WatchResource tells what of a resource has changed. A change that waits to be
// sent is not queued again; a reader so slow that too many different ones wait
// is cut off.
func (s *service) WatchResource(req *gatewayv1.WatchResourceRequest, stream grpc.ServerStreamingServer[gatewayv1.WatchResourceResponse]) error {
	box, err := open(stream.Context(), s, stream, true)
	if err != nil {
		return err
	}
	defer box.close()
	updated := func(uri string) {
		if len(uri) > nameMost || !utf8.ValidString(uri) {
			uri = req.GetUri() // What cannot be named is still a change.
		}
		box.edit(func(queue []*gatewayv1.WatchResourceResponse) []*gatewayv1.WatchResourceResponse {
			for _, m := range queue {
				if m.GetUri() == uri {
					return queue
				}
			}
			if len(queue) >= s.options.Queue {
				box.end(errSlow())
				return queue
			}
			return append(queue, &gatewayv1.WatchResourceResponse{Uri: uri})
		})
	}
	call := &gateway.Call{Op: gateway.OpSubscribe, Name: req.GetUri()}
	call.Subscription = &gateway.Subscription{Ready: func() { updated(req.GetUri()) }, Updated: updated}
	_, err = s.do(box.ctx, call)
	if cause := box.cause(); cause != nil {
		return cause
	}
	if err == nil {
		err = failed(box.ctx, call, &gateway.Error{Code: gateway.Unavailable, Msg: "the source has ended the watch"})
	}
	return cmp.Or(box.flush(), err)
}
