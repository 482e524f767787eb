package state

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// opTimeout bounds one request to the engine when the caller's context does not.
	opTimeout = 5 * time.Second
	// retryWait is the pause between attempts while the engine is away.
	retryWait = 200 * time.Millisecond
	// pingInterval: a connection that misses two pings counts as lost.
	pingInterval = 5 * time.Second
)

// Options say where the state lives. The zero value keeps it in memory.
type Options struct {
	// Dir is the data directory of the embedded engine, created when missing and owned by one State at a time. Empty,
	// with URL empty too, keeps everything in memory until Close.
	Dir string
	// URL names the servers of an external NATS, separated by commas; Dir is then ignored.
	URL string
	// CredentialsFile is a NATS credentials file (JWT and seed) for the external NATS. It is read at every connection.
	CredentialsFile string
	// CAFile holds the PEM certificates that vouch for the external NATS; setting it demands TLS. Empty uses the
	// system's.
	CAFile string
	// CertFile and KeyFile are the PEM client certificate and key for the external NATS; both or none.
	CertFile, KeyFile string
	// Name is this node's name in notices and in the engine's own reports, at most 128 bytes. Empty takes the host's.
	Name string
	// Replicas is how many servers of an external cluster keep each value, 0 means 1; more than 1 needs a cluster of
	// NATS 2.11 or newer.
	Replicas int
	// Logger receives what the operator should know. Nil discards it.
	Logger *slog.Logger
}

// State is an open engine. All methods, and those of its buckets, are safe for concurrent use.
type State struct {
	name     string
	instance string // Unique per State, so that two nodes of one name do not take each other's notices for their own.
	log      *slog.Logger
	replicas int
	storage  jetstream.StorageType
	engine   *engine // Nil with an external NATS.
	nc       *nats.Conn
	js       jetstream.JetStream
	link     pulse // Beats when the connection is lost and when it is back.

	life context.Context //nolint:containedctx // The State's own life: ended by Close.
	end  context.CancelCauseFunc

	mu     sync.Mutex
	closed bool
	topics map[string]bool // What Serve answers, encoded.
	busy   sync.WaitGroup  // Requests and goroutines that Close waits for.
	once   sync.Once
	result error
}

// Open starts the embedded engine or connects to the external one. ctx bounds the start only; without a deadline it
// gives up after 30 seconds. It fails with ErrLocked when another process uses Dir, ErrInvalid for options that cannot
// work, and ErrUnavailable when the engine does not start or answer.
func Open(ctx context.Context, o Options) (*State, error) {
	s, err := newState(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("state: open: %w", err)
	}
	if err := s.connect(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("state: open: %w", err), s.Close())
	}
	return s, nil
}

func newState(ctx context.Context, o Options) (*State, error) {
	s := &State{name: o.Name, instance: rand.Text(), log: o.Logger, replicas: max(o.Replicas, 1), topics: make(map[string]bool)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.name == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("name of this node: %w", err)
		}
		s.name = host
	}
	if len(s.name) > 128 {
		return nil, fmt.Errorf("%w: Name is longer than 128 bytes", ErrInvalid)
	}
	if s.replicas > 5 || o.Replicas < 0 || s.replicas > 1 && o.URL == "" {
		return nil, fmt.Errorf("%w: %d replicas: 1 to 5 with an external cluster, otherwise 1", ErrInvalid, o.Replicas)
	}
	if o.Dir == "" && o.URL == "" {
		s.storage = jetstream.MemoryStorage
	}
	s.life, s.end = context.WithCancelCause(context.WithoutCancel(ctx))
	return s, nil
}

// connect is the second half of Open; on failure Close tidies up what there is.
func (s *State) connect(ctx context.Context, o Options) (err error) {
	if o.URL != "" {
		err = s.connectExternal(ctx, o)
	} else {
		err = s.connectEmbedded(ctx, o.Dir)
	}
	if err != nil {
		return err
	}
	if s.js, err = jetstream.New(s.nc); err != nil {
		return err
	}
	return s.awaitHealth(ctx)
}

