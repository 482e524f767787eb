package mcp

import "testing"

func FuzzEventID(f *testing.F) {
	for _, seed := range []string{"", "get-1", "get-0", "0123456789abcdef-18446744073709551615", "0123456789abcdef-18446744073709551616", "0123456789ABCDEF-1", "get-+1", "-1", "get-1-1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		stream, seq, ok := readEventID(id)
		if ok && string(appendEventID(nil, stream, seq)) != id {
			t.Errorf("%q was read as %q %d", id, stream, seq)
		}
		if ok && len(stream) > 16 {
			t.Errorf("stream %q", stream)
		}
	})
}
