package mcp

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	typeEvents = "text/event-stream"
	typeJSON   = "application/json"
)

// An httpTransport speaks streamable HTTP in both eras (transports, streamable
// HTTP; 2025-11-25, transports).
type httpTransport struct {
	c       *client
	url     *url.URL    // where messages go
	header  http.Header // of every request
	session string      // legacy: the session's id; set by initialize, before there are other users

	mu      sync.Mutex
	running map[uint64]struct{} // legacy requests
}

func newHTTPTransport(c *client) *httpTransport {
	h := c.u.o.Headers.Clone()
	if h == nil {
		h = http.Header{}
	}
	for name, values := range c.u.o.Headers {
		delete(h, name)
		h[http.CanonicalHeaderKey(name)] = values
	}
	if h["User-Agent"] == nil {
		h.Set("User-Agent", "trilith/"+c.u.o.Version)
	}
	h.Set("Content-Type", typeJSON)
	h.Set("Accept", typeJSON+", "+typeEvents)
	return &httpTransport{c: c, url: c.u.url, header: h, running: map[uint64]struct{}{}}
}

// roundTrip posts a request and reads its answer, which is the response or a
// stream that holds it.
func (t *httpTransport) roundTrip(ctx context.Context, r *outgoing) (message, error) {
	caller := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(t.c.ctx, func() { cancel(context.Cause(t.c.ctx)) })() // The connection's own life.
	legacy := t.c.rev != "" && !t.c.modern()
	if legacy {
		t.mu.Lock()
		t.running[r.id] = struct{}{}
		t.mu.Unlock()
	}
	m, err := t.exchange(ctx, r)
	abandoned := err != nil && caller.Err() != nil
	if abandoned {
		m, err = message{}, context.Cause(caller)
	}
	if legacy {
		t.ended(r.id, abandoned) // The request's own context has ended.
	}
	return m, err
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
	res, err := t.post(ctx, r.body, t.headers(r))
	if err != nil {
		return message{}, err
	}
	defer res.Body.Close() //nolint:errcheck // it has been read.
	if res.StatusCode != http.StatusOK {
		return t.refused(res)
	}
	if r.method == "initialize" {
		if t.session = res.Header.Get(headerSession); !visible(t.session) {
			return message{}, badAnswer("the session id is not visible ASCII")
		}
	}
	switch media(res.Header) {
	case typeEvents:
		return t.follow(ctx, res, r)
	case typeJSON:
		data, err := readAll(res.Body, res.ContentLength, t.c.u.o.MaxMessage)
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

// headers returns those of a request, with what mirrors its body (transports,
// request metadata).
func (t *httpTransport) headers(r *outgoing) http.Header {
	h := make(http.Header, len(t.header)+4+len(r.params))
	maps.Copy(h, t.header)
	if t.c.rev != "" {
		h[headerVersion] = []string{t.c.rev}
	}
	if t.session != "" {
		h[headerSession] = []string{t.session}
	}
	if t.c.modern() {
		h[headerMethod] = []string{r.method}
		if r.subject != "" {
			h[headerName] = []string{encodeHeader(r.subject)}
		}
		for _, p := range r.params {
			h[p.header] = []string{p.value}
		}
	}
	return h
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

// post sends a body to where the server wants messages and nowhere else.
func (t *httpTransport) post(ctx context.Context, body []byte, h http.Header) (*http.Response, error) {
	u := t.url
	req := &http.Request{
		Method: http.MethodPost, URL: u, Host: u.Host, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}
	return t.do(req.WithContext(ctx))
}

func (t *httpTransport) do(req *http.Request) (*http.Response, error) {
	res, err := t.c.u.authorized(req)
	if err != nil {
		if cause := context.Cause(req.Context()); cause != nil {
			return nil, cause
		}
		if _, ok := errors.AsType[*authError](err); ok {
			return nil, err
		}
		return nil, &lostError{err}
	}
	return res, nil
}

// send posts a notification or a response.
func (t *httpTransport) send(ctx context.Context, method string, body []byte) error {
	res, err := t.post(ctx, body, t.headers(&outgoing{method: method}))
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // nothing in it matters.
	if res.StatusCode/100 != 2 {
		_, err = t.refused(res)
		return err
	}
	_, _ = io.CopyN(io.Discard, res.Body, maxErrorBody) // So that the connection can be used again.
	return nil
}

// maxErrorBody bounds what is read of an answer that is none.
const maxErrorBody = 64 << 10

// refused reads an answer whose status is not 200: a response with an error, as
// the status goes with some of them, or what HTTP alone says.
func (t *httpTransport) refused(res *http.Response) (message, error) {
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorBody)) // What there is of it will do.
	var m message
	if media(res.Header) == typeJSON {
		m, _ = t.c.parseAnswer(body) // Not a message is what other servers send.
	}
	code := 0
	if m.Error != nil {
		code = readError(m.Error).code
	}
	e := &statusError{status: res.StatusCode, text: oneLine(string(body), 256)}
	switch res.StatusCode {
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
		e.retry = retryAfter(res.Header)
		return message{}, e
	}
	if m.Error != nil {
		return message{Error: m.Error}, nil
	}
	return message{}, e
}

// retryAfter reads Retry-After (RFC 9110, section 10.2.3).
func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	var d time.Duration
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = time.Until(at)
	}
	return max(0, min(d, maxRetry))
}

func media(h http.Header) string {
	t := h.Get("Content-Type")
	if t == typeJSON || t == typeEvents {
		return t
	}
	t, _, _ = mime.ParseMediaType(t) // "" is neither.
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

// readAll reads a body of at most so many bytes. What the server announces
// costs no memory before it comes.
func readAll(r io.Reader, announced int64, most int) ([]byte, error) {
	if announced > int64(most) {
		return nil, errTooLarge
	}
	const trusted = 1 << 20
	size := min(announced, trusted)
	if size < 0 {
		size = 4096
	}
	data := make([]byte, 0, size+1)
	for {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case len(data) > most:
			return nil, errTooLarge
		case errors.Is(err, io.EOF):
			return data, nil
		case err != nil:
			return nil, &lostError{err}
		}
	}
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
	req := (&http.Request{Method: http.MethodDelete, URL: t.c.u.url, Host: t.c.u.url.Host, Header: t.headers(&outgoing{})}).WithContext(ctx)
	if res, err := t.do(req); err == nil {
		_ = res.Body.Close() // Whatever it says.
	}
}
