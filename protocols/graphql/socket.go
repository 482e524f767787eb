package graphql

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/schema"
)

// The close codes of graphql-transport-ws.
const (
	closeBadRequest   websocket.StatusCode = 4400 // a message that the protocol does not know
	closeUnauthorized websocket.StatusCode = 4401 // subscribe before connection_ack, or no credential at all
	closeForbidden    websocket.StatusCode = 4403 // a bad credential, or one that has expired
	closeSubprotocol  websocket.StatusCode = 4406
	closeInitTimeout  websocket.StatusCode = 4408
	closeDuplicate    websocket.StatusCode = 4409 // an operation of that id is running
	closeInitTwice    websocket.StatusCode = 4429
)

const (
	subprotocol = "graphql-transport-ws"
	maxID       = 256         // bytes of an operation's id
	socketName  = "websocket" // in the records of refusals
)

func isUpgrade(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// A message of graphql-transport-ws, in both directions.
type message struct {
	ID      string         `json:"id"`
	Type    string         `json:"type"`
	Payload jsontext.Value `json:"payload"`
}

// A closing is the end of a socket that the protocol tells the client about.
type closing struct {
	code   websocket.StatusCode
	reason string
	err    error // why, for the record
}

// badMessage ends a socket whose client does not speak the protocol.
func badMessage(why string) *closing {
	return &closing{closeBadRequest, "Invalid message", invalidArgument(why)}
}

func (c *closing) Error() string { return c.reason }

// A socket is one WebSocket connection.
type socket struct {
	f      *Frontend
	ws     *websocket.Conn
	conn   *connection
	opened *gateway.Principal // that of the upgrade request, or nil

	// Set by connection_init, before any operation starts.
	owner *gateway.Principal
	token string // "" where the upgrade request's principal is the owner

	mu      sync.Mutex
	running map[string]*running // operations by id
	alive   bool                // whether anything came since the last ping
	ended   bool
	timers  []*time.Timer  // stopped at the end
	work    sync.WaitGroup // operations
}

// serveSocket upgrades the request and serves the connection until it ends.
func (f *Frontend) serveSocket(w http.ResponseWriter, r *http.Request) {
	s := &socket{f: f, opened: auth.From(r.Context()), running: map[string]*running{}}
	// The socket can be asked to end as soon as it is known, which is before the upgrade.
	upgraded := make(chan struct{})
	conn, err := f.conns.enter(s.opened == nil, func() {
		<-upgraded
		if s.ws != nil {
			_ = s.ws.Close(websocket.StatusGoingAway, "Shutting down") // The connection ends in any case.
		}
	})
	if err != nil {
		f.refuse(w, r, "", typeJSON, statusOfRefusal(err), list(err))
		return
	}
	defer conn.leave()
	s.conn = conn
	s.ws, err = websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}, OriginPatterns: f.o.OriginPatterns})
	close(upgraded)
	if err != nil { // Accept has answered.
		f.record(r.Context(), requestCall(r, ""), invalidArgument("the upgrade to a WebSocket is malformed"))
		return
	}
	if s.ws.Subprotocol() != subprotocol {
		s.end(r.Context(), &closing{closeSubprotocol, "Subprotocol not acceptable", invalidArgument("the subprotocol is not " + subprotocol)})
		return
	}
	s.ws.SetReadLimit(int64(f.o.Bounds.Bytes))
	s.serve(r.Context())
}

// serve reads messages until the connection ends, then waits for the operations.
func (s *socket) serve(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	s.after(s.f.o.InitTimeout, func() {
		if !s.initialised() {
			s.end(ctx, &closing{closeInitTimeout, "Connection initialisation timeout", errSilent})
		}
	})
	var err error
	for err == nil {
		var m *message
		if m, err = s.read(ctx); err == nil {
			err = s.handle(ctx, m)
		}
	}
	s.mu.Lock()
	s.ended = true
	for _, t := range s.timers {
		t.Stop()
	}
	s.mu.Unlock()
	cancel() // Operations end; what they still write is refused.
	if end, ok := errors.AsType[*closing](err); ok {
		s.end(ctx, end)
	} else {
		_ = s.ws.CloseNow() // The peer has closed or is gone, or what it sends is no WebSocket any more.
	}
	s.work.Wait()
}

// end closes the socket because of what its client did.
func (s *socket) end(ctx context.Context, why *closing) {
	s.record(ctx, why.err)
	s.close(why.code, why.reason)
}

func (s *socket) record(ctx context.Context, err error) {
	s.f.record(ctx, gateway.Call{Principal: s.principal(), Name: socketName}, err)
}

// unreadable is the refusal of frames that cannot be read (RFC 6455, section 7.1.7), or nil where the peer has closed
// the connection or is gone.
func unreadable(err error) error {
	if errors.Is(err, websocket.ErrMessageTooBig) {
		return &gateway.Error{Code: gateway.ResourceExhausted, By: door, Msg: "the message is too long"}
	}
	for _, gone := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, gone) {
			return nil
		}
	}
	if _, gone := errors.AsType[net.Error](err); gone || websocket.CloseStatus(err) != -1 {
		return nil
	}
	return invalidArgument("the frames are not those of a WebSocket")
}

func (s *socket) close(code websocket.StatusCode, reason string) {
	_ = s.ws.Close(code, reason) // The connection ends in any case.
}

// after calls f after d unless the socket has ended by then. Only the reader calls after.
func (s *socket) after(d time.Duration, f func()) *time.Timer {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := time.AfterFunc(d, f)
	s.timers = append(s.timers, t)
	return t
}

func (s *socket) initialised() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owner != nil
}

// principal returns whom the connection is known to belong to, or nil.
func (s *socket) principal() *gateway.Principal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cmp.Or(s.owner, s.opened)
}

