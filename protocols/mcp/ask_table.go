package mcp

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"sync"

	"github.com/trilith-gateway/trilith/gateway"
)

// maxWaiting bounds the calls that wait for answers, of all principals.
const maxWaiting = 1 << 13

// A tally counts the calls of each principal that wait for answers.
type tally struct {
	most  int // of one principal
	mu    sync.Mutex
	all   int
	count map[string]int
}

func newTally(most int) *tally { return &tally{most: most, count: map[string]int{}} }

func (t *tally) enter(principal string) *gateway.Error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count[principal] >= t.most || t.all >= maxWaiting {
		return &gateway.Error{Code: gateway.ResourceExhausted, By: door, Msg: "too many calls wait for answers"}
	}
	t.all++
	t.count[principal]++
	return nil
}

func (t *tally) leave(principal string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all--
	if t.count[principal]--; t.count[principal] == 0 {
		delete(t.count, principal)
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

// open makes room for a question on behalf of a request.
func (q *questions) open(r *request) (*openQuestion, error) {
	if err := q.waiting.enter(r.principal.ID); err != nil {
		return nil, err
	}
	o := &openQuestion{id: rand.Text(), session: r.key, owner: r.principal.ID, answer: make(chan reply, 1)}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.byID[o.id] = o
	return o, nil
}

func (q *questions) close(o *openQuestion) {
	q.mu.Lock()
	delete(q.byID, o.id)
	q.mu.Unlock()
	q.waiting.leave(o.owner)
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

// take takes a client's response. What does not answer an open question of this
// principal in this session is ignored, as late answers are; so is a message
// that is no response.
func (q *questions) take(r *request) {
	id, ok := unquote(r.ID)
	if !ok || r.Method != "" {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	o := q.byID[id]
	if o == nil || o.session != r.key || o.owner != r.principal.ID {
		return
	}
	delete(q.byID, id)
	if r.Error != nil {
		o.answer <- reply{err: clientError(r.Error)}
	} else {
		o.answer <- reply{result: bytes.Clone(r.Result)}
	}
}
