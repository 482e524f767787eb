package upstream

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/schema"
	"github.com/trilith-gateway/trilith/schema/protoschema"
	"github.com/trilith-gateway/trilith/schema/transcode"
)

// Bounds on what one server may offer.
const (
	maxMethods     = 10_000
	maxDefinitions = 64 << 20 // bytes of definitions
)

// offer is what a server offers at one time. It is immutable: a call that has begun goes on with the one it found.
type offer struct {
	digest  [sha256.Size]byte
	methods map[string]*method // by the names of their tools
	catalog gateway.Catalog
}

// method is how a tool is called.
type method struct {
	path    string // such as "/helloworld.Greeter/SayHello"
	in, out *transcode.Plan
	stream  bool            // the response is a stream
	details *transcode.Plan // google.protobuf.Any: the details of errors
	last    atomic.Pointer[bridge]
}

// A bridge leads from the response of a method to the message that a door asked for, or nowhere.
type bridge struct {
	to *transcode.Plan
	by *transcode.Bridge // nil where there is none
}

// across returns the bridge to what a call is to be made into, or nil. The door asks for the same message as long as
// the tool is the same.
func (m *method) across(into any) *transcode.Bridge {
	to, ok := into.(*transcode.Plan)
	if !ok {
		return nil
	}
	b := m.last.Load()
	if b == nil || b.to != to {
		b = &bridge{to, transcode.NewBridge(m.out, to)}
		m.last.Store(b)
	}
	return b.by
}

// cataloguer makes an offer of what is described.
type cataloguer struct {
	u        *Upstream
	d        *described
	files    *protoregistry.Files
	compiler *transcode.Compiler
	schemas  *protoschema.From
	missing  map[protoreflect.FullName]string
	offer    *offer
	bytes    int
}

// newOffer returns what the described server offers as tools, with a note of what it does not.
func (u *Upstream) newOffer(d *described, digest [sha256.Size]byte) *offer {
	c := &cataloguer{u: u, d: d, files: d.link(), offer: &offer{digest: digest, methods: map[string]*method{}}}
	c.compiler = transcode.NewCompiler(transcode.Options{Files: c.files, EmitDefaults: true, MaxJSON: 4 * u.o.MaxMessage})
	c.schemas = protoschema.NewFrom(c.compiler, u.comments())
	c.missing = incomplete(c.files)
	var services []protoreflect.ServiceDescriptor
	names := map[protoreflect.Name]int{}
	for _, name := range d.services {
		if !u.takes(name) {
			continue
		}
		desc, err := c.files.FindDescriptorByName(protoreflect.FullName(name))
		s, ok := desc.(protoreflect.ServiceDescriptor)
		if err != nil || !ok {
			d.skip(name, "no file describes the service")
			continue
		}
		services = append(services, s)
		names[s.Name()]++
	}
	for _, s := range services {
		short := string(s.Name())
		if names[s.Name()] > 1 {
			short = string(s.FullName())
			d.notes = append(d.notes, gateway.Note{Subject: short, Change: gateway.NoteRenamed, Reason: "its methods have its full name: several services are called " + string(s.Name())})
		}
		for i := range s.Methods().Len() {
			c.method(short, s.Methods().Get(i))
		}
	}
	c.offer.catalog.Notes = d.notes
	return c.offer
}

// comments returns those of the descriptor set.
func (u *Upstream) comments() map[protoreflect.FullName]string {
	if u.o.Descriptors == nil {
		return nil
	}
	return protoschema.Comments(u.fromSet().link())
}

// method adds a method to the offer, or a note why not.
func (c *cataloguer) method(service string, m protoreflect.MethodDescriptor) {
	subject := string(m.FullName())
	skip := func(reason string) { c.d.skip(subject, reason) }
	for _, message := range []protoreflect.MessageDescriptor{m.Input(), m.Output()} {
		switch missing, cut := c.missing[message.FullName()]; {
		case message.IsPlaceholder():
			skip("no file describes " + string(message.FullName()))
			return
		case cut:
			skip("no file describes " + missing + ", which " + string(message.FullName()) + " needs")
			return
		}
	}
	switch {
	case m.IsStreamingClient():
		skip("its requests are a stream, which a tool has no form for")
		return
	case len(c.offer.methods) >= maxMethods:
		skip(fmt.Sprintf("the server offers more than %d methods", maxMethods))
		return
	}
	name := service + "." + string(m.Name())
	tool, err := c.tool(name, m)
	if err == nil && c.bytes > maxDefinitions {
		err = fmt.Errorf("the definitions are larger than %d MiB", maxDefinitions>>20)
	}
	if err != nil {
		skip(err.Error())
		return
	}
	c.offer.catalog.Tools = append(c.offer.catalog.Tools, tool)
	c.offer.methods[name] = &method{
		path:   fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name()),
		in:     c.compiler.Plan(m.Input()),
		out:    c.compiler.Plan(m.Output()),
		stream: m.IsStreamingServer(),
	}
	if d, err := c.files.FindDescriptorByName("google.protobuf.Any"); err == nil {
		if md, ok := d.(protoreflect.MessageDescriptor); ok {
			c.offer.methods[name].details = c.compiler.Plan(md)
		}
	}
}

