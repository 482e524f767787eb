package graphql

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/schema"
)

// ErrNodeGone is what [Cluster.Request] fails with where the node has ended.
var ErrNodeGone = errors.New("the node has ended")

// A Cluster joins the doors of several nodes, so that an answer reaches the call that asks, whichever node takes it. It is
// safe for concurrent use.
type Cluster interface {
	// Node names this start of this node, in letters and digits, and no other.
	Node() string
	// Request has [Frontend.Answer] of a node answer. It fails with ErrNodeGone where there is no such node.
	Request(ctx context.Context, node string, data []byte) ([]byte, error)
}

// Bounds on an answer for another node.
const (
	maxQuestionID = 128
	peerTime      = 5 * time.Second
)

// newQuestionID returns an id that nobody guesses. With several nodes it begins with the name of this one.
func (f *Frontend) newQuestionID() string {
	if f.o.Cluster == nil {
		return rand.Text()
	}
	return f.o.Cluster.Node() + "." + rand.Text()
}

func errNoQuestion() *gateway.Error {
	return &gateway.Error{Code: gateway.NotFound, By: door, Msg: "no question of that id waits for you"}
}

// AnswerQuestion answers a question that ToolCall has delivered, on this node or another.
func (m mutation) AnswerQuestion(ctx context.Context, id, action string, content json.RawMessage) (*bool, error) {
	head := answerHead{ID: id, Owner: caller(ctx).ID, Action: action}
	node, _, named := strings.Cut(id, ".")
	var err error
	switch {
	case len(id) > maxQuestionID:
		err = errNoQuestion()
	case named && m.o.Cluster != nil && node != m.o.Cluster.Node():
		err = m.answerAt(ctx, node, head, content)
	default:
		err = m.questions.settle(head, content)
	}
	if err != nil {
		return nil, err
	}
	yes := true
	return &yes, nil
}

// settle hands an answer to the call that waits for it.
func (q *questions) settle(head answerHead, content json.RawMessage) error {
	o, err := q.find(head.ID, head.Owner)
	if err != nil {
		return err
	}
	answer, err := o.read(head.Action, content)
	if err != nil {
		return err
	}
	if !q.leave(o) { // Somebody was faster, or the call has ended.
		return errNoQuestion()
	}
	o.answer <- answer
	return nil
}

// An answerHead is one line in front of the content, with which it makes up a request to another node.
type answerHead struct {
	ID     string `json:"id"`
	Owner  string `json:"owner"` // the principal's ID
	Action string `json:"action"`
}

// An answerFate is what the other node says of an answer: nothing of one that was taken.
type answerFate struct {
	Code       gateway.Code       `json:"code,omitzero"`
	Msg        string             `json:"msg,omitzero"`
	Violations []schema.Violation `json:"violations,omitempty"`
}

// answerAt has the node that asks take an answer.
func (f *Frontend) answerAt(ctx context.Context, node string, head answerHead, content json.RawMessage) error {
	data, err := jsonv2.Marshal(&head)
	if err != nil {
		return gateway.AsError(err)
	}
	ctx, cancel := context.WithTimeout(ctx, peerTime)
	defer cancel()
	data, err = f.o.Cluster.Request(ctx, node, append(append(data, '\n'), content...))
	if errors.Is(err, ErrNodeGone) {
		return errNoQuestion() // Its call has ended with it.
	}
	var fate answerFate
	if err == nil {
		err = jsonv2.Unmarshal(data, &fate)
	}
	switch {
	case err != nil:
		return &gateway.Error{Code: gateway.Unavailable, By: door, Msg: "the node that asks does not answer", Err: err}
	case fate.Code == 0:
		return nil
	}
	e := &gateway.Error{Code: fate.Code, By: door, Msg: fate.Msg}
	if len(fate.Violations) > 0 {
		e.Err = &schema.Invalid{Violations: fate.Violations}
	}
	return e
}

// Answer serves a request of another node of the [Cluster]. An error says that the request was none of a Frontend.
func (f *Frontend) Answer(_ context.Context, data []byte) ([]byte, error) {
	line, content, _ := bytes.Cut(data, []byte{'\n'})
	var head answerHead
	if err := jsonv2.Unmarshal(line, &head); err != nil {
		return nil, err
	}
	var fate answerFate
	if e := gateway.AsError(f.questions.settle(head, content)); e != nil {
		fate = answerFate{Code: e.Code, Msg: e.Msg}
		if invalid, ok := errors.AsType[*schema.Invalid](e.Err); ok {
			fate.Violations = invalid.Violations
		}
	}
	return jsonv2.Marshal(&fate)
}
