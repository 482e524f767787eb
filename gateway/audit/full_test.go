package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// A disk is a place for segments that can be full, and can lose what was not
// synced, as a real one does when its sync fails.
type disk struct {
	full   atomic.Bool // writes fail after a part
	broken atomic.Bool // syncs fail
}

type diskFile struct {
	segmentFile
	disk *disk
}

func (d *disk) create(path string) (segmentFile, error) {
	f, err := createSegment(path)
	if err != nil {
		return nil, err
	}
	return diskFile{f, d}, nil
}

func (f diskFile) WriteAt(b []byte, at int64) (int, error) {
	if f.disk.full.Load() {
		n, _ := f.segmentFile.WriteAt(b[:len(b)/2], at)
		return n, syscall.ENOSPC
	}
	return f.segmentFile.WriteAt(b, at)
}

func (f diskFile) Sync() error {
	if f.disk.broken.Load() {
		return syscall.EIO
	}
	return f.segmentFile.Sync()
}

// upstream answers after the log had its say.
func testGateway(t *testing.T, l *Log) *gateway.Gateway {
	t.Helper()
	var funcs gateway.Funcs
	if err := funcs.AddTool([]byte(`{"name":"echo"}`), func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return gateway.TextResult("hi"), nil
	}); err != nil {
		t.Fatal(err)
	}
	var registry gateway.Registry
	for c, err := range funcs.Watch(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if err := registry.Attach("demo", &funcs, c, gateway.Options{}); err != nil {
			t.Fatal(err)
		}
		break
	}
	g, err := gateway.New(&registry, []gateway.Observer{l}, []gateway.Gate{l.Gate(), l.Intents()})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func echo(ctx context.Context, g *gateway.Gateway) error {
	_, err := g.Do(ctx, &gateway.Call{Op: gateway.OpCall, Name: "echo", Principal: &gateway.Principal{ID: "p"}})
	return err
}

func TestFullDisk(t *testing.T) {
	for _, mode := range []Mode{ModeWAL} { // TestStrictFails is about the other.
		for what, fail := range map[string]func(*disk) *atomic.Bool{
			"full":   func(d *disk) *atomic.Bool { return &d.full },
			"broken": func(d *disk) *atomic.Bool { return &d.broken },
		} {
			t.Run(string(mode)+"/"+what, func(t *testing.T) {
				dir := t.TempDir()
				synctest.Test(t, func(t *testing.T) { failAndRecover(t, dir, mode, fail) })
				mustVerify(t, dir)
				all := readAll(t, dir)
				if got, want := types(all), "log.open call call log.gap call log.close"; got != want {
					t.Fatalf("%s, want %s", got, want)
				}
				if want := "101 calls or events were refused while the log could not be written"; all[3].Detail != want {
					t.Errorf("gap: %s", all[3].Detail)
				}
			})
		}
	}
}

// failAndRecover lets the disk fail between two calls, and recover.
func failAndRecover(t *testing.T, dir string, mode Mode, failing func(*disk) *atomic.Bool) {
	t.Helper()
	var d disk
	l, err := open(Options{Dir: dir, Modes: Modes{Call: mode}, Queue: 2}, d.create)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, l)
	g, fail := testGateway(t, l), failing(&d)
	mustEcho := func(ctx context.Context) {
		t.Helper()
		if err := echo(ctx, g); err != nil {
			t.Error(err)
		}
	}
	mustEcho(t.Context())
	synctest.Wait() // Until it has been written.
	fail.Store(true)

	// The first call finds out; in ModeWAL it waits for as long as its caller
	// does.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	mustEcho(ctx)
	cancel()
	<-time.After(time.Second)
	if err := l.Healthy(); !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EIO) {
		t.Errorf("Healthy returned %v", err)
	}
	for range 100 {
		var refusal *gateway.Error
		if err := echo(t.Context(), g); !errors.As(err, &refusal) || refusal.Code != gateway.Unavailable || refusal.By != "audit" {
			t.Fatalf("a call: %v", err)
		}
	}
	if err := l.Event(t.Context(), Event{Type: "door"}); err == nil {
		t.Error("an event was taken")
	}

	fail.Store(false)
	<-time.After(time.Second)
	if err := l.Healthy(); err != nil {
		t.Errorf("Healthy after recovery: %v", err)
	}
	mustEcho(t.Context())
}

// TestBackpressure holds that callers wait when the queue is full, and that
// none of their records is lost.
func TestBackpressure(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var d disk
		l, err := open(Options{Dir: dir, Queue: 2}, d.create)
		if err != nil {
			t.Fatal(err)
		}
		d.full.Store(true)
		var ended atomic.Int32
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				do(t.Context(), l, testCall(fmt.Sprint(i)), gateway.TextResult(""), nil)
				ended.Add(1)
			})
			synctest.Wait()
		}
		if n := ended.Load(); n > 3 {
			t.Errorf("%d of 20 calls did not wait for a queue of 2", n)
		}
		d.full.Store(false)
		wg.Wait()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	if report := mustVerify(t, dir); report.Records != 22 {
		t.Errorf("%+v", report)
	}
}

func TestCloseOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var d disk
		l, err := open(Options{Dir: dir, Queue: 2}, d.create)
		if err != nil {
			t.Fatal(err)
		}
		d.full.Store(true)
		for i := range 5 {
			go do(t.Context(), l, testCall(fmt.Sprint(i)), gateway.TextResult(""), nil)
		}
		synctest.Wait()
		err = l.Close()
		if want := "6 records of the audit log were not written"; err == nil || !errors.Is(err, syscall.ENOSPC) || err.Error()[:len(want)] != want {
			t.Errorf("Close: %v", err)
		}
	})
	mustClose(t, mustOpen(t, Options{Dir: dir}))
	mustVerify(t, dir)
}

// TestSyncEvery holds that a record is durable, and covered by the checkpoint,
// soon after it was written.
func TestSyncEvery(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := mustOpen(t, Options{Dir: dir})
		do(t.Context(), l, testCall("echo"), gateway.TextResult(""), nil)
		<-time.After(2 * time.Second)
		if report := mustVerify(t, dir); report.Checkpoint != 2 {
			t.Errorf("%+v", report)
		}
		mustClose(t, l)
	})
}