// definition is a tool's in MCP's form.
type definition struct {
	Name         string          `json:"name"`
	Description  string          `json:"description"`
	InputSchema  json.RawMessage `json:"inputSchema"`
	OutputSchema json.RawMessage `json:"outputSchema"`
	Annotations  *behaviour      `json:"annotations,omitempty"`
}

type behaviour struct {
	ReadOnly   bool `json:"readOnlyHint,omitempty"`
	Idempotent bool `json:"idempotentHint,omitempty"`
}

func (c *cataloguer) tool(name string, m protoreflect.MethodDescriptor) (*gateway.Tool, error) {
	def := definition{Name: name, Description: c.schemas.Remarks(m), Annotations: hints(m)}
	if def.Description == "" {
		def.Description = fmt.Sprintf("Calls %s of the service %s.", m.Name(), m.Parent().FullName())
	}
	if m.IsStreamingServer() {
		def.Description += "\nThe messages that it sends are shown as they come, and are the result in the end."
	}
	var cut [2]bool
	var err error
	if def.InputSchema, cut[0], err = c.schemas.Schema(m.Input(), protoschema.ForInput); err != nil {
		return nil, fmt.Errorf("its request: %w", err)
	}
	accepts, _, err := c.schemas.Schema(m.Input(), protoschema.ForCheck)
	if err != nil {
		return nil, fmt.Errorf("its request: %w", err)
	}
	if m.IsStreamingServer() {
		def.OutputSchema, cut[1], err = c.schemas.Stream(m.Output())
	} else {
		def.OutputSchema, cut[1], err = c.schemas.Schema(m.Output(), protoschema.ForOutput)
	}
	if err != nil {
		return nil, fmt.Errorf("its response: %w", err)
	}
	if cut[0] || cut[1] {
		c.d.notes = append(c.d.notes, gateway.Note{Subject: string(m.FullName()), Change: gateway.NoteApproximated, Reason: "its messages reach more types than a schema can hold: some are only objects"})
	}
	raw, err := json.Marshal(def)
	if err != nil {
		return nil, err
	}
	if c.bytes += len(raw); c.bytes > maxDefinitions {
		return nil, nil
	}
	tool, err := gateway.ParseTool(raw)
	if err != nil {
		return nil, err
	}
	tool.Accepts, err = schema.Compile(accepts)
	return tool, err
}

// hints returns what the options of a method say about its behaviour, or nil.
func hints(m protoreflect.MethodDescriptor) *behaviour {
	options, ok := m.Options().(*descriptorpb.MethodOptions)
	if !ok || options == nil {
		return nil
	}
	switch options.GetIdempotencyLevel() {
	case descriptorpb.MethodOptions_NO_SIDE_EFFECTS:
		return &behaviour{ReadOnly: true, Idempotent: true}
	case descriptorpb.MethodOptions_IDEMPOTENT:
		return &behaviour{Idempotent: true}
	case descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN:
	}
	switch httpMethod(options) { //nolint:exhaustive // The others are alike.
	case httpGet:
		return &behaviour{ReadOnly: true, Idempotent: true}
	case httpPut, httpDelete:
		return &behaviour{Idempotent: true}
	}
	return nil
}

// The fields of google.api.HttpRule (google/api/http.proto), and its number among the options of methods.
const (
	httpOption = 72295728
	httpGet    = 2
	httpPut    = 3
	httpDelete = 5
)

// httpMethod returns the field of google.api.HttpRule that says how the method is called by HTTP, or 0.
func httpMethod(options *descriptorpb.MethodOptions) protowire.Number {
	b, err := proto.MarshalOptions{AllowPartial: true}.Marshal(options)
	if err != nil {
		return 0
	}
	var how protowire.Number
	protoschema.EachField(b, func(n protowire.Number, t protowire.Type, rule []byte) {
		if n != httpOption || t != protowire.BytesType {
			return
		}
		protoschema.EachField(rule, func(n protowire.Number, t protowire.Type, _ []byte) {
			if n >= httpGet && n <= 6 && t == protowire.BytesType {
				how = n
			}
		})
	})
	return how
}

// look asks the server what it offers, unless only the descriptor set says so.
func (u *Upstream) look(ctx context.Context) (*described, error) {
	if !u.o.Reflection {
		return u.fromSet(), nil
	}
	d, err := u.reflected(ctx)
	if isUnimplemented(err) {
		if u.o.Descriptors != nil {
			return u.fromSet(), nil
		}
		return nil, fmt.Errorf("the server does not serve reflection: configure its descriptor set: %w", err)
	}
	return d, err
}
