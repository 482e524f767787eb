package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/trilith-gateway/trilith/gateway"
)

// childDir names the directory in which this binary, run again, writes a log
// until it is killed.
const childDir = "TRILITH_AUDIT_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		writeUntilKilled(dir)
	}
	goleak.VerifyTestMain(m)
}

func mustOpen(t *testing.T, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func mustClose(t *testing.T, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustVerify(t *testing.T, dir string) Report {
	t.Helper()
	report, err := Verify(dir, Proofs{})
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	return report
}

func readAll(t *testing.T, dir string) []Record {
	t.Helper()
	var out []Record
	for r, err := range Tail(t.Context(), dir, -1, false) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// types returns the types of records, joined.
func types(records []Record) string {
	var out []string
	for _, r := range records {
		out = append(out, r.Type)
	}
	return strings.Join(out, " ")
}

func testCall(name string) *gateway.Call {
	return &gateway.Call{
		Op: gateway.OpCall, Kind: gateway.KindTool, Name: name, Object: "tool/demo/" + name, Via: "mcp",
		Args:      json.RawMessage(`{"secret": "hunter2"}`),
		Principal: &gateway.Principal{ID: "idp|user|alice", Name: "Alice", Kind: "user", Groups: []string{"staff"}, Roles: []string{"dev", "ops"}, Scopes: []string{}},
		Policy:    "v7",
	}
}

// do records one call that ended so.
func do(ctx context.Context, l *Log, call *gateway.Call, res *gateway.Result, err error) {
	ctx, end := l.Observe(ctx, call)
	if err == nil {
		if err = l.Intents().Admit(ctx, call); err != nil {
			res = nil
		}
	}
	end(res, err)
}

// A clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { return c.add(0) }

func (c *clock) add(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	return c.at
}

func TestRecordOfCall(t *testing.T) {
	dir := t.TempDir()
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	now := clock{at: start}
	l := mustOpen(t, Options{
		Dir: dir, Node: "n1", Now: now.now,
		Trace: func(context.Context) string { return "4bf92f" },
	})

	ctx, end := l.Observe(t.Context(), testCall("echo"))
	id := CallID(context.WithValue(ctx, childDirKey{}, 1))
	now.add(1500 * time.Microsecond)
	end(gateway.ErrorResult("no"), nil)
	do(t.Context(), l, testCall("drop"), nil, &gateway.Error{
		Code: gateway.PermissionDenied, By: "policy", Msg: "no", Err: errors.New("policy.csv:3: deny"),
	})
	do(t.Context(), l, &gateway.Call{Op: gateway.OpCall, Kind: gateway.KindTool, Name: "x", Via: "rest"}, nil, errors.New("boom"))
	if err := l.Event(t.Context(), Event{Type: "door", Actor: "203.0.113.7", Outcome: "UNAUTHENTICATED", Reason: "expired", Detail: "d"}); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)

	all := readAll(t, dir)
	if got, want := types(all), "log.open call call call door log.close"; got != want {
		t.Fatalf("types: %s, want %s", got, want)
	}
	want := Record{
		V: 1, Seq: 2, Prev: all[1].Prev, Time: start, Type: TypeCall, Node: "n1", ID: id,
		Via: "mcp", Op: "call", Kind: "tool", Name: "echo", Object: "tool/demo/echo",
		Principal: Principal{
			ID: "idp|user|alice", Name: "Alice", Kind: "user", Groups: []string{"staff"}, Roles: []string{"dev", "ops"}, Scopes: []string{},
		},
		Policy: "v7", Code: "OK", ToolError: true, DurationUS: 1500, BytesIn: 21, BytesOut: 56, ArgsHMAC: all[1].ArgsHMAC, Trace: "4bf92f",
	}
	if diff := cmp.Diff(want, all[1]); diff != "" {
		t.Errorf("record of a call (-want +got):\n%s", diff)
	}
	for i, want := range map[int]Record{
		2: {Code: "PERMISSION_DENIED", By: "policy", Cause: "policy.csv:3: deny", Principal: want.Principal},
		3: {Code: "INTERNAL", By: "gateway", Cause: "boom"},
		4: {Actor: "203.0.113.7", Code: "UNAUTHENTICATED", Cause: "expired", Detail: "d"},
	} {
		r := all[i]
		got := Record{Code: r.Code, By: r.By, Cause: r.Cause, Principal: r.Principal, Actor: r.Actor, Detail: r.Detail}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("record %d (-want +got):\n%s", r.Seq, diff)
		}
	}
	if mac := all[1].ArgsHMAC; len(mac) != 64 || mac != all[2].ArgsHMAC || mac == all[3].ArgsHMAC || len(id) != 32 {
		t.Errorf("id %q, HMACs %q, %q and %q", id, mac, all[2].ArgsHMAC, all[3].ArgsHMAC)
	}
	for _, s := range logFiles(t, dir) {
		if strings.Contains(string(s), "hunter2") {
			t.Error("the log holds an argument in clear")
		}
	}
	if r := mustVerify(t, dir); r.Records != 6 || r.Checkpoint != 6 || r.Segments != 1 {
		t.Errorf("report: %+v", r)
	}
}

type childDirKey struct{}

// logFiles returns the contents of what Verify reads, by name.
func logFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	names, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	points, err := filepath.Glob(filepath.Join(dir, "*"+pointsSuffix))
	if err != nil {
		t.Fatal(err)
	}
	names = append(names, points...)
	for _, name := range append(names, filepath.Join(dir, publicName), filepath.Join(dir, pointName)) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = data
	}
	return out
}

