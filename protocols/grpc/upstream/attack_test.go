package upstream_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // The doors of the gateway register it, so upstreams may use it.
	"google.golang.org/grpc/mem"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/grpc/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// liar answers reflection from a function, file by file.
type liar struct {
	reflectionv1.UnimplementedServerReflectionServer
	services []string
	symbol   func(name string) *descriptorpb.FileDescriptorProto
	file     func(name string) [][]byte
	asked    atomic.Int64
}

func (l *liar) ServerReflectionInfo(stream grpc.BidiStreamingServer[reflectionv1.ServerReflectionRequest, reflectionv1.ServerReflectionResponse]) error {
	for {
		req, err := stream.Recv()
		if err != nil {
			return nil //nolint:nilerr // The client is done.
		}
		l.asked.Add(1)
		res := &reflectionv1.ServerReflectionResponse{}
		files := func(all [][]byte) {
			res.MessageResponse = &reflectionv1.ServerReflectionResponse_FileDescriptorResponse{FileDescriptorResponse: &reflectionv1.FileDescriptorResponse{FileDescriptorProto: all}}
			if all == nil {
				res.MessageResponse = &reflectionv1.ServerReflectionResponse_ErrorResponse{ErrorResponse: &reflectionv1.ErrorResponse{ErrorCode: int32(codes.NotFound), ErrorMessage: "no\nsuch\tfile"}}
			}
		}
		switch m := req.GetMessageRequest().(type) {
		case *reflectionv1.ServerReflectionRequest_ListServices:
			list := &reflectionv1.ListServiceResponse{}
			for _, s := range l.services {
				list.Service = append(list.Service, &reflectionv1.ServiceResponse{Name: s})
			}
			res.MessageResponse = &reflectionv1.ServerReflectionResponse_ListServicesResponse{ListServicesResponse: list}
		case *reflectionv1.ServerReflectionRequest_FileContainingSymbol:
			files([][]byte{wire(l.symbol(m.FileContainingSymbol))})
		case *reflectionv1.ServerReflectionRequest_FileByFilename:
			files(l.file(m.FileByFilename))
		}
		if err := stream.Send(res); err != nil {
			return err
		}
	}
}

func wire(f *descriptorpb.FileDescriptorProto) []byte {
	b, err := proto.Marshal(f)
	if err != nil {
		panic(err)
	}
	return b
}

// lie serves reflection that says anything.
func lie(t *testing.T, l *liar) *upstream.Upstream {
	t.Helper()
	s := grpc.NewServer()
	reflectionv1.RegisterServerReflectionServer(s, l)
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(lis) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return upstreamTo(t, lis.Addr().String(), nil)
}

// one returns a file with a service of one method, whose request is the message.
func one(name, message string, imports ...string) *descriptorpb.FileDescriptorProto {
	return &descriptorpb.FileDescriptorProto{
		Name: &name, Package: new("a"), Syntax: new("proto3"), Dependency: imports,
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("M")}},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: new("S"), Method: []*descriptorpb.MethodDescriptorProto{
			{Name: new("Good"), InputType: new(".a.M"), OutputType: new(".a.M")},
			{Name: new("Other"), InputType: &message, OutputType: new(".a.M")},
		}}},
	}
}

