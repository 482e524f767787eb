package graphql

import (
	"context"
	"errors"
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
	maxID       = 256 // bytes of an operation's id
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
		writeRefusal(w, typeJSON, statusOfRefusal(err), list(err))
		return
	}
	defer conn.leave()
	s.conn = conn
	s.ws, err = websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}, OriginPatterns: f.o.OriginPatterns})
	close(upgraded)
	if err != nil {
		return // Accept has answered.
	}
	if s.ws.Subprotocol() != subprotocol {
		_ = s.ws.Close(closeSubprotocol, "Subprotocol not acceptable") // The connection ends in any case.
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
			s.close(closeInitTimeout, "Connection initialisation timeout")
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
		s.close(end.code, end.reason)
	} else {
		_ = s.ws.CloseNow() // The peer has closed or is gone.
	}
	s.work.Wait()
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

func (s *socket) read(ctx context.Context) (*message, error) {
	kind, data, err := s.ws.Read(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.alive = true
	s.mu.Unlock()
	m := &message{}
	if kind != websocket.MessageText || schema.Check(data, s.f.o.Bounds) != nil || jsonv2.Unmarshal(data, m) != nil {
		return nil, &closing{closeBadRequest, "Invalid message"}
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
		return &closing{closeBadRequest, "Invalid message"}
	}
}

// initialise authenticates the connection: by the payload's token, else by the upgrade request.
func (s *socket) initialise(ctx context.Context, payload jsontext.Value) error {
	if s.initialised() {
		return &closing{closeInitTwice, "Too many initialisation requests"}
	}
	token, ok := initToken(payload)
	if !ok {
		return &closing{closeBadRequest, "Invalid message"}
	}
	p := s.opened
	if token != "" || p == nil {
		var err error
		if p, err = s.f.authenticate(ctx, token); err != nil {
			return refused(err, token == "")
		}
	}
	if err := s.conn.own(p.ID); err != nil {
		return &closing{websocket.StatusTryAgainLater, "Too many connections"}
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
		return &closing{websocket.StatusTryAgainLater, "Credential cannot be checked now"}
	case none:
		return &closing{closeUnauthorized, "Unauthorized"}
	default:
		return &closing{closeForbidden, "Forbidden"}
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
