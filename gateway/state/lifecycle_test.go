package state

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func TestRestartOnDisk(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "state") // Created by Open.
	o := BucketOptions{Name: "policy", History: 2}
	var rev uint64
	for i := range 3 {
		s := open(t, Options{Dir: dir})
		b := bucket[int](t, s, o)
		if i > 0 {
			e, err := b.Get(t.Context(), "version")
			if err != nil || e.Value != i-1 || e.Revision != rev {
				t.Fatalf("after restart %d: %+v, %v, want revision %d", i, e, err, rev)
			}
		}
		var err error
		if rev, err = b.Put(t.Context(), "version", i); err != nil {
			t.Fatal(err)
		}
		must(t, s.Close())
	}
}

func TestSyncModes(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	for async, want := range map[bool]jetstream.PersistModeType{
		false: jetstream.DefaultPersistMode, true: jetstream.AsyncPersistMode,
	} {
		o := BucketOptions{Name: map[bool]string{false: "durable", true: "fast"}[async], Async: async}
		bucket[int](t, s, o)
		stream, err := s.js.Stream(t.Context(), "KV_"+prefix+o.Name)
		must(t, err)
		if got := stream.CachedInfo().Config.PersistMode; got != want {
			t.Errorf("%+v: the engine persists in mode %v, want %v", o, got, want)
		}
	}
}

func TestDirectoryHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	first := open(t, Options{Dir: dir})
	_, err := Open(t.Context(), Options{Dir: dir})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second owner: %v", err)
	}
	if err := first.Healthy(t.Context()); err != nil {
		t.Errorf("the first owner suffered: %v", err)
	}
	must(t, first.Close())
	open(t, Options{Dir: dir})
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, []byte("x"), 0o600))
	for name, c := range map[string]struct {
		o    Options
		want error
	}{
		"a file as directory":  {Options{Dir: file}, nil},
		"not a URL":            {Options{URL: "nats://user:secret@%zz"}, ErrInvalid},
		"no host":              {Options{URL: "nats://ok:4222,user:secret"}, ErrInvalid},
		"other scheme":         {Options{URL: "http://user:secret@host"}, ErrInvalid},
		"missing credentials":  {Options{URL: "nats://127.0.0.1:1", CredentialsFile: file + "x"}, os.ErrNotExist},
		"missing CA":           {Options{URL: "nats://127.0.0.1:1", CAFile: file + "x"}, ErrInvalid},
		"key without cert":     {Options{URL: "nats://127.0.0.1:1", KeyFile: file}, ErrInvalid},
		"nobody listens":       {Options{URL: "nats://user:secret@127.0.0.1:1"}, ErrUnavailable},
		"replicas on one node": {Options{Replicas: 3}, ErrInvalid},
		"too many replicas":    {Options{URL: "nats://127.0.0.1:1", Replicas: 7}, ErrInvalid},
		"long name":            {Options{Name: strings.Repeat("n", 129)}, ErrInvalid},
		"no JetStream":         {Options{URL: startNATS(t, "-n", "plain").url}, jetstream.ErrJetStreamNotEnabled},
		"wrong password": {
			Options{URL: startNATS(t, "--user", "u", "--pass", "right").url + "/"}, nil,
		},
	} {
		patience := 20 * time.Second
		if name == "nobody listens" {
			patience = time.Second // It is tried again for as long.
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		s, err := Open(ctx, c.o)
		cancel()
		switch {
		case err == nil:
			t.Errorf("%s: no error", name)
			_ = s.Close()
		case c.want != nil && !errors.Is(err, c.want):
			t.Errorf("%s: %v", name, err)
		case strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: the error tells the password: %v", name, err)
		default:
			t.Logf("%s: %v", name, err)
		}
	}
}

func TestVersions(t *testing.T) {
	for version, want := range map[string]struct{ one, three bool }{
		"2.11.0": {true, true}, "2.15.2": {true, true}, "3.0.0-beta": {true, true},
		"2.9.0": {true, false}, "2.10.29": {true, false},
		"2.8.4": {}, "1.14.1": {}, "": {}, "next": {},
	} {
		if err := checkVersion(version, 1); (err == nil) != want.one {
			t.Errorf("%q: %v", version, err)
		}
		if err := checkVersion(version, 3); (err == nil) != want.three {
			t.Errorf("%q with replicas: %v", version, err)
		}
	}
}

func TestClose(t *testing.T) {
	ctx, s := t.Context(), open(t, Options{Dir: t.TempDir()})
	b := bucket[int](t, s, BucketOptions{Name: "close"})
	m, err := b.Mirror(ctx)
	must(t, err)
	notices, err := s.Subscribe(ctx, "t")
	must(t, err)
	var busy sync.WaitGroup
	watching := make(chan struct{})
	busy.Go(func() {
		var last error
		for ev, err := range b.Watch(ctx) {
			if ev.Synced {
				close(watching)
			}
			if last = err; err != nil {
				wantErr(t, nil, "Close from within the loop", s.Close())
			}
		}
		wantErr(t, ErrUnavailable, "end of the watch", last)
	})
	<-watching
	for range 4 {
		busy.Go(func() {
			for {
				if _, err := b.Put(ctx, "k", 1); err != nil {
					wantErr(t, ErrUnavailable, "Put at the end", err)
					return
				}
			}
		})
	}
	eventually(t, "mirrored", func() bool { _, ok := m.Get("k"); return ok })
	for range 2 {
		busy.Go(func() { wantErr(t, nil, "Close", s.Close()) })
	}
	busy.Wait()
	if _, ok := <-notices; ok {
		t.Error("the subscription goes on")
	}
	wantErr(t, ErrUnavailable, "Err of the mirror", m.Err())
	if _, ok := m.Get("k"); !ok {
		t.Error("the mirror forgot its last state")
	}
	checkClosed(ctx, t, s, b)
}

func checkClosed(ctx context.Context, t *testing.T, s *State, b *Bucket[int]) {
	t.Helper()
	for name, err := range map[string]error{
		"Healthy": s.Healthy(ctx),
		"Publish": s.Publish(ctx, "t", 1),
		"Delete":  b.Delete(ctx, "k", 0),

		"OpenBucket": errOf(OpenBucket[int](ctx, s, BucketOptions{Name: "x"})),
		"Mirror":     errOf(b.Mirror(ctx)),
		"All":        errOf(b.All(ctx)),
		"Subscribe":  errOf(s.Subscribe(ctx, "t")),
	} {
		wantErr(t, ErrUnavailable, name+" of a closed State", err)
	}
	for _, err := range b.Watch(ctx) {
		wantErr(t, ErrUnavailable, "Watch of a closed State", err)
	}
}

// TestWatchAgainstOldNews: a replica that lags behind must not take a consumer back in time, while a bucket that was
// made anew, with revisions from 1, must be followed.
func TestWatchAgainstOldNews(t *testing.T) {
	ctx := t.Context()
	b := bucket[int](t, open(t, Options{}), BucketOptions{Name: "old", History: 2})
	first, second := put(t, b, "k", 1), put(t, b, "k", 2)
	var told []int
	w := &watch[int]{b: b, known: newRecency(), yield: func(ev Event[int], _ error) bool {
		told = append(told, ev.Value)
		return true
	}}
	for _, step := range []struct{ known, news uint64 }{{second, first}, {second + 7, second}} {
		w.known.set("k", step.known, time.Now())
		e, err := b.kv.GetRevision(ctx, "k", step.news)
		must(t, err)
		must(t, w.handle(ctx, e))
	}
	if len(told) != 1 || told[0] != 2 {
		t.Errorf("the watch told %v, want the current value alone", told)
	}
}
