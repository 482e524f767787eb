package graphql

import (
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
)

// TestSessions: whoever takes rights away ends a WebSocket and an event stream, and the client is told why.
func TestSessions(t *testing.T) {
	sessions := &gateway.Sessions{}
	f := newFixture(t, Options{Sessions: sessions})
	s := f.serve(t)
	socket := f.dial(t, "ws"+s.URL[len("http"):]+"/graphql", nil)
	socket.send(initMessage)
	socket.want(ack)
	stream := f.open(t, s, `subscription{capabilitiesChanged{tools}}`)

	open := sessions.All()
	if len(open) != 2 || open[0].Principal.ID != alice().ID || open[0].Kind == open[1].Kind {
		t.Fatalf("open: %+v", open)
	}
	why := &gateway.Error{Code: gateway.Unauthenticated, By: "test", Msg: "the credential was revoked"}
	if n := sessions.End(func(*gateway.Session) *gateway.Error { return why }); n != 2 {
		t.Errorf("%d ended", n)
	}
	socket.want("4403 the credential was revoked")
	all := stream.all()
	if want := `{"errors":[{"message":"the credential was revoked","extensions":{"code":"UNAUTHENTICATED"}}]}`; len(all) < 2 || all[len(all)-2].data != want {
		t.Errorf("the stream ended with %v", all)
	}
	if err := f.Close(); err != nil { // It waits for what it serves; the server does not wait for WebSockets.
		t.Error(err)
	}
	if open := sessions.All(); len(open) != 0 {
		t.Errorf("still open: %+v", open)
	}
}
