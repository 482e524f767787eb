package grpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	dpb "google.golang.org/protobuf/types/descriptorpb"

	"github.com/trilith-gateway/trilith/gateway"
)

func services(ctx context.Context, t *testing.T, conn *grpc.ClientConn) (names []string) {
	t.Helper()
	for _, s := range ask(ctx, t, conn, &reflection.ServerReflectionRequest{
		MessageRequest: &reflection.ServerReflectionRequest_ListServices{},
	}).GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	return names
}

func TestReflectionSees(t *testing.T) {
	w := newWorld(t)
	conn := dial(t, typed(t, w, Options{Reflection: true}))
	static := []string{"gateway.v1.GatewayService", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}
	if d := cmp.Diff(static, services(t.Context(), t, conn)); d != "" {
		t.Errorf("a stranger sees %s", d)
	}
	if d := cmp.Diff(append(static, demoService), services(as(t.Context(), "alice"), t, conn)); d != "" {
		t.Errorf("alice sees %s", d)
	}
	for who, sees := range map[string]bool{"alice": true, "bob": false} {
		ctx := as(t.Context(), who)
		methods := reflected(ctx, t, conn, demoService).Methods()
		if got := methods.ByName("Secret") != nil; got != sees {
			t.Errorf("%s sees the secret: %t", who, got)
		}
		if methods.ByName("Add") == nil {
			t.Errorf("%s does not see Add", who)
		}
		for _, name := range []string{demoService + ".Secret", "trilith.demo.v1.SecretRequest"} {
			if got := ask(ctx, t, conn, bySymbol(name)).GetFileDescriptorResponse() != nil; got != sees {
				t.Errorf("%s finds %s: %t", who, name, got)
			}
		}
	}
}

