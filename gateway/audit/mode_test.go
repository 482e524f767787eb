package audit

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

func list(ctx context.Context, l *Log) error {
	return l.Gate().(gateway.ListGate).AdmitList(ctx, gateway.Listing{ //nolint:forcetypeassert // the test fails then.
		Principal: testCall("").Principal, Via: "mcp", Kind: gateway.KindTool, Count: 7,
	})
}

// TestModesOfCalls holds which mode a call has.
func TestModesOfCalls(t *testing.T) {
	yes, no := true, false
	tool := func(destructive, readOnly *bool) *gateway.Tool {
		return &gateway.Tool{Annotations: gateway.Annotations{Destructive: destructive, ReadOnly: readOnly}}
	}
	m := Modes{Read: ModeAsync}
	if err := m.complete(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		call gateway.Call
		want Mode
	}{
		{gateway.Call{Op: gateway.OpCall}, ModeWAL},
		{gateway.Call{Op: gateway.OpCall, Tool: tool(nil, nil)}, ModeWAL},
		{gateway.Call{Op: gateway.OpCall, Tool: tool(&yes, nil)}, ModeStrict},
		{gateway.Call{Op: gateway.OpCall, Tool: tool(&yes, &no)}, ModeStrict},
		{gateway.Call{Op: gateway.OpCall, Tool: tool(&yes, &yes)}, ModeWAL},
		{gateway.Call{Op: gateway.OpCall, Tool: tool(&no, nil)}, ModeWAL},
		{gateway.Call{Op: gateway.OpRead}, ModeAsync},
		{gateway.Call{Op: gateway.OpSubscribe}, ModeAsync},
		{gateway.Call{Op: gateway.OpAdmin, Tool: tool(nil, nil)}, ModeStrict},
		{gateway.Call{Op: gateway.OpInspect, Tool: tool(nil, &yes)}, ModeStrict},
	} {
		if got := m.of(&c.call); got != c.want {
			t.Errorf("%+v: %s, want %s", c.call, got, c.want)
		}
	}
}

// syncCounter is a disk that counts what was made durable.
type syncCounter struct {
	segmentFile
	syncs *atomic.Int32
}

func (f syncCounter) Sync() error {
	f.syncs.Add(1)
	return f.segmentFile.Sync()
}

