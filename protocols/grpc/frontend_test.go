package grpc

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
)

// TestPanics has a panic outside of the road answered and logged, not shown.
func TestPanics(t *testing.T) {
	var log bytes.Buffer
	f := frontend(t, newWorld(t), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	_, err := f.recoverUnary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/unary"}, func(context.Context, any) (any, error) { panic("secret") })
	if s := status.Convert(err); s.Code() != codes.Internal || s.Message() != "internal error" {
		t.Error(err)
	}
	err = f.recoverStream(nil, newReader[int](t.Context(), nil), &grpc.StreamServerInfo{FullMethod: "/stream"}, func(any, grpc.ServerStream) error { panic("secret") })
	if s := status.Convert(err); s.Code() != codes.Internal || s.Message() != "internal error" {
		t.Error(err)
	}
	for _, want := range []string{"method=/unary", "method=/stream", "panic=secret", "frontend_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, &log)
		}
	}
}

// TestReflection lists the services over both versions, and over none where
// reflection is off.
func TestReflection(t *testing.T) {
	w := newWorld(t)
	conn := dial(t, frontend(t, w, Options{Reflection: true}))
	v1, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := v1.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	answer, err := v1.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range answer.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	if got := strings.Join(names, " "); got != "gateway.v1.GatewayService grpc.health.v1.Health grpc.reflection.v1.ServerReflection grpc.reflection.v1alpha.ServerReflection" {
		t.Error(got)
	}
	if err := v1.CloseSend(); err != nil {
		t.Error(err)
	}
	// The older version differs in its name alone, and some clients know no other.
	alpha, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
	if err != nil {
		t.Fatal(err)
	}
	if err := alpha.SendMsg(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "gateway.v1.GatewayService"}}); err != nil {
		t.Fatal(err)
	}
	var file reflectionv1.ServerReflectionResponse
	if err := alpha.RecvMsg(&file); err != nil || len(file.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
		t.Errorf("%v, %v", &file, err)
	}
	if err := alpha.CloseSend(); err != nil {
		t.Error(err)
	}

	off, err := reflectionv1.NewServerReflectionClient(dial(t, frontend(t, w, Options{}))).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := off.Recv(); status.Code(err) != codes.Unimplemented {
		t.Errorf("reflection is off: %v", err)
	}
}
