package mcp

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

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
	known  *differences

	mu      sync.Mutex
	waker   waker             // of the stream that tells now; nil for none
	seen    *gateway.Snapshot // what the client has been told of
	pending []update
	since   *gateway.Snapshot  // legacy: seen when the last stream began; nil before the first
	whole   bool               // legacy: the next stream need not tell that again
	told    []update           // legacy: sent on that stream, one for each follow
	follows map[string]*follow // nil for none
	lost    bool               // modern: a follow has ended by itself
	tasks   []*followedTask    // modern: set before the feed runs
	closed  bool
	wg      sync.WaitGroup
}

// An update is a change of a followed resource, or of a part of it.
type update struct {
	uri string
	by  *follow
}

func (f *Frontend) newFeed(p *gateway.Principal, want filter) *feed {
	return &feed{gw: f.gw, want: want, most: f.o.QueueLength, known: &f.known, seen: f.gw.View(p)}
}

// A waker lets what tells the changes of a feed look for some. It does not
// block.
type waker interface{ Wake() }

// A wakeup is the waker of a goroutine.
type wakeup chan struct{}

// Wake implements waker.
func (w wakeup) Wake() {
	select {
	case w <- struct{}{}:
	default:
	}
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
	d.mu.Lock()
	w := d.waker
	d.mu.Unlock()
	if w != nil {
		w.Wake()
	}
}

// run sends what changes to a stream until the context ends, whose cause it
// returns, the stream fails, or ending is closed: then it returns nil.
func (d *feed) run(ctx context.Context, p *gateway.Principal, out stream, keepAlive time.Duration, ending <-chan struct{}) error {
	wake := make(wakeup, 1)
	d.begin(wake)
	defer d.leave()
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
		case <-wake:
		case <-timer.C:
			if err := out.idle(); err != nil {
				return err
			}
			timer.Reset(keepAlive)
		}
	}
}

// replayed says that the new stream has told again what the one before it told.
func (d *feed) replayed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.whole = d.since != nil
}

// begin makes the new stream tell again what the one before it told: nobody
// knows how much of that arrived before its connection broke. The stream is
// woken for what comes later.
func (d *feed) begin(w waker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waker = w
	if d.whole {
		d.whole = false
		return
	}
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

// leave says that nothing tells the feed's changes any more.
func (d *feed) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waker = nil
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
		differs := d.known.between(seen, view)
		for _, n := range []struct {
			changed bool
			method  string
		}{
			{d.want.tools && differs.tools, "notifications/tools/list_changed"},
			{d.want.resources && differs.resources, "notifications/resources/list_changed"},
			{d.want.prompts && differs.prompts, "notifications/prompts/list_changed"},
		} {
			if !n.changed {
				continue
			}
			b := append(appendNotification(make([]byte, 0, len(d.tag)+notification), n.method), d.tag...)
			if err := out.send(append(b, "}}"...)); err != nil {
				d.untold(seen, pending)
				return err
			}
		}
	}
	for i, u := range pending {
		if !sees(view, u.by.uri) { // The right to see it was withdrawn meanwhile.
			d.unfollow(u.by.uri)
			continue
		}
		d.tell(u)
		b := append(appendNotification(make([]byte, 0, len(d.tag)+notification), "notifications/resources/updated"), d.tag...)
		if d.tag != nil {
			b = append(b, ',')
		}
		b = quote(append(b, `"uri":`...), u.uri)
		if err := out.send(append(b, "}}"...)); err != nil {
			d.untold(view, pending[i:])
			return err
		}
	}
	if lost {
		return errFollowLost
	}
	return d.tellTasks(out)
}

// notification is how long one usually is, without its tag.
const notification = 128

// untold takes back what could not be sent.
func (d *feed) untold(seen *gateway.Snapshot, updates []update) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = seen
	for _, u := range updates {
		if d.follows[u.by.uri] == u.by && !slices.Contains(d.pending, u) {
			d.pending = append(d.pending, u)
		}
	}
}

func sees(view *gateway.Snapshot, uri string) bool {
	return view.Resource(uri) != nil || slices.ContainsFunc(view.Templates, func(t *gateway.Template) bool { return t.Matches(uri) })
}

// close ends every follow, for good, and waits for their calls.
func (d *feed) close() {
	d.leaveTasks()
	d.mu.Lock()
	d.closed = true
	for uri, fl := range d.follows {
		fl.cancel()
		delete(d.follows, uri)
	}
	d.mu.Unlock()
	d.wg.Wait()
}
