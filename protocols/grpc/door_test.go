package grpc

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
)

// bearer believes a token that is a name. That of "brief" ends soon.
type bearer struct{ expiry time.Time }

func (b bearer) Authenticate(_ context.Context, c auth.Credential) (*gateway.Principal, error) {
	token := c.Token
	if token != "alice" && token != "bob" && token != "brief" {
		return nil, &gateway.Error{Code: gateway.Unauthenticated, Msg: "invalid token"}
	}
	p := principal(token)
	if token == "brief" {
		p.Expiry = b.expiry
	}
	return p, nil
}

// TestBehindTheDoor puts the real Door before both protocols, on real
// listeners.
func TestBehindTheDoor(t *testing.T) {
	expiry := time.Now().Add(time.Second)
	d, err := auth.NewDoor(auth.DoorOptions{
		Auth: bearer{expiry}, Resource: "http://127.0.0.1", Public: []string{"/grpc.health.v1.Health/"}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	f := typed(t, newWorld(t), Options{Reflection: true})
	conn := listen(t, f.Server(grpc.ChainUnaryInterceptor(d.Unary()), grpc.ChainStreamInterceptor(d.Stream(f.HeedsExpiry))))
	server := httptest.NewServer(d.Handler(f.REST()))
	defer server.Close()

	c := gatewayv1.NewGatewayServiceClient(conn)
	for token, test := range map[string]struct {
		code   codes.Code
		status int
	}{
		"":        {codes.Unauthenticated, 401},
		"mallory": {codes.Unauthenticated, 401},
		"bob":     {codes.NotFound, 404},
		"alice":   {codes.OK, 200},
	} {
		ctx := t.Context()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/v1/tools/demo.secret:call", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
		}
		_, err = c.CallTool(ctx, &gatewayv1.CallToolRequest{Name: "demo.secret"})
		if got := status.Code(err); got != test.code {
			t.Errorf("%q over gRPC: %v", token, err)
		}
		res, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != test.status {
			t.Errorf("%q over REST: %d, want %d", token, res.StatusCode, test.status)
		}
	}
	if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Errorf("public: %v", err)
	}

	// A typed call that has begun in time brings its message too late.
	brief := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer brief")
	late, err := conn.NewStream(brief, &grpc.StreamDesc{}, "/"+demoService+"/Add", grpc.ForceCodecV2(raw{"proto"}))
	if err != nil {
		t.Fatal(err)
	}

	// A stream ends with its token.
	watch, err := c.WatchCapabilities(brief, &gatewayv1.WatchCapabilitiesRequest{})
	for err == nil {
		_, err = watch.Recv()
	}
	if status.Code(err) != codes.Unauthenticated || time.Now().Before(expiry) {
		t.Errorf("expired: %v", err)
	}
	if err := late.SendMsg(&[]byte{}); err != nil {
		t.Fatal(err)
	}
	if err := late.RecvMsg(&[]byte{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a late message: %v", err)
	}
}

// listen serves on loopback and returns a connection.
func listen(t *testing.T, s *grpc.Server) *grpc.ClientConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		s.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	return conn
}
