package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/internal/clip"
	"github.com/trilith-gateway/trilith/protocols/egress"
)

// maxEvents bounds the events of one call together, in bytes.
const maxEvents = 4 << 20

// maxEventText bounds what a report of progress shows of an event, in bytes.
const maxEventText = 16 << 10

// Why a subscription's tool has ended.
const (
	endComplete = "complete" // the server ended it
	endEvents   = "events"   // there were as many as are taken
	endTime     = "time"     // it was as long as it may be
	endSize     = "size"     // the events are as large as they may be
	endError    = "error"    // the server failed
	endLost     = "lost"     // the connection broke
)

// eventsSchema is the output of a tool that subscribes: what it got until it
// ended, and why it did.
func eventsSchema(event *node) *node {
	return &node{
		Type: "object", Required: []string{"events", "end"},
		Properties: map[string]*node{
			"events": {Type: "array", Items: event, Description: "What happened, in order."},
			"end": {
				Type: "string", Enum: []string{endComplete, endEvents, endTime, endSize, endError, endLost},
				Description: "Why the subscription ended: the server completed it, a bound on events, time or size was met, " +
					"the server failed, or the connection was lost.",
			},
		},
	}
}

// A stream is a subscription that runs.
type stream interface {
	// next waits for a GraphQL response. It fails with errComplete where the server
	// has ended the subscription.
	next(context.Context) (*answer, error)
	close()
}

var errComplete = errors.New("the subscription has ended")

// errEnough is why the context of a subscription ends that is as long as it may
// be.
var errEnough = errors.New("the subscription is as long as it may be")

// events collects what a subscription yields.
type events struct {
	op    *operation
	raw   []byte // the values, separated by commas
	count int
	said  []graphqlError
}

// follow runs a subscription until it ends or a bound is met: each event is
// reported as progress, and all of them are the result.
func (u *Upstream) follow(ctx context.Context, call *gateway.Call, op *operation) (*gateway.Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, u.patience(ctx), errEnough)
	defer cancel()
	opening, opened := context.WithTimeoutCause(ctx, u.o.HTTP.Timeout, egress.ErrSlow)
	defer opened()
	var s stream
	var err error
	if u.o.Subscriptions == SubscriptionsSSE {
		s, err = u.openSSE(ctx, opening, op.request(call.Args))
	} else {
		s, err = u.openSocket(ctx, opening, op.request(call.Args))
	}
	if err != nil {
		return nil, err
	}
	defer s.close()
	e := events{op: op}
	for {
		a, err := s.next(ctx)
		if err != nil {
			return u.ended(ctx, &e, err)
		}
		if end, err := e.add(call, a); err != nil {
			return nil, u.strange(err)
		} else if end != "" {
			return e.result(end), nil
		}
		if e.count >= u.o.MaxEvents {
			return e.result(endEvents), nil
		}
	}
}

// patience is how long a subscription may take: as configured, and so much less
// than the call that there is time to answer it.
func (u *Upstream) patience(ctx context.Context) time.Duration {
	most := u.o.MaxTime
	if at, ok := ctx.Deadline(); ok {
		left := time.Until(at)
		most = min(most, left-min(time.Second, left/4))
	}
	return max(most, 0)
}

// add takes an event. It returns why the subscription ends with it, or "".
func (e *events) add(call *gateway.Call, a *answer) (end string, err error) {
	e.said = append(e.said, a.errors...)
	if a.data == nil {
		return endError, nil
	}
	value, _, err := e.op.value(a.data)
	if err != nil {
		return "", err
	}
	if len(e.raw)+len(value) > maxEvents {
		return endSize, nil
	}
	if e.count++; e.count > 1 {
		e.raw = append(e.raw, ',')
	}
	e.raw = append(e.raw, value...)
	if call.Progress != nil {
		call.Progress(gateway.Progress{Progress: json.Number(strconv.Itoa(e.count)), Message: clip.Text(string(value), maxEventText)})
	}
	if len(e.said) > maxErrors {
		return endError, nil
	}
	return "", nil
}

// ended returns the outcome of a subscription whose stream gave no more.
func (u *Upstream) ended(ctx context.Context, e *events, err error) (*gateway.Result, error) {
	switch {
	case errors.Is(err, errComplete):
		return e.result(endComplete), nil
	case errors.Is(context.Cause(ctx), errEnough):
		return e.result(endTime), nil
	case ctx.Err() == nil && e.count > 0:
		return e.result(endLost), nil
	}
	return nil, u.client.Fault(ctx, err)
}

// result returns the events and why there are no more. A subscription that
// failed before the first one is an error of the tool.
func (e *events) result(end string) *gateway.Result {
	a := &answer{errors: e.said}
	if end == endError && e.count == 0 {
		return gateway.ErrorResult(a.messages())
	}
	raw := append([]byte(`{"events":[`), e.raw...)
	raw = append(append(append(raw, `],"end":"`...), end...), `"}`...)
	return structured(jsontext.Value(raw), a)
}
