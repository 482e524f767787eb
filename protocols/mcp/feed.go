package mcp

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
)

// Bounds on what one feed follows.
const (
	maxFollows    = 256
	followTimeout = 10 * time.Second // for an upstream to begin watching a resource
)

// errFollowLost ends a modern stream that can no longer keep what its
// acknowledgement promised; the client listens again and sees what is left.
var errFollowLost = errors.New("a followed resource is no longer watched")

// A filter says which lists a client wants to hear about.
type filter struct{ tools, prompts, resources bool }

// A stream takes the messages of a feed. Its methods block for no longer than
// its own deadline, and an error ends the feed's run.
type stream interface {
	send(message []byte) error
	idle() error
}

// A feed tells one client what changes: the lists, as its principal sees them,
// and the resources it follows, at least once each. Changes that nobody has
// taken yet become one, so a slow client holds up nothing and costs no memory.
type feed struct {
	gw     *gateway.Gateway
	want   filter
	modern bool
	tag    []byte // `"_meta":{…}`, the first member of every notification's params; nil for none
	most   int    // updates waiting
	wake   chan struct{}

	mu      sync.Mutex
	seen    *gateway.Snapshot // what the client has been told of
	pending []update
	since   *gateway.Snapshot // legacy: seen when the last stream began; nil before the first
	told    []update          // legacy: sent on that stream, one for each follow
	follows map[string]*follow
	lost    bool // modern: a follow has ended by itself
	closed  bool
	wg      sync.WaitGroup
}

// A follow is one resource that is watched for a feed, by a call that runs for
// as long.
type follow struct {
	uri     string
	cancel  context.CancelFunc
	expired bool // legacy: ended with its credential; the next stream takes it up again
}

// An update is a change of a followed resource, or of a part of it.
type update struct {
	uri string
	by  *follow
}

func newFeed(gw *gateway.Gateway, p *gateway.Principal, want filter, most int) *feed {
	return &feed{gw: gw, want: want, most: most, wake: make(chan struct{}, 1), seen: gw.View(p), follows: map[string]*follow{}}
}

// follow begins to watch a resource and returns when its upstream does. It
// takes the road of every call, so what may not be subscribed is not.
func (d *feed) follow(ctx context.Context, p *gateway.Principal, uri string) *gateway.Error {
	d.mu.Lock()
	if fl := d.follows[uri]; fl != nil && !fl.expired {
		d.mu.Unlock()
		return nil
	}
	if d.closed || len(d.follows) >= maxFollows && d.follows[uri] == nil {
		d.mu.Unlock()
		return &gateway.Error{Code: gateway.ResourceExhausted, By: "mcp", Msg: "too many subscriptions"}
	}
	// The call outlives the request that asked for it, not its credential.
	long, cancel := auth.Until(context.WithoutCancel(ctx), p)
	fl := &follow{uri: uri, cancel: cancel}
	d.follows[uri] = fl
	d.wg.Add(1)
	d.mu.Unlock()

	ready, ended := make(chan struct{}), make(chan *gateway.Error, 1)
	go func() {
		defer d.wg.Done()
		defer cancel()
		_, err := d.gw.Do(long, &gateway.Call{
			Op: gateway.OpSubscribe, Name: uri, Principal: p, Via: "mcp",
			Subscription: &gateway.Subscription{
				Ready:   sync.OnceFunc(func() { close(ready) }),
				Updated: func(part string) { d.updated(update{part, fl}) },
			},
		})
		if err == nil {
			err = &gateway.Error{Code: gateway.Unavailable, By: "mcp", Msg: "the resource is no longer watched"}
		}
		select {
		case <-ready:
			d.ended(long, fl)
		default:
			d.forget(fl)
		}
		ended <- gateway.AsError(err)
	}()

	timer := time.NewTimer(followTimeout)
	defer timer.Stop()
	var err *gateway.Error
	select {
	case <-ready:
		return nil
	case err = <-ended:
	case <-timer.C:
		err = &gateway.Error{Code: gateway.DeadlineExceeded, By: "mcp", Msg: "subscribing took too long"}
	case <-ctx.Done():
		err = gateway.AsError(ctx.Err())
	}
	cancel()
	d.forget(fl)
	return err
}

// unfollow stops watching a resource.
func (d *feed) unfollow(uri string) {
	d.mu.Lock()
	fl := d.follows[uri]
	delete(d.follows, uri)
	d.told = slices.DeleteFunc(d.told, func(u update) bool { return u.by == fl })
	d.mu.Unlock()
	if fl != nil {
		fl.cancel()
	}
}

func (d *feed) forget(fl *follow) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.follows[fl.uri] == fl {
		delete(d.follows, fl.uri)
	}
	d.told = slices.DeleteFunc(d.told, func(u update) bool { return u.by == fl })
}

