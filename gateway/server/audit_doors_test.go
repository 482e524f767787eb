package server_test

import (
	"bufio"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/gateway/audit"
)

// TestTailMissesNothing follows the audit log through every door while many calls are made at once: each door tells
// every record, in order, and leaves none out.
func TestTailMissesNothing(t *testing.T) {
	r := start(t, nil, withPolicy(t, devPolicyText))
	call := func() {
		if code, body := r.send(t, "dev", http.MethodPost, "/v1/tools/demo.echo:call", http.Header{"Content-Type": {"application/json"}}, `{"text":"x"}`); code != http.StatusOK {
			t.Errorf("demo.echo answered %d %s", code, body)
		}
	}
	lines := r.subscription(t, "admin", `subscription{auditRecords(filter:{type:"call",object:"tool/demo/echo"}){record dropped}}`)
	tails := map[string]func(tell func(seq, dropped int64)){
		"graphql": func(tell func(seq, dropped int64)) {
			for line := range lines {
				var event struct {
					Data struct {
						AuditRecords struct {
							Record  struct{ Seq int64 }
							Dropped int64
						}
					}
				}
				if err := json.Unmarshal([]byte(line), &event); err != nil {
					t.Errorf("%v in %s", err, line)
				}
				tell(event.Data.AuditRecords.Record.Seq, event.Data.AuditRecords.Dropped)
			}
		},
		"grpc": func(tell func(seq, dropped int64)) {
			stream, err := adminv1.NewAuditServiceClient(r.grpc).TailRecords(outgoing(t.Context(), r.token(t, "admin")), &adminv1.TailRecordsRequest{
				Filter: &adminv1.RecordFilter{Type: "call", Object: "tool/demo/echo"},
			})
			for err == nil {
				var res *adminv1.TailRecordsResponse
				if res, err = stream.Recv(); err == nil {
					rec, wrong := audit.ParseRecord([]byte(res.GetRecordJson()))
					if wrong != nil {
						t.Error(wrong)
					}
					tell(rec.Seq, res.GetDropped())
				}
			}
		},
		"rest": func(tell func(seq, dropped int64)) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+"/admin/v1/audit/records:tail?filter.type=call&filter.object=tool/demo/echo", nil)
			if err != nil {
				t.Error(err)
				return
			}
			req.Header = http.Header{"Accept": {"text/event-stream"}, "Authorization": {"Bearer " + r.token(t, "admin")}}
			res, err := alone(nil).Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			for s := bufio.NewScanner(res.Body); s.Scan(); {
				data, ok := strings.CutPrefix(s.Text(), "data: ")
				if !ok {
					continue
				}
				var event struct {
					Record  struct{ Seq int64 }
					Dropped int64 `json:",string"`
				}
				if err := json.Unmarshal([]byte(data), &event); err != nil {
					t.Errorf("%v in %s", err, data)
				}
				tell(event.Record.Seq, event.Dropped)
			}
		},
	}
	type follower struct {
		mu      sync.Mutex
		seqs    []int64
		dropped int64
	}
	followers := map[string]*follower{}
	var running sync.WaitGroup
	t.Cleanup(running.Wait) // They end with the test's context.
	for door, tail := range tails {
		f := &follower{}
		followers[door] = f
		running.Go(func() {
			tail(func(seq, dropped int64) {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.seqs, f.dropped = append(f.seqs, seq), f.dropped+dropped
			})
		})
	}
	told := func(f *follower) []int64 {
		f.mu.Lock()
		defer f.mu.Unlock()
		return slices.Clone(f.seqs)
	}
	poll(t, func() bool { // Only what is written from now on is told.
		call()
		for _, f := range followers {
			if len(told(f)) == 0 {
				return false
			}
		}
		return true
	})
	const callers, calls = 8, 125
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range calls {
				call()
			}
		})
	}
	all.Wait()
	var want []int64
	for _, rec := range r.records(t, callers*calls) {
		if rec.Object == "tool/demo/echo" {
			want = append(want, rec.Seq)
		}
	}
	for door, f := range followers {
		poll(t, func() bool { return slices.Contains(told(f), want[len(want)-1]) })
		got := told(f)
		if diff := cmp.Diff(want[slices.Index(want, got[0]):], got); diff != "" || f.dropped != 0 || len(got) < callers*calls {
			t.Errorf("%s told %d records, and left out %d (-want +got):\n%s", door, len(got), f.dropped, diff)
		}
	}
}

