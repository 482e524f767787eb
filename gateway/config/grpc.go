package config

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// GRPCServer is a gRPC server, whose methods with one request become tools: what they
// answer is one result, a stream of responses is shown as progress as it comes.
// Without TLS, HTTP/2 is spoken at once.
type GRPCServer struct {
	Remote `required:"url"`

	// Whether to ask the server what it offers (gRPC server reflection). Without,
	// `descriptors` says so.
	Reflection bool `yaml:"reflection" default:"true"`

	// File with what the server offers, a FileDescriptorSet in the binary form of
	// `buf build` and `protoc --descriptor_set_out`, with imports. Where the server
	// says itself what it offers, only the comments are taken, which reflection
	// leaves out.
	Descriptors string `yaml:"descriptors" format:"file"`

	// Full names of the services to take; a name may end in `*`. By default all but
	// those for reflection and health.
	Services []string `yaml:"services" format:"not-empty" max:"1000"`

	// File with the certificates to trust, in PEM form. By default those that the
	// system trusts.
	CAFile string `yaml:"ca_file" format:"file"`

	// How often to ask the server again what it offers. That happens too whenever a
	// connection is made.
	Reload time.Duration `yaml:"reload" default:"5m" min:"1s" max:"24h"`

	// Longest message, in either direction.
	MaxMessage Size `yaml:"max_message" default:"4MiB" min:"1KiB" max:"64MiB"`

	// Messages of a stream that its result holds. The stream is ended after them.
	MaxMessages int `yaml:"max_messages" default:"1000" min:"1" max:"100000"`

	// Most connections to the server. There is one for each 100 calls at a time;
	// what was opened for more is closed when it was without a call for 90 seconds.
	MaxConnections int `yaml:"max_connections" default:"16" min:"1" max:"1000"`
}

// checkGRPC finds what would leave a source without anything to offer, and what
// gRPC has no place for.
func (r *report) checkGRPC(path string, c *GRPCServer) {
	if !c.Reflection && c.Descriptors == "" {
		r.add(path+".descriptors", "is missing: without reflection it says what the server offers", "")
	}
	if c.OAuth != nil && c.OAuth.DPoP == "always" {
		r.add(path+".oauth.dpop", "gRPC has no form for proofs of a key", "never")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		if key := strings.ToLower(name); strings.HasPrefix(key, "grpc-") || strings.HasSuffix(key, "-bin") || key == "content-type" {
			r.add(path+".headers", name+" cannot be set: gRPC sets it itself, or it is not text", "")
		}
	}
}
