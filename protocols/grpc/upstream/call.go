package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
	"github.com/trilith-gateway/trilith/schema/transcode"
)

// maxShown is how much of one message of a stream is shown as progress.
const maxShown = 8 << 10

// Do calls the method that the tool stands for. The caller's deadline goes to the server.
func (u *Upstream) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	switch call.Op { //nolint:exhaustive // The others are alike.
	case gateway.OpCall:
	case gateway.OpComplete, gateway.OpSubscribe:
		return nil, &gateway.Error{Code: gateway.Unimplemented, By: u.by, Msg: "a gRPC server cannot do that"}
	default:
		return nil, gateway.NotFoundError(call, u.by, nil)
	}
	offer := u.now.Load()
	if offer == nil || u.ctx.Err() != nil {
		return nil, &gateway.Error{Code: gateway.Unavailable, By: u.by, Msg: "the upstream is not available now", Err: context.Cause(u.ctx)} //nolint:contextcheck // The upstream's own life.
	}
	m := offer.methods[call.Target.Origin]
	if m == nil {
		return nil, gateway.NotFoundError(call, u.by, errors.New("the server does not offer the method any more"))
	}
	in, err := m.request(call.Args)
	if err != nil {
		return nil, &gateway.Error{Code: gateway.InvalidArgument, By: u.by, Msg: "invalid arguments: " + egress.OneLine(err.Error(), 500), Err: err}
	}
	if ctx, err = u.o.Client.Admit(ctx, call); err != nil {
		return nil, err
	}
	if trace := traceOf(call.Meta); trace != "" {
		ctx = context.WithValue(ctx, traceKey{}, trace)
	}
	if !call.Task {
		timed, cancel := context.WithTimeoutCause(ctx, u.o.Timeout, egress.ErrSlow)
		defer cancel()
		ctx = timed
	}
	if m.stream {
		return u.follow(ctx, m, in, call.Progress)
	}
	return u.invoke(ctx, m, in, call.Into)
}

// request returns the wire bytes of a tool's arguments.
func (m *method) request(args json.RawMessage) ([]byte, error) {
	if !m.in.IsObject() {
		var wrapped struct {
			Value json.RawMessage `json:"value"`
		}
		if err := json.Unmarshal(args, &wrapped); err != nil {
			return nil, err
		}
		args = wrapped.Value
	}
	return m.in.AppendWire(make([]byte, 0, len(args)), args)
}

// appendJSON appends a message that came back, as the output schema says.
func (m *method) appendJSON(dst, wire []byte) ([]byte, error) { return m.out.AppendJSON(dst, wire) }

// invoke makes a call with one response.
func (u *Upstream) invoke(ctx context.Context, m *method, in []byte, into any) (*gateway.Result, error) {
	var out frame
	defer out.free()
	err := u.authorized(ctx, func(ctx context.Context) error {
		return u.pool.invoke(ctx, m.path, &frame{bytes: in}, &out)
	})
	if err != nil {
		return u.outcome(ctx, m, err)
	}
	if b := m.across(into); b != nil {
		message, err := b.Append(make([]byte, 0, 64+len(out.bytes)+len(out.bytes)/4), out.bytes)
		if err == nil {
			wire := bytes.Clone(out.bytes)
			return gateway.MessageResult(message, func() (json.RawMessage, error) { return m.appendJSON(nil, wire) }), nil
		}
	}
	text := make([]byte, 0, 256+3*len(out.bytes))
	if !m.out.IsObject() {
		text = append(text, `{"value":`...)
	}
	if text, err = m.appendJSON(text, out.bytes); err != nil {
		return nil, u.unreadable(err)
	}
	if !m.out.IsObject() {
		text = append(text, '}')
	}
	return gateway.StructuredResult(text), nil
}

// authorized makes a request with the credential of its context, and once more with a new one where the server does
// not take it any more.
func (u *Upstream) authorized(ctx context.Context, request func(context.Context) error) error {
	for first := true; ; first = false {
		out, credential, err := u.outgoing(ctx)
		if err != nil {
			return err
		}
		if trace, ok := ctx.Value(traceKey{}).(string); ok {
			out = metadata.AppendToOutgoingContext(out, "traceparent", trace)
		}
		err = request(out)
		if !first || credential == "" || status.Code(err) != codes.Unauthenticated {
			return err
		}
		again, failed := u.o.Client.Renew(ctx, credential)
		if failed != nil {
			return failed
		}
		if !again {
			return err
		}
	}
}

// unreadable returns what is wrong with a message that came back. What the server offers may have changed.
func (u *Upstream) unreadable(err error) *gateway.Error {
	if errors.Is(err, transcode.ErrTooLarge) {
		return &gateway.Error{Code: gateway.ResourceExhausted, By: u.by, Msg: "the upstream's answer is too large", Err: err}
	}
	u.Refresh()
	return &gateway.Error{Code: gateway.Unknown, By: u.by, Msg: "the upstream's answer is not what it describes", Err: err}
}

