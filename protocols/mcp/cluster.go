package mcp

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/gateway"
)

// ErrNodeGone is what [Cluster.Request] fails with where the node has ended, or
// cannot be reached any more.
var ErrNodeGone = errors.New("the node has ended")

// A Cluster joins the frontends of one endpoint that run on several nodes and
// share a SessionKey: what a client sends to any of them reaches the call that
// it is about. It is safe for concurrent use.
type Cluster interface {
	// Node names this start of this node. It has at most 64 bytes, and no two
	// starts have the same.
	Node() string
	// Request has [Frontend.Answer] of a node answer. Requests that take as long
	// as a call have long set, so that they do not stand in the way of others. It
	// fails with ErrNodeGone soon after the node has.
	Request(ctx context.Context, node string, long bool, data []byte) ([]byte, error)
	// Tell has [Frontend.Hear] of every node hear a message, that of this node
	// too. Nodes that start later hear those that are kept.
	Tell(ctx context.Context, kept bool, data []byte) error
}

// Bounds on what nodes ask each other.
const (
	peerTime = 5 * time.Second // for an answer that nobody has to wait for
	maxNode  = 64              // bytes of a node's name
)

// The operations of a peerRequest.
const (
	peerPing    = "ping"    // are you there?
	peerReply   = "reply"   // a client's response to a question of a legacy call
	peerMessage = "message" // a message for a session of HTTP+SSE
	peerYield   = "yield"   // another node carries the stream of a call from now on
	peerResume  = "resume"  // the answer to a question of a modern call that waits
	peerAttend  = "attend"  // what has become of the call since?
	peerLeave   = "leave"   // the client of the call has gone
	peerUpdate  = "update"  // answers to the questions of a task
	peerStop    = "stop"    // cancel a task
)

// A peerRequest is what one node asks of another. Which members are used is for
// Op to say. Bytes are raw JSON, kept as they are.
type peerRequest struct {
	Op        string             `json:"op"`
	Owner     string             `json:"owner,omitempty"`   // the principal's ID
	Session   []byte             `json:"session,omitempty"` // a sessionKey
	Stream    string             `json:"stream,omitempty"`
	Task      string             `json:"task,omitempty"`  // its key in the store
	Name      []byte             `json:"name,omitempty"`  // of a call that waits
	Visit     []byte             `json:"visit,omitempty"` // names the request that waits for it
	ID        []byte             `json:"id,omitempty"`
	Result    []byte             `json:"result,omitempty"`
	Error     []byte             `json:"error,omitempty"`
	Answers   []byte             `json:"answers,omitempty"`
	Progress  []byte             `json:"progress,omitempty"` // the token, where the client wants reports
	Level     string             `json:"level,omitempty"`
	Body      []byte             `json:"body,omitempty"`
	Principal *gateway.Principal `json:"principal,omitempty"`
}

// A peerAnswer is the answer to a peerRequest.
type peerAnswer struct {
	Err    *peerError `json:"err,omitempty"`
	Notes  [][]byte   `json:"notes,omitempty"`  // notifications for the client
	Going  bool       `json:"going,omitempty"`  // the call goes on
	Ended  *peerError `json:"ended,omitempty"`  // how the call failed, which its node has recorded
	Result []byte     `json:"result,omitempty"` // of the call
	Failed bool       `json:"failed,omitempty"` // isError of the result
	Bare   bool       `json:"bare,omitempty"`   // as gateway.Result has it
	Name   []byte     `json:"name,omitempty"`   // of the call that waits for answers
	Input  *peerInput `json:"input,omitempty"`
}

type peerInput struct {
	Questions map[string]peerQuestion `json:"questions,omitempty"`
	State     string                  `json:"state,omitempty"`
}

type peerQuestion struct {
	Method string `json:"method"`
	Params []byte `json:"params,omitempty"`
}

// A peerError is a [gateway.Error] but for its cause, which stays where it is.
type peerError struct {
	Code   gateway.Code `json:"code"`
	By     string       `json:"by"`
	Msg    string       `json:"msg"`
	Data   []byte       `json:"data,omitempty"`
	Needs  []byte       `json:"needs,omitempty"`
	Retry  int64        `json:"retry,omitempty"` // milliseconds
	Scopes []string     `json:"scopes,omitempty"`
}

// asTheyAre has a principal arrive as it was sent: one without bounds on its
// scopes is not one without scopes.
func asTheyAre() jsonv2.Options { return jsonv2.FormatNilSliceAsNull(true) }

func peerErrorOf(err error) *peerError {
	e := gateway.AsError(err)
	if e == nil {
		return nil
	}
	return &peerError{e.Code, e.By, e.Msg, e.Data, e.Needs, e.Retry.Milliseconds(), e.Scopes}
}

func (e *peerError) error() *gateway.Error {
	code := e.Code
	if code == 0 || int(code) >= gateway.CodeCount {
		code = gateway.Unknown
	}
	return &gateway.Error{
		Code: code, By: e.By, Msg: e.Msg, Data: e.Data, Needs: e.Needs, Retry: time.Duration(e.Retry) * time.Millisecond, Scopes: e.Scopes,
	}
}

