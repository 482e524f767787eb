package mcp

import (
	"bytes"
	"encoding/json"
	"sync"

	"github.com/trilith-gateway/trilith/gateway"
)

// Bounds on the calls that wait for answers: of all principals, and on the
// bytes of arguments that those of one and of all keep while no request does.
const (
	maxWaiting   = 1 << 13
	maxKept      = 16 << 20
	maxKeptByAll = 256 << 20
)

// A tally counts the calls of each principal that wait for answers.
type tally struct {
	most int // of one principal
	mu   sync.Mutex
	all  waiting
	of   map[string]waiting
}

type waiting struct{ calls, kept int }

func newTally(most int) *tally { return &tally{most: most, of: map[string]waiting{}} }

// enter admits one more call, which keeps so many bytes.
func (t *tally) enter(principal string, kept int) *gateway.Error {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.of[principal]
	if own.calls >= t.most || own.kept+kept > maxKept || t.all.calls >= maxWaiting || t.all.kept+kept > maxKeptByAll {
		return &gateway.Error{Code: gateway.ResourceExhausted, By: door, Msg: "too many calls wait for answers"}
	}
	t.all = waiting{t.all.calls + 1, t.all.kept + kept}
	t.of[principal] = waiting{own.calls + 1, own.kept + kept}
	return nil
}

func (t *tally) leave(principal string, kept int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = waiting{t.all.calls - 1, t.all.kept - kept}
	own := t.of[principal]
	if own = (waiting{own.calls - 1, own.kept - kept}); own.calls == 0 {
		delete(t.of, principal)
	} else {
		t.of[principal] = own
	}
}

// A reply is what a client said to a question.
type reply struct {
	result json.RawMessage // an object that fits the question
	err    error
}

// An openQuestion is a request to a legacy client that has no response yet.
type openQuestion struct {
	id      string // unguessable
	session sessionKey
	owner   string // the principal's ID
	answer  chan reply
}

// questions are the open ones of all legacy sessions.
type questions struct {
	waiting *tally
	mu      sync.Mutex
	byID    map[string]*openQuestion
}

func newQuestions(waiting *tally) *questions {
	return &questions{waiting: waiting, byID: map[string]*openQuestion{}}
}

// open makes room for a question on behalf of a request, under an id that
// nobody can guess.
func (q *questions) open(r *request, id string) (*openQuestion, error) {
	if err := q.waiting.enter(r.principal.ID, 0); err != nil {
		return nil, err
	}
	o := &openQuestion{id: id, session: r.key, owner: r.principal.ID, answer: make(chan reply, 1)}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.byID[o.id] = o
	return o, nil
}

func (q *questions) close(o *openQuestion) {
	q.mu.Lock()
	delete(q.byID, o.id)
	q.mu.Unlock()
	q.waiting.leave(o.owner, 0)
}

// end ends the questions of a session that has ended: nobody will answer them.
func (q *questions) end(session sessionKey) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for id, o := range q.byID {
		if o.session == session {
			delete(q.byID, id)
			o.answer <- reply{err: &gateway.Error{Code: gateway.Unavailable, By: door, Msg: "the client can no longer be asked"}}
		}
	}
}

// take takes a client's response and reports whether it answers an open question
// of this principal in this session. Others are ignored, as late answers are.
func (q *questions) take(m *message, session sessionKey, owner string) bool {
	id, ok := unquote(m.ID)
	if !ok {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	o := q.byID[id]
	if o == nil || o.session != session || o.owner != owner {
		return false
	}
	delete(q.byID, id)
	if m.Error != nil {
		o.answer <- reply{err: clientError(m.Error)}
	} else {
		o.answer <- reply{result: bytes.Clone(m.Result)}
	}
	return true
}