// TestStrict holds that the intent is durable before the call goes on, that
// the call's own record has its id, and that a wal call has no intent.
func TestStrict(t *testing.T) {
	dir := t.TempDir()
	var syncs atomic.Int32
	l, err := open(Options{Dir: dir, SyncEvery: time.Hour, Modes: Modes{Read: ModeStrict}}, func(path string) (segmentFile, error) {
		f, err := createSegment(path)
		return syncCounter{f, &syncs}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	before := syncs.Load()
	do(t.Context(), l, testCall("wal"), gateway.TextResult(""), nil)
	if n := syncs.Load(); n != before {
		t.Errorf("a call in wal mode waited for %d syncs", n-before)
	}
	call := testCall("strict")
	call.Op, call.Kind = gateway.OpRead, gateway.KindResource
	ctx, end := l.Observe(t.Context(), call)
	if err := l.Intents().Admit(ctx, call); err != nil {
		t.Fatal(err)
	}
	if syncs.Load() == before {
		t.Error("the intent is not durable")
	}
	if got := types(readAll(t, dir)); got != "log.open call intent" {
		t.Errorf("before the upstream is asked: %s", got)
	}
	end(gateway.TextResult(""), nil)
	if err := l.Intents().Admit(t.Context(), call); err == nil {
		t.Error("a call that is not observed was admitted")
	}
	mustClose(t, l)
	all := readAll(t, dir)
	if got := types(all); got != "log.open call intent call log.close" || all[2].ID != all[3].ID || all[2].ArgsHMAC == "" || all[2].Code != "" {
		t.Errorf("%s: intent %+v, call %+v", got, all[2], all[3])
	}
	mustVerify(t, dir)
}

// TestEventIsStored holds that an event is durable when Event returns, and has
// its actor.
func TestEventIsStored(t *testing.T) {
	dir := t.TempDir()
	var syncs atomic.Int32
	l, err := open(Options{Dir: dir, SyncEvery: time.Hour}, func(path string) (segmentFile, error) {
		f, err := createSegment(path)
		return syncCounter{f, &syncs}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, l)
	before := syncs.Load()
	if err := l.Event(t.Context(), Event{Type: EventDoor, Actor: "192.0.2.1"}); err != nil || syncs.Load() != before {
		t.Errorf("a refusal at the door: %v, %d syncs", err, syncs.Load()-before)
	}
	if err := l.Event(t.Context(), Event{
		Type: "key.revoke", Principal: testCall("").Principal, Via: "grpc", Object: "key/7", Outcome: "OK", Policy: "v7", Rule: "r",
	}); err != nil || syncs.Load() == before {
		t.Errorf("the revocation of a key: %v, %d syncs", err, syncs.Load()-before)
	}
	r := readAll(t, dir)[2]
	want := Record{
		V: 1, Seq: 3, Prev: r.Prev, Time: r.Time, Type: "key.revoke", Via: "grpc", Object: "key/7",
		Principal: principal(testCall("").Principal), Policy: "v7", Rule: "r", Code: "OK", Actor: "idp|user|alice",
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

// TestStrictFails holds that a strict call is refused soon after the disk
// failed, also where it was waiting already, and that lists in async mode are
// told of all the time.
func TestStrictFails(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var d disk
		l, err := open(Options{Dir: dir, Modes: Modes{Call: ModeStrict}}, d.create)
		if err != nil {
			t.Fatal(err)
		}
		g := testGateway(t, l)
		d.full.Store(true)
		start := time.Now()
		for range 3 {
			var refusal *gateway.Error
			if err := echo(t.Context(), g); !errors.As(err, &refusal) || refusal.Code != gateway.Unavailable || refusal.By != "audit" {
				t.Errorf("a strict call on a full disk: %v", err)
			}
			if err := l.Event(t.Context(), Event{Type: "login"}); err == nil {
				t.Error("an event was stored on a full disk")
			}
			if err := list(t.Context(), l); err != nil {
				t.Errorf("a list: %v", err)
			}
		}
		if waited := time.Since(start); waited > time.Second {
			t.Errorf("refused after %s", waited)
		}
		d.full.Store(false)
		<-time.After(time.Second)
		if err := echo(t.Context(), g); err != nil {
			t.Errorf("after recovery: %v", err)
		}
		mustClose(t, l)
	})
	mustVerify(t, dir)
	var missing, lists int64
	for _, r := range readAll(t, dir) {
		switch r.Type {
		case TypeGap:
			missing += r.Count
		case TypeList:
			lists++
		}
	}
	if missing != 6 || lists != 3 { // The first intent was taken; its call, and two more with three events, were counted.
		t.Errorf("%d are counted as missing, %d lists", missing, lists)
	}
}

// TestDrops holds that a full queue makes lists drop their records, without an
// allocation, and that all of them are counted.
func TestDrops(t *testing.T) {
	dir := t.TempDir()
	var d disk
	l, err := open(Options{Dir: dir, Queue: 4}, d.create)
	if err != nil {
		t.Fatal(err)
	}
	d.full.Store(true)
	const lists = 1000
	ctx := t.Context()
	for range lists - 100 {
		if err := list(ctx, l); err != nil {
			t.Fatal(err)
		}
	}
	gate := l.Gate().(gateway.ListGate) //nolint:forcetypeassert // the test fails then.
	p := testCall("").Principal
	if n := testing.AllocsPerRun(99, func() {
		_ = gate.AdmitList(ctx, gateway.Listing{Principal: p, Via: "mcp", Kind: gateway.KindTool, Count: 7})
	}); n != 0 {
		t.Errorf("%v allocations for a list that finds no room", n)
	}
	d.full.Store(false)
	mustClose(t, l)
	mustVerify(t, dir)
	var kept, dropped int64
	for _, r := range readAll(t, dir) {
		switch r.Type {
		case TypeList:
			kept++
		case TypeGap:
			dropped += r.Count
		}
	}
	if kept+dropped != lists || dropped < lists/2 {
		t.Errorf("%d kept and %d dropped of %d", kept, dropped, lists)
	}
}