// Answer serves a request of another node of the [Cluster]. The context bounds
// it. An error says that the request was none of a frontend.
func (f *Frontend) Answer(ctx context.Context, data []byte) ([]byte, error) {
	var r peerRequest
	if err := jsonv2.Unmarshal(data, &r); err != nil {
		return nil, err
	}
	var a peerAnswer
	switch r.Op {
	case peerPing:
	case peerReply:
		f.takeReply(&r)
	case peerMessage:
		a.Err = peerErrorOf(f.takeMessage(ctx, &r))
	case peerYield:
		f.carriers.yield(r.Stream)
	case peerResume:
		a = f.resumeVisit(ctx, &r)
	case peerAttend:
		a = f.attendVisit(ctx, &r)
	case peerLeave:
		f.leaveVisit(&r)
	case peerUpdate, peerStop:
		a.Err = peerErrorOf(f.serveTask(ctx, &r))
	default:
		return nil, errors.New("unknown operation")
	}
	return jsonv2.Marshal(&a)
}

// at has another node answer a request. The error is an [*gateway.Error], or
// ErrNodeGone.
func (f *Frontend) at(ctx context.Context, node string, r *peerRequest) (*peerAnswer, error) {
	data, err := jsonv2.Marshal(r, asTheyAre())
	if err != nil {
		return nil, gateway.AsError(err)
	}
	long := r.Op == peerResume || r.Op == peerAttend
	if !long {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, peerTime)
		defer cancel()
	}
	data, err = f.o.Cluster.Request(ctx, node, long, data)
	if errors.Is(err, ErrNodeGone) {
		return nil, ErrNodeGone
	}
	var a peerAnswer
	if err == nil {
		err = jsonv2.Unmarshal(data, &a)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, gateway.AsError(context.Cause(ctx))
		}
		return nil, &gateway.Error{Code: gateway.Unavailable, By: door, Msg: "another node of the gateway does not answer", Err: err}
	}
	if a.Err != nil {
		return nil, a.Err.error()
	}
	return &a, nil
}

// errNodeGone is what a caller is told of a call whose node has ended.
func errNodeGone() *gateway.Error {
	return &gateway.Error{Code: gateway.Unavailable, By: door, Msg: "the node of the gateway that ran the call has ended: begin again"}
}

// A told is what all nodes of a cluster hear.
type told struct {
	Op      string `json:"op"`
	Node    string `json:"node"` // that tells it
	Session []byte `json:"session"`
	ID      []byte `json:"id,omitempty"` // of a request

	Level     string             `json:"level,omitempty"`
	URI       string             `json:"uri,omitempty"`
	Principal *gateway.Principal `json:"principal,omitempty"` // who follows
}

// The operations of a told.
const (
	toldEnd    = "end"    // the session has ended
	toldCancel = "cancel" // the client cancels a request
	toldStream = "stream" // the session's own stream is that node's now

	// What the session has set, for nodes that start later too.
	toldLevel    = "level"
	toldFollow   = "follow"
	toldUnfollow = "unfollow"
)

// tell tells the other nodes, where there are any, of a session.
func (f *Frontend) tell(ctx context.Context, session sessionKey, t told) {
	if f.o.Cluster == nil {
		return
	}
	t.Node, t.Session = f.node, session[:]
	kept := t.Op != toldCancel && t.Op != toldStream
	data, err := jsonv2.Marshal(t, asTheyAre())
	if err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), peerTime) // The client may have gone.
		defer cancel()
		err = f.o.Cluster.Tell(ctx, kept, data)
	}
	if err != nil {
		f.o.Logger.WarnContext(ctx, "the other nodes were not told of a session", slog.String("op", t.Op), slog.Any("cause", err))
	}
}

// Hear takes what a node of the [Cluster] told all. What is no such message is
// ignored.
func (f *Frontend) Hear(data []byte) {
	var t told
	if jsonv2.Unmarshal(data, &t) != nil || len(t.Session) != len(sessionKey{}) || t.Node == f.node {
		return
	}
	key := sessionKey(t.Session)
	switch t.Op {
	case toldEnd:
		f.endSession(key)
		f.memories.end(key)
	case toldCancel:
		f.calls.cancel(callKey{key, string(t.ID)})
	case toldStream:
		f.sessions.detach(key)
	case toldLevel, toldFollow, toldUnfollow:
		f.hearSession(&t)
	}
}

// sealNode returns a text that names this node to those who have the key, and
// nothing to others, another one each time. It opens for the same purpose,
// principal and session alone.
func (f *Frontend) sealNode(purpose, owner string, session sessionKey) string {
	sealed := f.states.aead.Seal(nil, nil, []byte(f.node), sealedFor(purpose, owner, session)) // The nonce is random.
	return base64.RawURLEncoding.EncodeToString(sealed)
}

// openNode returns the node that a text of sealNode names.
func (f *Frontend) openNode(text, purpose, owner string, session sessionKey) (string, bool) {
	if len(text) > base64.RawURLEncoding.EncodedLen(maxNode+f.states.aead.Overhead()) {
		return "", false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(sealed) < f.states.aead.Overhead() {
		return "", false
	}
	b, err := f.states.aead.Open(nil, nil, sealed, sealedFor(purpose, owner, session))
	return string(b), err == nil
}

func sealedFor(purpose, owner string, session sessionKey) []byte {
	return append(append([]byte(purpose+"\x00"), session[:]...), owner...)
}