func TestArguments(t *testing.T) {
	for _, test := range []struct {
		arguments Level
		args      string
		want      string
	}{
		{LevelNone, `{"a": 1}`, ""},
		{LevelRequest, "{\"a\":\n 1.0}", `{"a":1.0}`},
		{LevelRequest, "", "{}"},
		{LevelRequest, `{"a": "` + strings.Repeat("x", maxArgs) + `"}`, ""},
		{LevelRequest, `{"a":1,"a":2}`, ""},
	} {
		dir := t.TempDir()
		l := mustOpen(t, Options{Dir: dir, Level: test.arguments})
		call := testCall("echo")
		call.Args = json.RawMessage(test.args)
		do(t.Context(), l, call, gateway.TextResult(""), nil)
		mustClose(t, l)
		if r := readAll(t, dir)[1]; string(r.Args) != test.want || (r.ArgsHMAC == "") != (test.arguments == LevelNone) || r.BytesIn != int64(len(test.args)) {
			t.Errorf("%s: args %.80s, HMAC %q, %d bytes; want %s", test.arguments, r.Args, r.ArgsHMAC, r.BytesIn, test.want)
		}
		mustVerify(t, dir)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{}, {Dir: "x", Modes: Modes{Call: ModeAsync}}, {Dir: "x", Modes: Modes{Read: "never"}}, {Dir: "x", Level: "all"}, {Dir: "x", Queue: -1},
	} {
		if l, err := Open(o); err == nil {
			t.Errorf("Open(%+v) succeeded", o)
			_ = l.Close()
		}
	}
}

func TestOneWriter(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, Options{Dir: dir})
	if second, err := Open(Options{Dir: dir}); err == nil {
		t.Error("a second writer opened the log")
		_ = second.Close()
	}
	mustClose(t, l)
	mustClose(t, mustOpen(t, Options{Dir: dir}))
	if got, want := types(readAll(t, dir)), "log.open log.close log.open log.close"; got != want {
		t.Errorf("types: %s, want %s", got, want)
	}
	mustVerify(t, dir)
}

func TestKeyMustBePrivate(t *testing.T) {
	dir := t.TempDir()
	mustClose(t, mustOpen(t, Options{Dir: dir}))
	if err := os.Chmod(filepath.Join(dir, keyName), 0o644); err != nil {
		t.Fatal(err)
	}
	if l, err := Open(Options{Dir: dir}); err == nil {
		t.Error("a key that others may read was used")
		_ = l.Close()
	}
}

func TestEventTypes(t *testing.T) {
	l := mustOpen(t, Options{Dir: t.TempDir()})
	for _, bad := range []string{"", "call", "log.open", "Door", "a b", strings.Repeat("x", 33)} {
		if err := l.Event(t.Context(), Event{Type: bad}); err == nil {
			t.Errorf("type %q was accepted", bad)
		}
	}
}

func TestAfterClose(t *testing.T) {
	l := mustOpen(t, Options{Dir: t.TempDir()})
	mustClose(t, l)
	if err := l.Event(t.Context(), Event{Type: "late"}); !errors.Is(err, ErrClosed) {
		t.Errorf("event after Close: %v", err)
	}
	do(t.Context(), l, testCall("late"), gateway.TextResult(""), nil)
}

func TestRotationAndConcurrency(t *testing.T) {
	for _, mode := range []Mode{ModeWAL, ModeStrict} {
		dir := t.TempDir()
		l := mustOpen(t, Options{Dir: dir, Modes: Modes{Call: mode}, SegmentBytes: 8 << 10, Queue: 4})
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 50 {
					do(t.Context(), l, testCall(fmt.Sprintf("t%d-%d", i, j)), gateway.TextResult(""), nil)
				}
			})
		}
		wg.Wait()
		mustClose(t, l)
		report := mustVerify(t, dir)
		records := map[Mode]int{ModeWAL: 1, ModeStrict: 2}[mode]
		if report.Records != int64(2+400*records) || report.Segments < 5 {
			t.Errorf("%s: %+v", mode, report)
		}
		seen := map[string]int{}
		for _, r := range readAll(t, dir) {
			seen[r.Name]++
		}
		for i := range 8 {
			for j := range 50 {
				if n := seen[fmt.Sprintf("t%d-%d", i, j)]; n != records {
					t.Fatalf("%s: call t%d-%d has %d records", mode, i, j, n)
				}
			}
		}
	}
}

// writeUntilKilled writes records from several goroutines, half of them of
// strict calls, and prints the name of each call that was acknowledged.
func writeUntilKilled(dir string) {
	l, err := Open(Options{Dir: dir, SegmentBytes: 16 << 10})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for i := range 4 {
		go func() {
			for j := 0; ; j++ {
				name := fmt.Sprintf("t%d-%d", i, j)
				call := testCall(name)
				destructive := i%2 == 0
				call.Tool = &gateway.Tool{Annotations: gateway.Annotations{Destructive: &destructive}}
				do(context.Background(), l, call, gateway.TextResult(""), nil)
				fmt.Println(name)
			}
		}()
	}
	select {}
}

func TestKill(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[string]bool{}
	for round := range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if !strings.HasPrefix(lines.Text(), "t") {
				t.Fatal(lines.Text())
			}
			acknowledged[fmt.Sprintf("%d %s", round, lines.Text())] = true
			if n == 200 {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
	}
	l := mustOpen(t, Options{Dir: dir})
	mustClose(t, l)
	mustVerify(t, dir)
	round := -1
	for _, r := range readAll(t, dir) {
		if r.Type == TypeOpen {
			round++
		}
		if r.Type == TypeIntent {
			continue
		}
		delete(acknowledged, fmt.Sprintf("%d %s", round, r.Name))
	}
	if len(acknowledged) > 0 {
		t.Errorf("%d acknowledged records are lost", len(acknowledged))
	}
}
