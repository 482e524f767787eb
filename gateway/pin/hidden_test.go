package pin

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/invisible.json")

// TestInvisible holds the characters that are not seen against the list with which the console's own tests agree.
func TestInvisible(t *testing.T) {
	const file = "testdata/invisible.json"
	var now [][2]rune // from, to
	for r := range unicode.MaxRune + 1 {
		switch {
		case !invisible(r):
		case len(now) > 0 && now[len(now)-1][1] == r-1:
			now[len(now)-1][1] = r
		default:
			now = append(now, [2]rune{r, r})
		}
	}
	if *update {
		text := "[\n"
		for i, span := range now {
			if text += fmt.Sprintf("  [%d, %d]", span[0], span[1]); i < len(now)-1 {
				text += ","
			}
			text += "\n"
		}
		if err := os.WriteFile(file, []byte(text+"]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var want [][2]rune
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, now); diff != "" {
		t.Errorf("write it anew with -update, and see that the console's plain agrees (-file +now):\n%s", diff)
	}
	for _, r := range "\u034f\u115f\u17b4\u180b\u200b\u202e\u2800\u3164\ufe00\uffa0\ue000\U000e0041\U000e0100" {
		if !invisible(r) {
			t.Errorf("%U is taken for one that is seen", r)
		}
	}
}
