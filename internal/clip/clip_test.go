package clip

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for _, test := range []struct {
		name, in string
		most     int
		want     string
	}{
		{"empty", "", 8, ""},
		{"short", "abc", 8, "abc"},
		{"exactly as long", "abcdefgh", 8, "abcdefgh"},
		{"one too long", "abcdefghi", 8, "abcde…"},
		{"between characters", "aaaaéééé", 8, "aaaa…"},
		{"a character cut in two", "aaaaaaaé", 8, "aaaaa…"},
		{"a character that just fits", "aaaaaaé", 8, "aaaaaaé"},
		{"not valid", "a\xffb", 8, "a\ufffdb"},
		{"not valid, and longer for it", "aaaaaa\xffb", 8, "aaaaa…"},
		{"nothing valid", strings.Repeat("\x80", 20), 8, "\ufffd…"},
		{"no room for anything", "abcd", 3, "…"},
		{"no room at all", "abcd", 0, "…"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Text(test.in, test.most); got != test.want {
				t.Errorf("Text(%q, %d) = %q, want %q", test.in, test.most, got, test.want)
			}
		})
	}
}

func FuzzText(f *testing.F) {
	f.Add("aaaaaaaé", uint8(8))
	f.Add("\xf0\x9f\x92", uint8(3))
	f.Add(strings.Repeat("\xe2\x80", 9), uint8(5))
	f.Fuzz(func(t *testing.T, s string, n uint8) {
		most := int(n)
		got := Text(s, most)
		if !utf8.ValidString(got) || len(got) > max(most, len(ellipsis)) {
			t.Errorf("Text(%q, %d) = %q", s, most, got)
		}
		if utf8.ValidString(s) && len(s) <= most && got != s {
			t.Errorf("Text(%q, %d) = %q, want it as it is", s, most, got)
		}
		if kept, cut := strings.CutSuffix(got, ellipsis); cut && utf8.ValidString(s) && len(s) > most && !strings.HasPrefix(s, kept) {
			t.Errorf("Text(%q, %d) = %q, which is not its beginning", s, most, got)
		}
	})
}
