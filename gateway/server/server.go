// Package server is the composition root: it turns a configuration into a
// running gateway. It is the only package that knows all others, and nothing
// registers itself anywhere: [New] reads from top to bottom.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/auth/connect"
	"github.com/trilith-gateway/trilith/auth/issuer"
	"github.com/trilith-gateway/trilith/auth/login"
	"github.com/trilith-gateway/trilith/auth/policy"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/audit"
	"github.com/trilith-gateway/trilith/gateway/canary"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/limits"
	"github.com/trilith-gateway/trilith/gateway/pin"
	"github.com/trilith-gateway/trilith/gateway/state"
	"github.com/trilith-gateway/trilith/gateway/telemetry"
	graphqldoor "github.com/trilith-gateway/trilith/protocols/graphql"
	grpcdoor "github.com/trilith-gateway/trilith/protocols/grpc"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// Once the gateway stops, calls under way may take as long as drain; those that
// are cut off then may say so for a moment more.
const (
	drain  = 10 * time.Second
	moment = time.Second
)

// Options are what a gateway is given besides its configuration.
type Options struct {
	Version string       // of the binary, shown to clients; "" is "devel"
	Logger  *slog.Logger // of the gateway itself; nil discards
	LookEnv func(string) (string, bool)
	Dev     *Dev // the development mode, or nil
	Local   bool // serve no network door: the caller serves [Server.MCP] over stdio

	// Sources are upstreams made by the embedding program, by name. They are
	// registered with their name and a dot as prefix, beside those of the
	// configuration, and guarded as those are by default, but for what is a
	// [guard.Source] already.
	Sources map[string]gateway.Upstream

	patience time.Duration // how long the body of a request may take; 0 is bodyPatience
	drain    time.Duration // 0 is drain
}

// A Server is a gateway with its doors. Make it with [New], then call
// [Server.Run] once. In local mode only the MCP frontend exists.
type Server struct {
	options  Options
	log      *slog.Logger
	config   atomic.Pointer[config.Config]
	reload   sync.Mutex // held by Reload
	httpL    net.Listener
	grpcL    net.Listener
	grpcBase string // as callers reach it: scheme, host and port
	base     string // public URL, without a slash at the end
	state    *state.State
	audit    *audit.Log
	exports  *exports
	policy   *policy.Enforcer
	policies *policy.Store
	rewatch  atomic.Pointer[context.CancelFunc] // lets watchPolicy look where the policy is now
	registry *gateway.Registry
	gateway  *gateway.Gateway
	admin    *gateway.Gateway // of administration; nil where there are no doors
	sessions gateway.Sessions
	traffic  *telemetry.Traffic
	issuer   *issuer.Issuer // only in development mode
	oidc     *auth.OIDC     // nil without issuers
	keys     *auth.Keys     // nil without auth.api_keys
	door     *auth.Door

	connections *connect.Connections // nil where no issuer lets users sign in, and in local mode

	logins *login.Sessions // nil where nobody can sign in with a browser, and in local mode

	keepTokens atomic.Bool // some source is called with tokens that are got for those of callers

	revocations *auth.Revocations // nil in local mode
	scopes      *policy.Scopes    // nil where scopes are not looked at
	limits      *limits.Gate
	overrides   *limits.Overrides // of limits
	canaries    *canary.Canaries

	refusals *refusals // nil in local mode
	mcp      *mcp.Frontend

	doorOptions auth.DoorOptions    // of door, and of those of the toolsets
	mcpOptions  mcp.FrontendOptions // of mcp, and of those of the toolsets

	graphql  *graphqldoor.Frontend
	grpc     *grpcdoor.Frontend
	locks    *locks // nil where gRPC is not typed
	http     *http.Server
	cutOff   context.CancelCauseFunc // ends the calls of http
	grpcS    *grpc.Server
	pins     *pin.Store
	sources  *sources
	toolsets *toolsets // nil in local mode
	cluster  *cluster  // nil where this node has a state of its own
	peers    *peers    // as cluster
	serving  atomic.Bool
	ready    chan struct{} // closed when everything serves
	closers  []func() error
}

