package grpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/auth"
)

// healthServer is grpc-go's health service, whose watches also end with a
// shutdown: they would hold it up otherwise. To a caller who may use something of
// a typed service it tells that it serves; to everybody else there is none.
type healthServer struct {
	*health.Server
	f       *Frontend
	streams *streams
}

func newHealthServer(f *Frontend) *healthServer {
	h := &healthServer{Server: health.NewServer(), f: f, streams: f.streams}
	h.setServing(true)
	return h
}

func (h *healthServer) register(s *grpc.Server) { grpc_health_v1.RegisterHealthServer(s, h) }

func (h *healthServer) setServing(serving bool) {
	s := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if serving {
		s = grpc_health_v1.HealthCheckResponse_SERVING
	}
	h.SetServingStatus("", s)
	h.SetServingStatus(gatewayv1.GatewayService_ServiceDesc.ServiceName, s)
}

// Check returns the status of a service.
func (h *healthServer) Check(ctx context.Context, req *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if h.sees(ctx, req.GetService()) {
		req = &grpc_health_v1.HealthCheckRequest{} // It is as the server is.
	}
	return h.Server.Check(ctx, req)
}

// List returns the status of every service that the caller may know of.
func (h *healthServer) List(ctx context.Context, req *grpc_health_v1.HealthListRequest) (*grpc_health_v1.HealthListResponse, error) {
	res, err := h.Server.List(ctx, req)
	if p := auth.From(ctx); err == nil && p != nil {
		for _, s := range h.f.types.Load().sources {
			if h.sees(ctx, s.service) {
				res.Statuses[s.service] = res.GetStatuses()[""]
			}
		}
	}
	return res, err
}

// sees reports whether there is a typed service of that name of which the caller
// may use something.
func (h *healthServer) sees(ctx context.Context, service string) bool {
	p := auth.From(ctx)
	if p == nil || service == "" {
		return false
	}
	for _, s := range h.f.types.Load().sources {
		if s.service == service {
			return s.shows(h.f.gw.View(p))
		}
	}
	return false
}

// Watch sends the status of a service now and at every change.
func (h *healthServer) Watch(req *grpc_health_v1.HealthCheckRequest, stream grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	ctx, end := context.WithCancelCause(stream.Context())
	defer end(nil)
	leave, err := h.streams.enter(nil, end)
	if err != nil {
		return err
	}
	defer leave()
	if h.sees(ctx, req.GetService()) {
		err = h.watch(ctx, req.GetService(), stream)
	} else {
		err = h.Server.Watch(req, &healthStream{stream, ctx})
	}
	if stream.Context().Err() == nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// watch sends the status of a typed service until the context ends.
func (h *healthServer) watch(ctx context.Context, service string, stream grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	told := grpc_health_v1.HealthCheckResponse_UNKNOWN
	for {
		changed := h.f.gw.Changed()
		now := grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN
		if h.sees(ctx, service) {
			now = grpc_health_v1.HealthCheckResponse_SERVING // The end of the server ends the watch.
		}
		if now != told {
			told = now
			if err := stream.Send(&grpc_health_v1.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// healthStream is a stream with another context.
type healthStream struct {
	grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]
	ctx context.Context
}

// Context returns the context that a shutdown ends.
func (s *healthStream) Context() context.Context { return s.ctx }
