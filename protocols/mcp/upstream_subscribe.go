package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/gateway"
)

// Bounds on subscriptions.
const (
	maxWatched    = 1024 // resources followed over one connection
	maxUntoldURIs = 32   // updates that one follower has not taken yet
)

// A watched is one resource that a server watches for any number of followers.
type watched struct {
	uri    string
	cancel context.CancelFunc // ends the watching
	ready  chan struct{}      // closed when the server watches
	done   chan struct{}      // closed when it no longer does
	err    error              // why, valid then

	// Guarded by client.mu.
	followers map[*follower]struct{}
	leaving   bool // nobody follows any more
}

// A follower is one subscription. What it cannot take becomes one update of the
// whole resource.
type follower struct {
	updates chan string
	missed  atomic.Bool
}

// A listening is one subscriptions/listen.
type listening struct {
	uri    string // of the resource that is followed; "" for the lists
	params []byte // the filter, an object
	once   sync.Once
	ready  chan struct{} // closed when what is wanted was acknowledged
	refuse context.CancelCauseFunc
}

var errNotWatched = errors.New("the server does not watch this resource")

// subscribe follows a resource until the context ends or the connection does.
func (u *Upstream) subscribe(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	long, err := u.admit(ctx, call)
	if err != nil {
		return nil, u.fault(ctx, call, err)
	}
	ctx = long
	timed, cancel := context.WithTimeoutCause(ctx, u.o.Timeout, errUpstreamSlow)
	defer cancel()
	l, err := u.enter(ctx, call)
	if err != nil {
		return nil, u.fault(timed, call, err)
	}
	defer l.leave()
	for again := true; ; again = false {
		c, err := l.client(timed, time.Time{})
		if err != nil {
			return nil, u.fault(timed, call, err)
		}
		err = c.follow(ctx, timed, call)
		switch {
		case err == nil:
			return &gateway.Result{Raw: json.RawMessage(`{}`)}, nil
		case again && errors.Is(err, errSessionEnded) && timed.Err() == nil:
		case errors.Is(err, errNotWatched):
			return nil, &gateway.Error{Code: gateway.Unimplemented, By: u.by, Msg: errNotWatched.Error()}
		default:
			c.doubtful(err)
			return nil, u.fault(ctx, call, err)
		}
	}
}

// follow tells a call of a resource's updates until ctx ends, which is no
// error. The server has until timed ends to begin.
func (c *client) follow(ctx, timed context.Context, call *gateway.Call) error {
	if c.caps.Resources == nil || !c.caps.Resources.Subscribe {
		return errNotWatched
	}
	f := &follower{updates: make(chan string, maxUntoldURIs)}
	w, err := c.join(timed, call.Name, f)
	if err != nil {
		return err
	}
	defer c.leave(w, f)
	select {
	case <-w.ready:
		call.Subscription.Ready()
	case <-w.done:
		return w.err
	case <-timed.Done():
		return context.Cause(timed)
	}
	for {
		select {
		case uri := <-f.updates:
			call.Subscription.Updated(uri)
			if f.missed.Swap(false) {
				call.Subscription.Updated(w.uri)
			}
		case <-w.done:
			return w.err
		case <-ctx.Done():
			return nil
		}
	}
}

