package mcp_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trilith-gateway/trilith/protocols/mcp"
)

func TestMemoryEvents(t *testing.T) {
	m := &mcp.MemoryEvents{Bytes: 6000, Stream: 1500, Age: time.Minute}
	put := func(stream string, n int) uint64 {
		t.Helper()
		seq, err := m.Append(t.Context(), stream, make([]byte, n))
		if err != nil {
			t.Fatal(err)
		}
		return seq
	}
	count := func(stream string, after uint64) int {
		events, err := m.Read(t.Context(), stream, after, 100)
		if err != nil {
			return -1
		}
		return len(events)
	}
	if _, err := m.Append(t.Context(), "a/1", make([]byte, 1500)); err == nil {
		t.Error("an event was kept that is larger than its stream may be")
	}
	first, second := put("a/1", 300), put("a/1", 300)
	if n := count("a/1", first); n != 1 {
		t.Errorf("%d events after the first", n)
	}
	third := put("a/1", 300) // drops the first
	if n, gone, none := count("a/1", second), count("a/1", first), count("a/1", third); n != 1 || gone != -1 || none != 0 {
		t.Errorf("%d %d %d", n, gone, none)
	}
	if n, never, unknown := count("a/1", 0), count("a/1", third+9), count("b/1", 0); n != 2 || never != -1 || unknown != -1 {
		t.Errorf("%d %d %d", n, never, unknown)
	}
	if put("b/1", 100) <= third {
		t.Error("a number was used twice")
	}
	for _, s := range []string{"a/2", "a/3", "a/4", "a/5", "a/6"} { // One principal's flood drops its own.
		put(s, 600)
	}
	if b, a1, a6 := count("b/1", 0), count("a/1", 0), count("a/6", 0); b != 1 || a1 != -1 || a6 != 1 {
		t.Errorf("%d %d %d", b, a1, a6)
	}
	if again := put("a/1", 10); again <= third || count("a/1", third) != -1 {
		t.Error("a stream that was forgotten goes on as if it had not been")
	}
	if err := m.Drop(t.Context(), "b/1"); err != nil || count("b/1", 0) != -1 {
		t.Error("a dropped stream is still there", err)
	}
	for _, err := range m.Follow(t.Context(), "b/1", 1) {
		if !errors.Is(err, mcp.ErrEventsGone) {
			t.Error(err)
		}
	}
}

// TestMemoryEventsAge: quiet streams are forgotten.
func TestMemoryEventsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mcp.MemoryEvents{}
		for _, s := range []string{"a/1", "a/2"} {
			if _, err := m.Append(t.Context(), s, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(50 * time.Minute) // It passes at once here.
		if _, err := m.Append(t.Context(), "a/2", []byte("x")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Minute) // As above.
		if _, err := m.Append(t.Context(), "b/1", []byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Read(t.Context(), "a/1", 0, 1); !errors.Is(err, mcp.ErrEventsGone) {
			t.Error(err)
		}
		if _, err := m.Read(t.Context(), "a/2", 0, 1); err != nil {
			t.Error(err)
		}
	})
}
