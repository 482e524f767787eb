package state

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// minServerMinor is the oldest NATS 2.x that the package works with: 2.9 brought direct reads of buckets.
	minServerMinor = 9
	// minReplicasMinor is the oldest for several replicas. Before, the leader of a replicated stream compared revisions
	// without regard to writes on their way, so that several concurrent updates of one revision could succeed.
	minReplicasMinor = 11
)

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
		if hopeless(err) {
			return nil, fmt.Errorf("connect to NATS: %w", err)
		}
		select {
		case <-time.After(retryWait):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: connect to NATS: %w", ErrUnavailable, err)
		}
	}
}

// hopeless tells whether trying again is useless: one side does not trust the other.
func hopeless(err error) bool {
	var untrusted *tls.CertificateVerificationError
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.As(err, &untrusted)
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
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, fmt.Errorf("%w: a client certificate needs both CertFile and KeyFile", ErrInvalid)
	}
	for _, file := range []string{o.CredentialsFile, o.CAFile, o.CertFile, o.KeyFile} {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil { // The client would take it for an outage.
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	var opts []nats.Option
	if o.CredentialsFile != "" {
		opts = append(opts, nats.UserCredentials(o.CredentialsFile))
	}
	if o.CAFile != "" {
		opts = append(opts, nats.RootCAs(o.CAFile)) // Demands TLS, whatever the scheme.
	}
	if o.CertFile != "" {
		opts = append(opts, nats.ClientCert(o.CertFile, o.KeyFile))
	}
	return opts, nil
}

// checkVersion refuses servers that are too old to behave.
func checkVersion(version string, replicas int) error {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("NATS server reports version %.20q", version)
	}
	needed := minServerMinor
	if replicas > 1 {
		needed = minReplicasMinor
	}
	if major < 2 || major == 2 && minor < needed {
		return fmt.Errorf("NATS server is %.20s, at least 2.%d is needed for %d replicas", version, needed, replicas)
	}
	return nil
}