// TestReflectionAttacks has servers that describe themselves to do harm.
func TestReflectionAttacks(t *testing.T) {
	plain := func(name string, imports ...string) [][]byte {
		return [][]byte{wire(&descriptorpb.FileDescriptorProto{Name: &name, Syntax: new("proto3"), Dependency: imports})}
	}
	for _, tt := range []struct {
		name  string
		liar  *liar
		tools int
		note  string // or the error
		most  int64  // questions
	}{
		{"a diamond of imports", &liar{
			symbol: func(string) *descriptorpb.FileDescriptorProto { return one("top", ".a.M", "l0a", "l0b") },
			file: func(name string) [][]byte {
				var level int
				if n, err := fmt.Sscanf(name, "l%d", &level); n != 1 || err != nil || level > 40 {
					return plain(name)
				}
				return plain(name, fmt.Sprintf("l%da", level+1), fmt.Sprintf("l%db", level+1))
			},
		}, 2, "", 100},
		{"imports without end", &liar{
			symbol: func(string) *descriptorpb.FileDescriptorProto { return one("top", ".a.M", "f0") },
			file: func(name string) [][]byte {
				n, err := strconv.Atoi(name[1:])
				if err != nil {
					return nil
				}
				return plain(name, fmt.Sprintf("f%d", 2*n+1), fmt.Sprintf("f%d", 2*n+2))
			},
		}, 0, "more than 10000 files", 20_000},
		{"imports in a circle", &liar{
			symbol: func(string) *descriptorpb.FileDescriptorProto { return one("top", ".a.M", "f0") },
			file:   func(name string) [][]byte { return plain(name, "top") },
		}, 2, "", 10},
		{"an import that nobody has", &liar{
			symbol: func(string) *descriptorpb.FileDescriptorProto { return one("top", ".b.Missing", "b") },
			file:   func(string) [][]byte { return nil },
		}, 1, "no such file", 10},
		{"a file that is not valid", &liar{
			symbol: func(string) *descriptorpb.FileDescriptorProto {
				f := one("top", ".a.M")
				f.MessageType[0].Field = []*descriptorpb.FieldDescriptorProto{{Name: new("x"), Number: proto.Int32(19_500)}}
				f.MessageType = append(f.MessageType, f.GetMessageType()[0])
				return f
			},
		}, 0, "not valid", 10},
		{"bytes that are no file", &liar{
			symbol: func(string) *descriptorpb.FileDescriptorProto { return one("top", ".a.M", "b") },
			file:   func(string) [][]byte { return [][]byte{{0xff, 0xff}} },
		}, 0, "a descriptor", 10},
		{"another file than was asked for, again and again", &liar{
			symbol: func(string) *descriptorpb.FileDescriptorProto { return one("top", ".a.M", "b", "c") },
			file:   func(string) [][]byte { return plain("d", "e", "f") },
		}, 2, "", 10},
		{"more services than there are", &liar{
			services: func() (all []string) {
				for i := range 5000 {
					all = append(all, fmt.Sprintf("a.S%d", i))
				}
				return append(all, "a.S")
			}(),
			symbol: func(string) *descriptorpb.FileDescriptorProto { return one("top", ".a.M") },
		}, 2, "more than 1000", 1010},
		{"a service that the file does not have", &liar{
			services: []string{"a.S", "b.T"},
			symbol:   func(string) *descriptorpb.FileDescriptorProto { return one("top", ".a.M") },
		}, 2, "no file describes the service", 10},
		{"more than 32 MiB at once", &liar{
			symbol: func(string) *descriptorpb.FileDescriptorProto {
				return one(strings.Repeat("x", 33<<20), ".a.M")
			},
		}, 0, "larger than max", 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.liar.services == nil {
				tt.liar.services = []string{"a.S"}
			}
			w := watch(t, lie(t, tt.liar))
			if tt.tools == 0 && strings.Contains(tt.note, "not valid") {
				if c := w.catalog(t); len(c.Tools) != 0 || !anyNote(c, tt.note) {
					t.Errorf("%d tools, notes %+v", len(c.Tools), c.Notes)
				}
				return
			}
			if tt.tools == 0 {
				if err := next(t, w.errs, "an error"); !strings.Contains(err.Error(), tt.note) {
					t.Errorf("%v", err)
				}
				return
			}
			c := w.catalog(t)
			if len(c.Tools) != tt.tools || tt.note != "" && !anyNote(c, tt.note) {
				t.Errorf("%d tools, notes %+v", len(c.Tools), c.Notes)
			}
			if n := tt.liar.asked.Load(); n > tt.most*3 { // It may have looked again since.
				t.Errorf("%d questions", n)
			}
		})
	}
}