// TestProofThroughGraphQL checks the proof of a record as its reader would, with nothing but docs/audit.md, the log's
// public key and the standard library.
func TestProofThroughGraphQL(t *testing.T) {
	r := start(t, nil, withPolicy(t, devPolicyText))
	for range 5 {
		r.send(t, "dev", http.MethodPost, "/v1/tools/demo.echo:call", http.Header{"Content-Type": {"application/json"}}, `{"text":"x"}`)
	}
	key, err := os.ReadFile(filepath.Join(r.config.AuditDir(), "checkpoint.pub"))
	if err != nil {
		t.Fatal(err)
	}
	type proof struct {
		Record, Checkpoint string
		Index, Size        int64
		Hashes             []string
	}
	for _, wanted := range r.records(t, 5) {
		var answer struct{ Admin struct{ AuditProof proof } }
		var failed atomic.Bool
		poll(t, func() bool { // The next checkpoint may be a second away.
			text := r.playGraphQL(t, "admin", fmt.Sprintf(`{admin{auditProof(seq:%d){record checkpoint index size hashes}}}`, wanted.Seq))
			_, body, _ := strings.Cut(text, "\n")
			failed.Store(json.Unmarshal([]byte(body), &struct{ Data any }{&answer}) != nil)
			return answer.Admin.AuditProof.Size > 0
		})
		p := answer.Admin.AuditProof
		if failed.Load() || p.Index != wanted.Seq-1 {
			t.Fatalf("record %d has the proof %+v", wanted.Seq, p)
		}
		if rec, err := audit.ParseRecord([]byte(p.Record)); err != nil || rec.ID != wanted.ID || rec.ID == "" {
			t.Errorf("record %d is %s in its proof, %v", wanted.Seq, p.Record, err)
		}
		if why := checkProof(string(key), p.Record, p.Checkpoint, p.Index, p.Size, p.Hashes); why != "" {
			t.Errorf("record %d: %s", wanted.Seq, why)
		}
		// What is wrong with it is seen.
		other := strings.Replace(p.Record, "demo", "dem0", 1)
		for what, why := range map[string]string{
			"record":     checkProof(string(key), other, p.Checkpoint, p.Index, p.Size, p.Hashes),
			"index":      checkProof(string(key), p.Record, p.Checkpoint, p.Index^1, p.Size, p.Hashes),
			"checkpoint": checkProof(string(key), p.Record, strings.Replace(p.Checkpoint, "time 2", "time 3", 1), p.Index, p.Size, p.Hashes),
		} {
			if why == "" {
				t.Errorf("record %d: a wrong %s is proved", wanted.Seq, what)
			}
		}
	}
}

// checkProof returns what is wrong with a proof of inclusion (RFC 6962, section 2.1.1) against a signed note, or "".
func checkProof(key, record, checkpoint string, index, size int64, path []string) string {
	text, signature, _ := strings.Cut(checkpoint, "\n\n")
	text += "\n"
	decode := func(s string) []byte {
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
		if err != nil {
			return nil
		}
		return b
	}
	// The key is <name>+<hash>+<base64 of 1 and the key>, the signature — <name> <base64 of the hash and the signature>.
	parts := strings.SplitN(strings.TrimSpace(key), "+", 3)
	public, signed := decode(parts[len(parts)-1]), decode(signature[strings.LastIndex(strings.TrimSpace(signature), " ")+1:])
	if len(public) != 1+ed25519.PublicKeySize || len(signed) != 4+ed25519.SignatureSize || !ed25519.Verify(public[1:], []byte(text), signed[4:]) {
		return "the checkpoint is not signed with the key"
	}
	lines := strings.Split(text, "\n")
	if lines[1] != strconv.FormatInt(size, 10) || index >= size {
		return "the checkpoint covers " + lines[1] + " records"
	}
	line := sha256.Sum256([]byte(record))
	at := sha256.Sum256(append([]byte{0}, line[:]...))
	node := func(left, right []byte) {
		at = sha256.Sum256(slices.Concat([]byte{1}, left, right))
	}
	last := size - 1 // RFC 9162, section 2.1.3.2, has this way to check the path of RFC 6962.
	for _, hash := range path {
		sibling := decode(hash)
		if len(sibling) != sha256.Size || last == 0 {
			return "the path is too long, or no path"
		}
		if index&1 == 1 || index == last {
			node(sibling, at[:])
			for index&1 == 0 && index != 0 {
				index, last = index>>1, last>>1
			}
		} else {
			node(at[:], sibling)
		}
		index, last = index>>1, last>>1
	}
	if last != 0 || base64.StdEncoding.EncodeToString(at[:]) != lines[2] {
		return "the path does not lead to the root of the checkpoint"
	}
	return ""
}
