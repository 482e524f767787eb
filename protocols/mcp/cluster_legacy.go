package mcp

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/http"

	"github.com/trilith-gateway/trilith/gateway"
)

// What the texts of sealNode are for.
const (
	nodeOfQuestion = "question"
	nodeOfStream   = "stream"
)

// questionID returns the id of a question to a legacy client. Among several
// nodes it says, to them alone, which one waits for the answer.
func (f *Frontend) questionID(r *request) string {
	if f.o.Cluster == nil {
		return rand.Text()
	}
	return f.sealNode(nodeOfQuestion, r.principal.ID, r.key)
}

// passReply passes a client's response on to the node whose call waits for it.
// One that answers nothing is ignored, and so is one that comes when the call
// and its node have ended: the client learns that on the call's own stream.
func (f *Frontend) passReply(ctx context.Context, r *request) *wireError {
	id, ok := unquote(r.ID)
	if !ok || f.o.Cluster == nil {
		return nil
	}
	node, ok := f.openNode(id, nodeOfQuestion, r.principal.ID, r.key)
	if !ok || node == f.node {
		return nil
	}
	_, err := f.at(ctx, node, &peerRequest{
		Op: peerReply, Owner: r.principal.ID, Session: r.key[:], ID: r.ID, Result: r.Result, Error: r.Error,
	})
	if err == nil || errors.Is(err, ErrNodeGone) {
		return nil
	}
	return awayFor(err)
}

// awayFor is the answer where another node cannot be reached now.
func awayFor(err error) *wireError {
	w := refusal(gateway.AsError(err), nil, false)
	w.status = http.StatusServiceUnavailable
	return w
}

// takeReply takes a response that a client gave to another node.
func (f *Frontend) takeReply(r *peerRequest) {
	if len(r.Session) == len(sessionKey{}) {
		f.questions.take(&message{ID: r.ID, Result: r.Result, Error: r.Error}, sessionKey(r.Session), r.Owner)
	}
}

// streamNode returns the node that has the stream of an HTTP+SSE session, as
// the client's address for messages says, or "".
func (f *Frontend) streamNode(r *http.Request, p *gateway.Principal, key sessionKey) string {
	if f.o.Cluster == nil {
		return ""
	}
	node, ok := f.openNode(r.URL.Query().Get("node"), nodeOfStream, p.ID, key)
	if !ok || node == f.node {
		return ""
	}
	return node
}

// passMessage passes a message of an HTTP+SSE session on to the node that has
// the stream.
func (f *Frontend) passMessage(ctx context.Context, node string, key sessionKey, r *request) *wireError {
	_, err := f.at(ctx, node, &peerRequest{Op: peerMessage, Session: key[:], Principal: r.principal, Body: r.body.b})
	var refused *gateway.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNodeGone):
		return sessionNotFound()
	case errors.As(err, &refused) && refused.Code == gateway.NotFound:
		return sessionNotFound()
	case errors.As(err, &refused) && refused.Code == gateway.ResourceExhausted:
		w := refusal(refused, nil, false)
		w.status = http.StatusTooManyRequests
		return w
	}
	return awayFor(err)
}

// takeMessage takes what passMessage passes on.
func (f *Frontend) takeMessage(ctx context.Context, r *peerRequest) error {
	var in *sseSession
	if len(r.Session) == len(sessionKey{}) {
		in = f.sse.find(sessionKey(r.Session))
	}
	if in == nil || r.Principal == nil {
		return &gateway.Error{Code: gateway.NotFound, By: door, Msg: "Session not found"}
	}
	line := f.buffer()
	line.b = append(line.b, r.Body...)
	if err := f.deposit(ctx, in, packet{line, r.Principal}); err != nil {
		f.release(line)
		return &gateway.Error{Code: err.gatewayCode(), By: door, Msg: err.message}
	}
	return nil
}

// streamOwner returns what the first event of a call's stream says of the call:
// its node and its id, so that other nodes can tell when its answer will never
// come.
func (f *Frontend) streamOwner(id []byte) []byte {
	if f.o.Cluster == nil {
		return nil
	}
	return append(append([]byte(f.node), '\n'), id...)
}

// An origin is the call that a stream is of.
type origin struct {
	node string // "" where it is this node, or not known
	id   []byte
}

// originOf returns the call of a stream that may be another node's.
func (f *Frontend) originOf(ctx context.Context, log *eventLog) origin {
	if f.o.Cluster == nil {
		return origin{}
	}
	first, err := f.o.Events.Read(ctx, log.key, 0, 1)
	if err != nil || len(first) == 0 || len(first[0].Data) == 0 || first[0].Data[0] != eventPrime {
		return origin{}
	}
	node, id, ok := bytes.Cut(first[0].Data[1:], []byte{'\n'})
	if !ok || len(node) == 0 || len(node) > maxNode || string(node) == f.node {
		return origin{}
	}
	return origin{string(node), bytes.Clone(id)}
}

// nodeGone reports whether another node has certainly ended.
func (f *Frontend) nodeGone(ctx context.Context, node string) bool {
	return f.o.Cluster != nil && f.gone(ctx, origin{node: node}, peerPing, "")
}

// gone asks the node of a stream's call for something and reports whether the
// node has ended.
func (f *Frontend) gone(ctx context.Context, o origin, op, stream string) bool {
	if o.node == "" {
		return false
	}
	_, err := f.at(ctx, o.node, &peerRequest{Op: op, Stream: stream})
	return errors.Is(err, ErrNodeGone)
}

// lastWords sends what is left of the stream of a call whose node has ended,
// and the error that stands for the answer, unless that is there.
func (f *Frontend) lastWords(ctx context.Context, log *eventLog, o origin, out *sseWriter, after uint64) {
	for {
		events, err := f.o.Events.Read(ctx, log.key, after, eventPage)
		if err != nil {
			return // The client comes again.
		}
		for _, e := range events {
			after = e.Seq
			if len(e.Data) == 0 || e.Data[0] == eventPrime {
				continue
			}
			if out.write("", e.Seq, e.Data[1:]) != nil || e.Data[0] == eventLast {
				return
			}
		}
		if len(events) < eventPage {
			break
		}
	}
	_ = out.write("", 0, appendError(nil, o.id, refusal(errNodeGone(), nil, false))) // Or the client comes again.
}
