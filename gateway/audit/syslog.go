package audit

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/leodido/go-syslog/v4/rfc5424"
)

// The parts of a syslog message's priority (RFC 5424, section 6.2.1).
const (
	facilityAudit   = 13
	severityWarning = 4
	severityNotice  = 5
	severityInfo    = 6
)

const (
	syslogDial = 10 * time.Second
	syslogSend = 30 * time.Second
)

// syslog returns a record as a message: its type is the MSGID, its line the
// message.
func syslog(r *Exported) ([]byte, error) {
	severity := uint8(severityInfo)
	switch {
	case r.Type == TypeGap || r.Type == TypeRepair || r.Code != "" && r.Code != "OK":
		severity = severityWarning
	case r.Type != TypeCall && r.Type != TypeIntent && r.Type != TypeList:
		severity = severityNotice
	}
	m := &rfc5424.SyslogMessage{}
	m.SetVersion(1)
	m.SetPriority(facilityAudit*8 + severity)
	m.SetTimestamp(r.Time.UTC().Format("2006-01-02T15:04:05.000000Z07:00"))
	m.SetAppname("trilith")
	m.SetMsgID(r.Type)
	if host := visible(r.Node, 255); host != "" {
		m.SetHostname(host)
	}
	m.SetMessage(string(r.Line))
	text, err := m.String()
	if err != nil {
		return nil, fmt.Errorf("syslog message of record %d: %w", r.Seq, err)
	}
	return []byte(text), nil
}

// visible returns a text as PRINTUSASCII of at most so many characters.
func visible(s string, most int) string {
	return clip(strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, s), most)
}

// A SyslogSink sends records as RFC 5424 messages over TCP or TLS (RFC 5425,
// RFC 6587). The protocol has no acknowledgement: what was sent just before a
// connection broke may be lost or come twice.
type SyslogSink struct {
	address string
	tls     *tls.Config
	conn    net.Conn
}

// NewSyslogSink returns a sink for a server at host:port, over TLS where a
// configuration for it is given. It dials when there is something to send.
func NewSyslogSink(address string, config *tls.Config) *SyslogSink {
	return &SyslogSink{address: address, tls: config}
}

// Send writes the records to the connection.
func (s *SyslogSink) Send(ctx context.Context, records []Exported) error {
	var b []byte
	var err error
	for i := range records {
		if b, err = FormatSyslog.Append(b, &records[i]); err != nil {
			return err
		}
	}
	if s.conn == nil {
		if err := s.dial(ctx); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	err = s.conn.SetWriteDeadline(time.Now().Add(syslogSend))
	if err == nil {
		_, err = s.conn.Write(b)
	}
	if err != nil {
		_ = s.conn.Close()
		s.conn = nil
		return fmt.Errorf("send to syslog: %w", err)
	}
	return nil
}

func (s *SyslogSink) dial(ctx context.Context) (err error) {
	d := net.Dialer{Timeout: syslogDial}
	if s.tls == nil {
		s.conn, err = d.DialContext(ctx, "tcp", s.address)
	} else {
		s.conn, err = (&tls.Dialer{NetDialer: &d, Config: s.tls}).DialContext(ctx, "tcp", s.address)
	}
	if err != nil {
		s.conn = nil
		return fmt.Errorf("connect to syslog: %w", err)
	}
	return nil
}

// Close closes the connection.
func (s *SyslogSink) Close() error {
	if s.conn == nil {
		return nil
	}
	return s.conn.Close() //nolint:wrapcheck // it names the connection.
}
