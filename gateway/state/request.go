package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/trilith-gateway/trilith/internal/clip"
)

const (
	// MaxErrorBytes bounds the text of a RemoteError.
	MaxErrorBytes = 1 << 10
	// MaxServing is how many requests a topic's handler answers at a time; more are refused with ErrUnavailable.
	MaxServing = 1024
	// DefaultRequestTime bounds a request whose context has no deadline.
	DefaultRequestTime = 30 * time.Second
	// MaxRequestTime bounds every request.
	MaxRequestTime = time.Hour

	requestPrefix = "trilith.request."
	// probeInterval is how often a request that takes its time asks whether the node still runs, probeTimeout how long it
	// waits for the answer.
	probeInterval = time.Second
	probeTimeout  = 3 * time.Second

	// headerTimeout holds the milliseconds left for a request: the clocks of nodes may differ. A probe has none.
	headerTimeout = "Trilith-Timeout"
	// headerStatus is missing from the answer of a handler that succeeded.
	headerStatus = "Trilith-Status"

	statusFailed   = "failed" // The data is the error's text.
	statusTooLarge = "too-large"
	statusBusy     = "busy"
	statusEnded    = "ended"
	statusInvalid  = "invalid"
)

// RemoteError is what the handler of another node, or of this one, failed with.
type RemoteError struct {
	// Text is the message of the handler's error, cut to MaxErrorBytes. Like all messages it is for the operator.
	Text string
}

// Error implements error.
func (e *RemoteError) Error() string { return "handler: " + e.Text }

// Serve answers requests to this State's Instance under a topic, which is any string of 1 to MaxKeyBytes bytes, until
// ctx ends or the State is closed. It is in effect when it returns, in a cluster a moment later. It fails with
// ErrConflict when the topic is being served already.
//
// Calls of handle are concurrent, at most MaxServing of them. Their context has the deadline of the requester's and the
// values of ctx, and ends with ctx and the State; then they must return soon, because Close waits for them. data belongs
// to the handler. An error it returns reaches the requester as a RemoteError, or as ErrNoNode if it is because of the end.
func (s *State) Serve(ctx context.Context, topic string, handle func(ctx context.Context, data []byte) ([]byte, error)) error {
	const op = "serve requests"
	subject, err := requestSubject(s.instance, topic)
	if err != nil {
		return fail(ctx, op, err)
	}
	opCtx, done, err := s.begin(ctx)
	if err != nil {
		return fail(ctx, op, err)
	}
	defer done()
	if !s.claim(subject) {
		return fail(ctx, op, fmt.Errorf("%w: topic %.40q is served", ErrConflict, topic))
	}
	live, end := context.WithCancel(ctx)
	v := &service{s: s, live: live, topic: topic, handle: handle, slots: make(chan struct{}, MaxServing)}
	sub, err := s.nc.Subscribe(subject, v.receive)
	if err == nil {
		if err = s.nc.FlushWithContext(opCtx); err != nil { // Until the server knows of the subscription.
			_ = sub.Unsubscribe()
		}
	}
	if err != nil {
		end()
		s.release(subject)
		return fail(ctx, op, err)
	}
	s.busy.Go(func() { // Cannot race with Close, which still waits for this request.
		select {
		case <-ctx.Done():
		case <-s.life.Done():
		}
		_ = sub.Unsubscribe() // Fails only when the connection is gone.
		end()
		s.release(subject)
	})
	return nil
}

func requestSubject(instance, topic string) (string, error) {
	inst, err := encodeKey(instance) // Whatever a requester takes for an instance is one token of the subject.
	if err != nil {
		return "", err
	}
	enc, err := encodeKey(topic)
	if err != nil {
		return "", err
	}
	return requestPrefix + inst + "." + enc, nil
}

// claim reports false when the subject is taken.
func (s *State) claim(subject string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.topics[subject] {
		return false
	}
	s.topics[subject] = true
	return true
}

func (s *State) release(subject string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.topics, subject)
}

// service is one topic that is served.
type service struct {
	s      *State
	live   context.Context //nolint:containedctx // Ends with the service.
	topic  string
	handle func(ctx context.Context, data []byte) ([]byte, error)
	slots  chan struct{}
}

// receive starts the handler of one request. It never blocks, so that probes are answered whatever handlers do.
func (v *service) receive(msg *nats.Msg) {
	header := msg.Header.Get(headerTimeout)
	if header == "" {
		v.answer(msg, "", nil)
		return
	}
	timeout, ok := parseTimeout(header)
	if !ok {
		v.answer(msg, statusInvalid, nil)
		return
	}
	select {
	case v.slots <- struct{}{}:
	default:
		v.answer(msg, statusBusy, nil)
		return
	}
	if !v.s.enter() {
		<-v.slots
		v.answer(msg, statusEnded, nil)
		return
	}
	go func() {
		defer v.s.busy.Done()
		defer func() { <-v.slots }()
		v.run(msg, timeout)
	}()
}

// run calls the handler and answers.
func (v *service) run(msg *nats.Msg, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(v.live, timeout)
	defer cancel()
	data, err := v.call(ctx, msg.Data)
	switch {
	case err != nil && v.live.Err() != nil:
		v.answer(msg, statusEnded, nil)
	case err != nil:
		v.answer(msg, statusFailed, []byte(clip.Text(err.Error(), MaxErrorBytes)))
	case len(data) > v.s.maxMessage():
		v.answer(msg, statusTooLarge, nil)
	default:
		v.answer(msg, "", data)
	}
}

