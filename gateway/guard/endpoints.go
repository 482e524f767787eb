package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// maxEndpoints bounds the endpoints of one source.
const maxEndpoints = 64

// An Endpoint is one of several places at which a source can be reached.
type Endpoint struct {
	Name   string           // among those of the source
	Up     gateway.Upstream // what answers there, with the guards that are its own; a [gateway.Watcher]
	Weight int              // how many of the calls it gets, compared with others; 1 where it is not positive
	Role   Role

	// Probe asks whether the endpoint is there, without calling anything; nil
	// where what it offers says enough.
	Probe func(context.Context) error
}

// A Role is what an endpoint is for.
type Role uint8

// The roles.
const (
	Stable Role = iota // it serves
	Canary             // it serves a share of the calls, to be compared with the stable ones
	Mirror             // it gets copies of calls, and nobody its answers
)

// String returns "stable", "canary" or "mirror".
func (r Role) String() string { return [...]string{"stable", "canary", "mirror"}[r] }

// EndpointsOptions say how calls are divided between endpoints. Zero values
// take the defaults named with each field.
type EndpointsOptions struct {
	Source  string  // its name, for errors
	Balance Balance // which endpoint gets a call
	Health  Health  // which endpoints get none
	Canary  CanaryOptions

	// Copies says which calls are copied to the endpoints that are a [Mirror]: by
	// default those of tools that are known to change nothing, where Trusted says
	// that annotations are true. With MirrorAll all calls of tools are.
	Trusted, MirrorAll bool

	Logger *slog.Logger // for the operator; nil discards

	// Random returns random bits; nil is [rand.Uint64]. It is safe for concurrent
	// use.
	Random func() uint64
}

// Endpoints is an upstream that is there several times: each call goes to one
// endpoint. What an endpoint keeps between calls stays with it: a subscription
// lasts where it began, and so do calls that are resumed or rejoined.
//
// It yields what the first stable endpoint that is there offers. Who holds it
// must follow Watch, which also looks after the endpoints' health. It is safe
// for concurrent use.
type Endpoints struct {
	o      EndpointsOptions
	all    []*endpoint
	canary *canary // nil without such endpoints
	copies chan copied
	turns  sync.Mutex // of round robin

	dropped atomic.Uint64 // copies for which there was no place
}

// An endpoint is an Endpoint with how it does.
type endpoint struct {
	Endpoint
	running  atomic.Int64
	calls    atomic.Uint64
	failed   atomic.Uint64
	absent   atomic.Bool // it cannot say what it offers
	silent   atomic.Bool // it does not answer the probe
	offers   atomic.Pointer[map[string]bool]
	outliers outlier
	latency  latency
	turn     int // of round robin, under Endpoints.turns
}

// NewEndpoints returns an upstream of these endpoints. At least one is Stable.
func NewEndpoints(endpoints []Endpoint, o EndpointsOptions) (*Endpoints, error) {
	o.setDefaults()
	e := &Endpoints{o: o, copies: make(chan copied, maxCopies)}
	names := map[string]bool{}
	stable, canaries := 0, 0
	for _, p := range endpoints {
		if p.Name == "" || names[p.Name] {
			return nil, fmt.Errorf("endpoint %q: the name is empty or taken", p.Name)
		}
		names[p.Name] = true
		if _, ok := p.Up.(gateway.Watcher); !ok {
			return nil, fmt.Errorf("endpoint %q: %T is no gateway.Watcher: it cannot say what it offers", p.Name, p.Up)
		}
		p.Weight = max(p.Weight, 1)
		switch p.Role {
		case Stable:
			stable++
		case Canary:
			canaries++
		case Mirror:
		}
		x := &endpoint{Endpoint: p}
		x.absent.Store(true) // Until it has said what it offers.
		e.all = append(e.all, x)
	}
	if stable == 0 || len(endpoints) > maxEndpoints {
		return nil, fmt.Errorf("%d endpoints, %d of them stable: want at least one of these and at most %d", len(endpoints), stable, maxEndpoints)
	}
	if canaries > 0 {
		e.canary = newCanary(o.Canary)
	}
	return e, nil
}

