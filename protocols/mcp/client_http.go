package mcp

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/trilith-gateway/trilith/protocols/egress"
	"github.com/trilith-gateway/trilith/protocols/http1"
)

const (
	typeEvents = "text/event-stream"
	typeJSON   = "application/json"

	headerType = "Content-Type"
)

// An httpTransport speaks streamable HTTP in both eras (transports, streamable
// HTTP; 2025-11-25, transports).
type httpTransport struct {
	c       *client
	url     *url.URL     // where messages go
	life    *http1.Group // requests that end with the connection
	session string       // legacy: the session's id; set by initialize, before there are other users

	mu      sync.Mutex
	running map[uint64]struct{} // legacy requests
}

func newHTTPTransport(c *client) *httpTransport {
	return &httpTransport{c: c, url: c.u.url, life: http1.NewGroup(c.ctx), running: map[uint64]struct{}{}}
}

// roundTrip posts a request and reads its answer, which is the response or a
// stream that holds it.
func (t *httpTransport) roundTrip(ctx context.Context, r *outgoing) (message, error) {
	legacy := t.c.rev != "" && !t.c.modern()
	if legacy {
		t.mu.Lock()
		t.running[r.id] = struct{}{}
		t.mu.Unlock()
	}
	r.life = t.life
	m, err := t.exchange(ctx, r)
	switch {
	case err != nil && ctx.Err() != nil:
		err = context.Cause(ctx)
	case m.Error != nil && t.c.ctx.Err() != nil:
		err = t.over(r) // It may answer what close tells the server.
	}
	abandoned := err != nil && (ctx.Err() != nil || errors.Is(err, errUpstreamSlow))
	if legacy {
		t.ended(r.id, abandoned) // The request's own context has ended.
	}
	if r.buf != nil {
		r.buf.b, r.body = r.body, nil
		t.c.u.release(r.buf)
	}
	if err != nil {
		return message{}, err
	}
	return m, nil
}

// ended notes the end of a legacy request. Where nobody waits for the answer any
// more the server is told so; a modern one has seen the stream close
// (2025-11-25, basic, cancellation).
func (t *httpTransport) ended(id uint64, abandoned bool) {
	if t.c.ctx.Err() != nil {
		return // Then close tells it.
	}
	t.mu.Lock()
	delete(t.running, id)
	t.mu.Unlock()
	if abandoned {
		t.c.spawn(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.c.ctx), t.c.u.o.Grace)
			defer cancel()
			t.abandon(ctx, id)
		})
	}
}

func (t *httpTransport) abandon(ctx context.Context, id uint64) {
	if err := t.send(ctx, cancelledMethod, cancelled(id)); err != nil {
		t.c.u.o.Logger.DebugContext(ctx, "a cancellation was not delivered", slog.String("source", t.c.u.o.Name), slog.Any("error", err))
	}
}

const cancelledMethod = "notifications/cancelled"

// cancelled returns notifications/cancelled.
func cancelled(id uint64) []byte {
	b := append(appendNotification(nil, cancelledMethod), `"requestId":`...)
	return append(strconv.AppendUint(b, id, 10), `,"reason":"the caller no longer waits"}}`...)
}

func (t *httpTransport) exchange(ctx context.Context, r *outgoing) (message, error) {
	res, err := t.post(ctx, r)
	if err != nil {
		return message{}, err
	}
	defer res.Close() //nolint:errcheck // it has been read.
	if res.Status != http.StatusOK {
		return t.refused(res)
	}
	if r.method == "initialize" {
		if t.session = string(res.Field(headerSession)); !visible(t.session) {
			return message{}, badAnswer("the session id is not visible ASCII")
		}
	}
	switch media(res.Field(headerType)) {
	case typeEvents:
		return t.follow(ctx, res, r)
	case typeJSON:
		data, err := readAll(res, res.Length, t.c.u.o.MaxMessage)
		if err != nil {
			return message{}, err
		}
		m, err := t.c.parseAnswer(data)
		if err != nil {
			return message{}, err
		}
		if !m.answers(r.id) && (m.Error == nil || m.ID != nil) {
			return message{}, badAnswer("it answers another request")
		}
		return m, nil
	default:
		return message{}, badAnswer("its content type is neither JSON nor an event stream")
	}
}

// head appends a request's line and header fields, with what mirrors its body
// (transports, request metadata). After is the event that a stream goes on
// after, or "".
func (t *httpTransport) head(b []byte, method string, r *outgoing, after string) ([]byte, error) {
	b = http1.AppendRequestLine(b, method, t.url)
	b = append(b, t.c.u.http.Fields()...)
	var err error
	add := func(name, value string) {
		if value != "" && err == nil {
			b, err = http1.AppendField(b, name, value)
		}
	}
	if method == http.MethodGet {
		add("Accept", typeEvents)
		add("Last-Event-Id", after)
	} else {
		add(headerType, typeJSON)
		add("Accept", typeJSON+", "+typeEvents)
	}
	add(headerVersion, t.c.rev)
	add(headerSession, t.session)
	if t.c.modern() {
		add(headerMethod, r.method)
		add(headerName, encodeHeader(r.subject))
		for _, p := range r.params {
			if p.value == "" { // It says that the argument is.
				b = append(append(b, p.header...), ":\r\n"...)
			}
			add(p.header, p.value)
		}
	}
	return b, err
}

