package audit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
)

// otlpSend bounds one request.
const otlpSend = 30 * time.Second

// An OTLPSink sends records as OpenTelemetry logs over HTTP (protobuf). A
// record's line is the body, its type the name of the event, and what one
// searches by stands in attributes.
type OTLPSink struct {
	exporter *otlploghttp.Exporter
	gather   *gatherer
	provider *sdklog.LoggerProvider
	logger   log.Logger
}

// gatherer is the processor that keeps records until the sink sends them.
type gatherer struct{ records []sdklog.Record }

// OnEmit keeps a record.
func (g *gatherer) OnEmit(_ context.Context, r *sdklog.Record) error {
	g.records = append(g.records, r.Clone())
	return nil
}

// Enabled says that every record is wanted.
func (g *gatherer) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }

// Shutdown does nothing.
func (g *gatherer) Shutdown(context.Context) error { return nil }

// ForceFlush does nothing.
func (g *gatherer) ForceFlush(context.Context) error { return nil }

// NewOTLPSink returns a sink for a collector's URL, such as
// https://collector:4318/v1/logs, with headers such as Authorization. A nil
// config trusts what the system trusts.
func NewOTLPSink(ctx context.Context, url string, headers map[string]string, config *tls.Config) (*OTLPSink, error) {
	options := []otlploghttp.Option{
		otlploghttp.WithEndpointURL(url), otlploghttp.WithHeaders(headers), otlploghttp.WithTimeout(otlpSend),
		otlploghttp.WithRetry(otlploghttp.RetryConfig{}), otlploghttp.WithCompression(otlploghttp.GzipCompression),
	}
	if config != nil {
		options = append(options, otlploghttp.WithTLSClientConfig(config))
	}
	exporter, err := otlploghttp.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("audit export over OTLP: %w", err)
	}
	g := &gatherer{}
	p := sdklog.NewLoggerProvider(sdklog.WithProcessor(g))
	return &OTLPSink{exporter: exporter, gather: g, provider: p, logger: p.Logger("github.com/trilith-gateway/trilith/gateway/audit")}, nil
}

// Send sends the records in one request.
func (s *OTLPSink) Send(ctx context.Context, records []Exported) error {
	s.gather.records = s.gather.records[:0]
	for i := range records {
		s.logger.Emit(ctx, otlp(&records[i]))
	}
	if err := s.exporter.Export(ctx, s.gather.records); err != nil {
		return fmt.Errorf("send over OTLP: %w", err)
	}
	return nil
}

// otlp returns a record as OpenTelemetry has it.
func otlp(r *Exported) log.Record {
	var out log.Record
	out.SetTimestamp(r.Time)
	out.SetObservedTimestamp(time.Now())
	out.SetEventName("trilith.audit." + r.Type)
	out.SetSeverity(log.SeverityInfo)
	if r.Code != "" && r.Code != "OK" {
		out.SetSeverity(log.SeverityWarn)
	}
	out.SetBody(attribute.StringValue(string(r.Line)))
	out.AddAttributes(attribute.Int64("audit.seq", r.Seq), attribute.String("audit.type", r.Type))
	for name, value := range map[string]string{
		"audit.node": r.Node, "audit.id": r.ID, "audit.op": r.Op, "audit.via": r.Via, "audit.object": r.what(), "audit.code": r.Code,
		"audit.by": r.By, "audit.rule": r.Rule, "audit.policy": r.Policy, "audit.trace": r.Trace, "audit.actor": r.Actor,
		"enduser.id": r.Principal.ID,
	} {
		if value != "" {
			out.AddAttributes(attribute.String(name, value))
		}
	}
	return out
}

// Close ends the exporter.
func (s *OTLPSink) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) //nolint:forbidigo // An io.Closer gets none.
	defer cancel()
	return errors.Join(s.provider.Shutdown(ctx), s.exporter.Shutdown(ctx))
}
