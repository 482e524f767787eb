package config_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway/config"
)

// news is what Watch yields.
type news struct {
	config *config.Config
	err    error
}

// watch runs Watch and returns what it yields. The loop ends with the test.
func watch(t *testing.T, path string, running *config.Config) <-chan news {
	t.Helper()
	out := make(chan news)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for c, err := range config.Watch(ctx, path, running) {
			select {
			case out <- news{c, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return out
}

// next returns the next value that Watch yields.
func next(t *testing.T, from <-chan news) news {
	t.Helper()
	select {
	case n := <-from:
		return n
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was yielded within 10 s")
		return news{}
	}
}

// wantDepth reads the next value, which must be a configuration with this
// limits.json_depth. Each test changes that key.
func wantDepth(t *testing.T, from <-chan news, depth int) {
	t.Helper()
	n := next(t, from)
	if n.err != nil || n.config.Limits.JSONDepth != depth {
		t.Fatalf("got %+v, want limits.json_depth %d", n, depth)
	}
}

// write replaces a file by renaming another one, so that nobody sees half of it.
func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path+"~", []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	rename(t, path+"~", path)
}

// add writes to the end of a file, in place.
func add(t *testing.T, path, data string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(data); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, target, link string) {
	t.Helper()
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
}

const (
	depth10 = "limits: {json_depth: 10}\n"
	depth11 = "limits: {json_depth: 11}\n"
	depth12 = "limits: {json_depth: 12}\n"
)

func TestWatchYieldsTheFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	write(t, path, depth10)
	wantDepth(t, watch(t, path, nil), 10)
}

// TestWatchEdits edits a file in place and by rename. What means the same is
// not yielded, which shows because the next value is a later one.
func TestWatchEdits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	write(t, path, depth10)
	running, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "# An edit between Load and Watch.\n"+depth11)
	from := watch(t, path, running)
	wantDepth(t, from, 11)

	add(t, path, "audit: {redact_arguments: false}\n")
	if n := next(t, from); n.err != nil || n.config.Audit.RedactArguments {
		t.Fatalf("an edit in place yielded %+v", n)
	}
	add(t, path, "# A comment.\n")
	write(t, path, depth12)
	wantDepth(t, from, 12)
}

// TestWatchBadEdit shows that a bad edit is told once, and that the file being
// good again is told too, even if it means the same as before.
func TestWatchBadEdit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	write(t, path, depth10)
	from := watch(t, path, nil)
	wantDepth(t, from, 10)

	write(t, path, "limits: {json_deth: 11}\n")
	var problems config.Problems
	if n := next(t, from); !errors.As(n.err, &problems) || n.config != nil || problems[0].Line != 1 {
		t.Fatalf("a bad edit yielded %+v", n)
	}
	write(t, path, depth10)
	wantDepth(t, from, 10)

	write(t, path, "\n")
	if n := next(t, from); !errors.As(n.err, &problems) || problems[0].Msg != "the file is empty" {
		t.Fatalf("an empty file yielded %+v", n)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if n := next(t, from); !errors.As(n.err, &problems) {
		t.Fatalf("a removed file yielded %+v", n)
	}
	write(t, path, depth12)
	wantDepth(t, from, 12)
}

// TestWatchOtherFile mends a problem without an edit: the policy file appears.
func TestWatchOtherFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gateway.yaml")
	write(t, path, depth10+"policy: {file: policy.csv}\n")
	from := watch(t, path, nil)
	if n := next(t, from); n.err == nil {
		t.Fatalf("a missing policy file yielded %+v", n)
	}
	write(t, filepath.Join(dir, "policy.csv"), "")
	wantDepth(t, from, 10)
}

// TestWatchConfigMap swaps links as Kubernetes does for a ConfigMap.
func TestWatchConfigMap(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{"..v1": depth10, "..v2": depth11} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "gateway.yaml"), data)
	}
	path := filepath.Join(dir, "gateway.yaml")
	symlink(t, "..v1", filepath.Join(dir, "..data"))
	symlink(t, filepath.Join("..data", "gateway.yaml"), path)
	from := watch(t, path, nil)
	wantDepth(t, from, 10)

	symlink(t, "..v2", filepath.Join(dir, "..tmp"))
	rename(t, filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data"))
	wantDepth(t, from, 11)
	if err := os.RemoveAll(filepath.Join(dir, "..v1")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "..v2", "gateway.yaml"), depth12)
	wantDepth(t, from, 12)
}

func TestWatchFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.csv")
	write(t, path, "one")
	pull, stop := iter.Pull2(config.WatchFile(t.Context(), path))
	defer stop()
	for i, step := range []struct{ write, want string }{
		{"", "one"},
		{"two", "two"},
		{"\n", fails},
		{"two", "two"}, // Good again, which is worth telling.
		{strings.Repeat("x", 16<<20+1), fails},
		{"three", "three"},
	} {
		if step.write != "" {
			write(t, path, step.write)
		}
		data, err, ok := pull()
		if !ok || (err != nil) != (step.want == fails) || err == nil && string(data) != step.want {
			t.Fatalf("step %d: got %q, %v, want %q", i, data, err, step.want)
		}
	}
}

// fails stands for an error.
const fails = "error"

// TestWatchEnds leaves the loop from both sides. The leak check of the package
// shows that nothing stays behind.
func TestWatchEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	write(t, path, depth10)
	loops := 0
	for range config.Watch(t.Context(), path, nil) {
		loops++
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	pull, stop := iter.Pull2(config.Watch(ctx, path, nil))
	defer stop()
	if _, _, ok := pull(); !ok || loops != 1 {
		t.Fatal("nothing was yielded")
	}
	cancel()
	if _, _, ok := pull(); ok {
		t.Fatal("the loop did not end with its context")
	}
}
