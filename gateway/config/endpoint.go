package config

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"time"
)

// Endpoint is one more place at which a source can be reached. The first is the
// `url` of its kind, with the name `main`.
type Endpoint struct {
	// Name of the endpoint, for administrators.
	Name string `yaml:"name" format:"name" required:"true"`

	// URL that takes the place of the kind's. Everything else, credentials too, is
	// as the kind has it.
	URL string `yaml:"url" format:"url" required:"true"`

	// How many of the calls it gets, compared with others of its role.
	Weight int `yaml:"weight" default:"100" min:"1" max:"10000"`

	// What it is for. A `stable` endpoint serves. A `canary` serves the share of
	// calls that `balance.canary` says and is compared with the stable ones. A
	// `mirror` gets copies of calls, and nobody its answers.
	Role string `yaml:"role" default:"stable" enum:"stable canary mirror"`
}

// Balance says how the calls of a source are divided between its endpoints.
type Balance struct {
	// Which endpoint gets a call: each in turn by weight (`round_robin`), of two
	// taken at random the one with fewer calls under way (`least_requests`), or the
	// one that would answer sooner by what calls took lately (`ewma`), or always
	// the same for the same caller or argument (`hash`).
	Policy string `yaml:"policy" default:"least_requests" enum:"round_robin least_requests ewma hash"`

	// Argument of tools that `hash` goes by. By default it is the caller, and so it
	// is for calls without the argument.
	HashArgument string `yaml:"hash_argument"`

	// Weight of the endpoint `main`.
	Weight int `yaml:"weight" default:"100" min:"1" max:"10000"`

	// When an endpoint gets no calls.
	Health EndpointHealth `yaml:"health"`

	// What the endpoints with `role: canary` get, and when that ends by itself.
	Canary Canary `yaml:"canary"`

	// Copy calls of tools that may change something to mirrors, too.
	MirrorChanges bool `yaml:"mirror_changes"`
}

// DefaultBalance returns how calls are divided where the configuration says
// nothing of it.
func DefaultBalance() Balance {
	var b Balance
	setDefaults(reflect.ValueOf(&b).Elem())
	return b
}

// EndpointHealth says when an endpoint gets no calls.
type EndpointHealth struct {
	// Calls that fail in a row until it gets none for a while.
	Failures int `yaml:"failures" default:"5" min:"1" max:"10000"`

	// For how long the first time. Each time in a row it is twice as long.
	Eject time.Duration `yaml:"eject" default:"10s" min:"100ms" max:"1h"`

	// And the longest.
	MaxEject time.Duration `yaml:"max_eject" default:"5m" min:"100ms" max:"24h"`

	// How it is asked whether it is there, besides what it offers: whether it
	// accepts a connection (`tcp`), whether it also answers a GET of `path` with a
	// status of 200 to 299 (`http`), or not at all. The health service of gRPC
	// servers is followed in any case.
	Probe string `yaml:"probe" default:"tcp" enum:"tcp http off"`

	// What the probe `http` asks for, such as `/healthz`. The source's credentials
	// are not sent.
	Path string `yaml:"path"`

	// How often.
	Interval time.Duration `yaml:"interval" default:"10s" min:"100ms" max:"1h"`

	// How long that may take.
	Timeout time.Duration `yaml:"timeout" default:"2s" min:"10ms" max:"1m"`
}

// Canary says which share of the calls new endpoints get, and when that ends by
// itself. `gateway canary` changes the share on all nodes, until the endpoints or
// what is said here are configured otherwise.
type Canary struct {
	// Calls in a hundred that they get.
	Percent int `yaml:"percent" default:"0" min:"0" max:"100"`

	// Calls that they must have had within `window` before they are judged.
	Calls int `yaml:"calls" default:"20" min:"1" max:"1000000"`

	// How far back calls are compared.
	Window time.Duration `yaml:"window" default:"1m" min:"1s" max:"1h"`

	// The canary is aborted when so many more of a hundred calls fail than of the
	// stable endpoints'. A call fails when the service is away or late, or when the
	// tool says that it has failed. 100 never aborts.
	Errors int `yaml:"errors" default:"5" min:"1" max:"100"`

	// It is aborted when its calls take longer than that many hundredths of what
	// they take at the stable endpoints. 0 never aborts.
	Latency int `yaml:"latency" default:"200" min:"0" max:"100000"`
}

// At returns the source as it is at another endpoint.
func (s Source) At(url string) Source {
	switch {
	case s.MCP != nil:
		c := *s.MCP
		c.URL, s.MCP = url, &c
	case s.OpenAPI != nil:
		c := *s.OpenAPI
		c.URL, s.OpenAPI = url, &c
	case s.HTTP != nil:
		c := *s.HTTP
		c.URL, s.HTTP = url, &c
	case s.GraphQL != nil:
		c := *s.GraphQL
		c.URL, s.GraphQL = url, &c
	case s.GRPC != nil:
		c := *s.GRPC
		c.URL, s.GRPC = url, &c
	}
	return s
}

// checkEndpoints finds endpoints that no call could reach.
func (r *report) checkEndpoints(path string, s *Source) {
	r.checkProbe(joinPath(path, "balance.health"), s)
	if len(s.Endpoints) == 0 {
		return
	}
	kind, remote := s.Remote()
	if remote == nil {
		r.add(path+".endpoints", "only sources with a URL have several endpoints", "")
		return
	}
	if remote.URL == "" {
		r.add(joinPath(path, kind)+".url", "url is required with endpoints: it is the first of them", "")
	}
	names := map[string]int{"main": -1}
	for i, e := range s.Endpoints {
		item := joinPath(path, "endpoints") + fmt.Sprintf("[%d]", i)
		if e.Name == "main" {
			r.add(item+".name", "main is the endpoint at the url of the source", "")
		} else {
			r.distinct(names, e.Name, i, item, "name")
		}
		at := *remote
		at.URL = e.URL
		r.checkPrivate(item, &at)
	}
}

// checkProbe finds probes that cannot ask what they are told to.
func (r *report) checkProbe(path string, s *Source) {
	h := &s.Balance.Health
	switch {
	case h.Probe != "http":
		if h.Path != "" {
			r.add(path+".path", "only the probe http asks for a path", "")
		}
	case s.GRPC != nil:
		r.add(path+".probe", "gRPC servers have a health service of their own, which is followed", "tcp")
	case h.Path == "":
		r.add(path+".path", "is missing: the probe http asks for it", "")
	default:
		if u, err := url.ParseRequestURI(h.Path); err != nil || u.Path != h.Path || h.Path[0] != '/' || strings.HasPrefix(h.Path, "//") {
			r.add(path+".path", "is no path such as /healthz, without a query", "")
		}
	}
}
