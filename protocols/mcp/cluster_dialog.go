package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

const (
	// visitTurn is how long a node lets another wait for news of a call.
	visitTurn = 10 * time.Second
	// visitLease is how long a call goes on that the node of its client does not
	// ask for any more.
	visitLease = 15 * time.Second
)

// proceedAt goes on with a dialog that waits on another node: that takes the
// answers, and this one asks it for what becomes of the call. A client that goes
// away cancels the call, as it does on its own node.
func (f *Frontend) proceedAt(ctx context.Context, r *request, call *gateway.Call, at place) (*gateway.Result, place, error) {
	if f.o.Cluster == nil {
		return nil, place{}, f.gw.Refuse(ctx, call, errNodeGone())
	}
	visit := newSuspension()
	question := &peerRequest{
		Op: peerResume, Owner: r.principal.ID, Name: at.name[:], Visit: visit[:],
		Answers: r.params.inputResponses, Level: r.meta.level,
	}
	if r.notify != nil {
		question.Progress = r.meta.progress
	}
	for {
		a, err := f.at(ctx, at.node, question)
		switch {
		case ctx.Err() != nil:
			_, _ = f.at(context.WithoutCancel(ctx), at.node, &peerRequest{Op: peerLeave, Owner: r.principal.ID, Visit: visit[:]}) // Or its lease ends.
			return nil, place{}, gateway.AsError(ctx.Err())
		case errors.Is(err, ErrNodeGone):
			return nil, place{}, f.gw.Refuse(ctx, call, errNodeGone())
		case err != nil:
			return nil, place{}, f.gw.Refuse(ctx, call, err)
		}
		if r.notify != nil {
			for _, n := range a.Notes {
				r.notify(n)
			}
		}
		if !a.Going {
			return a.outcome(at.node)
		}
		question = &peerRequest{Op: peerAttend, Owner: r.principal.ID, Visit: visit[:]}
	}
}

// outcome returns what became of a call on another node, which has recorded it.
func (a *peerAnswer) outcome(node string) (*gateway.Result, place, error) {
	switch {
	case a.Ended != nil:
		return nil, place{}, a.Ended.error()
	case a.Input == nil:
		return &gateway.Result{Raw: a.Result, IsError: a.Failed, Bare: a.Bare}, place{}, nil
	}
	in := &gateway.InputRequest{State: a.Input.State, Questions: map[string]gateway.Question{}}
	for key, q := range a.Input.Questions {
		in.Questions[key] = gateway.Question{Method: q.Method, Params: q.Params}
	}
	var waiting place
	if len(a.Name) == len(suspension{}) {
		waiting = place{node, suspension(a.Name)}
	}
	return &gateway.Result{Input: in}, waiting, nil
}

// A visit is a dialog that a request on another node waits for.
type visit struct {
	*dialog
	news  chan struct{} // of capacity 1
	lease *time.Timer   // cancels the call

	mu    sync.Mutex
	notes [][]byte
	most  int
}

// visits are those of a frontend, by the names that the other nodes gave them.
type visits struct {
	mu sync.Mutex
	by map[suspension]*visit
}

// find returns a principal's visit, or nil.
func (v *visits) find(name []byte, owner string) (*visit, suspension) {
	if len(name) != len(suspension{}) {
		return nil, suspension{}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	key := suspension(name)
	if at := v.by[key]; at != nil && at.owner == owner {
		return at, key
	}
	return nil, key
}

func (v *visits) put(key suspension, at *visit) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.by == nil {
		v.by = map[suspension]*visit{}
	}
	v.by[key] = at
}

func (v *visits) drop(key suspension) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.by, key)
}

// end cancels a call whose client has gone.
func (v *visits) end(key suspension, at *visit) {
	v.drop(key)
	at.cancel(errAbandoned)
}

