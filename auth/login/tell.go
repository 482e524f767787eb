package login

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	tellers = 4               // how many ends of sessions the issuer is told of at once
	grace   = 3 * time.Second // for what it has not been told when the gateway ends
)

// A telling is what the issuer is still to be told: refresh tokens that nobody
// uses any more. The issuer may be slow or away; whoever ends a session does not
// wait for it.
type telling struct {
	revoke func(context.Context, string) error
	log    *slog.Logger
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	queue  chan string // as many as there may be sessions
	closed bool
}

// tell returns a telling that goes on, also after ctx, until it is closed.
func tell(ctx context.Context, revoke func(context.Context, string) error, log *slog.Logger) *telling {
	t := &telling{revoke: revoke, log: log, queue: make(chan string, maxSessions)}
	ctx, t.stop = context.WithCancel(context.WithoutCancel(ctx))
	for range tellers {
		t.done.Go(func() {
			for token := range t.queue {
				t.one(ctx, token)
			}
		})
	}
	return t
}

func (t *telling) one(ctx context.Context, token string) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := t.revoke(ctx, token); err != nil {
		t.log.InfoContext(ctx, "the issuer was not told of the end of a session", slog.Any("cause", err))
	}
}

// add has the issuer told of a refresh token, if there is one.
func (t *telling) add(ctx context.Context, token string) {
	if token == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		select {
		case t.queue <- token:
			return
		default:
		}
	}
	t.log.InfoContext(ctx, "the issuer was not told of the end of a session", slog.String("cause", "too many wait for it, or the gateway ends"))
}

// close returns when the issuer has been told of everything, or does not listen
// for as long as that.
func (t *telling) close(grace time.Duration) {
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		close(t.queue)
	}
	t.mu.Unlock()
	late := time.AfterFunc(grace, t.stop)
	t.done.Wait()
	late.Stop()
	t.stop()
}
