package grpc

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	dpb "google.golang.org/protobuf/types/descriptorpb"
)

// reflectMost is about how many bytes of files go into one answer. Beyond it a
// client gets only the file that it asked for, and asks for the imports: most
// clients refuse answers of more than four MiB.
const reflectMost = 1 << 20

// A fileSet is what reflection knows for one caller. It does not change once it
// is made, and is then safe for concurrent use.
type fileSet struct {
	services []string             // sorted
	files    map[string]*fileDesc // by path
	symbols  map[string]symbol    // by full name, without fields
}

// A fileDesc is one file.
type fileDesc struct {
	path    string
	raw     []byte
	imports []*fileDesc
}

// A symbol is a name that a file declares.
type symbol struct {
	file    *fileDesc
	message *dpb.DescriptorProto // nil where it is none
}

func newFileSet() *fileSet {
	return &fileSet{files: map[string]*fileDesc{}, symbols: map[string]symbol{}}
}

// add adds a file behind those that it imports.
func (s *fileSet) add(fd *dpb.FileDescriptorProto) error {
	if s.files[fd.GetName()] != nil {
		return nil
	}
	raw, err := proto.Marshal(fd)
	if err != nil {
		return err
	}
	f := &fileDesc{path: fd.GetName(), raw: raw}
	for _, path := range fd.GetDependency() {
		if in := s.files[path]; in != nil {
			f.imports = append(f.imports, in)
		}
	}
	s.files[f.path] = f
	scope := fd.GetPackage()
	s.declare(f, scope, fd.GetMessageType(), fd.GetEnumType(), fd.GetExtension())
	for _, v := range fd.GetService() {
		name := scope + "." + v.GetName()
		s.symbols[name] = symbol{file: f}
		for _, m := range v.GetMethod() {
			s.symbols[name+"."+m.GetName()] = symbol{file: f}
		}
	}
	return nil
}

func (s *fileSet) declare(f *fileDesc, scope string, messages []*dpb.DescriptorProto, enums []*dpb.EnumDescriptorProto, extensions []*dpb.FieldDescriptorProto) {
	for _, m := range messages {
		name := scope + "." + m.GetName()
		s.symbols[name] = symbol{f, m}
		s.declare(f, name, m.GetNestedType(), m.GetEnumType(), m.GetExtension())
	}
	for _, e := range enums {
		s.symbols[scope+"."+e.GetName()] = symbol{file: f}
		for _, v := range e.GetValue() { // Beside the enum, not in it.
			s.symbols[scope+"."+v.GetName()] = symbol{file: f}
		}
	}
	for _, x := range extensions {
		s.symbols[scope+"."+x.GetName()] = symbol{file: f}
	}
}

// find returns the file that declares a name, or nil.
func (s *fileSet) find(name string) *fileDesc {
	if found, ok := s.symbols[name]; ok {
		return found.file
	}
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return nil
	}
	in, name := s.symbols[name[:i]], name[i+1:]
	if in.message != nil && (slices.ContainsFunc(in.message.GetField(), func(f *dpb.FieldDescriptorProto) bool { return f.GetName() == name }) ||
		slices.ContainsFunc(in.message.GetOneofDecl(), func(o *dpb.OneofDescriptorProto) bool { return o.GetName() == name })) {
		return in.file
	}
	return nil
}

// answer returns a file with what it imports, as far as that fits into one
// message and was not sent before.
func (f *fileDesc) answer(sent map[string]bool) [][]byte {
	seen := map[*fileDesc]bool{f: true}
	out, size := [][]byte{f.raw}, len(f.raw)
	order := []*fileDesc{f}
	for i := 0; i < len(order); i++ {
		for _, in := range order[i].imports {
			if seen[in] {
				continue
			}
			seen[in] = true
			order = append(order, in)
			if sent[in.path] {
				continue
			}
			if size += len(in.raw); size > reflectMost {
				sent[f.path] = true
				return [][]byte{f.raw}
			}
			out = append(out, in.raw)
		}
	}
	for _, f := range order {
		sent[f.path] = true
	}
	return out
}
