package state

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// minServerMinor is the oldest NATS 2.x that the package works with: 2.9 brought direct reads of buckets.
const minServerMinor = 9

// dial connects to the servers of o.URL and keeps trying for a while, because a cluster often starts together with
// the gateway. Refused credentials end the attempts at once.
func dial(ctx context.Context, o Options, base []nats.Option) (*nats.Conn, error) {
	opts, err := dialOptions(o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		nc, err := nats.Connect(o.URL, append(opts, base...)...)
		if err == nil {
			return nc, nil
		}
		// The client reports files it cannot read and certificates it cannot verify here, too; those do not heal, but
		// they are not told apart from a server that is just being set up.
		if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) {
			return nil, fmt.Errorf("NATS refused the credentials: %w", err)
		}
		select {
		case <-time.After(retryWait):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: connect to NATS: %w", ErrUnavailable, err)
		}
	}
}

// dialOptions checks the addresses without ever repeating them: they may hold a password.
func dialOptions(o Options) ([]nats.Option, error) {
	for i, s := range strings.Split(o.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(s))
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("%w: address %d of the NATS URL is not of the form nats://host:port", ErrInvalid, i+1)
		}
		switch u.Scheme {
		case "nats", "tls", "ws", "wss":
		default:
			return nil, fmt.Errorf("%w: address %d of the NATS URL: scheme must be nats, tls, ws or wss", ErrInvalid, i+1)
		}
	}
	var opts []nats.Option
	if o.CredentialsFile != "" {
		opts = append(opts, nats.UserCredentials(o.CredentialsFile))
	}
	if o.CAFile != "" {
		opts = append(opts, nats.RootCAs(o.CAFile)) // Demands TLS, whatever the scheme.
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, fmt.Errorf("%w: a client certificate needs both CertFile and KeyFile", ErrInvalid)
	}
	if o.CertFile != "" {
		opts = append(opts, nats.ClientCert(o.CertFile, o.KeyFile))
	}
	return opts, nil
}

// checkVersion refuses servers that are too old to behave.
func checkVersion(version string) error {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("NATS server reports version %.20q", version)
	}
	if major < 2 || major == 2 && minor < minServerMinor {
		return fmt.Errorf("NATS server is %.20s, at least 2.%d is needed", version, minServerMinor)
	}
	return nil
}
