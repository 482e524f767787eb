package mcp

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/internal/clip"
)

// Bounds on what one feed follows.
const (
	maxFollows    = 256
	followTimeout = 10 * time.Second // for an upstream to begin watching a resource
)

// errFollowLost ends a modern stream that can no longer keep what its
// acknowledgement promised; the client listens again and sees what is left.
var errFollowLost = errors.New("a followed resource is no longer watched")

// A follow is one resource that is watched for a feed, by a call that runs for
// as long.
type follow struct {
	uri    string
	cancel context.CancelFunc
	over   <-chan struct{} // closed when it has ended, such as with its credential; nil before it begins
}

// waits reports whether a follow that has not been forgotten is for the next
// stream to take up.
func (fl *follow) waits() bool {
	select {
	case <-fl.over:
		return true
	default:
		return fl.over == nil
	}
}

// follow begins to watch a resource and returns when its upstream does. It
// takes the road of every call, so what may not be subscribed is not.
func (d *feed) follow(ctx context.Context, p *gateway.Principal, uri string) *gateway.Error {
	d.mu.Lock()
	if fl := d.follows[uri]; fl != nil && !fl.waits() {
		d.mu.Unlock()
		return nil
	}
	if d.closed || len(d.follows) >= maxFollows && d.follows[uri] == nil {
		d.mu.Unlock()
		return d.gw.Refuse(ctx, &gateway.Call{Op: gateway.OpSubscribe, Name: clip.Text(uri, maxQuoted), Principal: p, Via: door},
			&gateway.Error{Code: gateway.ResourceExhausted, By: door, Msg: "too many subscriptions"})
	}
	// The call outlives the request that asked for it, not its credential.
	long, cancel := auth.Until(context.WithoutCancel(ctx), p)
	fl := &follow{uri: uri, cancel: cancel, over: long.Done()}
	if d.follows == nil {
		d.follows = map[string]*follow{}
	}
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

// expect notes a resource that the next stream is to follow.
func (d *feed) expect(uri string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.follows == nil {
		d.follows = map[string]*follow{}
	}
	if d.follows[uri] == nil {
		d.follows[uri] = &follow{uri: uri, cancel: func() {}}
	}
}

// rest stops watching until the next stream begins.
func (d *feed) rest() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for uri, fl := range d.follows {
		d.follows[uri] = &follow{uri: uri, cancel: func() {}}
		fl.cancel()
	}
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

// ended deals with a follow that had begun. One that ended with its credential
// waits for the next stream. Where neither that nor the client ended it, the
// client is told: a legacy one by an update, since reading the resource will show
// what is wrong, a modern one by the end of its stream.
func (d *feed) ended(ctx context.Context, fl *follow) {
	if ctx.Err() != nil {
		return
	}
	d.mu.Lock()
	d.lost = d.modern
	if d.follows[fl.uri] == fl { // A client that is told may subscribe anew at once.
		delete(d.follows, fl.uri)
	}
	d.mu.Unlock()
	if d.modern {
		d.poke()
	} else {
		d.updated(update{fl.uri, fl})
	}
}

// resume takes up what an expired credential ended, for a stream with a fresh
// one. What is refused now is forgotten, and told as an update.
func (d *feed) resume(ctx context.Context, p *gateway.Principal) {
	d.mu.Lock()
	var again []*follow
	for _, fl := range d.follows {
		if fl.waits() {
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