// awaitHealth gives a cluster the time to elect its leader.
func (s *State) awaitHealth(ctx context.Context) error {
	waitCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := s.Healthy(ctx)
		if !errors.Is(err, ErrUnavailable) || errors.Is(err, errDisabled) {
			return err
		}
		select {
		case <-time.After(retryWait):
		case <-waitCtx.Done():
			return err
		}
	}
}

func (s *State) connectExternal(ctx context.Context, o Options) (err error) {
	if s.nc, err = dial(ctx, o, s.connOptions()); err != nil {
		return err
	}
	return checkVersion(s.nc.ConnectedServerVersion(), s.replicas)
}

func (s *State) connectEmbedded(ctx context.Context, dir string) (err error) {
	if s.engine, err = startEngine(ctx, dir, &serverLog{log: s.log}); err != nil {
		return err
	}
	s.nc, err = nats.Connect("", append(s.connOptions(), nats.InProcessServer(s.engine.srv))...)
	if err != nil {
		return fmt.Errorf("%w: connect to the embedded engine: %w", ErrUnavailable, err)
	}
	return nil
}

func (s *State) connOptions() []nats.Option {
	return []nats.Option{
		nats.Name("trilith " + s.name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(retryWait),
		nats.ReconnectJitter(retryWait, retryWait),
		nats.PingInterval(pingInterval),
		// A write while the engine is away fails at once. Buffered, it would be reported as failed and still be stored.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			s.link.beat()
			if s.life.Err() == nil {
				s.log.Warn("state engine lost", slog.Any("cause", err))
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) {
			s.link.beat()
			s.log.Info("state engine is back")
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrSlowConsumer) && strings.HasPrefix(sub.Subject, livePrefix) {
				return // Log.Follow notices and reads what it missed.
			}
			s.log.Warn("state engine", slog.Any("cause", err))
		}),
	}
}

// Name returns this node's name, the Origin of its notices.
func (s *State) Name() string { return s.name }

// Instance returns the id of this State, new with every Open and used by no other: 26 letters and digits. It is where
// Request finds what this State serves; it is no secret.
func (s *State) Instance() string { return s.instance }

// Healthy asks the engine for a sign of life, for readiness probes. It fails with ErrUnavailable.
func (s *State) Healthy(ctx context.Context) error {
	opCtx, done, err := s.begin(ctx)
	if err != nil {
		return fail(ctx, "health", err)
	}
	defer done()
	if _, err := s.js.AccountInfo(opCtx); err != nil {
		if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
			err = fmt.Errorf("%w: %w", errDisabled, err)
		}
		return fail(ctx, "health", err)
	}
	return nil
}

// Close ends watches, mirrors, followers and subscriptions, waits for requests to the engine (each takes five seconds at
// most) and for the handlers of Serve, whose contexts it ends, disconnects and stops the embedded engine. Further calls return the same result; other methods fail with
// ErrUnavailable from then on.
func (s *State) Close() error {
	s.once.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.end(errClosed)
		s.busy.Wait()
		if s.nc != nil {
			s.nc.Close()
		}
		if err := s.engine.stop(); err != nil {
			s.result = fmt.Errorf("state: close: %w", err)
		}
	})
	return s.result
}

// begin registers a request, so that Close waits for it, and bounds its time. The caller must call done.
func (s *State) begin(ctx context.Context) (opCtx context.Context, done func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if !s.enter() {
		return nil, nil, errClosed
	}
	opCtx, cancel := context.WithTimeout(ctx, opTimeout)
	return opCtx, func() { cancel(); s.busy.Done() }, nil
}

// enter makes Close wait for a busy.Done; it reports false once Close was called.
func (s *State) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.busy.Add(1)
	return true
}
