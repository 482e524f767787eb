package upstream

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// fromSet returns what a descriptor set offers.
func (u *Upstream) fromSet() *described {
	d := newDescribed()
	for _, f := range u.o.Descriptors.GetFile() {
		if d.files[f.GetName()] != nil {
			continue
		}
		d.files[f.GetName()] = f
		for _, s := range f.GetService() {
			name := s.GetName()
			if f.GetPackage() != "" {
				name = f.GetPackage() + "." + name
			}
			d.services = append(d.services, name)
		}
	}
	slices.Sort(d.services)
	d.services = slices.Compact(d.services)
	return d
}

// digest tells whether what a server says about itself has changed.
func (d *described) digest() [sha256.Size]byte {
	h := sha256.New()
	for _, s := range d.services {
		h.Write(fmt.Appendf(nil, "%d %s", len(s), s))
	}
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		b, err := proto.MarshalOptions{Deterministic: true, AllowPartial: true}.Marshal(d.files[name])
		if err != nil {
			continue // It came as bytes.
		}
		h.Write(fmt.Appendf(nil, "%d ", len(b)))
		h.Write(b)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// linker makes descriptors of files. One that cannot be linked is left out, and so is what needs it.
type linker struct {
	d     *described
	files *protoregistry.Files
	state map[string]bool // of files: false while its imports are linked, then true
}

// link returns the descriptors of what is described.
func (d *described) link() *protoregistry.Files {
	l := &linker{d: d, files: &protoregistry.Files{}, state: map[string]bool{}}
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		l.link(name)
	}
	// What the details of errors are made of, for servers that do not describe it.
	for _, f := range []protoreflect.FileDescriptor{
		anypb.File_google_protobuf_any_proto, durationpb.File_google_protobuf_duration_proto,
		errdetails.File_google_rpc_error_details_proto,
	} {
		if _, err := l.files.FindFileByPath(f.Path()); err != nil {
			_ = l.files.RegisterFile(f) // Where it clashes with what there is, that stays.
		}
	}
	return l.files
}

func (l *linker) link(name string) {
	if _, seen := l.state[name]; seen {
		return // Where it is still false, files import each other in a circle.
	}
	l.state[name] = false
	defer func() { l.state[name] = true }()
	f := l.d.files[name]
	if f == nil {
		l.known(name)
		return
	}
	for _, dep := range f.GetDependency() {
		l.link(dep)
	}
	fd, err := newFile(f, l.files)
	if err == nil {
		err = l.files.RegisterFile(fd)
	}
	if err != nil {
		l.d.skip(name, "the file is not valid: "+err.Error())
	}
}

// newFile makes the descriptors of one file. What it refers to may be missing.
func newFile(f *descriptorpb.FileDescriptorProto, in protodesc.Resolver) (fd protoreflect.FileDescriptor, err error) {
	defer func() {
		if r := recover(); r != nil { // The files come from elsewhere, and the library was made for those of protoc.
			err = fmt.Errorf("%v", r)
		}
	}()
	return protodesc.FileOptions{AllowUnresolvable: true}.New(f, in)
}

// known takes a file of protobuf's own that others import without bringing it along.
func (l *linker) known(name string) {
	if !strings.HasPrefix(name, "google/protobuf/") {
		return
	}
	if fd, err := protoregistry.GlobalFiles.FindFileByPath(name); err == nil {
		_ = l.files.RegisterFile(fd) // Where it clashes with what there is, that stays.
	}
}

// incomplete returns the messages that cannot be read or written, each with what is missing: those with a field of a
// type that is not described, and all that hold one of them.
func incomplete(files *protoregistry.Files) map[protoreflect.FullName]string {
	holders := map[protoreflect.FullName][]protoreflect.FullName{}
	missing := map[protoreflect.FullName]string{}
	files.RangeFiles(func(fd protoreflect.FileDescriptor) bool {
		eachMessage(fd.Messages(), func(md protoreflect.MessageDescriptor) {
			for i := range md.Fields().Len() {
				f := md.Fields().Get(i)
				switch {
				case f.Message() != nil && f.Message().IsPlaceholder():
					missing[md.FullName()] = string(f.Message().FullName())
				case f.Enum() != nil && f.Enum().IsPlaceholder():
					missing[md.FullName()] = string(f.Enum().FullName())
				case f.Message() != nil:
					holders[f.Message().FullName()] = append(holders[f.Message().FullName()], md.FullName())
				}
			}
		})
		return true
	})
	queue := slices.Collect(maps.Keys(missing))
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		for _, holder := range holders[name] {
			if missing[holder] == "" {
				missing[holder] = missing[name]
				queue = append(queue, holder)
			}
		}
	}
	return missing
}

func eachMessage(all protoreflect.MessageDescriptors, f func(protoreflect.MessageDescriptor)) {
	for i := range all.Len() {
		f(all.Get(i))
		eachMessage(all.Get(i).Messages(), f)
	}
}
