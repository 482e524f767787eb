package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"gateway": main, "asker": asker, "shop": shop})
}

// TestScripts runs testdata/script: stories of people, and of attackers, with
// the real binary. Besides testscript's own commands they know
//
//	up FLAG…      start gateway dev on free ports; sets ADDR, GRPC and DATA
//	exits N ARG…  run gateway, which must end with that exit status
//	crash N RATE  kill it N times while RATE calls a second are made, and look that the audit
//	              log has every call that was answered
//	down          end it as an operator would, and wait
//	hurry         end it with two signals while a call is under way
//	as PERSONA    take that persona's token, or with "nobody" none
//	http METHOD PATH [HEADER:VALUE…] [@FILE]
//	              send a request, with the token, and print status and answer; ${NAME} in
//	              the file stands for a variable
//	stream METHOD PATH [HEADER:VALUE…] [@FILE]
//	              send one whose answer does not end, and read it meanwhile
//	socket [HEADER:VALUE…] @FILE…
//	              send each file over a WebSocket and print an answer to each, or the status
//	              of a handshake that is refused
//	capture NAME PATTERN [stream]
//	              set a variable to what the group of the pattern matches
//	until PATTERN log | stream | gateway ARG…
//	              wait until the gateway's log, the stream, or the output of the command, matches
//	books         start the REST service of examples/openapi; sets BOOKS
//	library       start the GraphQL server of examples/graphql-upstream; sets LIBRARY
//	shops         start the servers of examples/canary; sets MAIN and NEXT
//	tell ADDRESS PATH
//	              send one of them a request
//	times N http …
//	              send a request so many times
//	full, free    let every write of the gateway fail, as on a full disk, and succeed again
func TestScripts(t *testing.T) {
	testscript.Run(t, params(testscript.Params{Dir: "testdata/script"}))
}

// TestExamples runs the story of each folder of examples, in a copy of it.
func TestExamples(t *testing.T) {
	stories, err := filepath.Glob("../../examples/*/run.txtar")
	if err != nil || len(stories) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, story := range stories {
		dir := filepath.Dir(story)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			p := params(testscript.Params{Files: []string{story}})
			setup := p.Setup
			p.Setup = func(env *testscript.Env) error {
				return errors.Join(os.CopyFS(env.WorkDir, os.DirFS(dir)), setup(env))
			}
			testscript.Run(t, p)
		})
	}
}

// params completes the parameters of scripts with what all of them share.
func params(p testscript.Params) testscript.Params {
	p.Setup = func(env *testscript.Env) error {
		env.Setenv("HOME", env.WorkDir)
		env.Setenv("ESCAPE", "\x1b]0;owned\a\u009b2J")
		env.Setenv("DATA", filepath.Join(env.WorkDir, "data"))
		env.Values["gateway"] = new(background)
		env.Defer(func() { env.Values["gateway"].(*background).stop() })
		return nil
	}
	p.Cmds = map[string]func(*testscript.TestScript, bool, []string){
		"stream": stream, "socket": socket, "capture": capture, "library": library, "shops": shops, "times": times, "tell": tell, "greeter": greeter, "books": books,
		"crash": crash, "up": up, "down": down, "hurry": hurry, "exits": exits, "as": as, "http": send, "until": until,
		"full": func(ts *testscript.TestScript, _ bool, _ []string) { limitFiles(ts, 0) },
		"free": func(ts *testscript.TestScript, _ bool, _ []string) { limitFiles(ts, unix.RLIM_INFINITY) },
	}
	return p
}

// background is the gateway of a script.
type background struct {
	cmd    *exec.Cmd
	log    buffer
	stream *buffer // what the last stream has said; nil without
}

// A buffer may be written and read at once.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *background) stop() {
	if b.cmd == nil {
		return
	}
	_ = b.cmd.Process.Signal(os.Interrupt)
	_ = b.cmd.Wait()
	b.cmd = nil
}

func up(ts *testscript.TestScript, _ bool, args []string) {
	b := ts.Value("gateway").(*background)
	addr, grpc := freePort(ts), freePort(ts)
	ts.Setenv("ADDR", addr)
	ts.Setenv("GRPC", grpc)
	bin, err := exec.LookPath("gateway")
	ts.Check(err)
	b.cmd = exec.Command(bin, append([]string{"dev", "--addr", addr, "--grpc-addr", grpc, "--data", ts.Getenv("DATA")}, args...)...)
	b.cmd.Dir = ts.MkAbs(".")
	b.cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"))
	b.cmd.Stdout, b.cmd.Stderr = &b.log, &b.log
	ts.Check(b.cmd.Start())
	poll(ts, func() bool { return ready(addr) })
}

