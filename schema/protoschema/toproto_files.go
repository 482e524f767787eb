package protoschema

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	dpb "google.golang.org/protobuf/types/descriptorpb"
)

// fileBytes is about how large a file may become before its messages are spread
// over several: clients take messages of four MiB, and more than one file may be
// in one.
const fileBytes = 1 << 20

// A File is one protobuf file.
type File struct {
	Proto *dpb.FileDescriptorProto
}

// Files returns the files of the methods whose keys are kept, with all that they
// need of the package, those that are imported first; nil keeps every method.
// Where no method is kept there are none.
func (m *Module) Files(keep func(key string) bool) []File {
	return m.files(keep, fileBytes)
}

// Single returns the same as one file, however large, or nil.
func (m *Module) Single(keep func(key string) bool) *dpb.FileDescriptorProto {
	files := m.files(keep, 1<<62)
	if len(files) == 0 {
		return nil
	}
	return files[0].Proto
}

// Path returns the path of the file with the service, as others import it.
func (m *Module) Path() string { return m.path(m.base()) }

// base returns what the package has between trilith and its version.
func (m *Module) base() string { return strings.Split(m.Package, ".")[1] }

func (m *Module) path(name string) string {
	return strings.ReplaceAll(m.Package, ".", "/") + "/" + name + ".proto"
}

func (m *Module) files(keep func(string) bool, most int) []File {
	var rpcs []RPC
	needed := map[string]bool{}
	for _, r := range m.RPCs {
		if keep == nil || keep(r.Key) {
			rpcs = append(rpcs, r)
			m.need(r.Name+requestSuffix, needed)
			m.need(r.Name+responseSuffix, needed)
		}
	}
	if len(rpcs) == 0 {
		return nil
	}
	p := packer{module: m, home: map[string]string{}, most: most}
	p.pack(slices.Sorted(maps.Keys(needed)))
	p.service(rpcs)
	return p.files
}

// need adds a message with all that it uses.
func (m *Module) need(name string, needed map[string]bool) {
	todo := []string{name}
	for len(todo) > 0 {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if name == "" || needed[name] {
			continue
		}
		needed[name] = true
		todo = slices.AppendSeq(todo, maps.Keys(m.messages[name].uses))
	}
}

// A packer puts messages into files.
type packer struct {
	module *Module
	most   int
	files  []File
	home   map[string]string // the file of each message, by name
	size   int               // of the last file
}

// pack puts each message behind those that it uses; messages that use each other
// stay together. Where all fit into one file that is all.
func (p *packer) pack(names []string) {
	index := make(map[string]int, len(names))
	for i, n := range names {
		index[n] = i
	}
	edges := make([][]int, len(names))
	total := 0
	for i, n := range names {
		msg := p.module.messages[n]
		total += msg.bytes()
		for _, used := range slices.Sorted(maps.Keys(msg.uses)) {
			if used != "" {
				edges[i] = append(edges[i], index[used])
			}
		}
	}
	if total <= p.most {
		p.open(true)
		for _, n := range names {
			p.add(p.module.messages[n])
		}
		return
	}
	p.open(false)
	for _, group := range components(len(names), edges) {
		slices.Sort(group)
		size := 0
		for _, i := range group {
			size += p.module.messages[names[i]].bytes()
		}
		if p.size > 0 && p.size+size > p.most {
			p.open(false)
		}
		for _, i := range group {
			p.add(p.module.messages[names[i]])
		}
	}
	p.open(true)
}

// open begins a file: the last, which also has the service, or one of those
// before.
func (p *packer) open(last bool) {
	name := p.module.base()
	if !last {
		name += "_types_" + strconv.Itoa(len(p.files)+1)
	}
	p.size = 0
	p.files = append(p.files, File{Proto: &dpb.FileDescriptorProto{
		Name:    new(p.module.path(name)),
		Package: new(p.module.Package), Syntax: new("proto3"), SourceCodeInfo: &dpb.SourceCodeInfo{},
	}})
}

// add puts a message into the last file.
func (p *packer) add(m *message) {
	f := p.files[len(p.files)-1].Proto
	index := int32(len(f.GetMessageType())) //nolint:gosec // Far fewer.
	p.home[m.name] = f.GetName()
	p.size += m.bytes()
	f.MessageType = append(f.MessageType, m.desc)
	for _, c := range m.comments {
		remark(f, append([]int32{4, index}, c.path...), c.text)
	}
	for used := range m.uses {
		p.use(f, used)
	}
}

// use imports what a message of a file uses.
func (p *packer) use(f *dpb.FileDescriptorProto, name string) {
	file := structFile
	if name != "" {
		file = p.home[name]
	}
	if file == "" || file == f.GetName() { // Not yet packed: it is in the same group, and so in this file.
		return
	}
	if at, found := slices.BinarySearch(f.GetDependency(), file); !found {
		f.Dependency = slices.Insert(f.GetDependency(), at, file)
	}
}

// service puts the service into the last file.
func (p *packer) service(rpcs []RPC) {
	f := p.files[len(p.files)-1].Proto
	s := &dpb.ServiceDescriptorProto{Name: new(p.module.Service)}
	for i, r := range rpcs {
		d := &dpb.MethodDescriptorProto{
			Name:      new(r.Name),
			InputType: new("." + p.module.Package + "." + r.Name + requestSuffix), OutputType: new("." + p.module.Package + "." + r.Name + responseSuffix),
		}
		text := p.module.comments[r.Key]
		if r.Stream {
			d.ServerStreaming = new(true)
			text = strings.TrimSuffix(r.Name, streamSuffix) + " with its progress."
		}
		remark(f, []int32{6, 0, 2, int32(i)}, text)
		s.Method = append(s.Method, d)
		p.use(f, r.Name+requestSuffix)
		p.use(f, r.Name+responseSuffix)
	}
	f.Service = []*dpb.ServiceDescriptorProto{s}
}

// remark adds a comment to a file.
func remark(f *dpb.FileDescriptorProto, path []int32, text string) {
	if text == "" {
		return
	}
	f.SourceCodeInfo.Location = append(f.SourceCodeInfo.Location, &dpb.SourceCodeInfo_Location{
		Path: path, Span: []int32{0, 0, 0}, LeadingComments: new(" " + strings.ReplaceAll(text, "\n", "\n ") + "\n"),
	})
}

// bytes returns about how large the message is in a file.
func (m *message) bytes() int {
	n := proto.Size(m.desc)
	for _, c := range m.comments {
		n += len(c.text) + len(c.path) + 16
	}
	return n
}
