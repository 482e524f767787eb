package upstream

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
)

const (
	// pingAfter is how long a connection may be silent before the server is asked whether it is there. Servers of
	// grpc-go end the connection of a client that asks more often than every five minutes. That a peer is gone while
	// something is being sent to it is found out by the acknowledgements of TCP, within pingTimeout.
	pingAfter   = 5*time.Minute + 10*time.Second
	pingTimeout = 20 * time.Second

	maxBackoff     = 30 * time.Second
	connectTimeout = 10 * time.Second
	maxHeaders     = 64 << 10 // bytes of the metadata of a response
)

// dial returns a connection, which is not made yet, and closed when it was without calls for so long; 0 is never. The
// dialer of the client guards which addresses a name may lead to, so the name is resolved there and nowhere else.
func (u *Upstream) dial(idle time.Duration) (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	if at := u.o.Client.URL(); at.Scheme == "https" {
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if u.o.TLS != nil {
			config = u.o.TLS.Clone()
		}
		config.ServerName = at.Hostname()
		creds = credentials.NewTLS(config)
	}
	conn, err := grpc.NewClient("passthrough:///"+u.address(),
		grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := u.o.Client.Dial(ctx, "tcp", address)
			if err == nil {
				u.opened.Add(1)
			}
			return conn, err
		}),
		grpc.WithUserAgent(u.o.UserAgent),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingAfter, Timeout: pingTimeout}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxBackoff},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithMaxHeaderListSize(maxHeaders),
		grpc.WithIdleTimeout(idle),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(), // Whether a call may be made twice is decided in front of the upstream.
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(u.o.MaxMessage),
			grpc.MaxCallSendMsgSize(u.o.MaxMessage),
		),
	)
	if err != nil {
		return nil, fmt.Errorf("the address is not valid: %w", err)
	}
	return conn, nil
}

// outgoing returns the context of a request with the metadata that is configured and the credential of who asks, which
// it also returns: nothing else goes to the server.
func (u *Upstream) outgoing(ctx context.Context) (context.Context, string, error) {
	credential, err := u.o.Client.Authorization(ctx)
	if err != nil {
		return nil, "", err
	}
	md := u.md
	if credential != "" {
		md = u.md.Copy()
		md["authorization"] = []string{credential}
	}
	return metadata.NewOutgoingContext(ctx, md), credential, nil
}

// frame is a message as it is on the wire.
type frame struct {
	bytes []byte
	held  mem.Buffer // that holds the bytes of a received one, or nil
}

// free gives the bytes of a received frame back; they must not be used any more.
func (f *frame) free() {
	if f.held != nil {
		f.held.Free()
		f.held, f.bytes = nil, nil
	}
}

// frames passes the bytes of messages through, so that nothing is made of them but JSON.
type frames struct{}

var _ encoding.CodecV2 = frames{}

// Name returns the name of protobuf's codec: what is on the wire is protobuf.
func (frames) Name() string { return "proto" }

// Marshal returns the bytes of the frame.
func (frames) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*frame)
	if !ok {
		return nil, fmt.Errorf("cannot send a %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(f.bytes)}, nil
}

// Unmarshal keeps the bytes in the frame until it is freed.
func (frames) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("cannot receive a %T", v)
	}
	f.free()
	f.held = data.MaterializeToBuffer(mem.DefaultBufferPool())
	f.bytes = f.held.ReadOnlyData()
	return nil
}
