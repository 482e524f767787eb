package grpc

import (
	"strconv"
	"testing"
)

// TestUnique: names that clash get numbers, however many there are.
func TestUnique(t *testing.T) {
	taken := map[string]int{"a_3": 1}
	for i, want := range []string{"a", "a_2", "a_4", "a_5"} {
		if got := unique(taken, "a"); got != want {
			t.Errorf("%d: %s, want %s", i, got, want)
		}
	}
	const many = 200_000
	for range many { // Hours, if each looked at all that came before.
		unique(taken, "b")
	}
	if got, want := unique(taken, "b"), "b_"+strconv.Itoa(many+1); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
