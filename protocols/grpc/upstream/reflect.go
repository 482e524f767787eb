package upstream

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
)

// Bounds on what a server may say about itself.
const (
	maxServices   = 1_000
	maxFiles      = 10_000
	maxFileBytes  = 64 << 20 // of all files
	maxReflection = 32 << 20 // of one message: many servers send a file with everything that it imports
)

var errTooMany = fmt.Errorf("it has more than %d files", maxFiles)

// described is what a server says that it offers: services, and the files that hold them by their names.
type described struct {
	services []string
	files    map[string]*descriptorpb.FileDescriptorProto
	seen     map[[sha256.Size]byte]bool // files as they came: many servers send them again and again
	bytes    int
	notes    []gateway.Note
}

func newDescribed() *described {
	return &described{files: map[string]*descriptorpb.FileDescriptorProto{}, seen: map[[sha256.Size]byte]bool{}}
}

// add takes the files of one answer and returns those that are new.
func (d *described) add(files [][]byte) (added []*descriptorpb.FileDescriptorProto, err error) {
	for _, b := range files {
		sum := sha256.Sum256(b)
		if d.seen[sum] {
			continue
		}
		d.seen[sum] = true
		if d.bytes += len(b); d.bytes > maxFileBytes {
			return nil, errors.New("its descriptors are larger than 64 MiB")
		}
		file := &descriptorpb.FileDescriptorProto{}
		if err := proto.Unmarshal(b, file); err != nil {
			return nil, fmt.Errorf("a descriptor: %w", err)
		}
		if d.files[file.GetName()] != nil {
			continue
		}
		d.files[file.GetName()] = file
		added = append(added, file)
		if len(d.files) > maxFiles {
			return nil, errTooMany
		}
	}
	return added, nil
}

func (d *described) skip(subject, reason string) {
	d.notes = append(d.notes, gateway.Note{Subject: subject, Change: gateway.NoteSkipped, Reason: reason})
}

// asker asks one server by reflection: v1 or v1alpha, which have the same messages by other names.
type asker struct {
	exchange func(*reflectionv1.ServerReflectionRequest) (*reflectionv1.ServerReflectionResponse, error)
}

// reflected asks the server what it offers. The error is a status.
func (u *Upstream) reflected(ctx context.Context) (*described, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, u.o.Timeout, egress.ErrSlow)
	defer cancel()
	ctx, _, err := u.outgoing(ctx)
	if err != nil {
		return nil, err
	}
	d, err := u.reflectedBy(ctx, u.askV1)
	if status.Code(err) == codes.Unimplemented {
		d, err = u.reflectedBy(ctx, u.askV1Alpha)
	}
	return d, err
}

func (u *Upstream) reflectedBy(ctx context.Context, open func(context.Context) (*asker, error)) (*described, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // of the stream
	a, err := open(ctx)
	if err != nil {
		return nil, err
	}
	d := newDescribed()
	if err := a.list(d); err != nil {
		return nil, err
	}
	for _, name := range d.services {
		if !u.takes(name) {
			continue
		}
		files, err := a.files(&reflectionv1.ServerReflectionRequest{
			MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name},
		})
		if reason, ok := errors.AsType[answered](err); ok {
			d.skip(name, "the server does not describe it: "+string(reason))
			continue
		}
		if err != nil {
			return nil, err
		}
		if _, err := d.add(files); err != nil {
			return nil, err
		}
	}
	return d, a.imports(d)
}

func (u *Upstream) askV1(ctx context.Context) (*asker, error) {
	stream, err := reflectionv1.NewServerReflectionClient(u.pool.first()).ServerReflectionInfo(ctx, grpc.MaxCallRecvMsgSize(maxReflection))
	if err != nil {
		return nil, err
	}
	return &asker{func(req *reflectionv1.ServerReflectionRequest) (*reflectionv1.ServerReflectionResponse, error) {
		_ = stream.Send(req) // Recv says why it failed.
		return stream.Recv()
	}}, nil
}

