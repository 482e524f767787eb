package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/trilith-gateway/trilith/auth/connect"
	"github.com/trilith-gateway/trilith/protocols/egress"
)

// Options say where a gRPC server is and what is taken of it. Zero values take the defaults named with each
// field.
type Options struct {
	Name string // of the source; errors name it. Required

	// Client is how the server is reached: its URL (https, or http for HTTP/2 without TLS), the networks that may be
	// dialled, and the credentials of calls. The upstream closes it. Required.
	Client *egress.Client

	// Headers are sent as metadata with every request. Nothing of a caller's is.
	Headers http.Header

	// TLS is for a server of an https URL; nil trusts what the system trusts. ServerName and NextProtos are set.
	TLS *tls.Config

	// Descriptors is what the server offers where it does not serve reflection. Where it does, only the comments are
	// taken, which servers leave out. Nil is none.
	Descriptors *descriptorpb.FileDescriptorSet
	Reflection  bool // ask the server what it offers

	// Services are the full names of the services to take; a name may end in "*". Nil takes all but those that are
	// for reflection and health.
	Services []string

	Timeout     time.Duration // of one call, and of looking what there is; 30 seconds
	Reload      time.Duration // how often to look again what there is; 5 minutes
	MaxMessage  int           // bytes of a message, either way; 4 MiB
	MaxMessages int           // messages that a stream's result holds; 1000
	MaxStream   int           // bytes of those; 1 MiB

	// MaxConnections bounds the connections to the server: there is one for each 100 calls at a time; 16.
	MaxConnections int

	UserAgent string       // "trilith"
	Logger    *slog.Logger // for the operator; nil discards
}

func (o *Options) setDefaults() {
	for p, d := range map[*time.Duration]time.Duration{&o.Timeout: 30 * time.Second, &o.Reload: 5 * time.Minute} {
		if *p <= 0 {
			*p = d
		}
	}
	for p, d := range map[*int]int{&o.MaxMessage: 4 << 20, &o.MaxMessages: 1000, &o.MaxStream: 1 << 20, &o.MaxConnections: 16} {
		if *p <= 0 {
			*p = d
		}
	}
	if o.UserAgent == "" {
		o.UserAgent = "trilith"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// An Upstream offers the methods of a gRPC server as tools: those with one request, and one response or a stream of
// them. It is a [gateway.Upstream] and a [gateway.Watcher].
//
// A tool is called after its service and method, such as "Greeter.SayHello". Where several services have the same
// last name, each is called by its full name.
type Upstream struct {
	o    Options
	by   string // who failed, in errors
	pool *pool
	md   metadata.MD // of every request, without authorization

	opened atomic.Uint64 // connections that were ever

	now     atomic.Pointer[offer] // what the server offers; nil until it was asked
	refresh chan struct{}         // that it is to be asked again

	// ctx is the upstream's own life, which Close ends.
	ctx    context.Context //nolint:containedctx // see above.
	cancel context.CancelCauseFunc
	once   sync.Once
	closed error
}

// New checks the options and returns an upstream that has not connected yet. Close it when it is no longer
// needed.
func New(o Options) (*Upstream, error) {
	o.setDefaults()
	if o.Name == "" || o.Client == nil {
		return nil, errors.New("name or client is missing")
	}
	if !o.Reflection && o.Descriptors == nil {
		return nil, errors.New("without reflection a descriptor set must say what the server offers")
	}
	u := &Upstream{o: o, by: "upstream/" + o.Name, refresh: make(chan struct{}, 1)}
	var err error
	if u.md, err = metadataOf(o.Headers); err != nil {
		return nil, err
	}
	if u.pool, err = newPool(o.MaxConnections, u.dial); err != nil {
		return nil, err
	}
	u.ctx, u.cancel = context.WithCancelCause(context.Background()) //nolint:forbidigo // Close ends it.
	return u, nil
}

// metadataOf returns header fields as metadata. The credentials are apart: they may change.
func metadataOf(h http.Header) (metadata.MD, error) {
	md := metadata.MD{}
	for name, values := range h {
		switch key := strings.ToLower(name); {
		case strings.HasPrefix(key, "grpc-"), strings.HasSuffix(key, "-bin"), key == "content-type":
			return nil, fmt.Errorf("header %q cannot be set", name)
		case key == "authorization", key == "user-agent":
		default:
			md[key] = values
		}
	}
	return md, nil
}

// Close ends the connections, with the calls that run, and whatever Watch does. It can be called more than once.
func (u *Upstream) Close() error {
	u.once.Do(func() {
		u.cancel(egress.ErrClosed)
		u.closed = errors.Join(u.pool.close(), u.o.Client.Close())
	})
	return u.closed
}

// Provider returns where the users of the server connect, or nil where they do not.
func (u *Upstream) Provider() connect.Provider { return u.o.Client.Provider() }

// Connections returns the counts of now.
func (u *Upstream) Connections() egress.Connections {
	n := u.pool.connections()
	n.Opened = u.opened.Load()
	return n
}

// Limit returns how long a call can take.
func (u *Upstream) Limit() time.Duration { return u.o.Timeout }

// Refresh has the server asked again soon what it offers.
func (u *Upstream) Refresh() {
	select {
	case u.refresh <- struct{}{}:
	default: // It is about to be.
	}
}

// address returns the host and port of the server.
func (u *Upstream) address() string {
	at := u.o.Client.URL()
	if at.Port() != "" {
		return at.Host
	}
	port := "80"
	if at.Scheme == "https" {
		port = "443"
	}
	return net.JoinHostPort(at.Hostname(), port)
}
