package mcp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/trilith-gateway/trilith/protocols/egress"
)

// A process is a program that serves MCP on its standard input and output. It
// leads a process group of its own, so that whatever it starts ends with it.
type process struct {
	cmd    *exec.Cmd
	stdin  *os.File // ours
	stdout *os.File
	stderr *os.File
	exited chan struct{} // closed when the program has ended and its group was killed
	status error         // how, valid then
	silent chan struct{} // closed when standard error has ended
	wg     sync.WaitGroup

	mu   sync.Mutex
	last string // line on standard error
}

// spawnProcess starts the program of the options. Its life is not that of the
// context.
func spawnProcess(ctx context.Context, o *UpstreamOptions) (*process, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	cmd := exec.Command(o.Command, o.Args...) //nolint:gosec,noctx // from the configuration alone; stop ends it.
	if strings.ContainsRune(o.Command, filepath.Separator) && !filepath.IsAbs(o.Command) && o.Dir != "" {
		cmd.Path, cmd.Err = filepath.Join(o.Dir, o.Command), nil
	}
	cmd.Dir = o.Dir
	cmd.Env = append(leanEnvironment(), o.Env...)
	cmd.SysProcAttr = ownGroup()
	p := &process{cmd: cmd, exited: make(chan struct{}), silent: make(chan struct{})}
	theirs, err := p.pipes()
	if err == nil {
		err = cmd.Start()
	}
	for _, f := range theirs {
		_ = f.Close() // The program has its own.
	}
	if err != nil {
		p.release()
		return nil, fmt.Errorf("start %q: %w", o.Command, err)
	}
	p.wg.Go(p.wait)
	p.wg.Go(func() {
		defer close(p.silent)
		p.logErrors(o)
	})
	return p, nil
}

// pipes connects the program's standard files and returns its ends of them.
func (p *process) pipes() (theirs []*os.File, err error) {
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	theirs, p.stdin = append(theirs, inRead), inWrite
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return theirs, err
	}
	theirs, p.stdout = append(theirs, outWrite), outRead
	errRead, errWrite, err := os.Pipe()
	if err != nil {
		return theirs, err
	}
	theirs, p.stderr = append(theirs, errWrite), errRead
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = inRead, outWrite, errWrite
	return theirs, nil
}

// leanEnvironment returns what a program needs of the gateway's environment to
// run at all, and nothing that may be secret.
func leanEnvironment() []string {
	names := []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "TZ"}
	if runtime.GOOS == "windows" {
		names = append(names, "SYSTEMROOT", "WINDIR", "COMSPEC", "PATHEXT", "TEMP", "TMP", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMFILES")
	}
	var env []string
	for _, name := range names {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// drainTime is how long output is still read after the program has ended, where
// a process that left its group holds the pipe open.
const drainTime = 500 * time.Millisecond

func (p *process) wait() {
	p.status = p.cmd.Wait()
	killGroup(p.cmd.Process.Pid) // What it left behind.
	deadline := time.Now().Add(drainTime)
	_ = p.stdout.SetReadDeadline(deadline) // Pipes have deadlines.
	_ = p.stderr.SetReadDeadline(deadline)
	close(p.exited)
}

// ended returns why a pipe to the program broke, best as the program's own end.
func (p *process) ended(err error) error {
	t := time.NewTimer(drainTime)
	defer t.Stop()
	select {
	case <-p.exited:
		<-p.silent // It ends with the program, or a little later.
		how := "status 0"
		if p.status != nil {
			how = p.status.Error()
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.last != "" {
			return fmt.Errorf("the program ended (%s): %s", how, p.last)
		}
		return fmt.Errorf("the program ended (%s)", how)
	case <-t.C:
		return fmt.Errorf("the program closed a pipe: %w", err)
	}
}

// stop ends the program: its input is closed, then it is asked to stop, then it
// is killed, with time to go after each.
func (p *process) stop(grace time.Duration) {
	_ = p.stdin.Close() // Already closed is as good.
	if !p.within(grace) {
		terminateGroup(p.cmd.Process.Pid)
		if !p.within(grace) {
			killGroup(p.cmd.Process.Pid)
		}
	}
	p.wg.Wait()
}

func (p *process) within(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-p.exited:
		return true
	case <-t.C:
		return false
	}
}

// release closes the files that are left.
func (p *process) release() {
	for _, f := range []*os.File{p.stdin, p.stdout, p.stderr} {
		if f != nil {
			_ = f.Close() // Closed before is as good.
		}
	}
}

// logErrors logs what the program writes to standard error: so many lines a
// second, each cut to a length.
func (p *process) logErrors(o *UpstreamOptions) {
	log := o.Logger.With(slog.String("source", o.Name))
	limit := rate.NewLimiter(20, 200)
	r := bufio.NewReaderSize(p.stderr, maxLogLine)
	dropped := 0
	for {
		line, _, err := readLine(r, maxLogLine)
		if len(line) > 0 {
			text := egress.OneLine(string(line), maxLogLine)
			p.mu.Lock()
			p.last = egress.OneLine(text, 512)
			p.mu.Unlock()
			switch {
			case !limit.Allow():
				dropped++
			case dropped > 0:
				log.Warn("lines on standard error were dropped", slog.Int("count", dropped))
				dropped = 0
				fallthrough
			default:
				log.Info("standard error", slog.String("line", text))
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, io.ErrUnexpectedEOF) {
				log.Debug("standard error cannot be read", slog.Any("error", err))
			}
			return
		}
	}
}
