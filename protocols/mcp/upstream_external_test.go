//go:build external && unix

package mcp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/gatewaytest"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// TestExternalEverything uses the reference server of the TypeScript SDK, over
// pipes and over streamable HTTP.
func TestExternalEverything(t *testing.T) {
	dir := npmServers(t)
	script := filepath.Join(dir, "node_modules", "@modelcontextprotocol", "server-everything", "dist", "index.js")
	use := func(t *testing.T, u *mcp.Upstream) {
		c := firstCatalog(t, u)
		needTools(t, c, "echo", "get-sum")
		if got := externalText(t, u, "echo", `{"message":"hello"}`, nil); !strings.Contains(got, "hello") {
			t.Errorf("echo: %q", got)
		}
		var mu sync.Mutex
		steps := 0
		externalText(t, u, "trigger-long-running-operation", `{"duration":1,"steps":4}`, func(gateway.Progress) {
			mu.Lock()
			defer mu.Unlock()
			steps++
		})
		mu.Lock()
		if steps != 4 {
			t.Errorf("%d reports of progress, want 4", steps)
		}
		mu.Unlock()
		externalTask(t, u, c)
		readFirst(t, u, c)
		res, err := u.Do(t.Context(), &gateway.Call{
			Op: gateway.OpGet, Kind: gateway.KindPrompt, Args: json.RawMessage(`{}`),
			Target: &gateway.Capability{Kind: gateway.KindPrompt, Origin: "simple-prompt"},
		})
		if err != nil || !strings.Contains(string(res.Raw), `"messages"`) {
			t.Errorf("prompt: %v", err)
		}
	}
	t.Run("stdio", func(t *testing.T) {
		use(t, openUpstream(t, mcp.UpstreamOptions{Command: "node", Args: []string{script, "stdio"}}))
	})
	t.Run("http", func(t *testing.T) {
		address := freeAddress(t)
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		startServer(t, []string{"PORT=" + port}, "node", script, "streamableHttp")
		awaitServer(t, address)
		use(t, openUpstream(t, mcp.UpstreamOptions{URL: "http://" + address + "/mcp"}))
	})
	t.Run("killed under load", func(t *testing.T) {
		killUnderLoad(t, openUpstream(t, mcp.UpstreamOptions{Command: "node", Args: []string{script, "stdio"}}), "echo", `{"message":"x"}`)
	})
}

// TestExternalFilesystem uses the reference server for files.
func TestExternalFilesystem(t *testing.T) {
	script := filepath.Join(npmServers(t), "node_modules", "@modelcontextprotocol", "server-filesystem", "dist", "index.js")
	files, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	note := filepath.Join(files, "note.txt")
	if err := os.WriteFile(note, []byte("two stones and a lintel"), 0o600); err != nil {
		t.Fatal(err)
	}
	u := openUpstream(t, mcp.UpstreamOptions{Command: "node", Args: []string{script, files}})
	needTools(t, firstCatalog(t, u), "read_text_file", "list_directory")
	args, err := json.Marshal(map[string]string{"path": note})
	if err != nil {
		t.Fatal(err)
	}
	if got := externalText(t, u, "read_text_file", string(args), nil); !strings.Contains(got, "two stones") {
		t.Errorf("read_text_file: %q", got)
	}
	res, err := u.Do(t.Context(), toolCall("read_text_file", `{"path":"/etc/hostname"}`))
	if err != nil || !res.IsError {
		t.Errorf("a file outside: %+v, %v", res, err)
	}
}

