package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/protocols/egress"
)

// subprotocol is the one that is spoken (graphql-transport-ws, PROTOCOL.md of
// the package graphql-ws).
const subprotocol = "graphql-transport-ws"

// socketClient returns a client for upgrades: it dials as the egress client
// does, and goes nowhere else.
func socketClient(c *egress.Client) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: c.Dial, TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
		},
	}
}

// A socket is a subscription on a connection of its own.
type socket struct {
	u    *Upstream
	conn *websocket.Conn
}

// A frame is a message of the protocol.
type frame struct {
	Type    string         `json:"type"`
	ID      string         `json:"id,omitzero"`
	Payload jsontext.Value `json:"payload,omitzero"`
}

// operationID names the one operation of a connection.
const operationID = "1"

// openSocket opens a connection with the credential of the context and begins a
// subscription on it. Opening bounds the time until the server has accepted.
func (u *Upstream) openSocket(ctx, opening context.Context, body []byte) (stream, error) {
	conn, err := u.dialSocket(opening)
	if err != nil {
		return nil, u.socketFault(opening, err)
	}
	s := &socket{u: u, conn: conn}
	if err := s.begin(opening, body); err != nil {
		_ = conn.CloseNow() // It is of no use.
		return nil, u.socketFault(opening, err)
	}
	if ctx.Err() != nil {
		_ = conn.CloseNow() // As above.
		return nil, u.client.Fault(ctx, context.Cause(ctx))
	}
	return s, nil
}

// dialSocket opens the connection, with another credential where the first one
// is not taken.
func (u *Upstream) dialSocket(ctx context.Context) (*websocket.Conn, error) {
	for again := false; ; again = true {
		credential, err := u.client.Authorization(ctx)
		if err != nil {
			return nil, err
		}
		header := u.o.HTTP.Headers.Clone()
		if header == nil {
			header = http.Header{}
		}
		if credential != "" {
			header.Set("Authorization", credential)
		}
		conn, res, err := websocket.Dial(ctx, socketURL(u.client.URL()), &websocket.DialOptions{ //nolint:bodyclose // Dial has read it.
			HTTPClient: u.socket, HTTPHeader: header, Subprotocols: []string{subprotocol},
		})
		if err == nil {
			conn.SetReadLimit(maxAnswer)
			return conn, nil
		}
		if res == nil {
			return nil, err
		}
		if res.StatusCode == http.StatusUnauthorized && !again {
			if renewed, err := u.client.Renew(ctx, credential); err != nil {
				return nil, err
			} else if renewed {
				continue
			}
		}
		if refusal := u.client.Refused(ctx, res.StatusCode, res.Header); refusal != nil {
			return nil, refusal
		}
		return nil, u.strange(fmt.Errorf("the upgrade to a WebSocket was answered %w", &egress.StatusError{Status: res.StatusCode}))
	}
}

func socketURL(u *url.URL) string {
	to := *u
	to.Scheme = map[string]string{"http": "ws", "https": "wss"}[u.Scheme]
	return to.String()
}

// Close codes of the protocol that say that a credential is refused.
const (
	closeUnauthorized websocket.StatusCode = 4401
	closeForbidden    websocket.StatusCode = 4403
)

// socketFault is Fault for what closes a connection.
func (u *Upstream) socketFault(ctx context.Context, err error) error {
	if code := websocket.CloseStatus(err); code == closeUnauthorized || code == closeForbidden {
		if refusal := u.client.Refused(ctx, http.StatusUnauthorized, nil); refusal != nil {
			refusal.Err = err
			return refusal
		}
	}
	if errors.Is(err, websocket.ErrMessageTooBig) {
		err = egress.ErrTooLarge
	}
	return u.client.Fault(ctx, err)
}

// begin makes the handshake and subscribes.
func (s *socket) begin(ctx context.Context, body []byte) error {
	if s.conn.Subprotocol() != subprotocol {
		return s.u.strange(errors.New("the server does not speak " + subprotocol))
	}
	if err := s.write(ctx, frame{Type: "connection_init"}); err != nil {
		return err
	}
	for {
		f, err := s.read(ctx)
		if err != nil {
			return err
		}
		if f.Type == "connection_ack" {
			return s.write(ctx, frame{Type: "subscribe", ID: operationID, Payload: body})
		}
	}
}

// next returns the next response of the subscription.
func (s *socket) next(ctx context.Context) (*answer, error) {
	for {
		f, err := s.read(ctx)
		if err != nil {
			return nil, err
		}
		if f.ID != operationID {
			continue
		}
		switch f.Type {
		case "next":
			if a := parseAnswer(f.Payload); a != nil {
				return a, nil
			}
			return nil, s.u.strange(nil)
		case "error":
			var errs []graphqlError
			if jsonv2.Unmarshal(f.Payload, &errs) != nil || len(errs) == 0 {
				errs = []graphqlError{{Message: "the server does not say why it failed"}}
			}
			return &answer{errors: errs}, nil
		case "complete":
			return nil, errComplete
		}
	}
}

// read returns the next message that is not about the connection itself.
func (s *socket) read(ctx context.Context) (*frame, error) {
	for {
		kind, data, err := s.conn.Read(ctx)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return nil, cause
			}
			return nil, s.u.socketFault(ctx, err)
		}
		f := &frame{}
		if kind != websocket.MessageText || jsonv2.Unmarshal(data, f) != nil {
			return nil, s.u.strange(errors.New("a message is not one of " + subprotocol))
		}
		switch f.Type {
		case "ping":
			if err := s.write(ctx, frame{Type: "pong"}); err != nil {
				return nil, err
			}
		case "pong":
		default:
			return f, nil
		}
	}
}

func (s *socket) write(ctx context.Context, f frame) error {
	b, err := jsonv2.Marshal(f)
	if err != nil {
		return err
	}
	return s.conn.Write(ctx, websocket.MessageText, b)
}

// close tells the server that no more is wanted, without waiting for it to say
// the same.
func (s *socket) close() {
	ctx, cancel := context.WithTimeout(s.u.ctx, time.Second)
	defer cancel()
	_ = s.write(ctx, frame{Type: "complete", ID: operationID}) // It is gone in any case.
	_ = s.conn.CloseNow()                                      // As above.
}
