package config

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// OpenAPI is a service with an OpenAPI document (3.0 or 3.1), whose operations
// become tools. `url` is where the service is, instead of what the document says;
// it is needed where the document names another origin than the one that it is
// fetched from.
type OpenAPI struct {
	// File or URL of the document, JSON or YAML. It is read again when it changes.
	Document string `yaml:"document" format:"file-or-url" required:"true"`

	Remote

	// Values of the variables in the URL of the document's server.
	Variables map[string]string `yaml:"variables" keys:"name" max:"64"`

	// Credentials for the document's security schemes.
	Credentials []SchemeCredential `yaml:"credentials" max:"64"`

	// Methods whose operations are offered. By default those that only read.
	Methods []string `yaml:"methods" default:"GET HEAD" enum:"GET HEAD POST PUT PATCH DELETE OPTIONS TRACE" max:"8"`

	// Which operations to offer, of those with such a method. By default all.
	Select Operations `yaml:"select"`

	// Which operations not to offer, of those that `select` takes.
	Omit Operations `yaml:"omit"`

	// Which operations to offer as resources too, as patterns over the names of
	// tools, where `*` stands for any text: those with the method GET.
	Resources []string `yaml:"resources" format:"not-empty" max:"1000"`

	// Whether tools have output schemas. They can be many times as long as the
	// input schemas.
	OutputSchemas bool `yaml:"output_schemas" default:"false"`

	// How often a document behind a URL is looked at for changes. Files are
	// looked at every two seconds.
	Refresh time.Duration `yaml:"refresh" default:"5m" min:"1s" max:"24h"`

	// Longest document that is read.
	MaxDocument Size `yaml:"max_document" default:"64MiB" min:"1KiB" max:"512MiB"`

	// Longest answer of the service that is taken.
	MaxResponse Size `yaml:"max_response" default:"4MiB" min:"1KiB" max:"64MiB"`
}

// SchemeCredential is what the gateway shows the service under one of the
// document's security schemes.
type SchemeCredential struct {
	// Name of the security scheme in the document.
	Scheme string `yaml:"scheme" format:"not-empty" required:"true"`

	// API key or token.
	Secret Secret `yaml:"secret" oneof:"credential"`

	// User name, of a scheme for basic authentication.
	Username string `yaml:"username" oneof:"credential"`

	// Password of the user.
	Password Secret `yaml:"password" with:"username"`
}

// Operations is a set of operations: those that match each of its lists that is
// there.
type Operations struct {
	// Tags that the document gives to operations.
	Tags []string `yaml:"tags" format:"not-empty" max:"1000"`

	// Patterns of paths, where `*` stands for any text without a slash and `**`
	// for any text.
	Paths []string `yaml:"paths" format:"not-empty" max:"1000"`

	// Patterns of operationIds, where `*` stands for any text.
	Operations []string `yaml:"operations" format:"not-empty" max:"1000"`
}

// HTTP is a service without a document: each call that it takes is described
// here and becomes a tool.
type HTTP struct {
	Remote `required:"url"`

	// The calls.
	Calls []HTTPCall `yaml:"calls" required:"true" max:"1000"`

	// Which calls to offer as resources too, as patterns over their names, where
	// `*` stands for any text: those with the method GET.
	Resources []string `yaml:"resources" format:"not-empty" max:"1000"`

	// Longest answer of the service that is taken.
	MaxResponse Size `yaml:"max_response" default:"4MiB" min:"1KiB" max:"64MiB"`
}

// HTTPCall is one request, as a tool.
type HTTPCall struct {
	// Name of the tool.
	Name string `yaml:"name" format:"name" required:"true"`

	// Title for people.
	Title string `yaml:"title"`

	// Description for people and models.
	Description string `yaml:"description"`

	// Method of the request.
	Method string `yaml:"method" default:"GET" enum:"GET HEAD POST PUT PATCH DELETE OPTIONS"`

	// Path below `url`, with parameters in braces, as in `/users/{id}`.
	Path string `yaml:"path" format:"not-empty" required:"true"`

	// Arguments that stand outside the body.
	Parameters []HTTPParameter `yaml:"parameters" max:"100"`

	// Body of the request, which is the argument `body`.
	Body *HTTPBody `yaml:"body"`
}

// HTTPParameter is an argument that stands outside the body.
type HTTPParameter struct {
	// Name in the request and of the argument.
	Name string `yaml:"name" format:"not-empty" required:"true"`

	// Where it stands. By default in the path where that has its name, else in
	// the query.
	In string `yaml:"in" enum:"path query header cookie"`

	// Type of the value.
	Type string `yaml:"type" default:"string" enum:"string integer number boolean array object"`

	// JSON Schema of the value, as JSON text, instead of `type`.
	Schema string `yaml:"schema"`

	// Description for people and models.
	Description string `yaml:"description"`

	// Whether calls must have it. What stands in the path is always required.
	Required bool `yaml:"required"`
}

// HTTPBody is the body of a request.
type HTTPBody struct {
	// Media type: JSON is sent as it is given, forms (`application/x-www-form-urlencoded`,
	// `multipart/form-data`) from an object, text from a string, and anything else
	// from base64.
	Type string `yaml:"type" default:"application/json" format:"not-empty"`

	// JSON Schema of the argument, as JSON text. By default it may be anything.
	Schema string `yaml:"schema"`

	// Description for people and models.
	Description string `yaml:"description"`

	// Whether calls must have it.
	Required bool `yaml:"required" default:"true"`
}

// isURL reports whether a document is named by a URL rather than a path.
func isURL(document string) bool {
	u, err := url.Parse(document)
	return err == nil && (strings.EqualFold(u.Scheme, "http") || strings.EqualFold(u.Scheme, "https"))
}

// checkOpenAPI finds credentials that contradict each other.
func (r *report) checkOpenAPI(path string, c *OpenAPI) {
	schemes := map[string]int{}
	for i, v := range c.Credentials {
		r.distinct(schemes, v.Scheme, i, fmt.Sprintf("%s.credentials[%d]", path, i), "scheme")
	}
}

// checkHTTP finds calls that nobody could make.
func (r *report) checkHTTP(path string, c *HTTP) {
	names := map[string]int{}
	for i, v := range c.Calls {
		at := fmt.Sprintf("%s.calls[%d]", path, i)
		r.distinct(names, v.Name, i, at, "name")
		if !strings.HasPrefix(v.Path, "/") {
			r.add(at+".path", "a path begins with a slash", "it is put behind the path of url")
		}
	}
}
