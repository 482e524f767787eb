package server_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// overSocket sends text messages on a WebSocket of dev, and returns how it ends,
// or the first message that is an error or has errors.
func overSocket(messages ...string) func(*testing.T, *rig) string {
	return func(t *testing.T, r *rig) string {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		c, res, err := websocket.Dial(ctx, r.URL()+"/graphql", &websocket.DialOptions{
			Subprotocols: []string{"graphql-transport-ws"}, HTTPHeader: http.Header{"Authorization": {"Bearer " + r.token(t, "dev")}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if res.Body != nil {
			_ = res.Body.Close()
		}
		defer c.CloseNow()
		for _, m := range messages {
			kind := websocket.MessageText
			if strings.HasPrefix(m, "\x00") {
				kind = websocket.MessageBinary
			}
			if err := c.Write(ctx, kind, []byte(m)); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Fatal(err)
			}
		}
		for {
			_, m, err := c.Read(ctx)
			if err != nil {
				return fmt.Sprint(int(websocket.CloseStatus(err)), " ", err)
			}
			if strings.Contains(string(m), `"code":`) {
				return string(m)
			}
		}
	}
}

// overFrames sends bytes behind the handshake of a WebSocket, and returns the
// code of the close frame that answers; 0 is an end without one.
func overFrames(protocol string, frames ...byte) func(*testing.T, *rig) string {
	return func(t *testing.T, r *rig) string {
		host := strings.TrimPrefix(r.URL(), "http://")
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET /graphql HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\nAuthorization: Bearer %s\r\n\r\n%s", host, protocol, r.token(t, "dev"), frames)
		in := bufio.NewReader(c)
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("upgrade: %v %v", res, err)
		}
		defer res.Body.Close()
		rest, err := io.ReadAll(in)
		if len(rest) >= 4 && rest[0] == 0x88 {
			return fmt.Sprint(binary.BigEndian.Uint16(rest[2:]), " ", string(rest[4:]))
		}
		return fmt.Sprint(0, err)
	}
}

func badSockets() []badInput {
	const refused = `graphql INVALID_ARGUMENT by=graphql as=Dee Developer  "websocket"`
	// The oversized message is too long by so little that it is sent before it is refused.
	const hello = `{"type":"connection_init"}`
	subscribe := func(payload string) string { return `{"id":"1","type":"subscribe","payload":` + payload + `}` }
	return []badInput{
		{"socket: malformed JSON", overSocket(`{"type":"` + marker), `4400 `, refused},
		{"socket: duplicate key", overSocket(`{"type":"ping","type":"` + marker + `"}`), `4400 `, refused},
		{"socket: binary message", overSocket("\x00" + marker), `4400 `, refused},
		{"socket: not an object", overSocket(`["` + marker + `"]`), `4400 `, refused},
		{"socket: unknown type", overSocket(hello, `{"type":"`+marker+`"}`), `4400 `, refused},
		{"socket: malformed connection_init", overSocket(`{"type":"connection_init","payload":"` + marker + `"}`), `4400 `, refused},
		{"socket: connection_init twice", overSocket(hello, hello), `4429 `, refused},
		{"socket: subscribe without id", overSocket(hello, `{"type":"subscribe","payload":{"query":"{viewer{id}}"}}`), `4400 `, refused},
		{"socket: subscribe without query", overSocket(hello, subscribe(`{"q":"`+marker+`"}`)), `4400 `, refused},
		{"socket: subscribe before connection_init", overSocket(subscribe(`{"query":"{viewer{id}}"}`)), `4401 `, `graphql UNAUTHENTICATED by=graphql as=Dee Developer  "websocket"`},
		{"socket: id taken", overSocket(hello, subscribe(`{"query":"subscription{capabilitiesChanged{tools}}"}`), subscribe(`{"query":"{viewer{id}}"}`)), `4409 `, `graphql ALREADY_EXISTS by=graphql as=Dee Developer  "websocket"`},
		{"socket: oversized message", overSocket(strings.Repeat("x", bodyMost+2)), `1009 `, `graphql RESOURCE_EXHAUSTED by=graphql as=Dee Developer  "websocket"`},
		{"socket: does not parse", overSocket(hello, subscribe(`{"query":"{`+marker+`"}`)), `{"type":"error"…GRAPHQL_PARSE_FAILED`, refused},
		{"socket: unknown field", overSocket(hello, subscribe(`{"query":"query Q{`+marker+`}","operationName":"Q"}`)), `{"type":"error"…GRAPHQL_VALIDATION_FAILED`, strings.Replace(refused, "websocket", "Q", 1)},
		{"socket: bad cursor", overSocket(hello, subscribe(`{"query":"{tools(after:\"`+marker+`!\"){totalCount}}"}`)), `{"type":"next"…INVALID_ARGUMENT`, strings.Replace(refused, "websocket", "tools", 1)},
		{"socket: bad arguments", overSocket(hello, subscribe(`{"query":"subscription{toolCall(name:\"demo.add\",arguments:[1]){dropped}}"}`)), `{"type":"next"…INVALID_ARGUMENT`, `graphql INVALID_ARGUMENT by=graphql as=Dee Developer call "demo.add"`},
		{"socket: unknown subprotocol", overFrames("graphql-ws", 0x88, 0x80, 0, 0, 0, 0), `4406 `, refused},
		{"socket: reserved bits", overFrames("graphql-transport-ws", 0xf1, 0x80, 0, 0, 0, 0), `1002 `, refused},
		{"socket: unknown opcode", overFrames("graphql-transport-ws", 0x83, 0x80, 0, 0, 0, 0), `1002 `, refused},
		{"socket: unmasked frame", overFrames("graphql-transport-ws", 0x81, 0x01, 'x'), `0`, refused},
		{"socket: malformed upgrade", overHTTP(http.MethodGet, "/graphql", "", "Connection", "Upgrade", "Upgrade", "websocket"), `4`, `graphql INVALID_ARGUMENT by=graphql as=Dee Developer  "GET /graphql"`},
	}
}
