package server

import "testing"

func TestPercentFor(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{{0, 800}, {1 << 20, 800}, {16 << 20, 300}, {32 << 20, 100}, {1 << 30, 100}} {
		if got := percentFor(c.live); got != c.want {
			t.Errorf("%d bytes alive: %d %%, want %d", c.live, got, c.want)
		}
	}
}
