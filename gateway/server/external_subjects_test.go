//go:build external

package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway/config"
)

// subject returns the path of a server that make subjects builds.
func subject(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs("../../.build/subjects/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is missing: run make subjects", name)
	}
	return path
}

// freePort returns an address on loopback that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// run starts a server that ends with the test, and waits until it listens.
func runServer(t *testing.T, addr, dir, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() { cancel(); <-ended })
	poll(t, func() bool {
		select {
		case <-ended:
			t.Fatalf("%s has ended:\n%s", program, out.String())
		default:
		}
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// nodeServer starts a server of Node.js that prints its port and ends with its
// input, and returns its address.
func nodeServer(t *testing.T, dir, script string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", script)
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // It ends with its input.
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return "127.0.0.1:" + strings.TrimSpace(port)
}

// subjects starts the servers, and returns sources of theirs.
func subjects(t *testing.T) []config.Source {
	t.Helper()
	dir := t.TempDir()
	prometheus, openfga, openfgaHTTP, etcd, etcdPeer := freePort(t), freePort(t), freePort(t), freePort(t), freePort(t)
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte("global: {scrape_interval: 1h}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	runServer(t, prometheus, dir, subject(t, "prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb", "--web.listen-address="+prometheus)
	runServer(t, openfga, dir, subject(t, "openfga"), "run", "--grpc-addr", openfga, "--http-addr", openfgaHTTP, "--playground-enabled=false", "--metrics-enabled=false")
	runServer(t, etcd, dir, subject(t, "etcd"), "--data-dir", "etcd", "--listen-client-urls", "http://"+etcd, "--advertise-client-urls", "http://"+etcd,
		"--listen-peer-urls", "http://"+etcdPeer, "--initial-advertise-peer-urls", "http://"+etcdPeer, "--initial-cluster", "default=http://"+etcdPeer)
	yoga := nodeServer(t, install(t, "../../protocols/graphql/upstream/testdata/yoga"), "server.mjs")
	everything := install(t, "../../protocols/mcp/testdata/servers")
	c, problems := config.Parse("gateway.yaml", fmt.Appendf(nil, `
sources:
  - name: prometheus
    openapi: {document: "http://%[1]s/api/v1/openapi.yaml", url: "http://%[1]s/api/v1", output_schemas: true, allow_private: [127.0.0.0/8]}
  - name: openfga
    overrides: [{of: OpenFGAService.ListStores, read_only: "yes"}]
    grpc: {url: "http://%[2]s", allow_private: [127.0.0.0/8]}
  - name: etcd
    overrides: [{of: KV.Range, read_only: "yes"}]
    grpc: {url: "http://%[3]s", descriptors: %[4]q, allow_private: [127.0.0.0/8]}
  - name: yoga
    graphql: {url: "http://%[5]s/graphql", subscriptions: sse, allow_private: [127.0.0.0/8]}
  - name: everything
    mcp: {command: node, args: [%[6]q]}
`, prometheus, openfga, etcd, subject(t, "etcd.binpb"), yoga,
		filepath.Join(everything, "node_modules/@modelcontextprotocol/server-everything/dist/index.js")))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return c.Sources
}

// TestExternalSubjects makes sources of servers that nobody here wrote, one of
// each kind, and has the typed face of each door answer alike.
func TestExternalSubjects(t *testing.T) {
	sources := subjects(t)
	policy := withPolicy(t, "p, role:dev, *, **, *, allow\n")
	r := start(t, nil, func(cfg *config.Config) {
		policy(cfg)
		cfg.Sources = sources
	})
	for _, prepare := range []struct{ tool, args string }{
		{"etcd.KV.Put", `{"key":"a2V5","value":"dmFsdWU="}`},
		{"openfga.OpenFGAService.CreateStore", `{"name":"first"}`},
	} {
		if _, err := r.viaMCP(t, prepare.tool, prepare.args); err != nil {
			t.Fatalf("%s: %v", prepare.tool, err)
		}
	}
	for _, test := range []struct {
		tool, args string
		grpc       string // service and method
		graphql    string // the field, with arguments and selection
		holds      string // what every answer has
	}{
		{
			"prometheus.format-query", `{"query":"1+1"}`, "trilith.prometheus.v1.PrometheusService/FormatQuery",
			`prometheus_format_query(query:"1+1"){status data}`, `"1 + 1"`,
		},
		{
			"openfga.OpenFGAService.ListStores", `{}`, "trilith.openfga.v1.OpenfgaService/OpenFGAServiceListStores",
			`openfga_OpenFGAService_ListStores{stores{id name created_at updated_at} continuation_token}`, `"first"`,
		},
		{
			"etcd.KV.Range", `{"key":"a2V5"}`, "trilith.etcd.v1.EtcdService/KVRange",
			`etcd_KV_Range(key:"a2V5"){header{clusterId memberId revision raftTerm} kvs{key createRevision modRevision version value lease} more count}`, `"dmFsdWU="`,
		},
		{
			"yoga.find", `{"by":{"id":"2"}}`, "trilith.yoga.v1.YogaService/Find",
			`yoga_find(by:{id:"2"}){__typename}`, `"Record"`,
		},
		{
			"everything.get-structured-content", `{"location":"New York"}`, "trilith.everything.v1.EverythingService/GetStructuredContent",
			`everything_get_structured_content(location:New_York){temperature conditions humidity}`, `"conditions"`,
		},
	} {
		t.Run(test.tool, func(t *testing.T) {
			want, err := r.viaMCP(t, test.tool, test.args)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(want, test.holds) {
				t.Errorf("mcp: %s", want)
			}
			h := http.Header{"Content-Type": {"application/json"}}
			code, rest := r.send(t, "dev", http.MethodPost, "/v1/call/"+test.tool, h, test.args)
			if diff := cmp.Diff(nullless(t, want), nullless(t, rest)); diff != "" || code != http.StatusOK {
				t.Errorf("rest: %d %s (-want +got):\n%s", code, rest, diff)
			}
			query, err := json.Marshal(map[string]string{"query": "{answer:" + test.graphql + "}"})
			if err != nil {
				t.Fatal(err)
			}
			_, graphql := r.send(t, "dev", http.MethodPost, "/graphql", h, string(query))
			var answer struct {
				Data   struct{ Answer json.RawMessage }
				Errors json.RawMessage
			}
			if err := json.Unmarshal([]byte(graphql), &answer); err != nil || answer.Errors != nil {
				t.Errorf("graphql: %s", graphql)
			} else if diff := cmp.Diff(nullless(t, want), nullless(t, string(answer.Data.Answer))); diff != "" && !strings.Contains(test.graphql, "__typename") {
				t.Errorf("graphql (-want +got):\n%s", diff)
			}
			grpc := command(t, "../..", nil, "go", "tool", "-modfile=tools/go.mod", "grpcurl", "-plaintext", "-H", "authorization: Bearer "+r.token(t, "dev"),
				"-d", test.args, r.GRPCAddr(), test.grpc)
			var whole struct { // What has no message of its own.
				Value json.RawMessage `json:"*"`
			}
			if err := json.Unmarshal([]byte(grpc), &whole); err == nil && whole.Value != nil {
				grpc = string(whole.Value)
			}
			if diff := cmp.Diff(nullless(t, want), nullless(t, grpc)); diff != "" {
				t.Errorf("grpc: %s (-want +got):\n%s", grpc, diff)
			}
		})
	}
}

// viaMCP calls a tool over MCP and returns its structured content.
func (r *rig) viaMCP(t *testing.T, tool, args string) (string, error) {
	t.Helper()
	code, body := r.mcp(t, "dev", fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s,`+
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, tool, args))
	var answer struct {
		Result struct {
			StructuredContent json.RawMessage
			IsError           bool
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || code != http.StatusOK || answer.Result.IsError || answer.Result.StructuredContent == nil {
		return "", fmt.Errorf("%d %s", code, body)
	}
	return string(answer.Result.StructuredContent), nil
}

// nullless returns a JSON value without members that are null: doors differ in
// whether they write them.
func nullless(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Errorf("%s: %v", text, err)
	}
	return withoutNulls(v)
}

func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if member == nil {
				delete(v, name)
				continue
			}
			v[name] = withoutNulls(member)
		}
	case []any:
		for i := range v {
			v[i] = withoutNulls(v[i])
		}
	}
	return v
}