func ready(addr string) bool {
	res, err := http.Get("http://" + addr + "/readyz")
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// poll waits until ok, at most 20 seconds.
func poll(ts *testscript.TestScript, ok func() bool) {
	for late := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(late) {
			ts.Fatalf("what the script waits for has not happened; the gateway says:\n%s", &ts.Value("gateway").(*background).log)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func until(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: until PATTERN log | stream | gateway ARG…")
	}
	pattern := regexp.MustCompile(args[0])
	poll(ts, func() bool {
		switch b := ts.Value("gateway").(*background); args[1] {
		case "log":
			return pattern.MatchString(b.log.String())
		case "stream":
			return pattern.MatchString(b.stream.String())
		}
		cmd := exec.Command(args[1], args[2:]...)
		cmd.Env = append(os.Environ(), tokenVariable+"="+ts.Getenv(tokenVariable))
		out, _ := cmd.Output() // A failure does not match.
		return pattern.Match(out)
	})
}

func freePort(ts *testscript.TestScript) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer l.Close()
	return l.Addr().String()
}

func down(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Value("gateway").(*background).stop()
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: exits STATUS ARG…")
	}
	err := ts.Exec("gateway", args[1:]...)
	status := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(status) != args[0] {
		ts.Fatalf("exit status %d, want %s", status, args[0])
	}
}

func hurry(ts *testscript.TestScript, _ bool, _ []string) {
	b := ts.Value("gateway").(*background)
	req, err := http.NewRequest(http.MethodPost, "http://"+ts.Getenv("ADDR")+"/v1/tools/demo.count:call", strings.NewReader(`{"to":1000,"delayMs":1000}`))
	ts.Check(err)
	req.Header = http.Header{"Authorization": {"Bearer " + ts.Getenv(tokenVariable)}, "Content-Type": {"application/json"}, "Accept": {"text/event-stream"}}
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	_, err = res.Body.Read(make([]byte, 1)) // The call has begun.
	ts.Check(err)
	ts.Check(b.cmd.Process.Signal(syscall.SIGTERM)) // A shell may have this process ignore interrupts, and it stays so after the first.
	poll(ts, func() bool { return !ready(ts.Getenv("ADDR")) })
	ended := make(chan error, 1)
	go func() { ended <- b.cmd.Wait() }()
	poll(ts, func() bool {
		_ = b.cmd.Process.Signal(syscall.SIGTERM) // It may have ended.
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
	if status := b.cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() {
		ts.Fatalf("the gateway ended with %v, and not by the signal", b.cmd.ProcessState)
	}
	b.cmd = nil
}

func as(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: as PERSONA")
	}
	if args[0] == "nobody" {
		ts.Setenv(tokenVariable, "")
		return
	}
	var out, errs bytes.Buffer
	code := run(context.Background(), []string{"token", "--as", args[0], "--addr", ts.Getenv("ADDR"), "--data", ts.Getenv("DATA")},
		streams{strings.NewReader(""), &out, &errs})
	if code != 0 {
		ts.Fatalf("token: %s", errs.String())
	}
	ts.Setenv(tokenVariable, strings.TrimSpace(out.String()))
}

// request is one that a good client would perhaps not send.
func request(ts *testscript.TestScript, ctx context.Context, args []string) *http.Request { //nolint:revive // A script comes first.
	if len(args) < 2 {
		ts.Fatalf("usage: METHOD PATH [HEADER:VALUE…] [@FILE]")
	}
	var body io.Reader
	h := http.Header{}
	if token := ts.Getenv(tokenVariable); token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	host := ""
	for _, a := range args[2:] {
		if file, ok := strings.CutPrefix(a, "@"); ok {
			body = strings.NewReader(content(ts, file))
			continue
		}
		name, value, _ := strings.Cut(a, ":")
		if name == "Host" {
			host = value
		}
		h.Set(name, value)
	}
	req, err := http.NewRequestWithContext(ctx, args[0], "http://"+ts.Getenv("ADDR")+args[1], body)
	ts.Check(err)
	req.Header, req.Host = h, host
	return req
}

func send(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req := request(ts, ctx, args)
	res, err := http.DefaultTransport.RoundTrip(req)
	ts.Check(err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	ts.Check(err)
	_, _ = fmt.Fprintf(ts.Stdout(), "%d\n", res.StatusCode)
	for _, name := range []string{"Mcp-Session-Id", "WWW-Authenticate", "Retry-After", "Access-Control-Allow-Origin"} {
		if v := res.Header.Get(name); v != "" {
			_, _ = fmt.Fprintf(ts.Stdout(), "%s: %s\n", name, v)
		}
	}
	_, _ = fmt.Fprintf(ts.Stdout(), "%s\n", answer)
	if id := res.Header.Get("Mcp-Session-Id"); id != "" {
		ts.Setenv("SESSION", id)
	}
}

// limitFiles bounds how long a file of the gateway may grow: with 0, every
// write to one fails.
func limitFiles(ts *testscript.TestScript, most uint64) {
	b := ts.Value("gateway").(*background)
	ts.Check(unix.Prlimit(b.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: most, Max: unix.RLIM_INFINITY}, nil))
}