// encodeHeader returns the form of a text that can stand in a header
// (transports, value encoding).
func encodeHeader(text string) string {
	const prefix, suffix = "=?base64?", "?="
	encoded := strings.HasPrefix(text, prefix) && strings.HasSuffix(text, suffix)
	plain := !encoded && text == strings.TrimSpace(text)
	for i := 0; plain && i < len(text); i++ {
		plain = text[i] >= ' ' && text[i] <= '~'
	}
	if plain {
		return text
	}
	return prefix + base64.StdEncoding.EncodeToString([]byte(text)) + suffix
}

// post sends a message to where the server wants messages and nowhere else.
func (t *httpTransport) post(ctx context.Context, r *outgoing) (*http1.Response, error) {
	return t.do(ctx, http.MethodPost, r, "")
}

func (t *httpTransport) do(ctx context.Context, method string, r *outgoing, after string) (*http1.Response, error) {
	if r.life != nil && t.c.ctx.Err() != nil {
		return nil, context.Cause(t.c.ctx) // Nothing has been sent.
	}
	buf := t.c.u.buffer()
	defer t.c.u.release(buf)
	head, err := t.head(buf.b, method, r, after)
	if err != nil {
		return nil, &lostError{err}
	}
	buf.b = head
	res, err := t.c.u.http.Send(ctx, &http1.Request{
		Head: head, Body: r.body, Idempotent: method != http.MethodPost || repeatable(r.method), Deadline: r.by, Group: r.life,
	})
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		if r.life != nil && t.c.ctx.Err() != nil {
			return nil, t.over(r)
		}
		if _, ok := errors.AsType[*egress.AuthError](err); ok {
			return nil, err
		}
		return nil, lostOrSlow(err)
	}
	return res, nil
}

// over returns why a request has no answer when the connection has ended. One
// that another request found out has lost its session may have been acted on,
// and is made again only where that does no harm.
func (t *httpTransport) over(r *outgoing) error {
	cause := context.Cause(t.c.ctx)
	if repeatable(r.method) {
		return cause
	}
	return lost(cause)
}

// lostOrSlow returns a failure to send or read as an error.
func lostOrSlow(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errUpstreamSlow
	}
	return &lostError{err}
}

// repeatable reports whether a request does no more when the server gets it
// twice. What tools do nobody knows here.
func repeatable(method string) bool {
	switch method {
	case "server/discover", "ping", "tools/list", "prompts/list", "resources/list", "resources/templates/list",
		"resources/read", "prompts/get", "completion/complete":
		return true
	}
	return false
}

// send posts a notification or a response.
func (t *httpTransport) send(ctx context.Context, method string, body []byte) error {
	res, err := t.post(ctx, &outgoing{method: method, body: body})
	if err != nil {
		return err
	}
	defer res.Close() //nolint:errcheck // nothing in it matters.
	if res.Status/100 != 2 {
		_, err = t.refused(res)
		return err
	}
	_, _ = io.CopyN(io.Discard, res, maxErrorBody) // So that the connection can be used again.
	return nil
}

// maxErrorBody bounds what is read of an answer that is none.
const maxErrorBody = 64 << 10

// refused reads an answer whose status is not 200: a response with an error, as
// the status goes with some of them, or what HTTP alone says.
func (t *httpTransport) refused(res *http1.Response) (message, error) {
	body, _ := io.ReadAll(io.LimitReader(res, maxErrorBody)) // What there is of it will do.
	var m message
	if media(res.Field(headerType)) == typeJSON {
		m, _ = t.c.parseAnswer(body) // Not a message is what other servers send.
	}
	code := 0
	if m.Error != nil {
		code = readError(m.Error).code
	}
	e := &egress.StatusError{Status: res.Status, Text: egress.OneLine(string(body), 256)}
	switch res.Status {
	case http.StatusNotFound:
		if t.session != "" && code != codeMethodNotFound {
			t.c.cancel(errSessionEnded)
			return message{}, errSessionEnded
		}
	case http.StatusBadRequest:
		// Servers made after the first SDK's example say it so.
		if t.session != "" && code == codeServer {
			t.c.cancel(errSessionEnded)
			return message{}, errSessionEnded
		}
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		e.Retry = egress.RetryAfter(string(res.Field("Retry-After")))
		return message{}, e
	}
	if m.Error != nil {
		return message{Error: m.Error}, nil
	}
	return message{}, e
}

// media returns the media type that a Content-Type names.
func media(v []byte) string {
	switch string(v) {
	case typeJSON:
		return typeJSON
	case typeEvents:
		return typeEvents
	}
	t, _, _ := mime.ParseMediaType(string(v)) // "" is neither.
	return t
}

func visible(s string) bool {
	const most = 1024
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) <= most
}

// readAll reads a body of at most so many bytes.
func readAll(r io.Reader, announced int64, most int) ([]byte, error) {
	data, err := egress.ReadAll(r, announced, most)
	if err != nil && !errors.Is(err, errTooLarge) {
		return nil, lostOrSlow(err)
	}
	return data, err
}

// close tells a legacy server that nobody waits for what it still does, and
// that the session has ended (2025-11-25, transports, session management).
func (t *httpTransport) close() {
	if errors.Is(context.Cause(t.c.ctx), errSessionEnded) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.c.ctx), t.c.u.o.Grace)
	defer cancel()
	t.mu.Lock()
	running := slices.Collect(maps.Keys(t.running))
	t.mu.Unlock()
	var some errgroup.Group
	some.SetLimit(8)
	for _, id := range running {
		some.Go(func() error {
			t.abandon(ctx, id)
			return nil
		})
	}
	_ = some.Wait() // There are no errors.
	if t.session == "" {
		return
	}
	if res, err := t.do(ctx, http.MethodDelete, &outgoing{}, ""); err == nil {
		_ = res.Close() // Whatever it says.
	}
}
