// Package protoschema turns JSON Schemas into protobuf descriptors, so that the
// tools of a source become the methods of a typed service.
//
//	methods with JSON Schemas ─┐
//	                           ├─[Compile]─▶ [Module] ─▶ files, descriptors
//	[Lock]: names and numbers ─┘
//
// Every name and number that was given once is in the lock and is never given
// another meaning, so that programs made for an older state of a source go on
// working. What protobuf cannot say becomes google.protobuf.Value; nothing is
// left out.
//
// The package neither stores locks nor reads messages: package transcode does
// that, told by [Module.Absent], [Module.Inline] and [Module.Whole] what the
// JSON of a message has that its descriptor does not say.
//
// The other way round, [From] makes JSON Schemas from the messages of foreign
// services, with the rules and comments that they declare.
package protoschema

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	dpb "google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/structpb"
)

// A Method is what becomes an RPC, and another one that tells its progress.
type Method struct {
	Key     string          // names it in the lock and to the caller of [Compile]: unique, such as "tool/add"
	Name    string          // what it is called; the RPC's name is made of it
	Comment string          // put before the RPC
	Input   json.RawMessage // JSON Schema of the request; empty for any object
	Output  json.RawMessage // JSON Schema of the response; empty for any value
	Unary   bool            // without the one that tells its progress
}

// PackageOf returns the package that the types of a source have where no other
// source has taken it.
func PackageOf(source string) string { return "trilith." + snake(source, "source") + ".v1" }

// A Module is the protobuf of one source: a service with an RPC for each method,
// and the messages of their schemas. It is immutable and safe for concurrent
// use.
type Module struct {
	Source  string
	Package string // such as "trilith.petstore.v1"
	Service string // such as "PetstoreService", in the package
	RPCs    []RPC  // sorted by name
	Notes   []Note // where it differs from the schemas

	messages map[string]*message
	comments map[string]string // of the methods, by key
	absent   map[protoreflect.FullName]string
	inline   map[protoreflect.FullName]bool
	whole    map[protoreflect.FullName]bool
}

// An RPC is a method of the service.
type RPC struct {
	Key    string
	Name   string
	Stream bool // it answers with progress, and the result at the end
	Input  protoreflect.MessageDescriptor
	Output protoreflect.MessageDescriptor
}

// Absent returns the JSON of a required property whose field is not on the wire,
// such as [] for a list, or "".
func (m *Module) Absent(f protoreflect.FieldDescriptor) string { return m.absent[f.FullName()] }

// Inline reports whether the entries of the field are properties of the object
// itself: those that have no field of their own.
func (m *Module) Inline(f protoreflect.FieldDescriptor) bool { return m.inline[f.FullName()] }

// Whole reports whether the JSON of the message is that of the field, its only
// one.
func (m *Module) Whole(f protoreflect.FieldDescriptor) bool { return m.whole[f.FullName()] }

// A compiler makes one module.
type compiler struct {
	lock     *Lock
	module   *Module
	messages map[string]*message
	present  map[string]map[string]bool // shapes by the name of a definition
	budget   int
}

// Compile makes the protobuf of a source's methods. What is new gets names and
// numbers, which it adds to the lock; compiling again with the same lock gives
// the same. No schema is an error: what cannot be typed is any value. It fails
// where the lock is full.
func Compile(methods []Method, lock *Lock) (*Module, error) {
	m := &Module{
		Source: lock.Source, Package: lock.Package, Service: pascal(lock.Source, "Source") + "Service",
		comments: map[string]string{},
		absent:   map[protoreflect.FullName]string{}, inline: map[protoreflect.FullName]bool{}, whole: map[protoreflect.FullName]bool{},
	}
	lock.ready()
	lock.used[m.Service], lock.used[progressName], lock.used[logName] = true, true, true
	c := &compiler{lock: lock, module: m, messages: map[string]*message{}, present: map[string]map[string]bool{}}
	c.static()
	methods = slices.SortedFunc(slices.Values(methods), func(a, b Method) int { return strings.Compare(a.Key, b.Key) })
	if err := c.compile(methods); err != nil {
		return nil, err
	}
	m.messages = c.messages
	slices.SortFunc(m.RPCs, func(a, b RPC) int { return strings.Compare(a.Name, b.Name) })
	return m, m.link()
}

// schemas are those of one method.
type schemas struct {
	name    string
	in, out *document
}