// errEnough is the cause of a stream's end shortly before the call's: what has come so far is its result.
var errEnough = errors.New("the time for the stream is over")

// follow makes a call with a stream of responses. Each is shown as it comes; the result holds them all, up to the
// bounds.
func (u *Upstream) follow(ctx context.Context, m *method, in []byte, progress func(gateway.Progress)) (*gateway.Result, error) {
	ctx, cancel := enough(ctx)
	defer cancel()
	c := &collector{u: u, m: m, progress: progress, text: []byte(`{"messages":[`)}
	var late error // of a stream that had begun, which is not asked for again: its messages have been shown
	err := u.authorized(ctx, func(ctx context.Context) error {
		w := u.pool.take()
		defer w.free()
		stream, err := w.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, m.path, grpc.ForceCodecV2(frames{}))
		if err != nil {
			return err
		}
		if err := stream.SendMsg(&frame{bytes: in}); err != nil && !errors.Is(err, io.EOF) { // EOF: RecvMsg says why.
			return err
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		err = c.collect(stream)
		if c.count > 0 {
			late, err = err, nil
		}
		return err
	})
	if err == nil {
		err = late
	}
	wrong, _ := errors.AsType[*gateway.Error](err)
	switch {
	case err == nil:
		return c.result(!c.whole), nil
	case wrong != nil:
		return nil, wrong
	case c.count > 0 && (errors.Is(context.Cause(ctx), errEnough) || status.Code(err) == codes.DeadlineExceeded): // The server's clock may be the first.
		return c.result(true), nil
	case errors.Is(context.Cause(ctx), errEnough):
		return nil, &gateway.Error{Code: gateway.DeadlineExceeded, By: u.by, Msg: "the upstream did not answer in time", Err: err}
	}
	res, err := u.outcome(ctx, m, err)
	if res != nil && c.count > 0 {
		res = c.broken(res)
	}
	return res, err
}

// enough returns a context that ends a little before its parent, so that the result of a stream without end still
// arrives.
func enough(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	margin := min(time.Until(end)/10, 500*time.Millisecond)
	return context.WithDeadlineCause(ctx, end.Add(-margin), errEnough)
}

// collector gathers the messages of a stream.
type collector struct {
	u        *Upstream
	m        *method
	progress func(gateway.Progress)
	text     []byte // of the result
	count    int
	whole    bool // the stream has ended
}

// collect reads the stream to its end, or until there is enough of it.
func (c *collector) collect(stream grpc.ClientStream) error {
	var out frame
	defer out.free()
	for c.count < c.u.o.MaxMessages {
		err := stream.RecvMsg(&out)
		if errors.Is(err, io.EOF) {
			c.whole = true
			return nil
		}
		if err != nil {
			return err
		}
		before := len(c.text)
		if c.count > 0 {
			c.text = append(c.text, ',')
		}
		at := len(c.text)
		if c.text, err = c.m.appendJSON(c.text, out.bytes); err != nil {
			return c.u.unreadable(err)
		}
		c.show(c.text[at:])
		if len(c.text) > c.u.o.MaxStream {
			c.text = c.text[:before]
			return nil
		}
		c.count++
	}
	return nil
}

// show reports a message as progress.
func (c *collector) show(message []byte) {
	if c.progress == nil {
		return
	}
	text := string(message)
	if len(message) > maxShown {
		text = fmt.Sprintf("a message of %d bytes", len(message))
	}
	c.progress(gateway.Progress{Progress: json.Number(fmt.Sprint(c.count + 1)), Message: text})
}

func (c *collector) result(truncated bool) *gateway.Result {
	return gateway.StructuredResult(fmt.Appendf(c.text, `],"truncated":%t}`, truncated))
}

// broken returns the result of a stream that failed in the middle.
func (c *collector) broken(res *gateway.Result) *gateway.Result {
	parts, err := res.Parts()
	if err != nil || len(parts.Content) == 0 {
		return res
	}
	var first struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(parts.Content[0], &first) != nil {
		return res
	}
	return gateway.ErrorResult(first.Text + "\nUntil then it had sent:\n" + string(c.text[len(`{"messages":`):]) + "]")
}

type traceKey struct{}

// traceParent is the form of a W3C Trace Context header.
var traceParent = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// traceOf returns the trace that a call is part of, or "": the one thing of its metadata that the server is told.
func traceOf(meta json.RawMessage) string {
	if len(meta) == 0 {
		return ""
	}
	var m struct {
		TraceParent string `json:"traceparent"`
	}
	if json.Unmarshal(meta, &m) != nil || !traceParent.MatchString(m.TraceParent) {
		return ""
	}
	return m.TraceParent
}
