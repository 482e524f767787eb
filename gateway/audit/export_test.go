package audit

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	syslog4 "github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/octetcounting"
	"github.com/leodido/go-syslog/v4/rfc5424"

	"github.com/trilith-gateway/trilith/gateway"
)

// collector receives what a sink sends.
type collector struct {
	mu   sync.Mutex
	seqs []int64
	more chan struct{} // receives after each addition
}

func newCollector() *collector { return &collector{more: make(chan struct{}, 1000)} }

func (c *collector) add(line string) {
	r, err := ParseRecord([]byte(line))
	c.mu.Lock()
	if err != nil {
		r.Seq = -1
	}
	c.seqs = append(c.seqs, r.Seq)
	c.mu.Unlock()
	c.more <- struct{}{}
}

// until waits until the record was received.
func (c *collector) until(t *testing.T, seq int64) []int64 {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		c.mu.Lock()
		got := slices.Clone(c.seqs)
		c.mu.Unlock()
		if slices.Contains(got, seq) {
			return got
		}
		select {
		case <-c.more:
		case <-late:
			t.Fatalf("record %d was not received, only %v", seq, got)
		}
	}
}

// exportUntil exports the log in dir until the collector has a record.
func exportUntil(t *testing.T, dir string, sink Sink, c *collector, seq int64) []int64 {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- Export(ctx, dir, "siem", sink, slog.New(slog.DiscardHandler)) }()
	got := c.until(t, seq)
	place := filepath.Join(dir, "export-siem")
	for late := time.Now().Add(10 * time.Second); time.Now().Before(late); <-time.After(time.Millisecond) {
		if text, err := os.ReadFile(place); err == nil && string(text) == fmt.Sprint(seq) {
			break
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := sink.Close(); err != nil {
		t.Error(err)
	}
	return got
}

// count returns the numbers from 1 to n.
func count(n int64) (out []int64) {
	for i := range n {
		out = append(out, i+1)
	}
	return out
}

func TestExportSyslog(t *testing.T) {
	server := httptest.NewUnstartedServer(nil) // For its certificate.
	server.StartTLS()
	pool := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs //nolint:forcetypeassert // httptest's.
	certificate := server.TLS.Certificates
	server.Close()
	for name, secure := range map[string]bool{"tcp": false, "tls": true} {
		t.Run(name, func(t *testing.T) {
			dir := closedLog(t, 6)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var config *tls.Config
			if secure {
				l = tls.NewListener(l, &tls.Config{Certificates: certificate, MinVersion: tls.VersionTLS12})
				config = &tls.Config{RootCAs: pool, ServerName: "example.com", MinVersion: tls.VersionTLS12}
			}
			c := newCollector()
			var wg sync.WaitGroup
			wg.Go(func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				octetcounting.NewParser(syslog4.WithMaxMessageLength(maxLine), syslog4.WithListener(func(r *syslog5424) {
					m, ok := r.Message.(*rfc5424.SyslogMessage)
					if !ok || r.Error != nil || *m.Appname != "trilith" || *m.Facility != facilityAudit || *m.Hostname != "n1" {
						c.add("bad")
						return
					}
					c.add(*m.Message)
				})).Parse(conn)
			})
			if got := exportUntil(t, dir, NewSyslogSink(l.Addr().String(), config), c, 8); !slices.Equal(got, count(8)) {
				t.Errorf("received %v", got)
			}
			wg.Wait()
			_ = l.Close()
		})
	}
}

// syslog5424 is what the parser gives its listener.
type syslog5424 = syslog4.Result