func (u *Upstream) askV1Alpha(ctx context.Context) (*asker, error) {
	stream, err := reflectionv1alpha.NewServerReflectionClient(u.pool.first()).ServerReflectionInfo(ctx, grpc.MaxCallRecvMsgSize(maxReflection))
	if err != nil {
		return nil, err
	}
	return &asker{func(req *reflectionv1.ServerReflectionRequest) (*reflectionv1.ServerReflectionResponse, error) {
		old, res := &reflectionv1alpha.ServerReflectionRequest{}, &reflectionv1.ServerReflectionResponse{} //nolint:staticcheck // see above.
		if err := convert(req, old); err != nil {
			return nil, err
		}
		_ = stream.Send(old)
		answer, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		return res, convert(answer, res)
	}}, nil
}

// convert copies a message to one with the same fields.
func convert(from, to proto.Message) error {
	b, err := proto.Marshal(from)
	if err != nil {
		return err
	}
	return proto.Unmarshal(b, to)
}

// answered is the text of an error that the server answered to one request: the stream goes on.
type answered string

func (a answered) Error() string { return string(a) }

func (a *asker) ask(req *reflectionv1.ServerReflectionRequest) (*reflectionv1.ServerReflectionResponse, error) {
	res, err := a.exchange(req)
	if err != nil {
		return nil, err
	}
	if e := res.GetErrorResponse(); e != nil {
		return nil, answered(egress.OneLine(e.GetErrorMessage(), 200))
	}
	return res, nil
}

func (a *asker) list(d *described) error {
	res, err := a.ask(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{ListServices: "*"}})
	if err != nil {
		return err
	}
	for _, s := range res.GetListServicesResponse().GetService() {
		d.services = append(d.services, s.GetName())
	}
	slices.Sort(d.services)
	d.services = slices.Compact(d.services)
	if len(d.services) > maxServices {
		d.skip(fmt.Sprintf("%d services", len(d.services)-maxServices), fmt.Sprintf("the server offers more than %d", maxServices))
		d.services = d.services[:maxServices]
	}
	return nil
}

func (a *asker) files(req *reflectionv1.ServerReflectionRequest) ([][]byte, error) {
	res, err := a.ask(req)
	return res.GetFileDescriptorResponse().GetFileDescriptorProto(), err
}

// imports asks for the files that others import, each once. One that the server does not have stays away: what needs
// it is left out later.
func (a *asker) imports(d *described) error {
	tried := map[string]bool{}
	var queue []string
	want := func(f *descriptorpb.FileDescriptorProto) {
		for _, name := range f.GetDependency() {
			if !tried[name] && d.files[name] == nil {
				tried[name] = true
				queue = append(queue, name)
			}
		}
	}
	for _, f := range d.files {
		want(f)
	}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if len(tried) > maxFiles {
			return errTooMany
		}
		if d.files[name] != nil {
			continue
		}
		files, err := a.files(&reflectionv1.ServerReflectionRequest{
			MessageRequest: &reflectionv1.ServerReflectionRequest_FileByFilename{FileByFilename: name},
		})
		if reason, ok := errors.AsType[answered](err); ok {
			d.skip(name, "the server does not describe the file: "+string(reason))
			continue
		}
		if err != nil {
			return err
		}
		added, err := d.add(files)
		if err != nil {
			return err
		}
		for _, f := range added {
			want(f)
		}
	}
	return nil
}

// takes reports whether the service is one to offer.
func (u *Upstream) takes(service string) bool {
	if len(u.o.Services) == 0 {
		return !strings.HasPrefix(service, "grpc.reflection.") && !strings.HasPrefix(service, "grpc.health.")
	}
	return slices.ContainsFunc(u.o.Services, func(pattern string) bool {
		if start, any := strings.CutSuffix(pattern, "*"); any {
			return strings.HasPrefix(service, start)
		}
		return service == pattern
	})
}
