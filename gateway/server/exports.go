package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/trilith-gateway/trilith/gateway/audit"
	"github.com/trilith-gateway/trilith/gateway/config"
)

// exports are the places that audit records are sent to.
type exports struct {
	dir   string
	sinks map[string]audit.Sink // by name
	log   *slog.Logger
}

// openExports opens the sinks. It does not yet dial any.
func (s *Server) openExports(ctx context.Context, cfg *config.Config) error {
	s.exports = &exports{dir: cfg.AuditDir(), sinks: map[string]audit.Sink{}, log: s.log}
	for _, c := range cfg.Audit.Exports {
		sink, err := s.openExport(ctx, c)
		if err != nil {
			return fmt.Errorf("audit export %s: %w", c.Name, err)
		}
		s.exports.sinks[c.Name] = sink
		s.onClose(sink.Close)
	}
	return nil
}

func (s *Server) openExport(ctx context.Context, c config.AuditExport) (audit.Sink, error) {
	if c.File != "" {
		return audit.NewFileSink(c.File, audit.Format(c.Format))
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, err
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate", c.CAFile)
		}
	}
	switch {
	case c.Syslog != "" && c.Plain:
		return audit.NewSyslogSink(c.Syslog, nil), nil
	case c.Syslog != "":
		return audit.NewSyslogSink(c.Syslog, trust), nil
	}
	headers := map[string]string{}
	for name, secret := range c.Headers {
		value, err := secret.Resolve(s.lookup())
		if err != nil {
			return nil, fmt.Errorf("headers.%s: %w", name, err)
		}
		headers[name] = value
	}
	return audit.NewOTLPSink(ctx, c.OTLP, headers, trust)
}

// run exports until the context ends.
func (x *exports) run(ctx context.Context) {
	var all sync.WaitGroup
	for name, sink := range x.sinks {
		all.Go(func() {
			if err := audit.Export(ctx, x.dir, name, sink, x.log); err != nil {
				x.log.ErrorContext(ctx, "audit export ended", slog.String("export", name), slog.Any("cause", err))
			}
		})
	}
	all.Wait()
}
