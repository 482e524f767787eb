package grpc

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // Accepts compressed messages; MaxMessage bounds what comes out.
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/schema"
)

// Options are the bounds of a frontend. The zero value of every field stands
// for its default.
type Options struct {
	Bounds              schema.Bounds // of every JSON text from callers; also the length of a REST request's body
	MaxMessage          int           // the bytes of one gRPC message, in and out; 4 MiB
	MaxStreams          uint32        // running methods of one gRPC connection; 1000
	StreamsPerPrincipal int           // running streaming methods of one principal, gRPC and REST together; 100
	Queue               int           // events of one stream that wait for its reader; 64
	WriteTimeout        time.Duration // how long a reader may take for one message of a stream; 30 seconds

	// Keepalive says how gRPC connections are kept and when they end. A field
	// that is zero takes its default: pings after 60 seconds, 20 seconds to
	// answer them, connections for 30 minutes and 5 more for their last calls.
	Keepalive keepalive.ServerParameters

	// Challenge returns the WWW-Authenticate header for a REST request to the path
	// of a URL whose credential lacks scopes, of which it gets all that are needed.
	// Nil sends none.
	Challenge func(path string, scopes []string) string

	// What the OpenAPI document says of how REST is reached: the URL of the
	// gateway, the header of API keys beside Authorization, and the issuers of
	// access tokens. Empty says nothing.
	URL       string
	KeyHeader string
	Issuers   []string

	Admin      *gateway.Gateway  // serves admin.v1 too, whose methods are its tools; nil does not
	Sessions   *gateway.Sessions // what streams are noted in; nil notes none
	Reflection bool              // serve gRPC reflection, v1 and v1alpha

	// Registry is that of the gateway: the sources in it have typed services while
	// [Frontend.Follow] runs. Nil has none. Locks keeps their names and numbers; nil
	// keeps them in memory.
	Registry *gateway.Registry
	Locks    LockStore

	Logger *slog.Logger // for faults of the gateway; nil discards
}

