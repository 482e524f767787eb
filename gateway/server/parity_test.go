package server_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/audit"
	"github.com/trilith-gateway/trilith/gateway/config"
)

var update = flag.Bool("update", false, "rewrite the wanted answers of the parity cases")

// TestParity puts each situation of testdata/parity to every door. A case is a
// txtar archive: prose, who asks (as), one request for each door (mcp.req,
// graphql.req, grpc.req, grpc-typed.req, rest.req, rest-typed.req) with its answer (….want), and the audit
// records (audit.want), which may differ in nothing but the door.
func TestParity(t *testing.T) {
	files, err := filepath.Glob("testdata/parity/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	edit := withPolicy(t, labPolicy)
	r := start(t, map[string]gateway.Upstream{"lab": unbroken(t), "lost": newLost(t)}, func(cfg *config.Config) {
		edit(cfg)
		cfg.Limits.CallTimeout = 2 * time.Second // Of calls that hang.
		cfg.Limits.Rates = []config.RateLimit{{
			Name: "once", Per: "principal", Match: config.RateMatch{Tools: []string{"lab.limited"}}, Rate: config.Rate{Calls: 1, Per: 24 * time.Hour},
		}}
	})
	r.playREST(t, "dev", "POST /v1/tools/lab.limited:call\n{}") // It takes the one token.
	seen := 1
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := r.play(t, a)
			calls := len(got)
			records := r.records(t, seen+calls)[seen:]
			seen += calls
			got["audit.want"] = summary(t, records)
			if *update {
				rewrite(t, file, a, got)
				return
			}
			for _, f := range a.Files {
				if strings.HasSuffix(f.Name, ".want") {
					if diff := cmp.Diff(string(f.Data), got[f.Name]); diff != "" {
						t.Errorf("%s (-want +got):\n%s", f.Name, diff)
					}
					delete(got, f.Name)
				}
			}
			for name := range got {
				t.Errorf("%s is missing in the case", name)
			}
			if strings.Contains(fmt.Sprint(got), "SECRET") {
				t.Error("an answer shows the cause")
			}
		})
	}
}

// play sends every request of a case and returns the answers by file name.
func (r *rig) play(t *testing.T, a *txtar.Archive) map[string]string {
	t.Helper()
	doors := map[string]func(*testing.T, string, string) string{
		"mcp.req": r.playMCP, "graphql.req": r.playGraphQL, "grpc.req": r.playGRPC, "grpc-typed.req": r.playTypedGRPC, "rest.req": r.playREST, "rest-typed.req": r.playREST,
	}
	as, got := "dev", map[string]string{}
	for _, f := range a.Files {
		if f.Name == "as" {
			as = strings.TrimSpace(string(f.Data))
		}
		if door := doors[f.Name]; door != nil {
			answer := door(t, as, strings.TrimSpace(string(f.Data)))
			if strings.Contains(answer, "SECRET") {
				t.Errorf("%s: the answer shows the cause: %s", f.Name, answer)
			}
			got[strings.TrimSuffix(f.Name, "req")+"want"] = r.normal(answer)
		}
	}
	return got
}

// theDay is the rest of a day, as errors say it.
var theDay = regexp.MustCompile(`("retryAfterMs":|"retryDelay":")(863[0-9]{5}|863[0-9]{2}(\.[0-9]+)?s)`)

var requestID = regexp.MustCompile(`"(id|call|instance|requestId)":"[0-9a-f-]{16,}"`)

// normal replaces what differs from run to run.
func (r *rig) normal(s string) string {
	s = strings.ReplaceAll(s, r.URL(), "BASE")
	s = requestID.ReplaceAllString(s, `"$1":"ID"`)
	s = theDay.ReplaceAllString(s, `${1}DAY`)
	return strings.TrimSpace(s) + "\n"
}

func (r *rig) playMCP(t *testing.T, as, body string) string {
	code, answer := r.mcp(t, as, body)
	return fmt.Sprintf("%d\n%s", code, answer)
}

func (r *rig) playGraphQL(t *testing.T, as, query string) string {
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(query, `{"`) {
		body = []byte(query)
	}
	h := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/graphql-response+json"}}
	code, answer := r.send(t, as, http.MethodPost, "/graphql", h, string(body))
	return fmt.Sprintf("%d\n%s", code, answer)
}

