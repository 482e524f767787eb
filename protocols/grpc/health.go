package grpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
)

// healthServer is grpc-go's health service, whose watches also end with a
// shutdown: they would hold it up otherwise.
type healthServer struct {
	*health.Server
	streams *streams
}

func newHealthServer(s *streams) *healthServer {
	h := &healthServer{Server: health.NewServer(), streams: s}
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

// Watch sends the status of a service now and at every change.
func (h *healthServer) Watch(req *grpc_health_v1.HealthCheckRequest, stream grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	ctx, end := context.WithCancelCause(stream.Context())
	defer end(nil)
	leave, err := h.streams.enter(nil, end)
	if err != nil {
		return err
	}
	defer leave()
	err = h.Server.Watch(req, &healthStream{stream, ctx})
	if stream.Context().Err() == nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// healthStream is a stream with another context.
type healthStream struct {
	grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]
	ctx context.Context
}

// Context returns the context that a shutdown ends.
func (s *healthStream) Context() context.Context { return s.ctx }