// join adds a follower to those of a resource, and has the server watch it
// where it is the first. The context is for waiting; what is begun has the
// connection's.
func (c *client) join(ctx context.Context, uri string, f *follower) (*watched, error) {
	for {
		c.mu.Lock()
		w := c.watched[uri]
		if w != nil && !w.leaving {
			w.followers[f] = struct{}{}
			c.mu.Unlock()
			return w, nil
		}
		if w == nil {
			break
		}
		c.mu.Unlock()
		select { // The server must have been told the end before a new beginning.
		case <-w.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	defer c.mu.Unlock()
	if len(c.watched) >= maxWatched {
		return nil, errBusy
	}
	if c.closing {
		return nil, &lostError{context.Cause(c.ctx)}
	}
	long, cancel := context.WithCancel(c.ctx)
	w := &watched{
		uri: uri, cancel: cancel, ready: make(chan struct{}), done: make(chan struct{}),
		followers: map[*follower]struct{}{f: {}},
	}
	c.watched[uri] = w
	c.wg.Go(func() {
		defer cancel()
		err := c.watch(long, w)
		if c.ctx.Err() != nil {
			err = &lostError{context.Cause(c.ctx)}
		}
		c.mu.Lock()
		w.err = err
		delete(c.watched, uri)
		c.mu.Unlock()
		close(w.done)
	})
	return w, nil
}

func (c *client) leave(w *watched, f *follower) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if delete(w.followers, f); len(w.followers) == 0 {
		w.leaving = true
		w.cancel()
	}
}

// watch has the server watch a resource until the context ends (2025-11-25,
// server, resources, subscriptions; basic, subscriptions).
func (c *client) watch(ctx context.Context, w *watched) error {
	if c.modern() {
		filter := append(quote([]byte(`{"resourceSubscriptions":[`), w.uri), "]}"...)
		err := c.listen(ctx, &listening{uri: w.uri, params: filter, ready: w.ready})
		c.unheard()
		return err
	}
	if err := c.stand(ctx); err != nil {
		return err
	}
	about := func(method string) *outgoing {
		r := c.begin(method)
		r.body = append(quote(append(r.body, `"uri":`...), w.uri), ',')
		return r
	}
	if _, err := c.request(ctx, about("resources/subscribe")); err != nil {
		return err
	}
	close(w.ready)
	<-ctx.Done()
	end, cancel := context.WithTimeout(c.ctx, c.u.o.Timeout)
	defer cancel()
	_, err := c.request(end, about("resources/unsubscribe")) // The watching has ended, the connection has not.
	return err
}

// unheard has a program tell the changes of its lists anew when it has been
// told that something else need not be listened for: the Go SDK (v1.8.0) takes
// that for the end of all that a pipe listens for.
func (c *client) unheard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isProcess() && c.rehear != nil {
		c.rehear()
	}
}

// stand begins to keep open what a legacy server needs for saying something
// unasked, once for each connection, and waits until it is or cannot be.
func (c *client) stand(ctx context.Context) error {
	c.mu.Lock()
	if c.standing == nil && !c.closing {
		opened := make(chan struct{})
		c.standing = opened
		c.wg.Go(func() { c.t.stand(c.ctx, sync.OnceFunc(func() { close(opened) })) })
	}
	opened := c.standing
	c.mu.Unlock()
	select {
	case <-opened:
		return nil
	case <-c.ctx.Done():
		return &lostError{context.Cause(c.ctx)} // The connection's own life.
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// listen runs one subscriptions/listen until the context, the server or the
// connection ends it.
func (c *client) listen(ctx context.Context, l *listening) error {
	ctx, l.refuse = context.WithCancelCause(ctx)
	defer l.refuse(nil)
	r := c.begin("subscriptions/listen")
	r.listen = l
	r.body = append(append(append(r.body, `"notifications":`...), l.params...), ',')
	c.mu.Lock()
	c.listens[r.id] = l
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.listens, r.id)
	}()
	_, err := c.request(ctx, r)
	if err == nil {
		err = errListenEnded
	}
	return err
}

var errListenEnded = &lostError{errors.New("the server ended the subscription")}

// acknowledge reads what the server has agreed to.
func (l *listening) acknowledge(params json.RawMessage) {
	var ack struct {
		Notifications struct {
			URIs []string `json:"resourceSubscriptions"`
		} `json:"notifications"`
	}
	if jsonv2.Unmarshal(params, &ack) != nil || l.uri != "" && !slices.Contains(ack.Notifications.URIs, l.uri) {
		l.refuse(errNotWatched)
		return
	}
	l.once.Do(func() { close(l.ready) })
}

// listening returns the subscription that a notification belongs to: the one of
// its stream, or on a pipe the one that it names.
func (c *client) listening(params json.RawMessage, r *outgoing) *listening {
	if r != nil {
		return r.listen
	}
	o, _ := openObject(lookup(params, []string{"_meta"})) // None names none.
	for o.next() {
		if string(o.name) == metaSubscription {
			id := message{ID: o.value}
			c.mu.Lock()
			defer c.mu.Unlock()
			for n, l := range c.listens {
				if id.answers(n) {
					return l
				}
			}
		}
	}
	return nil
}

// updated tells the followers of a resource that it, or a part of it, has
// changed.
func (c *client) updated(params json.RawMessage, r *outgoing) {
	uri, ok := unquote(lookup(params, []string{"uri"}))
	if !ok {
		return
	}
	l := c.listening(params, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.watched {
		if l != nil && l.uri != w.uri || l == nil && !within(uri, w.uri) {
			continue
		}
		for f := range w.followers {
			select {
			case f.updates <- uri:
			default:
				f.missed.Store(true)
			}
		}
	}
}

// within reports whether a URI is that of a resource or of a part of it.
func within(uri, resource string) bool {
	rest, ok := strings.CutPrefix(uri, resource)
	return ok && (rest == "" || strings.HasSuffix(resource, "/") || strings.ContainsRune("/?#", rune(rest[0])))
}