func anyNote(c gateway.Catalog, reason string) bool {
	for _, n := range c.Notes {
		if strings.Contains(n.Reason, reason) {
			return true
		}
	}
	return false
}

// rawFrames lets a server send any bytes.
type rawFrames struct{}

func (rawFrames) Name() string { return "proto" }
func (rawFrames) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.([]byte); ok {
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	b, err := proto.Marshal(v.(proto.Message))
	return mem.BufferSlice{mem.SliceBuffer(b)}, err
}

func (rawFrames) Unmarshal(data mem.BufferSlice, v any) error {
	if b, ok := v.(*[]byte); ok {
		*b = data.Materialize()
		return nil
	}
	return proto.Unmarshal(data.Materialize(), v.(proto.Message))
}

// TestAnswerAttacks has servers that answer what they should not.
func TestAnswerAttacks(t *testing.T) {
	var answer atomic.Pointer[func(grpc.ServerStream) error]
	s := grpc.NewServer(grpc.ForceServerCodecV2(rawFrames{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		var in []byte
		if err := stream.RecvMsg(&in); err != nil {
			return err
		}
		if f := answer.Load(); f != nil {
			return (*f)(stream)
		}
		return status.Error(codes.Unimplemented, "")
	}))
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(lis) }()
	t.Cleanup(func() { s.Stop(); <-done })
	u := upstreamTo(t, lis.Addr().String(), func(o *upstream.Options) {
		o.Reflection, o.Descriptors, o.Timeout = false, fixtureSet(t, nil), 20*time.Second
	})
	watch(t, u).catalog(t)
	send := func(b []byte) func(grpc.ServerStream) error {
		return func(stream grpc.ServerStream) error { return stream.SendMsg(b) }
	}
	compressed := func(b []byte) func(grpc.ServerStream) error {
		return func(stream grpc.ServerStream) error {
			if err := grpc.SetSendCompressor(stream.Context(), "gzip"); err != nil {
				return err
			}
			return stream.SendMsg(b)
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, tt := range []struct {
		name string
		tool string
		with func(grpc.ServerStream) error
		want gateway.Code
	}{
		{"another type", "Fixture.add", send([]byte{0x0a, 1, 'x'}), 0}, // An unknown field, to protobuf.
		{"no message", "Fixture.add", send([]byte{0xff, 0xff}), gateway.Unknown},
		{"text that is not UTF-8", "Fixture.echo", send([]byte{0x0a, 1, 0xff}), gateway.Unknown},
		{"nothing", "Fixture.add", func(grpc.ServerStream) error { return nil }, 255},
		{"two responses", "Fixture.add", func(stream grpc.ServerStream) error {
			if err := stream.SendMsg([]byte{}); err != nil {
				return err
			}
			return stream.SendMsg([]byte{})
		}, 255},
		{"a large message", "Fixture.echo", send(make([]byte, 5<<20)), gateway.ResourceExhausted},
		{"a small message that is large when unpacked", "Fixture.echo", compressed(make([]byte, 1<<23)), gateway.ResourceExhausted},
		{"a message that is large as JSON", "Odd.Nest", send(bytesRepeat([]byte{0x12, 0}, 1<<21)), gateway.ResourceExhausted},
		{"nesting", "Odd.Nest", send(nested(5000)), gateway.Unknown},
		{"a large status", "Fixture.echo", func(grpc.ServerStream) error {
			return status.Error(codes.Internal, strings.Repeat("x", 1<<20))
		}, 255},
		{"a hang", "Fixture.echo", func(stream grpc.ServerStream) error { <-stream.Context().Done(); return nil }, gateway.DeadlineExceeded},
	} {
		answer.Store(&tt.with)
		began := time.Now()
		args := `{}`
		if tt.tool == "Fixture.echo" {
			args = `{"text":"x"}`
		}
		ctx, cancel := t.Context(), context.CancelFunc(func() {})
		if tt.name == "a hang" {
			ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
		}
		res, err := call(ctx, u, tt.tool, args, nil)
		cancel()
		e := gateway.AsError(err)
		switch {
		case tt.want == 255: // Either way, as long as it ends.
			if err == nil && !res.IsError {
				t.Errorf("%s: %s", tt.name, res.Raw)
			}
		case tt.want == 0 && err != nil, tt.want != 0 && (e == nil || e.Code != tt.want):
			t.Errorf("%s: %v", tt.name, err)
		}
		if d := time.Since(began); d > 2*time.Minute {
			t.Errorf("%s took %v", tt.name, d)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("%d MiB more are in use", grown>>20)
	}
}

func bytesRepeat(b []byte, n int) []byte { return []byte(strings.Repeat(string(b), n)) }

func nested(n int) (b []byte) {
	for range n {
		b = append(protoLen(0x12, len(b)), b...)
	}
	return b
}

func protoLen(tag byte, n int) []byte {
	b := []byte{tag}
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// TestRudeConnections has servers that accept connections and then say nothing, or something else, or hang up.
func TestRudeConnections(t *testing.T) {
	for name, rude := range map[string]func(net.Conn){
		"says nothing": func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1<<16))
			_, _ = c.Read(make([]byte, 1<<16))
			waitClosed(c)
		},
		"hangs up": func(c net.Conn) { _ = c.Close() },
		"speaks HTTP/1": func(c net.Conn) {
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
			waitClosed(c)
		},
		"sends noise": func(c net.Conn) {
			for {
				if _, err := c.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var conns sync.WaitGroup
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					c, err := lis.Accept()
					if err != nil {
						return
					}
					conns.Go(func() { rude(c); _ = c.Close() })
				}
			}()
			u := upstreamTo(t, lis.Addr().String(), func(o *upstream.Options) { o.Timeout = 300 * time.Millisecond })
			w := watch(t, u)
			began := time.Now()
			next(t, w.errs, "an error")
			next(t, w.errs, "another one")
			if d := time.Since(began); d > time.Minute {
				t.Errorf("it took %v", d)
			}
			if _, err := call(t.Context(), u, "Fixture.echo", `{"text":"x"}`, nil); gateway.AsError(err).Code != gateway.Unavailable {
				t.Errorf("a call: %v", err)
			}
			if err := u.Close(); err != nil {
				t.Error(err)
			}
			_ = lis.Close()
			<-done
			conns.Wait()
		})
	}
}