func (o Options) withDefaults() Options {
	d := schema.DefaultBounds()
	o.Bounds.Bytes = positive(o.Bounds.Bytes, d.Bytes)
	o.Bounds.Depth = positive(o.Bounds.Depth, d.Depth)
	o.Bounds.Tokens = positive(o.Bounds.Tokens, d.Tokens)
	o.MaxMessage = positive(o.MaxMessage, 4<<20)
	o.MaxStreams = positive(o.MaxStreams, 1000)
	o.StreamsPerPrincipal = positive(o.StreamsPerPrincipal, 100)
	o.Queue = positive(o.Queue, 64)
	o.WriteTimeout = positive(o.WriteTimeout, 30*time.Second)
	o.Keepalive.Time = positive(o.Keepalive.Time, time.Minute)
	o.Keepalive.Timeout = positive(o.Keepalive.Timeout, 20*time.Second)
	o.Keepalive.MaxConnectionAge = positive(o.Keepalive.MaxConnectionAge, 30*time.Minute)
	o.Keepalive.MaxConnectionAgeGrace = positive(o.Keepalive.MaxConnectionAgeGrace, 5*time.Minute)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func positive[T int | uint32 | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// A Frontend is the gRPC and REST door of a gateway. It is safe for concurrent
// use.
type Frontend struct {
	options Options
	gw      *gateway.Gateway
	streams *streams
	health  *healthServer
	rest    http.Handler
	types   atomic.Pointer[types]
	updates sync.Mutex // held by update

	reflector *reflector // nil without reflection

	mu      sync.Mutex
	servers []*grpc.Server
}

// NewFrontend returns a frontend over the gateway. It serves nothing until
// [Frontend.Server] or [Frontend.REST] is put before a listener.
func NewFrontend(gw *gateway.Gateway, o Options) (*Frontend, error) {
	o = o.withDefaults()
	f := &Frontend{options: o, gw: gw, streams: newStreams(o.StreamsPerPrincipal)}
	f.types.Store(&types{})
	f.health = newHealthServer(f)
	rest, err := newREST(f)
	if err != nil {
		return nil, fmt.Errorf("rest: %w", err)
	}
	f.rest = rest
	if o.Reflection {
		names := []string{
			gatewayv1.GatewayService_ServiceDesc.ServiceName, grpc_health_v1.Health_ServiceDesc.ServiceName,
			reflection.ServerReflection_ServiceDesc.ServiceName, reflectionOlder,
		}
		for _, desc := range (&administration{}).services() {
			if o.Admin != nil {
				names = append(names, desc.ServiceName)
			}
		}
		if f.reflector, err = newReflector(f, names); err != nil {
			return nil, fmt.Errorf("reflection: %w", err)
		}
	}
	return f, nil
}

// HeedsExpiry reports whether a method, by its full name with a slash in front,
// ends with its caller's credential by itself, for the Door: the typed ones do.
func (f *Frontend) HeedsExpiry(method string) bool {
	return f.types.Load().methods[method] != nil
}

// Server returns a gRPC server with the registry's service, health v1 and, by
// option, reflection. The caller adds credentials and the Door's interceptors,
// which must stand before every method, serves, and ends it with
// [Frontend.Shutdown].
func (f *Frontend) Server(opts ...grpc.ServerOption) *grpc.Server {
	s := grpc.NewServer(append([]grpc.ServerOption{
		grpc.MaxRecvMsgSize(f.options.MaxMessage),
		grpc.MaxSendMsgSize(f.options.MaxMessage),
		grpc.MaxConcurrentStreams(f.options.MaxStreams),
		grpc.MaxHeaderListSize(64 << 10),
		grpc.ConnectionTimeout(20 * time.Second),
		grpc.KeepaliveParams(f.options.Keepalive),
		// Without the policy, clients that ping more often than every five
		// minutes are sent away.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 30 * time.Second, PermitWithoutStream: true}),
		// Calls that come one by one run on stacks that have grown already.
		grpc.NumStreamWorkers(workers),
		// The first interceptors are the outermost: they also see the others.
		grpc.ChainUnaryInterceptor(f.recoverUnary),
		grpc.ChainStreamInterceptor(f.recoverStream),
		grpc.ForceServerCodecV2(newFrames()),
		grpc.UnknownServiceHandler(f.recordStream((&service{Frontend: f, via: "grpc"}).serveTyped)),
	}, opts...)...)
	s.RegisterService(f.describe(), &service{Frontend: f, via: "grpc", most: f.options.MaxMessage})
	if f.options.Admin != nil {
		admin := &administration{Frontend: f, via: "grpc"}
		for _, desc := range admin.services() {
			s.RegisterService(desc, admin)
		}
	}
	f.health.register(s)
	if f.reflector != nil {
		f.reflector.register(s)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.servers = append(f.servers, s)
	return s
}

// workers are the goroutines of a server that wait for calls. When all are at
// work, each call gets one of its own.
const workers = 64

// REST returns the handler of /v1/… and /openapi.json. The Door stands before
// it.
func (f *Frontend) REST() http.Handler { return f.rest }

// SetServing sets what the health service answers, for the server and for the
// registry's service. A new frontend is serving.
func (f *Frontend) SetServing(serving bool) { f.health.setServing(serving) }

// Shutdown ends every watch with UNAVAILABLE, waits until the calls that run
// over gRPC have ended or the context has, and stops the servers. Calls over
// REST are waited for by their HTTP server. New streams are refused from the
// start.
func (f *Frontend) Shutdown(ctx context.Context) {
	f.SetServing(false)
	f.streams.shut()
	f.mu.Lock()
	servers := f.servers
	f.mu.Unlock()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		var all sync.WaitGroup
		for _, s := range servers {
			all.Go(s.GracefulStop)
		}
		all.Wait()
	}()
	select {
	case <-stopped:
		return
	case <-ctx.Done():
	}
	f.options.Logger.WarnContext(ctx, "gRPC calls are cut off by the shutdown")
	for _, s := range servers {
		s.Stop()
	}
	<-stopped
}

func (f *Frontend) recoverUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (res any, err error) {
	defer func() {
		if p := recover(); p != nil {
			res, err = nil, f.panicked(ctx, info.FullMethod, p)
		}
	}()
	return next(ctx, req)
}

func (f *Frontend) recoverStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = f.panicked(ss.Context(), info.FullMethod, p)
		}
	}()
	return next(srv, ss)
}

// panicked logs a panic and returns what the caller is told of it. It may have
// come from those who make records.
func (f *Frontend) panicked(ctx context.Context, where string, p any) error {
	f.options.Logger.ErrorContext(ctx, "panic in the gRPC frontend",
		slog.String("method", where), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	return &callError{recorded: true, err: &gateway.Error{Code: gateway.Internal, Msg: "internal error"}}
}
