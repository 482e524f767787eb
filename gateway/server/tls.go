package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway/config"
)

// serverTLS loads the certificate of both listeners, or returns nil. Renewed
// files are used as soon as they are there. With a client_ca, clients may show
// certificates of their own, which are verified in the handshake.
func serverTLS(c *config.TLS, log *slog.Logger) (*tls.Config, error) {
	if c == nil {
		return nil, nil //nolint:nilnil // No TLS is a choice, not a failure.
	}
	p := &keyPair{cert: c.Cert, key: c.Key, log: log}
	if err := p.load(); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	t := &tls.Config{GetCertificate: p.get, MinVersion: tls.VersionTLS12}
	if c.ClientCA == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("tls: client_ca: %w", err)
	}
	t.ClientCAs, t.ClientAuth = x509.NewCertPool(), tls.VerifyClientCertIfGiven
	if !t.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("tls: client_ca: %s holds no certificate", c.ClientCA)
	}
	return t, nil
}

// A keyPair is a certificate and its key in two files, which are looked at
// again once a second at most. Files that do not fit each other change nothing.
type keyPair struct {
	cert, key string
	log       *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate
	read   [2]time.Time // when the files were written that were read last
	looked time.Time
}

func (p *keyPair) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.looked) >= time.Second {
		p.looked = now
		if p.written() != p.read {
			if err := p.load(); err != nil {
				p.log.ErrorContext(hello.Context(), "certificate not reloaded", slog.String("file", p.cert), slog.Any("cause", err))
			}
		}
	}
	return p.pair, nil
}

// written returns when the files were written; the zero time is for one that
// is away.
func (p *keyPair) written() (at [2]time.Time) {
	for i, file := range []string{p.cert, p.key} {
		if info, err := os.Stat(file); err == nil {
			at[i] = info.ModTime()
		}
	}
	return at
}

// load reads the files, and keeps what it has on an error. The times are taken
// first: a change while it reads is seen the next time.
func (p *keyPair) load() error {
	p.read = p.written()
	pair, err := tls.LoadX509KeyPair(p.cert, p.key)
	if err == nil {
		p.pair = &pair
	}
	return err
}