// TestExportOTLP holds that each record arrives, after a refusal again, and
// that an export goes on where it was.
func TestExportOTLP(t *testing.T) {
	dir := closedLog(t, 6)
	c := newCollector()
	refused := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !refused {
			refused = true
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		z, err := gzip.NewReader(r.Body)
		if err != nil || r.Header.Get("Authorization") != "Bearer x" {
			c.add("bad")
			return
		}
		body, err := io.ReadAll(z)
		if err != nil {
			c.add("bad")
		}
		// The records' lines stand in the protobuf message as they are.
		for _, part := range bytes.Split(body, []byte(`{"v":1,"seq":`))[1:] {
			line := `{"v":1,"seq":` + string(part)
			d := json.NewDecoder(strings.NewReader(line))
			var raw json.RawMessage
			if d.Decode(&raw) != nil {
				raw = json.RawMessage("bad")
			}
			c.add(string(raw))
		}
	}))
	defer server.Close()
	open := func() Sink {
		t.Helper()
		sink, err := NewOTLPSink(t.Context(), server.URL+"/v1/logs", map[string]string{"Authorization": "Bearer x"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return sink
	}
	if got := exportUntil(t, dir, open(), c, 8); !slices.Equal(got, count(8)) {
		t.Errorf("received %v", got)
	}
	l := mustOpen(t, Options{Dir: dir})
	do(t.Context(), l, testCall("more"), gateway.TextResult(""), nil)
	mustClose(t, l)
	if got := exportUntil(t, dir, open(), c, 11); !slices.Equal(got, count(11)) {
		t.Errorf("received in all %v", got)
	}
}

func TestExportFile(t *testing.T) {
	dir := closedLog(t, 6)
	path := filepath.Join(t.TempDir(), "out.jsonl")
	sink, err := NewFileSink(path, FormatJSONL)
	if err != nil {
		t.Fatal(err)
	}
	c := newCollector()
	exportUntil(t, dir, seen{sink, c}, c, 8)
	var want bytes.Buffer
	n, err := Write(t.Context(), &want, dir, Filter{}, FormatJSONL)
	if err != nil || n != 8 {
		t.Errorf("%d records, %v", n, err)
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s\nwant %s, %v", got, &want, err)
	}
	if err := Export(t.Context(), dir, "../x", sink, nil); err == nil {
		t.Error("a name with a slash was accepted")
	}
	if _, err := Write(t.Context(), io.Discard, t.TempDir(), Filter{}, FormatJSONL); !errors.Is(err, ErrNoLog) {
		t.Errorf("without a log: %v", err)
	}
	if _, err := Write(t.Context(), io.Discard, dir, Filter{}, "x"); err == nil {
		t.Error("a format that does not exist was accepted")
	}
}

// seen is a sink that tells a collector.
type seen struct {
	Sink

	c *collector
}

func (s seen) Send(ctx context.Context, records []Exported) error {
	if err := s.Sink.Send(ctx, records); err != nil {
		return err
	}
	for _, r := range records {
		s.c.add(string(r.Line))
	}
	return nil
}

func TestOCSF(t *testing.T) {
	for _, c := range []struct {
		record                  Record
		class, activity, status int
	}{
		{Record{Type: TypeCall, Op: "call", Code: "OK", Object: "tool/a/b", ID: "1"}, 6003, 99, 1},
		{Record{Type: TypeCall, Op: "read", Code: "PERMISSION_DENIED"}, 6003, 2, 2},
		{Record{Type: TypeList, Op: "list", Code: "OK"}, 6003, 2, 1},
		{Record{Type: EventDoor, Code: "UNAUTHENTICATED", Actor: "192.0.2.1"}, 3002, 1, 2},
		{Record{Type: "logout", Code: "OK", Principal: Principal{ID: "p", Groups: []string{"g"}}}, 3002, 2, 1},
		{Record{Type: "key.revoke", Code: "OK", Object: "key/7"}, 3004, 4, 1},
		{Record{Type: TypeOpen}, 3004, 99, 1},
	} {
		line, err := FormatOCSF.Append(nil, &Exported{c.record, []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		var e ocsfEvent
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if e.ClassUID != c.class || e.ActivityID != c.activity || e.StatusID != c.status ||
			e.TypeUID != c.class*100+c.activity || e.CategoryUID != c.class/1000 || e.Metadata.Version != ocsfVersion || e.RawData != "{}" {
			t.Errorf("%+v became %s", c.record, line)
		}
		// What the classes require.
		switch e.ClassUID {
		case ocsfAPIActivity:
			if e.Actor == nil || e.API == nil || e.Source == nil {
				t.Errorf("%s lacks actor, api or src_endpoint", line)
			}
		case ocsfAuthentication:
			if e.User == nil {
				t.Errorf("%s lacks user", line)
			}
		case ocsfEntity:
			if e.Entity == nil || e.Entity.Name == "" {
				t.Errorf("%s lacks entity", line)
			}
		}
	}
}
