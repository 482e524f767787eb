package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestProblems(t *testing.T) {
	long := "# " + strings.Repeat("x", maxLine)
	var chain strings.Builder
	for i := range 11 {
		fmt.Fprintf(&chain, "g, role:r%d, role:r%d\n", i, i+1)
	}
	for csv, want := range map[string]string{
		"p, role:dev, *, tool/x/*, cal, allow":                                                         `1:27: unknown action "cal" (use call, read, get, subscribe, complete, list, admin or *)`,
		"\n\np, role:dev, *, tool/x/*, call, permit":                                                   `3:33: unknown effect "permit" (use allow or deny)`,
		"p, role:dev, tool/x/*, call, allow":                                                           `1:30: the rule has 4 fields, not 5 or 6 (the domain is missing: p, subject, domain, object, action, effect, with * as the domain for all)`,
		"p, role:dev, *, tool/x/*, call":                                                               `1:27: the rule has 4 fields, not 5 or 6 (the effect is missing: end the line with allow or deny)`,
		"p":                                                                                            `1:1: the rule has 0 fields, not 5 or 6 (a rule is p, subject, domain, object, action, effect, and perhaps a condition)`,
		"p, ä:dev, *, tool/x/*, call, allow":                                                           `1:4: unknown subject "ä:dev" (` + subjectHint + `)`,
		"p, user:alice, *, tool/x/*, call, allow":                                                      `1:4: the subject "user:alice" does not say who issued it (write user:<issuer>|alice)`,
		"p, role:, *, tool/x/*, call, allow":                                                           `1:4: the subject "role:" has no name`,
		"p, role:*, *, tool/x/*, call, allow":                                                          `1:4: subjects are not patterns (use anyone or authenticated)`,
		"p, anyone, t*, tool/x/*, call, allow":                                                         `1:12: domains are not patterns (use a whole domain, or * alone for all)`,
		"p, anyone, *, tools/x/*, call, allow":                                                         `1:15: unknown kind of object "tools" (begin with tool/, resource/, prompt/ or admin/, with ** for all capabilities, or write toolset:<name> or tag:<name>)`,
		"p, anyone, *, template/x/*, read, allow":                                                      `1:15: templates are resources to a policy (write resource/<source>/<URI>)`,
		"p, anyone, *, tool/*, call, allow":                                                            `1:15: object "tool/*" matches nothing (an object has three parts, as in tool/<source>/<name>; ** stands for any number of them)`,
		"p, anyone, *, tool/x/a**, call, allow":                                                        `1:15: object "tool/x/a**": ** must stand alone between slashes`,
		`p, anyone, *, tool/x/\\**, call, allow`:                                                       `1:15: object "tool/x/\\\\**": ** must stand alone between slashes`,
		"p, anyone, *, tool/x/[a-z], call, allow":                                                      `1:15: object "tool/x/[a-z]": character classes are not supported: write {a,b} for a choice, \[ and \] for brackets`,
		"p, anyone, *, tool/x/{a, call, allow":                                                         `1:15: object "tool/x/{a": { without }: write \{ for the character itself`,
		"p, anyone, *, tool/x/a}, call, allow":                                                         `1:15: object "tool/x/a}": } without {: write \} for the character itself`,
		"p, anyone, *, tool/x/{a{b}}, call, allow":                                                     `1:15: object "tool/x/{a{b}}": braces within braces are not supported`,
		"p, anyone, *, tool/x/{*}*, call, allow":                                                       `1:15: object "tool/x/{*}*": a * may not touch another across a brace`,
		"p, anyone, *, \"tool/x" + strings.Repeat("{/a,/b}", 7) + "\", call, allow":                    `: the braces stand for more than 64 patterns`,
		`p, anyone, *, tool/x/a\, call, allow`:                                                         `1:15: object "tool/x/a\\": the pattern ends in a \`,
		"p, anyone, *, tool/x/{a,b}, call, allow":                                                      `1:35: the rule has 6 fields, not 5 or 6 (a rule is p, subject, domain, object, action, effect, and perhaps a condition; a field with a comma stands in double quotes)`,
		"p, anyone, *, tool/x/*, read, allow":                                                          `1:25: read does not apply to a tool (use call or list)`,
		"p, anyone, *, resource/x/*, call, allow":                                                      `1:29: call does not apply to a resource (use read, subscribe, complete or list)`,
		"p, anyone, *, admin/x, read, allow":                                                           `1:15: unknown area "admin/x" (use admin/** or one of admin/policy, admin/keys, admin/sessions, admin/sources, admin/audit, admin/limits, admin/traffic)`,
		"p, anyone, *, admin, read, allow":                                                             `1:15: unknown area "admin"`,
		"p, anyone, *, admin/policy/x*, read, allow":                                                   `1:15: unknown area "admin/policy/x*"`,
		"p, anyone, *, admin/policy, call, allow":                                                      `1:29: call does not apply to an admin object (use read or admin)`,
		"p, anyone, *, tool/x/*, admin, allow":                                                         `1:25: admin does not apply to a tool`,
		"p, anyone, *, **, admin, allow":                                                               `1:19: admin applies to admin objects only (write admin/** or admin/<area> as the object)`,
		"p, anyone, *, toolset:, call, allow":                                                          `1:15: object "toolset:": the toolset has no name`,
		"p, anyone, *, tag:a*, call, allow":                                                            `1:15: object "tag:a*": the name of a tag is no pattern`,
		"p, anyone, *, **, call, allow, 'a', 'b'":                                                      `1:37: the rule has 7 fields, not 5 or 6 (a rule is p, subject, domain, object, action, effect, and perhaps a condition; a condition with a comma stands in double quotes)`,
		"p, anyone, *, **, call, allow, args.n <":                                                      `1:40: condition: mismatched input '<EOF>'`,
		"p, anyone, *, **, call, allow, \"'ä' == user.name\"":                                          `1:40: condition: undeclared reference to 'user'`,
		"p, anyone, *, **, call, allow, principal.nmae == 'x'":                                         `1:41: condition: undeclared reference to 'principal.nmae' (did you mean 'principal.name'?)`,
		"p, anyone, *, **, call, allow, principal.name":                                                `1:32: condition: it is a string, not true or false`,
		"p, anyone, *, **, call, allow, principal.name == 1":                                           `1:47: condition: found no matching overload for '_==_' applied to '(string, int)'`,
		"p, anyone, *, **, call, allow, now == now && \"\"":                                            `not CSV`,
		"p, anyone, *, **, call, allow, args." + strings.Repeat("x", maxConditionText):                 `the condition is longer than 2048 bytes`,
		"p, anyone, *, **, call, allow, " + strings.Repeat("(", 60) + "true" + strings.Repeat(")", 60): `condition: expression recursion limit exceeded: 50`,
		"p2, anyone, *, tool/x/*, call, allow":                                                         `1:1: unknown kind of line "p2" (a line begins with p for a rule, g for a role, or # for a comment)`,
		"p, \"anyone, *, tool/x/*, call, allow":                                                        `not CSV`,
		"p, any\"one, *, tool/x/*, call, allow":                                                        `1:7: not CSV: bare " in non-quoted-field (a field with a comma or a quote stands in double quotes, and quotes in it are doubled)`,
		"p, any\x01one, *, tool/x/*, call, allow":                                                      `1:4: the field has a control character`,
		"p, \xff, *, tool/x/*, call, allow":                                                            `1:1: the line is not valid UTF-8`,
		long:                                                                                           `1:1: the line is longer than 8192 bytes`,
		"g, role:a":                                                                                    `1:4: the role link has 1 fields, not 2 or 3 (a role link is g, subject, role, with a domain behind it if it is for one only)`,
		"g, group:a, b":                                                                                `1:13: "b" is not a role (write role:<name>)`,
		"g, role:a, role:a":                                                                            `1:1: the role leads back to itself: role:a → role:a (remove one of these links)`,
		"g, role:a, role:b\ng, role:b, role:c\n#\ng, role:c, role:b, t":                                `4:1: the role leads back to itself: role:b → role:c → role:b (remove one of these links)`,
		chain.String(): `2:1: more than 9 roles in a row follow role:r1 (link to the last roles themselves)`,
	} {
		_, err := Parse("policy.csv", []byte(csv))
		var problems Problems
		if !errors.As(err, &problems) {
			t.Errorf("%.200s: %v", csv, err)
			continue
		}
		if len(problems) != 1 || !strings.Contains(problems[0].String(), want) {
			t.Errorf("%.200s\ngot  %v\nwant policy.csv:%s", csv, problems, want)
		}
	}
	_, err := Parse("f", []byte(strings.Repeat("p, x\n", 200)+"q"))
	if problems := (Problems)(nil); !errors.As(err, &problems) || len(problems) != maxProblems {
		t.Errorf("%d problems, want %d", len(problems), maxProblems)
	}
	_, err = Parse("f", []byte("p, x, *, tools/a, calls, no\ng, x, y\n"))
	if problems := (Problems)(nil); !errors.As(err, &problems) || len(problems) != 6 {
		t.Errorf("want all six problems at once, got:\n%v", err)
	}
	if _, err := Parse("f", make([]byte, maxBytes+1)); err == nil {
		t.Error("17 MiB were read")
	}
}
