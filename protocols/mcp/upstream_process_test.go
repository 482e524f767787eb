//go:build unix

package mcp_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/gatewaytest"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// A lockedBuffer collects a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestProcessMischief checks what a bad program can do to its own calls, and
// that it can do nothing to others.
func TestProcessMischief(t *testing.T) {
	t.Setenv("TRILITH_TEST_SECRET", "of the gateway")
	log := &lockedBuffer{}
	o := program(t, "mischief")
	o.MaxMessage, o.Logger = 1<<16, slog.New(slog.NewTextHandler(log, nil))
	u := openUpstream(t, o)

	if got := textFrom(t, u, "garbage"); got != "after garbage" {
		t.Errorf("garbage: %q", got)
	}
	for range 2 {
		if got := textFrom(t, u, "twice"); got != "first" {
			t.Errorf("twice: %q", got)
		}
	}
	for tool, want := range map[string]gateway.Code{"huge": gateway.ResourceExhausted, "broken": gateway.Internal} {
		if _, err := u.Do(t.Context(), toolCall(tool, `{}`)); err == nil || gateway.AsError(err).Code != want {
			t.Errorf("%s: %v, want %v", tool, err, want)
		}
	}
	env := textFrom(t, u, "environment")
	if strings.Contains(env, "TRILITH_TEST_SECRET") || !strings.Contains(env, "PATH=") || !strings.Contains(env, programVariable+"=mischief") {
		t.Errorf("the program's environment: %s", env)
	}
	pid := textFrom(t, u, "pid")
	textFrom(t, u, "flood")
	if got := textFrom(t, u, "pid"); got != pid {
		t.Errorf("the program is %s now, was %s", got, pid)
	}
	u.Close()
	if n := strings.Count(log.String(), "standard error"); n < 10 || n > 1000 {
		t.Errorf("%d of 10000 lines on standard error were logged", n)
	}
	if strings.Contains(log.String(), "\x1b") {
		t.Error("a control character reached the log")
	}
}

// gone waits until a process has ended.
func gone(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	deadline, tick := time.NewTimer(10*time.Second), time.NewTicker(5*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for syscall.Kill(n, 0) == nil && !zombie(pid) {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("process %s still runs", pid)
		}
	}
}

// zombie reports whether a process has ended and only its parent, which may be
// one that collects nobody, has not taken notice.
func zombie(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// TestProcessGroup checks that Close ends the program, however stubborn, and
// what it has started.
func TestProcessGroup(t *testing.T) {
	o := program(t, "mischief")
	o.Grace = 50 * time.Millisecond
	u := openUpstream(t, o)
	self, child := textFrom(t, u, "pid"), textFrom(t, u, "child")
	textFrom(t, u, "stubborn")
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	gone(t, self)
	gone(t, child)
}

// TestProcessStart checks that a program that cannot be started is an error
// that names it to the operator only.
func TestProcessStart(t *testing.T) {
	u := openUpstream(t, mcp.UpstreamOptions{Command: "/nonexistent/program", Backoff: time.Minute, MaxBackoff: time.Minute})
	first, second := errorOf(t, u), errorOf(t, u)
	if first.Code != gateway.Unavailable || !strings.Contains(first.Error(), "/nonexistent/program") || strings.Contains(first.Msg, "nonexistent") {
		t.Errorf("the first call: %v", first)
	}
	if second.Code != gateway.Unavailable || second.Retry < 10*time.Second {
		t.Errorf("the second call, within the backoff: %v, retry %v", second, second.Retry)
	}
}

// TestProcessCrash kills the program a hundred times. Its catalog comes back
// each time, calls that were waiting fail, and nothing is left over.
func TestProcessCrash(t *testing.T) {
	const crashes = 100
	before := goleak.IgnoreCurrent()
	files := openFiles(t)
	o := program(t, "mischief")
	o.MaxBackoff = 2 * time.Millisecond
	u := openUpstream(t, o)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	catalogs, losses := make(chan struct{}), make(chan error, crashes+1)
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, err := range u.Watch(ctx) {
			if err != nil {
				losses <- err
				continue
			}
			select {
			case catalogs <- struct{}{}:
			case <-ctx.Done():
			}
		}
	})
	var last string
	for range crashes {
		receive(t, catalogs)
		last = textFrom(t, u, "pid")
		if _, err := u.Do(t.Context(), toolCall("die", `{}`)); err == nil || gateway.AsError(err).Code != gateway.Unavailable {
			t.Fatalf("a call that kills the program: %v", err)
		}
		if err := receive(t, losses); !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "dying as asked") {
			t.Fatalf("the loss is told as: %v", err)
		}
	}
	receive(t, catalogs)
	stop()
	wg.Wait()
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	gone(t, last)
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
	if now := openFiles(t); now > files {
		t.Errorf("%d files are open, were %d", now, files)
	}
	if children := childProcesses(t); len(children) > 0 {
		t.Errorf("processes are left: %v", children)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	dir := "/proc/self/fd"
	if runtime.GOOS == "darwin" {
		dir = "/dev/fd"
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// childProcesses returns the ids of this process's children, as far as the
// system tells them.
func childProcesses(t *testing.T) []string {
	t.Helper()
	var all []string
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil // Not Linux.
	}
	for _, task := range tasks {
		data, err := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		if err == nil {
			all = append(all, strings.Fields(string(data))...)
		}
	}
	return all
}

// TestProcessPending checks that many waiting calls are told at once when the
// program dies.
func TestProcessPending(t *testing.T) {
	u := openUpstream(t, program(t, "fixture"))
	const calls = 50
	done := make(chan error, calls)
	for range calls {
		go func() {
			_, err := u.Do(t.Context(), toolCall(gatewaytest.ToolWait, `{}`))
			done <- err
		}()
	}
	if got := textFrom(t, u, gatewaytest.ToolGrow); got != "grown" {
		t.Fatal(got)
	}
	for _, child := range childProcesses(t) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	for range calls {
		if err := receive(t, done); err == nil || gateway.AsError(err).Code != gateway.Unavailable {
			t.Fatalf("a waiting call: %v", err)
		}
	}
}
