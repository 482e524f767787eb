package auth

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/trilith-gateway/trilith/gateway"
)

// Unary returns the door for unary gRPC methods. Credentials travel in metadata
// of the names that they have as HTTP headers: the token in "authorization", a
// DPoP proof, for method POST and the URL that the public URL and the full
// method make, in "dpop". So do challenges, in trailers.
func (d *Door) Unary() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		ctx, err := d.enter(ctx, info.FullMethod)
		if err != nil {
			return nil, err
		}
		res, err := next(ctx, req)
		d.stepUp(ctx, info.FullMethod, err)
		return res, err
	}
}

// Stream returns the door for streams and for methods that the server does not
// know. A stream's context ends with the credential that opened it, unless heeds,
// which may be nil, says that the method sees to that itself, by [Expired] once it
// has its one message, or by [Until].
func (d *Door) Stream(heeds func(method string) bool) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		ctx, err := d.enter(ss.Context(), info.FullMethod)
		if err != nil {
			return err
		}
		if heeds == nil || !heeds(info.FullMethod) {
			var cancel context.CancelFunc
			ctx, cancel = Until(ctx, From(ctx))
			defer cancel()
		}
		err = next(srv, &stream{ss, ctx})
		d.stepUp(ctx, info.FullMethod, err)
		return err
	}
}

// stepUp puts the challenge of a call that needs more scopes into its trailers.
func (d *Door) stepUp(ctx context.Context, method string, err error) {
	if e, ok := errors.AsType[*gateway.Error](err); ok && e.Scopes != nil {
		_ = grpc.SetTrailer(ctx, metadata.Pairs("www-authenticate", d.StepUp(method, e.Scopes))) // It fails only outside of a server's call.
	}
}

// stream is a server stream with the door's context.
type stream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *stream) Context() context.Context { return s.ctx }

// enter judges a call and returns its context with the principal and without
// credentials, or the error as a gRPC status.
func (d *Door) enter(ctx context.Context, method string) (context.Context, error) {
	md, _ := metadata.FromIncomingContext(ctx) // A copy.
	from, ok := peer.FromContext(ctx)
	if !ok {
		from = &peer.Peer{}
	}
	host := ""
	if v := md[":authority"]; len(v) > 0 {
		host = v[0]
	}
	v := visit{method: http.MethodPost, path: method, rawPath: method, authorization: md["authorization"], proof: md["dpop"]}
	if d.o.KeyHeader != "" {
		v.key = md[strings.ToLower(d.o.KeyHeader)]
	}
	if info, ok := from.AuthInfo.(credentials.TLSInfo); ok {
		v.tls = &info.State
	}
	p, err := d.admitGRPC(ctx, &v, md["origin"], host, local(from))
	if err != nil {
		e := d.refused(ctx, Attempt{Via: "grpc", Path: method, Remote: address(from)}, err)
		trailer := metadata.MD{"www-authenticate": d.challenges(method, e, v.authorization)}
		if v.nonce != "" {
			trailer.Set("dpop-nonce", v.nonce)
		}
		_ = grpc.SetTrailer(ctx, trailer) // It fails only outside of a server's call.
		return nil, status.Error(codes.Code(e.Code), e.Msg)
	}
	for _, k := range [...]string{"authorization", "proxy-authorization", "dpop", "cookie", strings.ToLower(d.o.KeyHeader)} {
		delete(md, k)
	}
	ctx = metadata.NewIncomingContext(ctx, md)
	if p != nil {
		ctx = d.keep(With(ctx, p), v.token)
	}
	return ctx, nil
}

// admitGRPC returns the principal of a call, or nil for a public method without a
// good credential. The host matters only where a browser asks, which then says so by Origin.
func (d *Door) admitGRPC(ctx context.Context, v *visit, origins []string, host string, loopback bool) (*gateway.Principal, error) {
	if len(origins) > 0 {
		if err := d.checkHost(host, loopback); err != nil {
			return nil, err
		}
		if err := d.checkOrigin(origins, host, loopback); err != nil {
			return nil, err
		}
	}
	p, err := d.admit(ctx, v)
	if err != nil && slices.ContainsFunc(d.o.Public, func(prefix string) bool { return strings.HasPrefix(v.path, prefix) }) {
		v.token, v.nonce = "", ""
		return nil, nil //nolint:nilnil // As the comment says.
	}
	return p, err
}

// address returns that of the peer, or "" where it is not known.
func address(p *peer.Peer) string {
	if p.Addr == nil {
		return ""
	}
	return p.Addr.String()
}

// local reports whether the server's own address is loopback, or no address of
// a network.
func local(p *peer.Peer) bool {
	tcp, ok := p.LocalAddr.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}