// TestExternalGoSDK uses the Go SDK's conformance server in both eras, over
// both transports.
func TestExternalGoSDK(t *testing.T) {
	const module = "github.com/modelcontextprotocol/go-sdk"
	binary := filepath.Join(t.TempDir(), "everything-server")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, module+"/conformance/everything-server").CombinedOutput(); err != nil {
		t.Fatalf("build the SDK's server: %v\n%s", err, out)
	}
	use := func(t *testing.T, u *mcp.Upstream) {
		c := firstCatalog(t, u)
		needTools(t, c, "test_simple_text", "test_tool_with_progress")
		if got := externalText(t, u, "test_simple_text", `{}`, nil); got == "" {
			t.Error("test_simple_text: no text")
		}
		var mu sync.Mutex
		var last json.Number
		externalText(t, u, "test_tool_with_progress", `{}`, func(p gateway.Progress) {
			mu.Lock()
			defer mu.Unlock()
			last = p.Progress
		})
		mu.Lock()
		if last != "100" {
			t.Errorf("the last progress is %q", last)
		}
		mu.Unlock()
		res, err := u.Do(t.Context(), toolCall("test_error_handling", `{}`))
		if err != nil || !res.IsError {
			t.Errorf("a tool error: %+v, %v", res, err)
		}
		readFirst(t, u, c)
		askedBySDK(t, u)
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		defer stop()
		updated := make(chan string, 8)
		done := make(chan error, 1)
		go func() {
			_, err := u.Do(ctx, &gateway.Call{
				Op: gateway.OpSubscribe, Kind: gateway.KindResource, Name: "test://watched-resource",
				Target:       &gateway.Capability{Kind: gateway.KindResource, Origin: "test://watched-resource"},
				Subscription: &gateway.Subscription{Ready: func() {}, Updated: func(uri string) { updated <- uri }},
			})
			done <- err
		}()
		select {
		case uri := <-updated: // Every three seconds.
			if uri != "test://watched-resource" {
				t.Errorf("update of %q", uri)
			}
			stop()
			<-done
		case err := <-done:
			t.Errorf("subscribe: %v", err)
		}
	}
	for _, era := range []string{"modern", "legacy"} {
		t.Run("stdio "+era, func(t *testing.T) { use(t, openUpstream(t, mcp.UpstreamOptions{Command: binary, Era: era})) })
		t.Run("http "+era, func(t *testing.T) {
			address := freeAddress(t)
			startServer(t, nil, binary, "-http", address, "-stateless="+strconv.FormatBool(era == "modern"))
			awaitServer(t, address)
			use(t, openUpstream(t, mcp.UpstreamOptions{URL: "http://" + address, Era: "auto"}))
		})
	}
	t.Run("killed under load", func(t *testing.T) {
		killUnderLoad(t, openUpstream(t, mcp.UpstreamOptions{Command: binary}), "test_simple_text", `{}`)
	})
}

// askedBySDK has the server ask for a name, and a model: a legacy one while the
// call runs, a modern one by its answer.
func askedBySDK(t *testing.T, u *mcp.Upstream) {
	t.Helper()
	answers := map[string]string{
		"elicitation/create":     `{"action":"accept","content":{"username":"ada","name":"ada"}}`,
		"sampling/createMessage": `{"role":"assistant","model":"m","content":{"type":"text","text":"ada"}}`,
	}
	use := func(tool string) *gateway.Result {
		call := toolCall(tool, `{"message":"who?","prompt":"who?"}`)
		call.Capabilities = json.RawMessage(everything)
		call.Ask = func(_ context.Context, q gateway.Question) (json.RawMessage, error) {
			return json.RawMessage(answers[q.Method]), nil
		}
		res, err := u.Do(t.Context(), call)
		if err != nil {
			t.Fatalf("%s: %v", tool, err)
		}
		if res.Input == nil {
			return res
		}
		call.Resume = &gateway.Resume{State: res.Input.State, Answers: map[string]json.RawMessage{}}
		for key, q := range res.Input.Questions {
			call.Resume.Answers[key] = json.RawMessage(answers[q.Method])
		}
		if res, err = u.Do(t.Context(), call); err != nil || res.Input != nil {
			t.Fatalf("%s, the second time: %+v, %v", tool, res, err)
		}
		return res
	}
	live := []string{"test_elicitation", "test_sampling"}
	if res := use("test_input_required_result_elicitation"); !res.IsError { // What only modern sessions can do.
		live = []string{"test_input_required_result_elicitation", "test_input_required_result_sampling"}
	}
	for _, tool := range live {
		if res := use(tool); res.IsError || !strings.Contains(string(res.Raw), "ada") {
			t.Errorf("%s: %s", tool, res.Raw)
		}
	}
}

// externalTask calls a tool that runs only as a task (2025-11-25), and asks in
// the middle of it.
func externalTask(t *testing.T, u *mcp.Upstream, c gateway.Catalog) {
	t.Helper()
	call := toolCall("simulate-research-query", `{"topic":"python","ambiguous":true}`)
	for _, tool := range c.Tools {
		if tool.Name == "simulate-research-query" {
			call.Tool = tool
		}
	}
	if call.Tool == nil || !call.Tool.Waits {
		t.Fatal("there is no tool that makes tasks")
	}
	call.Capabilities = json.RawMessage(`{"elicitation":{}}`)
	asked := make(chan string, 4)
	call.Ask = func(_ context.Context, q gateway.Question) (json.RawMessage, error) {
		asked <- q.Method
		return json.RawMessage(`{"action":"accept","content":{"interpretation":"comedy"}}`), nil
	}
	var mu sync.Mutex
	var said []string
	call.Task, call.Progress = true, func(p gateway.Progress) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, p.Message)
	}
	res, err := u.Do(t.Context(), call)
	if err != nil || res.IsError || !strings.Contains(string(res.Raw), "python (comedy)") {
		t.Fatalf("%v: %+v", err, res)
	}
	if len(asked) != 1 || <-asked != "elicitation/create" {
		t.Error("it did not ask once")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(said) == 0 || said[0] == "" {
		t.Errorf("it said %q", said)
	}
}