func (s *socket) read(ctx context.Context) (*message, error) {
	kind, data, err := s.ws.Read(ctx)
	if err != nil {
		s.record(ctx, unreadable(err))
		return nil, err
	}
	s.mu.Lock()
	s.alive = true
	s.mu.Unlock()
	if kind != websocket.MessageText {
		return nil, badMessage("the message is not text")
	}
	if err := schema.Check(data, s.f.o.Bounds); err != nil {
		return nil, badMessage(err.Error())
	}
	m := &message{}
	if err := jsonv2.Unmarshal(data, m); err != nil {
		return nil, badMessage("the message is not an object with an id and a type")
	}
	return m, nil
}

// write sends a message. A reader that does not take it within the write timeout loses the connection. That an
// operation is cancelled meanwhile must not matter: half a message cannot be taken back.
func (s *socket) write(ctx context.Context, m message) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.f.o.WriteTimeout)
	defer cancel()
	return s.ws.Write(ctx, websocket.MessageText, m.append(nil))
}

// append writes the message as JSON. The payload is JSON already.
func (m message) append(b []byte) []byte {
	b = append(append(append(b, `{"type":"`...), m.Type...), '"')
	if m.ID != "" {
		b = append(b, `,"id":`...)
		b, _ = jsontext.AppendQuote(b, m.ID) // What was read is valid UTF-8.
	}
	if len(m.Payload) > 0 {
		b = append(append(b, `,"payload":`...), m.Payload...)
	}
	return append(b, '}')
}

// handle does what a message asks for. An error ends the connection.
func (s *socket) handle(ctx context.Context, m *message) error {
	switch m.Type {
	case "connection_init":
		return s.initialise(ctx, m.Payload)
	case "ping":
		return s.write(ctx, message{Type: "pong", Payload: m.Payload})
	case "pong":
		return nil
	case "subscribe":
		return s.subscribe(ctx, m)
	case "complete":
		s.cancel(m.ID)
		return nil
	default:
		return badMessage("the protocol has no message of that type")
	}
}

// initialise authenticates the connection: by the payload's token, else by the upgrade request.
func (s *socket) initialise(ctx context.Context, payload jsontext.Value) error {
	if s.initialised() {
		return &closing{closeInitTwice, "Too many initialisation requests", invalidArgument("a second connection_init")}
	}
	token, ok := initToken(payload)
	if !ok {
		return badMessage("the payload of connection_init is malformed")
	}
	p := s.opened
	if token != "" || p == nil {
		var err error
		if p, err = s.f.authenticate(ctx, token); err != nil {
			return refused(err, token == "")
		}
	}
	// Closing waits for the client's answer, which may never come.
	end := func(why *gateway.Error) { go s.close(closeForbidden, why.Msg) }
	if err := s.conn.own(p, socketName, end); err != nil {
		return &closing{websocket.StatusTryAgainLater, "Too many connections", err}
	}
	s.token = token
	s.mu.Lock()
	s.owner = p
	s.mu.Unlock()
	if !p.Expiry.IsZero() {
		s.after(time.Until(p.Expiry), func() { s.close(closeForbidden, "Credential expired") })
	}
	if err := s.write(ctx, message{Type: "connection_ack"}); err != nil {
		return err
	}
	s.keepAlive(ctx)
	return nil
}

// initToken takes the bearer token out of connection_init's payload: {"Authorization": "Bearer …"}. It returns ""
// where there is none, and false where the payload is malformed.
func initToken(payload jsontext.Value) (token string, ok bool) {
	if !objectOrNull(payload) {
		return "", false
	}
	var p struct {
		Upper *string `json:"Authorization"`
		Lower *string `json:"authorization"`
	}
	if len(payload) > 0 {
		if err := jsonv2.Unmarshal(payload, &p); err != nil {
			return "", false
		}
	}
	if p.Upper == nil {
		p.Upper = p.Lower
	}
	if p.Upper == nil || *p.Upper == "" {
		return "", true
	}
	scheme, token, _ := strings.Cut(*p.Upper, " ")
	token = strings.TrimLeft(token, " ")
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

func (f *Frontend) authenticate(ctx context.Context, token string) (*gateway.Principal, error) {
	if f.o.Authenticate == nil {
		return nil, errNobody
	}
	p, err := f.o.Authenticate(ctx, token)
	if err == nil && p == nil {
		err = errNobody
	}
	return p, err
}

// refused is how a socket ends whose credential was not accepted.
func refused(err error, none bool) *closing {
	switch {
	case gateway.AsError(err).Code == gateway.Unavailable:
		return &closing{websocket.StatusTryAgainLater, "Credential cannot be checked now", err}
	case none:
		return &closing{closeUnauthorized, "Unauthorized", err}
	default:
		return &closing{closeForbidden, "Forbidden", err}
	}
}

// keepAlive pings now and then, and ends a connection on which nothing has come since the last ping.
func (s *socket) keepAlive(ctx context.Context) {
	var t *time.Timer
	armed := make(chan struct{}) // t is set
	t = s.after(s.f.o.KeepAlive, func() {
		<-armed
		s.mu.Lock()
		alive := s.alive
		s.alive = false
		s.mu.Unlock()
		if !alive || s.write(ctx, message{Type: "ping"}) != nil {
			_ = s.ws.CloseNow() // The peer is gone.
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.ended {
			t.Reset(s.f.o.KeepAlive)
		}
	})
	close(armed)
}

// statusOfRefusal is the HTTP status of a connection that is not opened.
func statusOfRefusal(err error) int {
	if gateway.AsError(err).Code == gateway.ResourceExhausted {
		return http.StatusTooManyRequests
	}
	return http.StatusServiceUnavailable
}
