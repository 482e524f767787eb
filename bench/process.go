package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// An endpoint is what a subject says of itself when it is ready.
type endpoint struct {
	URL   string `json:"url"`
	Token string `json:"token"`
	Tool  string `json:"tool"` // the name under which it has the echo tool
}

// usage is what a subject has used up since it began.
type usage struct {
	CPU     int64  `json:"cpu_us"`
	Mallocs uint64 `json:"mallocs"`
	RSS     int64  `json:"rss_kib"`

	Goroutines int `json:"goroutines"`
}

// A process is a subject.
type process struct {
	endpoint endpoint
	cmd      *exec.Cmd
	in       io.WriteCloser
	out      *bufio.Scanner
}

// upstreamVariable tells a subject the URL of the server behind it.
const upstreamVariable = "BENCH_UPSTREAM"

// profileVariable names a folder that every subject writes a CPU profile to.
const profileVariable = "BENCH_PROFILES"

// profile writes a CPU profile until end is called.
func profile(path string) (end func(), err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close() // A profile that is cut off does not open.
	}, nil
}

// start starts a subject with that many CPUs.
func start(ctx context.Context, subject, upstream string, cpus int) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(ctx, self, "-subject", subject)}
	p.cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(cpus), upstreamVariable+"="+upstream)
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if err := p.read(&p.endpoint); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

func (p *process) usage() (u usage, err error) {
	if _, err := io.WriteString(p.in, "usage\n"); err != nil {
		return u, err
	}
	return u, p.read(&u)
}

// rest is usage after a garbage collection.
func (p *process) rest() (u usage, err error) {
	if _, err := io.WriteString(p.in, "rest\n"); err != nil {
		return u, err
	}
	return u, p.read(&u)
}

func (p *process) read(v any) error {
	if !p.out.Scan() {
		return errors.Join(errors.New("subject ended"), p.out.Err())
	}
	return json.Unmarshal(p.out.Bytes(), v)
}

func (p *process) stop() {
	_ = p.in.Close() // The subject ends with its input.
	_ = p.cmd.Wait() // Its exit status says nothing here.
}

// serve runs as a subject: it says where it listens, answers "usage" and
// "rest" lines, and ends with its input.
func serve(ctx context.Context, name string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	open, ok := subjects()[name]
	if !ok {
		return fmt.Errorf("unknown subject %q", name)
	}
	if dir := os.Getenv(profileVariable); dir != "" {
		end, err := profile(filepath.Join(dir, name+".cpu"))
		if err != nil {
			return err
		}
		defer end()
	}
	e, wait, err := open(ctx)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(e); err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if in.Text() == "rest" {
			debug.FreeOSMemory()
		}
		if err := out.Encode(ownUsage()); err != nil {
			return err
		}
	}
	cancel()
	return wait()
}

func ownUsage() usage {
	var ru syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &ru) // It cannot fail for this process.
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	u := usage{
		CPU:     (time.Duration(ru.Utime.Nano()) + time.Duration(ru.Stime.Nano())).Microseconds(),
		Mallocs: ms.Mallocs, Goroutines: runtime.NumGoroutine(),
	}
	if b, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(b)) {
			_, _ = fmt.Sscanf(line, "VmRSS: %d", &u.RSS) // Other lines do not match.
		}
	}
	return u
}
