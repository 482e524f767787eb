package upstream

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
)

const (
	// minReload is the least time between two looks at what there is, however often somebody asks for one.
	minReload = time.Second
	// minRound keeps a server that closes every connection from being called all the time.
	minRound = 100 * time.Millisecond
	// minAway and maxAway bound how long a server that is away is left alone.
	minAway = 250 * time.Millisecond
	maxAway = 15 * time.Second
)

var (
	errStopped    = errors.New("nobody reads the sequence any more")
	errLost       = errors.New("the connection was lost")
	errNotServing = errors.New("the server says that it does not serve (grpc.health.v1)")
)

// Watch connects and yields what the server offers, again whenever that changes, and an error whenever the server is
// away or says that it does not serve; it then tries again by itself. Whether it has changed is looked up whenever a
// connection is made and after Options.Reload. The sequence ends with the context or with Close.
func (u *Upstream) Watch(ctx context.Context) iter.Seq2[gateway.Catalog, error] {
	return func(yield func(gateway.Catalog, error) bool) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		defer context.AfterFunc(u.ctx, stop)() //nolint:contextcheck // The upstream's own life.
		pause := minAway
		for {
			served, err := u.serve(ctx, yield)
			if ctx.Err() != nil || errors.Is(err, errStopped) {
				return
			}
			if served {
				pause = minAway
			}
			if !yield(gateway.Catalog{}, err) || !u.rest(ctx, pause) {
				return
			}
			pause = min(2*pause, maxAway)
			u.pool.first().ResetConnectBackoff()
		}
	}
}

// rest waits until the next attempt is due or is asked for, and reports whether the context is still there.
func (u *Upstream) rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-u.refresh:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// serve yields what the server offers until it is away, and returns why, and whether it ever was there.
func (u *Upstream) serve(ctx context.Context, yield func(gateway.Catalog, error) bool) (served bool, err error) {
	for {
		began := time.Now()
		health, err := u.healthy(ctx)
		if err != nil {
			return served, err
		}
		changed, err := u.update(ctx, served)
		if err != nil {
			return served, err
		}
		if (!served || changed) && !yield(u.now.Load().catalog, nil) {
			return true, errStopped
		}
		served = true
		err = u.until(ctx, health)
		switch {
		case err == nil:
		case errors.Is(err, errLost): // A server that is replaced ends its connections: look whether there is another.
			u.pool.first().Connect()
		default:
			return true, err
		}
		if left := time.Until(began.Add(minRound)); left > 0 && !u.rest(ctx, left) {
			return true, ctx.Err()
		}
	}
}

// update looks what the server offers and reports whether that is new. Where it has an offer and fails to say more
// than that it is there, the offer stays.
func (u *Upstream) update(ctx context.Context, served bool) (changed bool, err error) {
	d, err := u.look(ctx)
	now := u.now.Load()
	if err != nil {
		if served && now != nil && ctx.Err() == nil && status.Code(err) != codes.Unavailable {
			u.o.Logger.WarnContext(ctx, "what the server offers could not be looked up again", slog.String("source", u.o.Name), slog.Any("cause", err))
			return false, nil
		}
		return false, fmt.Errorf("what the server offers: %w", err)
	}
	digest := d.digest()
	if now != nil && now.digest == digest {
		return false, nil
	}
	next, err := u.offerOf(d, digest)
	if err != nil {
		return false, err
	}
	u.now.Store(next)
	return true, nil
}

// offerOf is newOffer of descriptors that come from elsewhere.
func (u *Upstream) offerOf(d *described, digest [sha256.Size]byte) (o *offer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the descriptors cannot be read: panic: %v\n%s", p, debug.Stack())
		}
	}()
	return u.newOffer(d, digest), nil
}

// healthy reports whether the server says how it is, and the error if that is not well or it cannot be asked at all.
func (u *Upstream) healthy(ctx context.Context) (says bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, min(u.o.Timeout, connectTimeout), egress.ErrSlow)
	defer cancel()
	ctx, _, err = u.outgoing(ctx)
	if err != nil {
		return false, err
	}
	res, err := healthv1.NewHealthClient(u.pool.first()).Check(ctx, &healthv1.HealthCheckRequest{})
	switch status.Code(err) { //nolint:exhaustive // The others are alike.
	case codes.OK:
		if res.GetStatus() == healthv1.HealthCheckResponse_NOT_SERVING {
			return true, errNotServing
		}
		return true, nil
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return false, err
	default: // It has no such service, or not for everybody.
		return false, nil
	}
}

// until returns nil when it is time to look again, or why the server is not what it was.
func (u *Upstream) until(ctx context.Context, health bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel(nil)
	tasks.Go(func() {
		for state := u.pool.first().GetState(); ; state = u.pool.first().GetState() {
			if state != connectivity.Ready {
				cancel(errLost)
				return
			}
			if !u.pool.first().WaitForStateChange(ctx, state) {
				return
			}
		}
	})
	if health {
		tasks.Go(func() { u.watchHealth(ctx, cancel) })
	}
	began := time.Now()
	due := time.NewTimer(u.o.Reload)
	defer due.Stop()
	for {
		select {
		case <-due.C:
			return nil
		case <-u.refresh:
			due.Reset(max(0, min(time.Until(began.Add(minReload)), u.o.Reload)))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// watchHealth ends the context when the server says that it does not serve.
func (u *Upstream) watchHealth(ctx context.Context, end context.CancelCauseFunc) {
	for {
		err := u.hearHealth(ctx)
		if errors.Is(err, errNotServing) {
			end(err)
			return
		}
		if isUnimplemented(err) {
			return // It can be asked, but not followed.
		}
		timer := time.NewTimer(time.Second)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

func (u *Upstream) hearHealth(ctx context.Context) error {
	ctx, _, err := u.outgoing(ctx)
	if err != nil {
		return err
	}
	stream, err := healthv1.NewHealthClient(u.pool.first()).Watch(ctx, &healthv1.HealthCheckRequest{})
	for err == nil {
		var res *healthv1.HealthCheckResponse
		if res, err = stream.Recv(); err == nil && res.GetStatus() == healthv1.HealthCheckResponse_NOT_SERVING {
			err = errNotServing
		}
	}
	return err
}
