package mcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/trilith-gateway/trilith/gateway"
)

// FuzzSSEReader checks that events are the same however the stream is cut into
// reads, and that no bound is passed.
func FuzzSSEReader(f *testing.F) {
	for _, s := range []string{
		"data: x\n\n", "\xef\xbb\xbfdata:x\r\rdata: y\r\n\r\n", "id: 1\ndata:\n\n", ": c\nevent: e\ndata: a\ndata: b\n\nretry: 10\n\n",
		"data: " + strings.Repeat("x", 200) + "\n\n", "id\n\nid: \x00\ndata\n\n", "data: cut off\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		const most = 64
		read := func(r io.Reader) (all []string, last string, end error) {
			events := newSSEReader(r, most)
			for {
				e, err := events.next()
				if err != nil {
					return all, events.lastID, err
				}
				if len(e.data) == 0 || len(e.data) > most {
					t.Fatalf("an event of %d bytes", len(e.data))
				}
				all = append(all, e.name+"\x00"+string(e.data))
			}
		}
		whole, id, end := read(bytes.NewReader(stream))
		parts, id2, end2 := read(iotest.OneByteReader(bytes.NewReader(stream)))
		if strings.Join(whole, "\x01") != strings.Join(parts, "\x01") || id != id2 || !errors.Is(end, end2) {
			t.Fatalf("at once %q %q %v, byte by byte %q %q %v", whole, id, end, parts, id2, end2)
		}
	})
}

// FuzzAnswer checks what a server's message may do to the client: a result is a
// part of the message, and everything else is an error with a code.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":true}}`, `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"m","data":{"uri":1}}}`,
		`{"jsonrpc":"2.0","id":null,"error":{"code":1e9}}`, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"task"}}`, `[]`, `{"jsonrpc":"2.0","id":"1","result":{}}`,
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":0.5,"message":"\ud800"}}`,
		`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a","_meta":{"io.modelcontextprotocol/subscriptionId":1}}}`,
		`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"x","data":{}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		u, err := NewUpstream(UpstreamOptions{Name: "up", Command: "none", MaxMessage: 1 << 12})
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		c := newClient(t.Context(), u)
		c.setRevision(rev20260728)
		call := &gateway.Call{Op: gateway.OpRead, Capabilities: json.RawMessage(`{"roots":{}}`)}
		told := func(p gateway.Progress) {
			if !json.Valid([]byte(p.Progress)) || p.Total != "" && !json.Valid([]byte(p.Total)) {
				t.Fatalf("progress %+v", p)
			}
		}
		c.sinks[1] = &sink{progress: told}
		m, err := c.parseAnswer(data)
		switch {
		case err != nil:
		case m.isNotification():
			c.notified(&m, &outgoing{id: 1, sink: &sink{log: func(gateway.LogMessage) {}}})
			c.notified(&m, nil)
		case m.Error != nil:
			e := gateway.AsError(u.fault(t.Context(), call, readError(m.Error)))
			if e.Code == 0 || e.Code == gateway.Unauthenticated || len(e.Msg) > maxErrorText || strings.ContainsAny(e.Msg, "\r\n") {
				t.Fatalf("%+v", e)
			}
		case m.Result != nil && isObject(m.Result):
			res, err := c.result(m.Result, call)
			if err == nil && res.Input == nil && (!json.Valid(res.Raw) || !bytes.Contains(data, res.Raw)) {
				t.Fatalf("result %s", res.Raw)
			}
		}
	})
}

// FuzzEncodeHeader checks that what is mirrored in a header can stand there and
// means the text that it came from.
func FuzzEncodeHeader(f *testing.F) {
	for _, s := range []string{"plain", " padded ", "世界", "a\r\nb", "=?base64?x?=", "", "\x7f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ToValidUTF8(text, "")
		if got, ok := decodeHeader(encodeHeader(text)); !ok || got != text {
			t.Fatalf("%q became %q (%v)", text, got, ok)
		}
	})
}
