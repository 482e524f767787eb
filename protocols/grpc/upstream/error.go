package upstream

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
)

// Bounds of what is shown of a status.
const (
	maxStatusText    = 2 << 10
	maxStatusDetails = 16
	maxStatusJSON    = 16 << 10
	maxRetryDelay    = time.Hour
)

func isUnimplemented(err error) bool { return status.Code(err) == codes.Unimplemented && err != nil }

// tooLarge is how grpc-go begins the message of its own status for a message beyond MaxMessage.
const tooLarge = "grpc: received message larger than max"

// outcome returns what a failed request of a call is to its caller: a result that shows the status where the method
// itself failed, or an error where the server is away, does not take the gateway's credential, or takes no more.
func (u *Upstream) outcome(ctx context.Context, m *method, err error) (*gateway.Result, error) {
	if ctx.Err() != nil {
		return nil, u.o.Client.Fault(ctx, err)
	}
	st, ok := status.FromError(err)
	if !ok {
		return nil, u.o.Client.Fault(ctx, err)
	}
	e := &gateway.Error{Code: gateway.Unavailable, By: u.by, Msg: "the upstream is not available now", Err: err, Retry: retryDelay(st)}
	switch st.Code() { //nolint:exhaustive // The others are alike.
	case codes.Unavailable, codes.Canceled: // Canceled is a connection that Close has closed, or an upstream that gave up.
	case codes.ResourceExhausted:
		e.Code, e.Msg = gateway.ResourceExhausted, "the upstream takes no more calls now"
		if strings.HasPrefix(st.Message(), tooLarge) {
			e.Msg = fmt.Sprintf("the upstream's answer is larger than %d bytes", u.o.MaxMessage)
		}
	case codes.Unauthenticated:
		e.Code, e.Msg = gateway.FailedPrecondition, "the gateway may not use the upstream"
		if egress.CallerOf(ctx) != nil {
			e.Code, e.Msg = gateway.PermissionDenied, "the upstream does not let this caller do that"
		}
	case codes.PermissionDenied:
		e.Code, e.Msg = gateway.FailedPrecondition, "the upstream does not let the gateway do that"
		if egress.CallerOf(ctx) != nil {
			e.Code, e.Msg = gateway.PermissionDenied, "the upstream does not let this caller do that"
		}
	case codes.DeadlineExceeded:
		e.Code, e.Msg = gateway.DeadlineExceeded, "the upstream did not answer in time"
	case codes.Unimplemented:
		u.Refresh() // It has changed, or never had what it described.
		e.Code, e.Msg = gateway.Unimplemented, "the upstream does not have this method"
	default:
		return m.failed(st), nil
	}
	return nil, e
}

// retryDelay returns when a status says that trying again may help, or 0.
func retryDelay(st *status.Status) time.Duration {
	for i, d := range st.Proto().GetDetails() {
		info := &errdetails.RetryInfo{}
		if i >= maxStatusDetails {
			break
		}
		if d.MessageIs(info) && d.UnmarshalTo(info) == nil {
			return max(0, min(info.GetRetryDelay().AsDuration(), maxRetryDelay))
		}
	}
	return 0
}

// failed returns the result of a method that ran and failed: the code, the message, and the details that are safe to
// show, as JSON.
func (m *method) failed(st *status.Status) *gateway.Result {
	var b strings.Builder
	b.WriteString(codeName(st.Code()))
	if text := egress.OneLine(st.Message(), maxStatusText); text != "" {
		b.WriteString(": " + text)
	}
	for i, d := range st.Proto().GetDetails() {
		if i >= maxStatusDetails {
			break
		}
		text, ok := m.detail(d)
		if ok && b.Len()+len(text) < maxStatusJSON {
			b.WriteByte('\n')
			b.Write(text)
		}
	}
	return gateway.ErrorResult(b.String())
}

// detail returns one detail as JSON. What a server says for those who debug it stays away.
func (m *method) detail(d *anypb.Any) ([]byte, bool) {
	if m.details == nil || d.MessageIs(&errdetails.DebugInfo{}) {
		return nil, false
	}
	wire, err := proto.Marshal(d)
	if err != nil {
		return nil, false
	}
	text, err := m.details.AppendJSON(nil, wire)
	return text, err == nil
}

// codeName returns the name of a code as google.rpc.Code spells it.
func codeName(c codes.Code) string {
	if c > 0 && int(c) < gateway.CodeCount {
		return gateway.Code(c).String()
	}
	return fmt.Sprintf("code %d", c)
}
