package config

import (
	"net/netip"
	"time"
)

// Remote is how a source behind HTTP is reached, and with which credentials. The
// kinds of such sources embed it.
type Remote struct {
	// URL of the service.
	URL string `yaml:"url" format:"url"`

	// Headers sent with every request to the service.
	Headers map[string]Secret `yaml:"headers" keys:"header" max:"64"`

	// The gateway's own OAuth credentials at the service, or those of each caller.
	OAuth *OAuth `yaml:"oauth"`

	// Networks off the public internet to which `url` may lead, in CIDR form. By
	// default loopback, private and link-local addresses are refused.
	AllowPrivate []netip.Prefix `yaml:"allow_private" format:"cidr" max:"64"`

	// Longest time that the service may take to answer one request.
	Timeout time.Duration `yaml:"timeout" default:"30s" min:"100ms" max:"24h"`
}

// Remote returns how a source behind HTTP is reached, with the key of its kind,
// or nil for a source of another kind. It must not be changed.
func (s *Source) Remote() (kind string, r *Remote) {
	if m := s.MCP; m != nil && m.URL != "" {
		return "mcp", &Remote{URL: m.URL, Headers: m.Headers, OAuth: m.OAuth, AllowPrivate: m.AllowPrivate, Timeout: m.Timeout}
	}
	switch {
	case s.OpenAPI != nil:
		return "openapi", &s.OpenAPI.Remote
	case s.HTTP != nil:
		return "http", &s.HTTP.Remote
	case s.GraphQL != nil:
		return "graphql", &s.GraphQL.Remote
	case s.GRPC != nil:
		return "grpc", &s.GRPC.Remote
	}
	return "", nil
}