func (c *compiler) compile(methods []Method) error {
	all := make([]schemas, len(methods))
	for i, method := range methods {
		if i > 0 && methods[i-1].Key == method.Key {
			return fmt.Errorf("method %q is there twice", method.Key)
		}
		name, err := c.lock.method(method.Key, method.Name)
		if err != nil {
			return err
		}
		if want := pascal(method.Name, "Method"); name != want {
			c.note(Note{At: c.module.Service + "." + name, Renamed: true, Reason: "is not called " + want + ": another method or message has the name"})
		}
		if len(method.Input) == 0 {
			method.Input = json.RawMessage(`{"type":"object"}`)
		}
		all[i] = schemas{name, c.read(method.Input, name+requestSuffix), c.read(method.Output, name+responseSuffix)}
	}
	for i, method := range methods {
		name := all[i].name
		c.budget = maxBudget
		if err := c.root(name+requestSuffix, "", all[i].in, true); err != nil {
			return fmt.Errorf("%s: %w", method.Key, err)
		}
		if err := c.root(name+responseSuffix, "", all[i].out, false); err != nil {
			return fmt.Errorf("%s: %w", method.Key, err)
		}
		c.module.comments[method.Key] = clean(method.Comment)
		c.module.RPCs = append(c.module.RPCs, RPC{Key: method.Key, Name: name})
		if !method.Unary {
			c.twin(name)
			c.module.RPCs = append(c.module.RPCs, RPC{Key: method.Key, Name: name + streamSuffix, Stream: true})
		}
		all[i] = schemas{} // It may be large.
	}
	return nil
}

// read reads a schema, and notes the shapes of its definitions.
func (c *compiler) read(raw json.RawMessage, root string) *document {
	doc := parse(raw)
	doc.shape(root)
	for ref, shape := range doc.shapes {
		def := defName(ref)
		if c.present[def] == nil {
			c.present[def] = map[string]bool{}
		}
		c.present[def][shape] = true
	}
	return doc
}

// link checks what was made and fills in the descriptors of the RPCs.
func (m *Module) link() error {
	files := m.Files(nil)
	for _, f := range files {
		if err := verify(f.Proto); err != nil {
			return fmt.Errorf("source %q: %w", m.Source, err)
		}
	}
	registry, err := Link(files)
	if err != nil {
		return fmt.Errorf("source %q: %w", m.Source, err)
	}
	for i := range m.RPCs {
		r := &m.RPCs[i]
		for _, side := range []struct {
			suffix string
			to     *protoreflect.MessageDescriptor
		}{{requestSuffix, &r.Input}, {responseSuffix, &r.Output}} {
			d, err := registry.FindDescriptorByName(protoreflect.FullName(m.Package + "." + r.Name + side.suffix))
			if err != nil {
				return fmt.Errorf("source %q: %w", m.Source, err)
			}
			*side.to = d.(protoreflect.MessageDescriptor) //nolint:forcetypeassert // Its name is that of a message.
		}
	}
	return nil
}

// Link makes descriptors of files, which import nothing but each other and
// struct.proto.
func Link(files []File) (*protoregistry.Files, error) {
	registry := new(protoregistry.Files)
	if err := registry.RegisterFile(structpb.File_google_protobuf_struct_proto); err != nil {
		return nil, err
	}
	for _, f := range files {
		fd, err := protodesc.NewFile(f.Proto, registry)
		if err != nil {
			return nil, err
		}
		if err := registry.RegisterFile(fd); err != nil {
			return nil, err
		}
	}
	return registry, nil
}

var errInvalid = errors.New("not a valid descriptor")

// verify checks what protodesc does not: that JSON names are unique, and that no
// number is one of protobuf's own.
func verify(f *dpb.FileDescriptorProto) error {
	var check func(*dpb.DescriptorProto) error
	check = func(m *dpb.DescriptorProto) error {
		names := map[string]bool{}
		for _, fd := range m.GetField() {
			n := fd.GetNumber()
			if n < 1 || n > maxNumber || 19000 <= n && n <= 19999 {
				return fmt.Errorf("%w: %s.%s has number %d", errInvalid, m.GetName(), fd.GetName(), n)
			}
			for _, name := range []string{"json " + fd.GetJsonName(), "proto " + folded(fd.GetName())} {
				if names[name] {
					return fmt.Errorf("%w: %s has two fields %q", errInvalid, m.GetName(), name)
				}
				names[name] = true
			}
		}
		for _, in := range m.GetNestedType() {
			if err := check(in); err != nil {
				return err
			}
		}
		return nil
	}
	for _, m := range f.GetMessageType() {
		if err := check(m); err != nil {
			return err
		}
	}
	return nil
}
