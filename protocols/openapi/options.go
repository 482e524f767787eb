package openapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/trilith-gateway/trilith/protocols/egress"
)

// Options say which service an [Upstream] is and what it bears of it. Either
// Document or Calls is given. Zero values take the defaults named with each field.
type Options struct {
	Name string // of the source; errors name it, and the URIs of resources

	// Document is the path of an OpenAPI document, or its URL: JSON or YAML. Calls
	// describe operations without one, below URL.
	Document string
	Calls    []Call

	// URL below which the paths of the document are; "" is what the document says,
	// which a document that is fetched may say only of its own origin. Variables
	// are those of the document's server.
	URL       string
	Variables map[string]string

	// Credentials by the names of the document's security schemes. Headers go
	// with every request, OAuth is as with [egress.Options]. All of them go to the
	// origin of the service and nowhere else, the document's origin included.
	Credentials  map[string]Credential
	Headers      http.Header
	OAuth        *egress.OAuthOptions
	AllowPrivate []netip.Prefix

	// Select are the operations that are offered, but for those in Omit.
	Select, Omit Selection
	// Resources are patterns of tools' names whose operations are resources too.
	Resources []string
	// Outputs offers the schemas of answers.
	Outputs bool

	Timeout     time.Duration // for one answer, and for the document; 30 seconds
	Refresh     time.Duration // between two looks at the document; 5 minutes
	MaxDocument int           // bytes; 64 MiB
	MaxResponse int           // bytes of one answer; 4 MiB

	Version string       // of this gateway, as services see it; "0"
	Logger  *slog.Logger // for the operator; nil discards
}

func (o *Options) setDefaults() {
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Refresh <= 0 {
		o.Refresh = 5 * time.Minute
	}
	if o.MaxDocument <= 0 {
		o.MaxDocument = 64 << 20
	}
	if o.MaxResponse <= 0 {
		o.MaxResponse = 4 << 20
	}
	if o.Version == "" {
		o.Version = "0"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// check returns what of the options does not go together.
func (o *Options) check() error {
	switch {
	case o.Name == "":
		return errors.New("name is missing")
	case (o.Document == "") == (len(o.Calls) == 0):
		return errors.New("either a document or calls are needed")
	case len(o.Calls) > 0 && o.URL == "":
		return errors.New("a URL is needed, below which the calls are")
	}
	if o.OAuth != nil && o.OAuth.Users != nil && o.URL == "" {
		return errors.New("with users the URL of the service is needed: the document's word is not taken for where they consent")
	}
	if o.URL != "" {
		if _, err := checkServer(o.URL); err != nil {
			return err
		}
	}
	return nil
}

// documentURL returns the URL that the document is fetched from, nil for a file.
func (o *Options) documentURL() (*url.URL, error) {
	lower := strings.ToLower(o.Document)
	if !strings.HasPrefix(lower, "http://") && !strings.HasPrefix(lower, "https://") {
		return nil, nil //nolint:nilnil // As the comment says.
	}
	u, err := url.Parse(o.Document)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, errors.New("the URL of the document is not valid")
	}
	u.Fragment = ""
	return u, nil
}

// client returns a client for one origin, with the credentials for the service
// or without any.
func (o *Options) client(origin string, credentials bool) (*egress.Client, error) {
	e := egress.Options{
		Name: o.Name, URL: origin, AllowPrivate: o.AllowPrivate, Timeout: o.Timeout, UserAgent: "trilith/" + o.Version, Logger: o.Logger,
		Reserved: func(name string) bool {
			switch name {
			case "Accept", "Accept-Encoding", "Content-Type", "Content-Encoding":
				return true
			}
			return false
		},
	}
	if credentials {
		e.Headers, e.OAuth = o.Headers, o.OAuth
	}
	c, err := egress.New(e)
	if err != nil {
		return nil, fmt.Errorf("source %q: %w", o.Name, err)
	}
	return c, nil
}
