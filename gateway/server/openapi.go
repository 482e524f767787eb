package server

import (
	"fmt"

	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/protocols/openapi"
)

// resolveCredentials reads the credentials for the security schemes of a
// document as they are now.
func resolveCredentials(c *config.OpenAPI, lookup func(string) (string, bool)) (map[string]openapi.Credential, error) {
	all := map[string]openapi.Credential{}
	for _, v := range c.Credentials {
		secret, err := v.Secret.Resolve(lookup)
		if err != nil {
			return nil, fmt.Errorf("credentials: %s: secret: %w", v.Scheme, err)
		}
		password, err := v.Password.Resolve(lookup)
		if err != nil {
			return nil, fmt.Errorf("credentials: %s: password: %w", v.Scheme, err)
		}
		all[v.Scheme] = openapi.Credential{Value: secret, Username: v.Username, Password: password}
	}
	return all, nil
}

// remoteOptions are the options of a service behind HTTP.
func (s *Server) remoteOptions(name string, c *config.Remote, have secrets) openapi.Options {
	return openapi.Options{
		Name: name, URL: c.URL, Headers: have.Headers, OAuth: have.OAuth, Credentials: have.Credentials,
		AllowPrivate: c.AllowPrivate, Timeout: c.Timeout, Version: s.options.Version, Logger: s.log,
	}
}

func (s *Server) makeOpenAPI(name string, c *config.OpenAPI, have secrets) (*openapi.Upstream, error) {
	o := s.remoteOptions(name, &c.Remote, have)
	o.Document, o.Variables, o.Outputs, o.Resources = c.Document, c.Variables, c.OutputSchemas, c.Resources
	o.Select = openapi.Selection{Methods: c.Methods, Tags: c.Select.Tags, Paths: c.Select.Paths, Operations: c.Select.Operations}
	o.Omit = openapi.Selection{Tags: c.Omit.Tags, Paths: c.Omit.Paths, Operations: c.Omit.Operations}
	o.Refresh, o.MaxDocument, o.MaxResponse = c.Refresh, int(c.MaxDocument), int(c.MaxResponse)
	return openapi.New(o)
}

func (s *Server) makeHTTP(name string, c *config.HTTP, have secrets) (*openapi.Upstream, error) {
	o := s.remoteOptions(name, &c.Remote, have)
	o.Resources, o.MaxResponse = c.Resources, int(c.MaxResponse)
	for _, v := range c.Calls {
		call := openapi.Call{Name: v.Name, Title: v.Title, Description: v.Description, Method: v.Method, Path: v.Path}
		for _, p := range v.Parameters {
			call.Parameters = append(call.Parameters, openapi.CallParameter(p))
		}
		if v.Body != nil {
			body := openapi.CallBody(*v.Body)
			call.Body = &body
		}
		o.Calls = append(o.Calls, call)
	}
	return openapi.New(o)
}