// playREST sends "METHOD PATH", and a body after it.
func (r *rig) playREST(t *testing.T, as, req string) string {
	line, body, _ := strings.Cut(req, "\n")
	method, path, _ := strings.Cut(line, " ")
	h := http.Header{}
	if body != "" {
		h.Set("Content-Type", "application/json")
	}
	code, answer := r.send(t, as, method, path, h, body)
	return fmt.Sprintf("%d\n%s", code, answer)
}

// playGRPC sends "Method", and the request as JSON after it.
func (r *rig) playGRPC(t *testing.T, as, req string) string {
	name, body, _ := strings.Cut(req, "\n")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName("gateway.v1.GatewayService." + name))
	if err != nil {
		t.Fatal(err)
	}
	method, ok := d.(protoreflect.MethodDescriptor)
	if !ok {
		t.Fatalf("%s is no method", name)
	}
	in, out := message(t, method.Input()), message(t, method.Output())
	if err := protojson.Unmarshal([]byte(body), in); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if token := r.token(t, as); token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	if err = r.grpc.Invoke(ctx, "/gateway.v1.GatewayService/"+name, in, out, grpc.WaitForReady(true)); err != nil {
		return shownStatus(t, err)
	}
	return "OK\n" + compact(t, out)
}

// shownStatus returns a failure as its code, its message and its details, a line
// each.
func shownStatus(t *testing.T, err error) string {
	t.Helper()
	s := status.Convert(err)
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s", s.Code(), s.Message())
	for _, d := range s.Proto().GetDetails() {
		fmt.Fprintf(&b, "\n%s", compact(t, d))
	}
	return b.String()
}

// playTypedGRPC calls a typed method by its full name, with JSON for messages.
func (r *rig) playTypedGRPC(t *testing.T, as, req string) string {
	t.Helper()
	name, body, _ := strings.Cut(req, "\n")
	ctx := t.Context()
	if token := r.token(t, as); token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	in, out := json.RawMessage(body), json.RawMessage(nil)
	if err := r.grpc.Invoke(ctx, "/"+name, &in, &out, grpc.WaitForReady(true), grpc.ForceCodecV2(jsonFrames{}), grpc.CallContentSubtype("json")); err != nil {
		return shownStatus(t, err)
	}
	return "OK\n" + string(out)
}

// jsonFrames is the codec of messages that are JSON.
type jsonFrames struct{}

func (jsonFrames) Name() string { return "json" }

func (jsonFrames) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*json.RawMessage))}, nil //nolint:forcetypeassert // No other is sent.
}

func (jsonFrames) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*json.RawMessage) = data.Materialize() //nolint:forcetypeassert // No other is received.
	return nil
}

func message(t *testing.T, d protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	m, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if errors.Is(err, protoregistry.NotFound) { // Made at run time.
		return dynamicpb.NewMessage(d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m.New().Interface()
}

// compact is protojson without its random white space.
func compact(t *testing.T, m proto.Message) string {
	t.Helper()
	raw, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// summary writes what the records of a case say, which must be the same for
// every door, and the doors.
func summary(t *testing.T, records []audit.Record) string {
	t.Helper()
	lines := map[string][]string{}
	for _, r := range records {
		via := r.Via
		line := fmt.Sprintf("%s %s %s by=%s error=%t as=%s", r.Op, r.Object, r.Code, r.By, r.ToolError, r.Principal.Name)
		if r.Type == "door" {
			line = "door " + r.Code
			via, _, _ = strings.Cut(r.Detail, " ")
		}
		lines[line] = append(lines[line], via)
	}
	if len(lines) != 1 {
		t.Errorf("the doors left different records: %v", lines)
	}
	var b strings.Builder
	for _, line := range slices.Sorted(maps.Keys(lines)) {
		slices.Sort(lines[line])
		fmt.Fprintf(&b, "%s\n%s\n", line, strings.Join(lines[line], " "))
	}
	return b.String()
}

// rewrite puts the answers into the case's file, each after its request.
func rewrite(t *testing.T, file string, a *txtar.Archive, got map[string]string) {
	t.Helper()
	var files []txtar.File
	for _, f := range a.Files {
		if strings.HasSuffix(f.Name, ".want") {
			continue
		}
		files = append(files, f)
		if want, ok := strings.CutSuffix(f.Name, "req"); ok {
			files = append(files, txtar.File{Name: want + "want", Data: []byte(got[want+"want"])})
		}
	}
	a.Files = append(files, txtar.File{Name: "audit.want", Data: []byte(got["audit.want"])})
	if err := os.WriteFile(file, txtar.Format(a), 0o600); err != nil {
		t.Fatal(err)
	}
}