// call keeps a panic within the request, as servers of HTTP do.
func (v *service) call(ctx context.Context, data []byte) (_ []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			v.s.log.Error("handler of requests panicked", slog.String("topic", v.topic), slog.Any("panic", p),
				slog.String("stack", string(debug.Stack())))
			err = errors.New("panic")
		}
	}()
	return v.handle(ctx, data)
}

func (v *service) answer(msg *nats.Msg, status string, data []byte) {
	reply := &nats.Msg{Subject: msg.Reply, Data: data}
	if status != "" {
		reply.Header = nats.Header{headerStatus: {status}}
	}
	if err := v.s.nc.PublishMsg(reply); err != nil {
		v.s.log.Warn("answer to another node lost", slog.String("topic", v.topic), slog.Any("cause", err))
	}
}

// parseTimeout reads the time left for a request.
func parseTimeout(header string) (time.Duration, bool) {
	ms, err := strconv.ParseInt(header, 10, 64)
	if err != nil || ms < 1 || ms > MaxRequestTime.Milliseconds() {
		return 0, false
	}
	return time.Duration(ms) * time.Millisecond, true
}

// maxMessage bounds requests and answers.
func (s *State) maxMessage() int { return int(s.nc.MaxPayload()) - headerBytes }

// Request has the State of that instance, which may be this one, answer a request under a topic. Requests and answers
// are bounded by the server's max_payload less 1 KiB: 8 MiB embedded, 1 MiB by default elsewhere.
//
// It fails with ErrNoNode at once when no running State has the instance or it does not serve the topic, and within
// seconds when the node goes away meanwhile: the handler may or may not have run by then. A *RemoteError is the
// handler's own failure. ErrUnavailable: the engine is away, or the node is busy with MaxServing others; ErrTooLarge: one
// of the messages is. A deadline that passes is the context's error alone. Without one the request is bounded by
// DefaultRequestTime; the handler's context has the same deadline, but does not end with ctx.
func (s *State) Request(ctx context.Context, instance, topic string, data []byte) ([]byte, error) {
	const op = "request to another node"
	answer, err := s.request(ctx, instance, topic, data)
	switch {
	case err == nil:
		return answer, nil
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("state: %s: %w", op, err)
	}
	return nil, fail(ctx, op, err)
}

func (s *State) request(ctx context.Context, instance, topic string, data []byte) ([]byte, error) {
	subject, err := requestSubject(instance, topic)
	if err != nil {
		return nil, err
	}
	if limit := s.maxMessage(); len(data) > limit {
		return nil, fmt.Errorf("%w: request of %d bytes, at most %d", ErrTooLarge, len(data), limit)
	}
	if !s.enter() {
		return nil, errClosed
	}
	defer s.busy.Done()
	limit := MaxRequestTime
	if _, ok := ctx.Deadline(); !ok {
		limit = DefaultRequestTime
	}
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.life, func() { cancel(errClosed) })() //nolint:contextcheck // The State's life.
	link := s.link.next()
	defer time.AfterFunc(probeInterval, func() {
		if s.enter() {
			defer s.busy.Done()
			s.probe(ctx, cancel, subject, link)
		}
	}).Stop()

	deadline, _ := ctx.Deadline()
	left := max(1, min(time.Until(deadline), MaxRequestTime).Milliseconds())
	msg := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{headerTimeout: {strconv.FormatInt(left, 10)}}}
	reply, err := s.nc.RequestMsgWithContext(ctx, msg)
	switch {
	case err == nil:
		return answerOf(reply)
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("%w: %w", ErrNoNode, err)
	}
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// probe cancels a request when its node no longer runs, or the connection through which the answer would come was lost.
func (s *State) probe(ctx context.Context, cancel context.CancelCauseFunc, subject string, link <-chan struct{}) {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		err := s.ping(ctx, subject)
		select {
		case <-link:
			cancel(fmt.Errorf("%w: connection lost during the request", ErrUnavailable))
			return
		case <-ctx.Done():
			return
		default:
		}
		if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, context.DeadlineExceeded) {
			cancel(fmt.Errorf("%w: it went away during the request", ErrNoNode))
			return
		}
		select {
		case <-link:
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (s *State) ping(ctx context.Context, subject string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, err := s.nc.RequestWithContext(ctx, subject, nil)
	return err
}

// answerOf tells an answer from a refusal.
func answerOf(reply *nats.Msg) ([]byte, error) {
	switch status := reply.Header.Get(headerStatus); status {
	case "":
		return reply.Data, nil
	case statusFailed:
		return nil, &RemoteError{Text: clip.Text(string(reply.Data), MaxErrorBytes)}
	case statusTooLarge:
		return nil, fmt.Errorf("%w: the answer", ErrTooLarge)
	case statusEnded:
		return nil, fmt.Errorf("%w: it ended during the request", ErrNoNode)
	case statusBusy:
		return nil, fmt.Errorf("%w: the node is busy", ErrUnavailable)
	case statusInvalid:
		return nil, fmt.Errorf("%w: the node does not understand the request", ErrInvalid)
	default:
		return nil, fmt.Errorf("%w: answer with status %.20q", ErrInvalid, status)
	}
}
