package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/trilith-gateway/trilith/internal/clip"
)

var (
	errElsewhere = errors.New("its server is on another origin than the source; make that a source of its own")
	errNoServer  = errors.New("the document does not say at which host the service is: set url")
)

// server returns the URL below which the document's paths are: the one that is
// configured, or the document's first. A document that was fetched may name no
// server on another origin than its own, because the credentials go there.
func (d *document) server(o *Options, from *url.URL) (*url.URL, error) {
	if o.URL != "" {
		return checkServer(o.URL)
	}
	u, err := d.named(d.top("servers"), o, from)
	if err != nil {
		return nil, err
	}
	if from != nil && !sameOrigin(u, from) {
		return nil, fmt.Errorf("the document's server is %s, which is not where the document is from: set url", origin(u))
	}
	return u, nil
}

// serverOf returns the URL below which an operation's path is. Root is that of
// the document, base the one that is used.
func (d *document) serverOf(op *operation, o *Options, from, base *url.URL) (*url.URL, error) {
	servers := member(op.raw, "servers")
	if servers == nil {
		servers = member(op.item, "servers")
	}
	if kindOf(servers) != '[' {
		return base, nil
	}
	if from == nil {
		from = base
	}
	own, err := d.named(servers, o, from)
	if err != nil {
		return nil, err
	}
	if sameOrigin(own, base) {
		return own, nil
	}
	if root, err := d.named(d.top("servers"), o, from); o.URL != "" && err == nil && sameOrigin(own, root) {
		moved := *base // The whole service is elsewhere.
		moved.Path, moved.RawPath = own.Path, own.RawPath
		return &moved, nil
	}
	return nil, errElsewhere
}

// named returns the first of a list of servers, with its variables filled in.
func (d *document) named(servers json.RawMessage, o *Options, from *url.URL) (*url.URL, error) {
	var text string
	var variables json.RawMessage
	for s := range elements(servers) {
		text, variables = stringOf(member(s, "url")), member(s, "variables")
		break
	}
	if text == "" {
		text = "/" // As the standard has it where there is none.
	}
	var b strings.Builder
	for {
		before, after, open := strings.Cut(text, "{")
		name, rest, closed := strings.Cut(after, "}")
		b.WriteString(before)
		if !open || !closed {
			break
		}
		value, set := o.Variables[name]
		if !set {
			value = stringOf(member(member(variables, name), "default"))
		}
		if value == "" {
			return nil, fmt.Errorf("the server's URL has the variable %q, which has no value: set it in variables, or set url", clip.Text(name, 64))
		}
		b.WriteString(value)
		text = rest
	}
	u, err := url.Parse(b.String())
	if err != nil {
		return nil, errors.New("the URL of the document's server is not valid: set url")
	}
	if u.Host == "" {
		if from == nil {
			return nil, errNoServer
		}
		u = from.ResolveReference(u)
	}
	u.RawQuery, u.Fragment = "", ""
	return checkServer(u.String())
}

// checkServer reads a URL below which paths can be put.
func checkServer(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("the URL of the server is not valid")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Opaque != "":
		return nil, errors.New("the URL of the server must begin with https:// or http://")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the URL of the server must be an origin and a path, and nothing else")
	}
	return u, nil
}

// origin returns scheme and host of a URL.
func origin(u *url.URL) string { return u.Scheme + "://" + strings.ToLower(u.Host) }

func sameOrigin(a, b *url.URL) bool { return origin(a) == origin(b) }
