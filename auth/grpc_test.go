package auth

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/trilith-gateway/trilith/gateway"
)

// healthServer is a service with a unary and a streaming method that says what
// it got by the header "got".
type healthServer struct {
	grpc_health_v1.UnimplementedHealthServer
}

func got(ctx context.Context) metadata.MD {
	md, _ := metadata.FromIncomingContext(ctx)
	id := "nobody"
	if p := From(ctx); p != nil {
		id = p.ID
	}
	return metadata.Pairs("got", id, "leak", strings.Join(append(md["authorization"], md["cookie"]...), ","))
}

func (healthServer) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	return &grpc_health_v1.HealthCheckResponse{}, grpc.SetHeader(ctx, got(ctx))
}

func (healthServer) Watch(r *grpc_health_v1.HealthCheckRequest, s grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	if err := s.SetHeader(got(s.Context())); err != nil {
		return err
	}
	if r.GetService() == "wait" {
		<-s.Context().Done()
		return status.Error(codes.Code(gateway.AsError(context.Cause(s.Context())).Code), "ended")
	}
	return nil
}

func dialDoor(t testing.TB, d *Door) grpc_health_v1.HealthClient {
	t.Helper()
	l := bufconn.Listen(1 << 16)
	s := grpc.NewServer(grpc.UnaryInterceptor(d.Unary()), grpc.StreamInterceptor(d.Stream(nil)))
	grpc_health_v1.RegisterHealthServer(s, healthServer{})
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	conn := must(grpc.NewClient("passthrough:///gateway", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) })))
	t.Cleanup(func() {
		conn.Close()
		s.Stop()
		<-done
	})
	return grpc_health_v1.NewHealthClient(conn)
}

func TestDoorGRPC(t *testing.T) {
	var log attempts
	o := doorOptions(&log)
	o.Public = nil
	c := dialDoor(t, must(NewDoor(o)))
	for _, tt := range []struct {
		name   string
		md     []string
		code   codes.Code
		reason string
	}{
		{"a good token", []string{"authorization", "Bearer good", "cookie", "a=b"}, codes.OK, ""},
		{"lower-case scheme", []string{"authorization", "bearer good"}, codes.OK, ""},
		{"no credential", nil, codes.Unauthenticated, "no credential"},
		{"a bad token", []string{"authorization", "Bearer bad"}, codes.Unauthenticated, "no such token"},
		{"another scheme", []string{"authorization", "Basic good"}, codes.Unauthenticated, "neither a bearer"},
		{"two headers", []string{"authorization", "Bearer good", "authorization", "Bearer good"}, codes.InvalidArgument, "more than one"},
		{"an evil origin", []string{"authorization", "Bearer good", "origin", "https://evil.example"}, codes.PermissionDenied, "host not allowed"},
	} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), tt.md...)
		for path, call := range map[string]func() (metadata.MD, error){
			"/grpc.health.v1.Health/Check": func() (header metadata.MD, err error) {
				_, err = c.Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.Header(&header))
				return header, err
			},
			"/grpc.health.v1.Health/Watch": func() (metadata.MD, error) {
				s := must(c.Watch(ctx, &grpc_health_v1.HealthCheckRequest{}))
				if _, err := s.Recv(); !errors.Is(err, io.EOF) {
					return nil, err
				}
				return s.Header()
			},
		} {
			t.Run(tt.name+path, func(t *testing.T) {
				header, err := call()
				if status.Code(err) != tt.code {
					t.Fatalf("%v, want %v", err, tt.code)
				}
				if strings.Contains(status.Convert(err).Message(), "no such token") {
					t.Errorf("the cause leaked: %v", err)
				}
				reports := log.take()
				if err == nil {
					if header.Get("got")[0] != alice().ID || header.Get("leak")[0] != "" || len(reports) != 0 {
						t.Errorf("behind the door %v, reported %+v", header, reports)
					}
					return
				}
				wantReport(t, Attempt{Via: "grpc", Path: path, Reason: tt.reason, Code: gateway.Code(tt.code)}, reports)
			})
		}
	}
}

// TestPublicGRPC: a public method needs no credential, and learns of a good one.
func TestPublicGRPC(t *testing.T) {
	var log attempts
	c := dialDoor(t, must(NewDoor(doorOptions(&log))))
	for token, who := range map[string]string{"": "nobody", "Bearer good": alice().ID, "Bearer bad": "nobody", "Basic x": "nobody"} {
		ctx := t.Context()
		if token != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", token)
		}
		var header metadata.MD
		if _, err := c.Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.Header(&header)); err != nil ||
			header.Get("got")[0] != who || header.Get("leak")[0] != "" {
			t.Errorf("%q: %v %v, want a call of %s without credentials", token, header, err, who)
		}
	}
	if reports := log.take(); len(reports) != 0 {
		t.Errorf("reported %+v", reports)
	}
}

// TestStreamEndsWithItsToken: a stream does not outlive what opened it.
func TestStreamEndsWithItsToken(t *testing.T) {
	var log attempts
	o := doorOptions(&log)
	o.Public = nil
	p := alice()
	p.Expiry = time.Now().Add(50 * time.Millisecond)
	o.Auth = tokens{"short": p}
	c := dialDoor(t, must(NewDoor(o)))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer short")
	s := must(c.Watch(ctx, &grpc_health_v1.HealthCheckRequest{Service: "wait"}))
	if _, err := s.Recv(); status.Code(err) != codes.Unauthenticated {
		t.Errorf("stream past the token's expiry: %v", err)
	}
}