func waitClosed(c net.Conn) {
	for {
		if _, err := c.Read(make([]byte, 1<<16)); err != nil {
			return
		}
	}
}

// TestChangesUnderLoad changes what the server offers while calls run. Nothing but what has gone may fail.
func TestChangesUnderLoad(t *testing.T) {
	s, u, w, _ := fixture(t, func(o *upstream.Options) { o.Reload = 5 * time.Millisecond })
	ctx, stop := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	var calls atomic.Int64
	for i := range 8 {
		callers.Go(func() {
			for ctx.Err() == nil {
				text := fmt.Sprintf("%d-%d", i, calls.Add(1))
				res, err := call(ctx, u, "Fixture.echo", `{"text":"`+text+`"}`, nil)
				if ctx.Err() != nil {
					return
				}
				if err != nil || !strings.Contains(string(res.Raw), text) {
					t.Errorf("echo: %v", err)
					return
				}
				_, err = call(ctx, u, "Fixture.add", `{"a":1,"b":"2"}`, nil)
				if e := gateway.AsError(err); ctx.Err() == nil && e != nil && e.Code != gateway.NotFound && e.Code != gateway.Unimplemented {
					t.Errorf("add: %v", err)
					return
				}
			}
		})
	}
	sets := []*descriptorpb.FileDescriptorSet{bare(fixtureSet(t, without("add"))), bare(fixtureSet(t, nil))}
	for i := range 20 {
		s.describe(t, sets[i%2])
		w.catalog(t)
	}
	stop()
	callers.Wait()
	if calls.Load() < 8 {
		t.Errorf("%d calls", calls.Load())
	}
}
