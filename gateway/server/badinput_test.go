package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/gateway/audit"
	"github.com/trilith-gateway/trilith/gateway/config"
)

// A badInput is a request that no door can serve.
type badInput struct {
	name   string
	send   func(t *testing.T, r *rig) string // returns the answer, its status first
	answer string                            // how the answer begins, and after "…" what else is in it
	record string                            // the one record that it leaves
}

// marker is in the bodies of bad inputs. Records have nothing of a body.
const marker = "hunter2"

const bodyMost = 32 << 10

// TestBadInput sends every kind of bad input through the doors: each answers in
// its own terms without saying more than it should, leaves exactly one record,
// and serves the next.
func TestBadInput(t *testing.T) {
	r := start(t, nil, func(cfg *config.Config) { cfg.Limits.BodyBytes = bodyMost })
	seen := 0
	for _, inputs := range [][]badInput{badMCP(), badGraphQL(), badSockets(), badREST(), badGRPC()} {
		for _, in := range inputs {
			t.Run(in.name, func(t *testing.T) {
				in.checkAnswer(t, in.send(t, r))
				if n := len(r.records(t, seen+1)); n > seen+1 {
					t.Errorf("%d records, want one", n-seen)
				}
				code, body := r.send(t, "dev", http.MethodPost, "/v1/tools/demo.add:call", jsonHeader(), `{"a":1,"b":2}`)
				records := r.records(t, seen+2)
				fresh := records[seen:]
				seen = len(records)
				if len(fresh) != 2 || code != http.StatusOK || fresh[1].Code != "OK" {
					t.Fatalf("afterwards a good call has %d %s; records %+v, want one and that of the good call", code, body, fresh)
				}
				in.checkRecord(t, fresh[0])
			})
		}
	}
	if n := len(r.records(t, seen)); n != seen {
		t.Errorf("%d records came late", n-seen)
	}
}

func (in badInput) checkAnswer(t *testing.T, answer string) {
	t.Helper()
	start, others, _ := strings.Cut(in.answer, "…")
	if !strings.HasPrefix(answer, start) {
		t.Errorf("answer %.300q, want %q", answer, in.answer)
	}
	for part := range strings.SplitSeq(others, "…") {
		if !strings.Contains(answer, part) {
			t.Errorf("answer %.300q, want %q in it", answer, part)
		}
	}
	for _, leak := range []string{"goroutine", ".go:", "panic"} {
		if strings.Contains(answer, leak) {
			t.Errorf("the answer has %q: %s", leak, answer)
		}
	}
}

func (in badInput) checkRecord(t *testing.T, record audit.Record) {
	t.Helper()
	if got := recordLine(record); got != in.record {
		t.Errorf("record\n%s, want\n%s", got, in.record)
	}
	raw, err := json.Marshal(record)
	if err != nil || strings.Contains(string(raw), marker) || len(raw) > 2048 {
		t.Errorf("the record holds the body: %s %v", raw, err)
	}
	if record.By == record.Via && (record.ArgsHMAC != "" || record.BytesIn != 0) {
		t.Errorf("the record has arguments: %s", raw)
	}
}

func recordLine(r audit.Record) string {
	return fmt.Sprintf("%s %s by=%s as=%s %s %.64q", r.Via, r.Code, r.By, r.Principal.Name, r.Op, r.Name)
}