func TestReflectionAnswers(t *testing.T) {
	conn := dial(t, typed(t, newWorld(t), Options{Reflection: true}))
	ctx := as(t.Context(), "alice")
	for _, name := range []string{
		"gateway.v1.GatewayService", "gateway.v1.GatewayService.CallTool", "gateway.v1.Tool", "gateway.v1.Tool.name", "gateway.v1.CallToolStreamResponse.event",
		"trilith.demo.v1.AddRequest", "trilith.demo.v1.AddRequest.a", "trilith.demo.v1.Content.Resource", "grpc.health.v1.HealthCheckResponse.SERVING", "google.protobuf.Struct",
		"google.api.http",
	} {
		if ask(ctx, t, conn, bySymbol(name)).GetFileDescriptorResponse() == nil {
			t.Errorf("%s is not found", name)
		}
	}
	for _, name := range []string{"", ".", "gateway.v1", "gateway.v1.Nope", "gateway.v1.Tool.nope", "trilith.demo.v1.AddRequest.a.b", "admin.v1.AuditService", "google.protobuf.Any.x"} {
		if code := ask(ctx, t, conn, bySymbol(name)).GetErrorResponse().GetErrorCode(); codes.Code(code) != codes.NotFound {
			t.Errorf("%q: %d", name, code)
		}
	}
	all := ask(ctx, t, conn, &reflection.ServerReflectionRequest{MessageRequest: &reflection.ServerReflectionRequest_AllExtensionNumbersOfType{AllExtensionNumbersOfType: "google.protobuf.MethodOptions"}})
	if !slices.Contains(all.GetAllExtensionNumbersResponse().GetExtensionNumber(), 72295728) {
		t.Errorf("extensions: %v", all)
	}
	one := ask(ctx, t, conn, &reflection.ServerReflectionRequest{MessageRequest: &reflection.ServerReflectionRequest_FileContainingExtension{
		FileContainingExtension: &reflection.ExtensionRequest{ContainingType: "google.protobuf.MethodOptions", ExtensionNumber: 72295728},
	}})
	if len(one.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
		t.Errorf("extension: %v", one)
	}
	if code := ask(ctx, t, conn, &reflection.ServerReflectionRequest{}).GetErrorResponse().GetErrorCode(); codes.Code(code) != codes.InvalidArgument {
		t.Errorf("an empty request: %d", code)
	}
	stream, err := conn.NewStream(ctx, &reflection.ServerReflection_ServiceDesc.Streams[0], "/"+reflectionOlder+"/ServerReflectionInfo")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(bySymbol(demoService)); err != nil {
		t.Fatal(err)
	}
	res := &reflection.ServerReflectionResponse{}
	if err := stream.RecvMsg(res); err != nil || len(res.GetFileDescriptorResponse().GetFileDescriptorProto()) < 2 {
		t.Errorf("the older version: %v, %v", res, err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(res); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// TestReflectionFollows changes the services while a stream is open, and the
// policy: each request is answered from what there is then, with all that the
// answer needs.
func TestReflectionFollows(t *testing.T) {
	w := newWorld(t)
	f := typed(t, w, Options{Reflection: true})
	conn := dial(t, f)
	ctx := as(t.Context(), "alice")
	stream, err := reflection.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	find := func(name string) int {
		t.Helper()
		if err := stream.Send(bySymbol(name)); err != nil {
			t.Fatal(err)
		}
		res, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return len(res.GetFileDescriptorResponse().GetFileDescriptorProto())
	}
	const add, echo = "trilith.demo.v1.AddRequest", "trilith.demo.v1.EchoResponse"
	if find(add) == 0 {
		t.Error("not found")
	}
	w.funcs.Remove(gateway.KindTool, "add")
	w.settle(t, func(s *gateway.Snapshot) bool { return s.Tool("demo.add") == nil })
	f.update(t.Context())
	if find(add) != 0 {
		t.Error("the stream knows what is gone")
	}
	if n := find(echo); n < 2 { // With struct.proto.
		t.Errorf("%d files, want all that the client can need", n)
	}
	if n := find(echo); n != 1 {
		t.Errorf("%d files, want none besides that the client has", n)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if ask(ctx, t, conn, bySymbol("trilith.demo.v1.AddRequest")).GetFileDescriptorResponse() != nil {
		t.Error("a new stream does not know what changed")
	}
}

// TestReflectionDiamond has files of which each imports both of the level
// below: a walk that forgets where it was takes two to the power of the levels.
func TestReflectionDiamond(t *testing.T) {
	s := newFileSet()
	const levels = 60
	for i := levels; i >= 0; i-- {
		for _, side := range []string{"a", "b"} {
			fd := &dpb.FileDescriptorProto{Name: new(fmt.Sprintf("%s%d.proto", side, i)), Package: new("p")}
			if i < levels {
				fd.Dependency = []string{fmt.Sprintf("a%d.proto", i+1), fmt.Sprintf("b%d.proto", i+1)}
			}
			if err := s.add(fd); err != nil {
				t.Fatal(err)
			}
		}
	}
	done := make(chan int)
	go func() { done <- len(s.files["a0.proto"].answer(map[string]bool{})) }()
	select {
	case n := <-done:
		if n != 2*levels+1 {
			t.Errorf("%d files", n)
		}
	case <-time.After(time.Minute):
		t.Fatal("the walk does not end")
	}
}

// TestReflectionOfMuch has a source whose files together are larger than what
// clients take at once.
func TestReflectionOfMuch(t *testing.T) {
	w := newWorld(t)
	for i := range 12 {
		props := make([]string, 1500)
		for j := range props {
			props[j] = fmt.Sprintf(`"a_rather_long_name_%d_%d":{"type":"string","description":"%s"}`, i, j, strings.Repeat("x", 250))
		}
		w.addTool(t, fmt.Sprintf("much%d", i), strings.Join(props, ","))
	}
	conn := dial(t, typed(t, w, Options{Reflection: true}))
	ctx := as(t.Context(), "alice")
	res := ask(ctx, t, conn, bySymbol(demoService))
	if n := len(res.GetFileDescriptorResponse().GetFileDescriptorProto()); n != 1 || proto.Size(res) > 2<<20 {
		t.Errorf("%d files in %d bytes", n, proto.Size(res))
	}
	if reflected(ctx, t, conn, demoService).Methods().ByName("Much11Stream") == nil {
		t.Error("a method is missing")
	}
}

func TestTypedHealth(t *testing.T) {
	w := newWorld(t)
	f := typed(t, w, Options{})
	health := grpc_health_v1.NewHealthClient(dial(t, f))
	check := func(who string) codes.Code {
		ctx := t.Context()
		if who != "" {
			ctx = as(ctx, who)
		}
		_, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: demoService})
		list, listErr := health.List(ctx, &grpc_health_v1.HealthListRequest{})
		if listErr != nil || (list.GetStatuses()[demoService] != nil) != (err == nil) {
			t.Errorf("%s: the list %v, %v", who, list, listErr)
		}
		return status.Code(err)
	}
	if check("alice") != codes.OK || check("") != codes.NotFound {
		t.Error("the wrong callers know of the service")
	}
	ctx, cancel := context.WithCancel(as(t.Context(), "alice"))
	defer cancel()
	watch, err := health.Watch(ctx, &grpc_health_v1.HealthCheckRequest{Service: demoService})
	if err != nil {
		t.Fatal(err)
	}
	next := func() grpc_health_v1.HealthCheckResponse_ServingStatus {
		res, err := watch.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return res.GetStatus()
	}
	if s := next(); s != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Error(s)
	}
	w.registry.Withdraw("demo", errors.New("gone"))
	if s := next(); s != grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN {
		t.Error(s)
	}
	f.SetServing(false)
}
