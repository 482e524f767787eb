package policy

import (
	"strings"
	"testing"
)

// TestObjects holds what patterns match, with URIs and names that hold what
// means something in a pattern.
func TestObjects(t *testing.T) {
	for _, test := range []struct {
		pattern, object string
		allow, deny     bool // whether an allowing and a denying rule match
	}{
		{"tool/s/*", "tool/s/a", true, true},
		{"tool/s/*", "tool/s/a/b", false, false},
		{"tool/s/**", "tool/s/a/b", true, true},
		{"tool/*/read", "tool/s/drop", false, false},
		{"tool/s/a?", "tool/s/a*", true, true},
		{"tool/s/a?", "tool/s/a/", false, false},
		{`tool/s/a\*`, "tool/s/a*", true, true},
		{`tool/s/a\*`, "tool/s/ab", false, false},
		{"tool/s/ab", "tool/s/a*", false, false},
		{"tool/s/{a,b}*", "tool/s/bx", true, true},
		{"tool/s/..", "tool/s/..", true, true},
		{"tool/s/%61", "tool/s/a", false, false},
		{"resource/s/file:///a/*", "resource/s/file:///a/b", true, true},
		{"resource/s/file:///a/**", "resource/s/file:///a/b/c", true, true},
		{"resource/s/file:///a/**", "resource/s/file:///a", true, true},
		{"resource/s/*", "resource/s/file:///a", false, false},
		{"resource/s/*", "resource/s/urn:a:b", true, true},
		{"resource/s/**", "resource/s/file:///a", true, true},
		{"resource/s/**/secret", "resource/s/file:///a/secret", true, true},
		{`resource/s/file:///\{+path\}`, "resource/s/file:///{+path}", true, true},
		{"resource/s/file:///a", "resource/s/file:///{+path}", false, false},
		{"resource/s/x://h/?q=*", "resource/s/x://h/?q=1", true, true},
		// Other ways of writing the same path.
		{"resource/s/file:///a/**", "resource/s/file:///a/../b", false, true},
		{"resource/s/file:///b", "resource/s/file:///a/../b", false, true},
		{"resource/s/file:///a/**", "resource/s/file:///a/%2e%2E/b", false, true},
		{"resource/s/file:///a/**", "resource/s/file:///a/..%2fb", false, true},
		{"resource/s/file:///a/**", `resource/s/file:///a/..\b`, false, true},
		{"resource/s/file:///a/**", "resource/s/file:///a/..%5Cb", false, true},
		{"resource/s/file:///a/**", "resource/s/file:///a/..?q", false, true},
		{"resource/s/file:///a/**", "resource/s/file:///a/?/../../b", false, true},
		{"resource/s/file:///a/**", "resource/s/file:///a/#/..%2f../b", false, true},
		{"resource/s/file:///b/**", `resource/s/file:///a/?\..\..\b/c`, false, true},
		{"resource/s/x://h/a/**", "resource/s/x://h/a/b?q=../c", true, true},
		{"resource/s/file:///b/**", "resource/s/file:///%62/c", false, true},
		{"resource/s/file:///b/**", "resource/s/file:////b/c", false, true},
		{"resource/s/file:///b/**", "resource/s/file:///.//b/c", false, true},
		{"resource/s/file:///b/**", "resource/s/file:///b%2Fc", false, true},
		{"resource/s/file:/b/**", "resource/s/file:/../b/c", false, true},
		{"resource/s/file:///b/**", "resource/s/file:///b//c/./d", true, true},
		{"resource/s/**", "resource/s/file:///a/../b", true, true},
		{"resource/s/file:///a/../b", "resource/s/file:///a/../b", true, true},
		{"resource/s/d://*", "resource/s/d://https%3A%2F%2Fx", false, true},
		{"resource/s/d://**", "resource/s/d://https%3A%2F%2Fx", true, true},
		{"resource/s/d://h/*", "resource/s/d://h/ä%", true, true},
		{"resource/s/**", "resource/s/d://h/" + strings.Repeat("a", maxObject), false, false},
	} {
		globs, err := parsePatterns(test.pattern)
		if err != nil {
			t.Fatalf("%s: %v", test.pattern, err)
		}
		o := &target{object: newObject(test.object)}
		if allow, deny := matchAny(globs, o, false), matchAny(globs, o, true); allow != test.allow || deny != test.deny {
			t.Errorf("%s, %s (%s): allow %t, deny %t; want %t, %t", test.pattern, o.text, o.normal, allow, deny, test.allow, test.deny)
		}
	}
}