// ended deals with a follow that had begun. Where neither the client nor the
// credential ended it, the client is told: a legacy one by an update, since
// reading the resource will show what is wrong, a modern one by the end of its
// stream.
func (d *feed) ended(ctx context.Context, fl *follow) {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		d.mu.Lock()
		fl.expired = true
		d.mu.Unlock()
		return
	}
	if ctx.Err() != nil {
		return
	}
	if !d.modern {
		d.updated(update{fl.uri, fl})
	}
	d.mu.Lock()
	d.lost = d.modern
	if d.follows[fl.uri] == fl {
		delete(d.follows, fl.uri)
	}
	d.mu.Unlock()
	d.poke()
}

// updated notes a change. Of more parts of a resource than may wait, the
// resource itself is what changed.
func (d *feed) updated(u update) {
	d.mu.Lock()
	if len(d.pending) >= d.most {
		u.uri = u.by.uri
	}
	if !slices.Contains(d.pending, u) {
		d.pending = append(d.pending, u)
	}
	d.mu.Unlock()
	d.poke()
}

func (d *feed) poke() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// run sends what changes to a stream until the context ends, whose cause it
// returns, the stream fails, or ending is closed: then it returns nil.
func (d *feed) run(ctx context.Context, p *gateway.Principal, out stream, keepAlive time.Duration, ending <-chan struct{}) error {
	d.begin()
	timer := time.NewTimer(keepAlive)
	defer timer.Stop()
	for {
		changed := d.gw.Changed()
		if err := d.deliver(p, out); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ending:
			return nil
		case <-changed:
		case <-d.wake:
		case <-timer.C:
			if err := out.idle(); err != nil {
				return err
			}
			timer.Reset(keepAlive)
		}
	}
}

// begin makes the new stream tell again what the one before it told: nobody
// knows how much of that arrived before its connection broke.
func (d *feed) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.since != nil {
		d.seen = d.since
	}
	d.since = d.seen
	for _, u := range d.told {
		if d.follows[u.uri] == u.by && !slices.Contains(d.pending, u) {
			d.pending = append(d.pending, u)
		}
	}
	d.told = nil
}

// tell notes that an update is being sent.
func (d *feed) tell(u update) {
	d.mu.Lock()
	defer d.mu.Unlock()
	u.uri = u.by.uri
	if !d.modern && !slices.Contains(d.told, u) {
		d.told = append(d.told, u)
	}
}

// deliver sends what has changed since the last time.
func (d *feed) deliver(p *gateway.Principal, out stream) error {
	view := d.gw.View(p)
	d.mu.Lock()
	seen, pending, lost := d.seen, d.pending, d.lost
	d.seen, d.pending = view, nil
	d.mu.Unlock()

	if seen != view {
		for _, n := range []struct {
			changed bool
			method  string
		}{
			{d.want.tools && !view.SameTools(seen), "notifications/tools/list_changed"},
			{d.want.resources && !view.SameResources(seen), "notifications/resources/list_changed"},
			{d.want.prompts && !view.SamePrompts(seen), "notifications/prompts/list_changed"},
		} {
			if !n.changed {
				continue
			}
			b := append(appendNotification(nil, n.method), d.tag...)
			if err := out.send(append(b, "}}"...)); err != nil {
				return err
			}
		}
	}
	for _, u := range pending {
		if !sees(view, u.by.uri) { // The right to see it was withdrawn meanwhile.
			d.unfollow(u.by.uri)
			continue
		}
		d.tell(u)
		b := append(appendNotification(nil, "notifications/resources/updated"), d.tag...)
		if d.tag != nil {
			b = append(b, ',')
		}
		b = quote(append(b, `"uri":`...), u.uri)
		if err := out.send(append(b, "}}"...)); err != nil {
			return err
		}
	}
	if lost {
		return errFollowLost
	}
	return nil
}

func sees(view *gateway.Snapshot, uri string) bool {
	return view.Resource(uri) != nil || slices.ContainsFunc(view.Templates, func(t *gateway.Template) bool { return t.Matches(uri) })
}

// resume takes up what an expired credential ended, for a stream with a fresh
// one. What is refused now is forgotten, and told as an update.
func (d *feed) resume(ctx context.Context, p *gateway.Principal) {
	d.mu.Lock()
	var again []*follow
	for _, fl := range d.follows {
		if fl.expired {
			again = append(again, fl)
		}
	}
	d.mu.Unlock()
	var wg sync.WaitGroup
	for _, fl := range again {
		wg.Go(func() {
			if d.follow(ctx, p, fl.uri) != nil {
				d.forget(fl)
				d.updated(update{fl.uri, fl})
			}
		})
	}
	wg.Wait()
}

// close ends every follow, for good, and waits for their calls.
func (d *feed) close() {
	d.mu.Lock()
	d.closed = true
	for uri, fl := range d.follows {
		fl.cancel()
		delete(d.follows, uri)
	}
	d.mu.Unlock()
	d.wg.Wait()
}
