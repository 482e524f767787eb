package mcp

import (
	"bytes"
	"testing"
	"time"
)

// FuzzTaskRecord reads damaged records, and those that append writes, which
// keep every byte of the state.
func FuzzTaskRecord(f *testing.F) {
	f.Add([]byte(`{"node":"a","seen":1,"expires":2,"status":"working","state":{"status":"working"}}`), "a", int64(5))
	f.Add([]byte(`{"status":"completed","state":{"result": { "n":1.10,"t":"<&>" } }}`), "", int64(0))
	f.Add([]byte(`{"status":"","state":[]}`), "\xff", int64(-1))
	f.Fuzz(func(t *testing.T, data []byte, node string, at int64) {
		r, ok := readTaskRecord(data)
		if !ok {
			return
		}
		r.node, r.seen, r.expires = node, time.UnixMilli(at), time.UnixMilli(at)
		again, ok := readTaskRecord(r.append(nil))
		if !ok || !bytes.Equal(again.state, r.state) || again.status != r.status || !again.seen.Equal(r.seen) || !again.expires.Equal(r.expires) {
			t.Errorf("%+v became %+v", r, again)
		}
	})
}

// TestTaskKeys keeps the tasks of principals apart whose names run together.
func TestTaskKeys(t *testing.T) {
	seen := map[string]bool{}
	for _, of := range [][2]string{{"id", "owner"}, {"i", "downer"}, {"ido", "wner"}, {"id", "owner2"}, {"id2", "owner"}, {"", "idowner"}} {
		key := taskKey(of[0], of[1])
		if seen[key] || len(key) != 43 {
			t.Errorf("the key of %q is %q", of, key)
		}
		seen[key] = true
	}
	ids := map[string]bool{}
	for range 1000 {
		id := newTaskID()
		if ids[id] || len(id) != 32 {
			t.Fatalf("the id %q", id)
		}
		ids[id] = true
	}
}