// New builds a gateway and binds its listeners, so that its addresses are
// known; it serves nothing before [Server.Run]. The context bounds the
// building alone. Close the server if Run is not called.
func New(ctx context.Context, cfg *config.Config, o Options) (_ *Server, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Version == "" {
		o.Version = "devel"
	}
	s := &Server{options: o, log: o.Logger, registry: new(gateway.Registry), traffic: telemetry.NewTraffic(), ready: make(chan struct{})}
	s.config.Store(cfg)
	s.keepTokens.Store(exchanges(cfg))
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	for _, step := range []struct {
		name string
		do   func(context.Context, *config.Config) error
	}{
		{"listen", s.listen},
		{"open state", s.openState},
		{"open audit log", s.openAudit},
		{"open audit exports", s.openExports},
		{"load policy", s.loadPolicy},
		{"join the road", s.joinRoad},
		{"open identity", s.openIdentity},
		{"open pins", s.openPins},
		{"open doors", s.openDoors},
		{"open canaries", s.openCanaries},
		{"load sources", s.loadSources},
	} {
		if err := step.do(ctx, cfg); err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return s, nil
}

// Gateway returns the road itself, for programs that embed the gateway.
func (s *Server) Gateway() *gateway.Gateway { return s.gateway }

// MCP returns the MCP door, to be served over stdio.
func (s *Server) MCP() *mcp.Frontend { return s.mcp }

// URL returns the base URL of the HTTP doors, without a slash at the end.
func (s *Server) URL() string { return s.base }

// Addr returns the address that the HTTP doors listen on.
func (s *Server) Addr() string { return s.httpL.Addr().String() }

// GRPCAddr returns the address that the gRPC door listens on.
func (s *Server) GRPCAddr() string { return s.grpcL.Addr().String() }

// Ready returns a channel that is closed when every door serves and every
// configured source has said once what it offers, or that it is away.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Run serves until the context ends or a listener fails, then drains: it
// accepts nothing new, ends the streams, waits a bounded time for the calls
// under way and closes everything. It returns nil after a clean end.
func (s *Server) Run(ctx context.Context) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // Calls under way outlast ctx, and need the rest.
	defer end()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 2)
	if !s.options.Local {
		go func() { failed <- s.serveHTTP() }()
		go func() { failed <- s.grpcS.Serve(s.grpcL) }()
	}
	var tasks sync.WaitGroup
	for _, task := range []func(context.Context){
		s.sources.run, s.toolsets.run, s.cluster.run, s.peers.run, s.followEvents, s.announceEvents, s.watchPolicy, s.watchRevocations,
		s.refusals.run, s.exports.run, s.traffic.Run,
	} {
		tasks.Go(func() { task(life) })
	}
	if s.grpc != nil {
		tasks.Go(func() { s.grpc.Follow(life) })
	}
	tasks.Go(func() {
		if s.sources.settled(ctx) && ctx.Err() == nil {
			if s.grpc != nil {
				s.grpc.Refresh(ctx)
			}
			s.serving.Store(true)
			if s.grpc != nil {
				s.grpc.SetServing(true)
			}
			close(s.ready)
		}
	})
	first, recorded := context.WithTimeout(life, drain) // Who stops the gateway at once reads that it started, too.
	s.event(first, "start", "version "+s.options.Version)
	recorded()

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		stop()
	}
	s.serving.Store(false)
	s.drain(life)
	end()
	tasks.Wait()
	last, done := context.WithTimeout(context.WithoutCancel(ctx), moment)
	defer done()
	s.event(last, "stop", "")
	return errors.Join(err, s.Close())
}

// drain ends the streams of every door and waits for the calls under way.
func (s *Server) drain(ctx context.Context) {
	if s.options.Local {
		return
	}
	s.grpc.SetServing(false)
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.options.drain, drain))
	defer cancel()
	var doors sync.WaitGroup
	doors.Go(func() { s.grpc.Shutdown(ctx) })
	doors.Go(func() {
		for _, end := range []func() error{s.mcp.Close, s.toolsets.close, s.graphql.Close} {
			if err := end(); err != nil {
				s.log.WarnContext(ctx, "end streams", slog.Any("cause", err))
			}
		}
		if err := s.http.Shutdown(ctx); err != nil {
			s.log.WarnContext(ctx, "calls were cut off", slog.Any("cause", err))
			s.cutOff(&gateway.Error{Code: gateway.Unavailable, By: "gateway", Msg: "the gateway is shutting down"})
			last, done := context.WithTimeout(context.WithoutCancel(ctx), moment)
			defer done()
			_ = s.http.Shutdown(last)
			_ = s.http.Close() // There is nobody to tell.
		}
	})
	doors.Wait()
}

// Close frees what New opened, newest first. Run does it too; a second Close
// does nothing.
func (s *Server) Close() error {
	var errs []error
	for _, c := range slices.Backward(s.closers) {
		if err := c(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	s.closers = nil
	return errors.Join(errs...)
}

func (s *Server) onClose(c func() error) { s.closers = append(s.closers, c) }

// event writes a record of the gateway's own life into the audit log.
func (s *Server) event(ctx context.Context, kind, detail string) {
	if err := s.audit.Event(ctx, audit.Event{Type: kind, Actor: "gateway", Outcome: "OK", Detail: detail}); err != nil {
		s.log.ErrorContext(ctx, "audit record is missing", slog.String("type", kind), slog.Any("cause", err))
	}
}