// note keeps a notification for the node that asks next. Where it does not keep
// up, the oldest are dropped.
func (v *visit) note(n []byte) {
	v.mu.Lock()
	if len(v.notes) == v.most {
		v.notes = v.notes[1:]
	}
	v.notes = append(v.notes, bytes.Clone(n))
	v.mu.Unlock()
	signal(v.news)
}

func (v *visit) take() [][]byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	notes := v.notes
	v.notes = nil
	return notes
}

// resumeVisit lets a suspended dialog go on for a client of another node.
func (f *Frontend) resumeVisit(ctx context.Context, r *peerRequest) peerAnswer {
	if len(r.Name) != len(suspension{}) || len(r.Visit) != len(suspension{}) {
		return peerAnswer{Err: peerErrorOf(errNoLongerWaits())}
	}
	s := f.suspended.takeOf(suspension(r.Name), r.Owner)
	if s == nil {
		return peerAnswer{Ended: peerErrorOf(errNoLongerWaits())}
	}
	v := &visit{dialog: s.dialog, news: make(chan struct{}, 1), most: f.o.QueueLength}
	key := suspension(r.Visit)
	v.lease = time.AfterFunc(visitLease, func() { f.visits.end(key, v) })
	v.lease.Stop()
	client := &request{rev: rev20260728, notify: v.note}
	client.meta.level = r.Level
	if isID(r.Progress) {
		client.meta.progress = json.RawMessage(r.Progress)
	}
	heard := new(gateway.Call)
	f.listenTo(client, heard)
	s.hear(heard)
	if !s.answer(r.Answers) {
		res, waiting, err := f.suspend(s.dialog, s.question)
		if err != nil {
			s.cancel(err)
		}
		return ending(res, waiting, err)
	}
	f.visits.put(key, v)
	return f.turn(ctx, key, v)
}

// attendVisit says what has become of a call since the last time.
func (f *Frontend) attendVisit(ctx context.Context, r *peerRequest) peerAnswer {
	v, key := f.visits.find(r.Visit, r.Owner)
	if v == nil || !v.lease.Stop() {
		return peerAnswer{Ended: peerErrorOf(errNoLongerWaits())}
	}
	return f.turn(ctx, key, v)
}

// leaveVisit cancels a call whose client has gone.
func (f *Frontend) leaveVisit(r *peerRequest) {
	if v, key := f.visits.find(r.Visit, r.Owner); v != nil {
		v.lease.Stop()
		f.visits.end(key, v)
	}
}

// turn waits for news of a call, no longer than visitTurn.
func (f *Frontend) turn(ctx context.Context, key suspension, v *visit) peerAnswer {
	most := time.NewTimer(visitTurn)
	defer most.Stop()
	select {
	case <-v.done:
		f.visits.drop(key)
		a := ending(v.res, place{}, v.err)
		a.Notes = v.take()
		return a
	case q := <-v.asked:
		res, waiting, err := f.suspend(v.dialog, q)
		if err != nil {
			q.answer <- reply{err: err}
			break
		}
		f.visits.drop(key)
		a := ending(res, waiting, nil)
		a.Notes = v.take()
		return a
	case <-v.news:
	case <-most.C:
	case <-ctx.Done(): // The answer reaches nobody; the lease says when that is the end.
	}
	v.lease.Reset(visitLease)
	return peerAnswer{Going: true, Notes: v.take()}
}

// ending is how a call ended, or which questions it asks where it waits.
func ending(res *gateway.Result, waiting place, err error) peerAnswer {
	switch {
	case err != nil:
		return peerAnswer{Ended: peerErrorOf(err)}
	case res.Input == nil:
		return peerAnswer{Result: res.Raw, Failed: res.IsError, Bare: res.Bare}
	}
	in := &peerInput{Questions: map[string]peerQuestion{}, State: res.Input.State}
	for key, q := range res.Input.Questions {
		in.Questions[key] = peerQuestion{q.Method, q.Params}
	}
	a := peerAnswer{Input: in}
	if waiting.node != "" {
		a.Name = waiting.name[:]
	}
	return a
}