// npmServers installs the pinned servers and returns where.
func npmServers(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Fatal("npm is missing: install Node.js 20 or later (nodejs.org), which brings it")
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json"} {
		data, err := os.ReadFile(filepath.Join("testdata", "servers", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return dir
}

// startServer runs a server until the test ends.
func startServer(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(out)
		for lines.Scan() && said.Len() < 4096 {
			said.WriteString(lines.Text() + "\n")
		}
		io.Copy(io.Discard, out)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-read
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, said.String())
		}
	})
}

// freeAddress returns a loopback address that nobody listens on. The servers
// here cannot choose one by themselves.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func awaitServer(t *testing.T, address string) {
	t.Helper()
	deadline, tick := time.NewTimer(30*time.Second), time.NewTicker(50*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		res, err := client.Get("http://" + address)
		if err == nil {
			res.Body.Close()
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("no server at %s: %v", address, err)
		}
	}
}

func needTools(t *testing.T, c gateway.Catalog, names ...string) {
	t.Helper()
	has := map[string]bool{}
	for _, tool := range c.Tools {
		has[tool.Name] = true
	}
	for _, name := range names {
		if !has[name] {
			t.Fatalf("tool %s is missing; there are %v", name, has)
		}
	}
}

func externalText(t *testing.T, u *mcp.Upstream, tool, args string, progress func(gateway.Progress)) string {
	t.Helper()
	call := toolCall(tool, args)
	call.Progress = progress
	res, err := u.Do(t.Context(), call)
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	p, err := res.Parts()
	if err != nil || res.IsError || len(p.Content) == 0 {
		t.Fatalf("%s: %s, %v", tool, res.Raw, err)
	}
	var block struct {
		Text string `json:"text"`
	}
	if err := json.Unmarshal(p.Content[0], &block); err != nil {
		t.Fatal(err)
	}
	return block.Text
}

// readFirst reads the first resource and asks for one that does not exist.
func readFirst(t *testing.T, u *mcp.Upstream, c gateway.Catalog) {
	t.Helper()
	if len(c.Resources) == 0 {
		t.Fatal("there are no resources")
	}
	read := func(uri string) (*gateway.Result, error) {
		return u.Do(t.Context(), &gateway.Call{
			Op: gateway.OpRead, Kind: gateway.KindResource, Name: uri, Principal: gatewaytest.Caller(), Target: &c.Resources[0].Capability,
		})
	}
	res, err := read(c.Resources[0].URI)
	if err != nil || !strings.Contains(string(res.Raw), `"contents"`) {
		t.Errorf("read %s: %v", c.Resources[0].URI, err)
	}
	_, err = read("nothing://here")
	if e := gateway.AsError(err); e == nil || e.Code != gateway.NotFound && e.Code != gateway.InvalidArgument {
		t.Errorf("a missing resource: %v", err)
	}
}

// killUnderLoad kills the program while it is called and waits for its return.
func killUnderLoad(t *testing.T, u *mcp.Upstream, tool, args string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	catalogs, losses, answered := make(chan struct{}, 8), make(chan error, 8), make(chan struct{}, 1)
	wg.Go(func() {
		for _, err := range u.Watch(ctx) {
			if err != nil {
				losses <- err
			} else {
				catalogs <- struct{}{}
			}
		}
	})
	soonOr := func(what string, ch <-chan struct{}) {
		t.Helper()
		select {
		case <-ch:
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: nothing", what)
		}
	}
	soonOr("the first catalog", catalogs)
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				_, err := u.Do(ctx, toolCall(tool, args))
				if err == nil {
					select {
					case answered <- struct{}{}:
					default:
					}
				} else if e := gateway.AsError(err); e.Code != gateway.Unavailable && e.Code != gateway.Canceled {
					t.Errorf("under load: %v", err)
					return
				}
			}
		})
	}
	soonOr("the first answer", answered)
	for _, child := range childProcesses(t) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-losses:
	case <-time.After(30 * time.Second):
		t.Fatal("the loss was not noticed")
	}
	soonOr("the catalog again", catalogs)
	select { // Whatever was answered before.
	case <-answered:
	default:
	}
	soonOr("an answer again", answered)
}