func (o *EndpointsOptions) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Random == nil {
		o.Random = rand.Uint64
	}
	o.Health.setDefaults()
	o.Canary.setDefaults()
}

// Do answers a call at one of the endpoints. The result says at which.
func (e *Endpoints) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	p, call, err := e.choose(call)
	if err != nil {
		return nil, err
	}
	mirrored := e.mirror(ctx, call)
	p.running.Add(1)
	p.calls.Add(1)
	start := time.Now()
	res, err := p.Up.Do(ctx, call)
	took := time.Since(start)
	p.running.Add(-1)
	e.settle(ctx, p, call, res, err, took)
	if err != nil {
		return nil, err
	}
	if res == nil {
		return nil, nil //nolint:nilnil // The gateway says so.
	}
	out := *res
	out.Endpoint, out.Mirrored = p.Name, mirrored
	if out.Input != nil {
		in := *out.Input
		in.State = p.wrap(in.State)
		out.Input = &in
	}
	return &out, nil
}

// settle notes what a call says about its endpoint.
func (e *Endpoints) settle(ctx context.Context, p *endpoint, call *gateway.Call, res *gateway.Result, err error, took time.Duration) {
	what := outcomeOf(ctx, err)
	if what == failure {
		p.failed.Add(1)
	}
	if what != neither {
		if until := p.outliers.settle(what == success, &e.o.Health); !until.IsZero() {
			e.o.Logger.WarnContext(ctx, "an endpoint gets no calls for a while", slog.String("source", e.o.Source), slog.String("endpoint", p.Name),
				slog.Time("until", until), slog.Any("cause", err))
		}
	}
	if what == neither || lasting(call) || call.Ask != nil && call.Capabilities != nil {
		return // How long it took is not the endpoint's doing.
	}
	p.latency.add(took)
	if e.canary != nil {
		bad := what == failure || res != nil && res.IsError
		if why := e.canary.settle(p.Role, bad, took); why != "" {
			e.o.Logger.WarnContext(ctx, "a canary is aborted", slog.String("source", e.o.Source), slog.String("reason", why))
		}
	}
}

// Refresh has every endpoint look again what it offers, where it can.
func (e *Endpoints) Refresh() {
	for _, p := range e.all {
		if r, ok := p.Up.(interface{ Refresh() }); ok {
			r.Refresh()
		}
	}
}

// Close closes every endpoint that can be closed.
func (e *Endpoints) Close() error {
	var all []error
	for _, p := range e.all {
		if c, ok := p.Up.(io.Closer); ok {
			all = append(all, c.Close())
		}
	}
	return errors.Join(all...)
}

// EndpointStatus is how one endpoint does.
type EndpointStatus struct {
	Name    string
	Role    Role
	Weight  int
	Present bool          // it is there, as far as is known
	Until   time.Time     // when it gets calls again, where it gets none because it failed; zero otherwise
	Running int64         // calls now
	Calls   uint64        // calls so far
	Failed  uint64        // those that it failed
	Latency time.Duration // about how long a call takes lately; 0 before the first
}

// Status returns how the endpoints do now, in their order.
func (e *Endpoints) Status() []EndpointStatus {
	out := make([]EndpointStatus, 0, len(e.all))
	for _, p := range e.all {
		out = append(out, EndpointStatus{
			Name: p.Name, Role: p.Role, Weight: p.Weight, Present: p.present(), Until: p.outliers.until(),
			Running: p.running.Load(), Calls: p.calls.Load(), Failed: p.failed.Load(), Latency: p.latency.now(),
		})
	}
	return out
}

// DroppedCopies returns how many calls were not copied to a [Mirror] because it
// was too slow.
func (e *Endpoints) DroppedCopies() uint64 { return e.dropped.Load() }
