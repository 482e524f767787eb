package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

func (p *parser) parseLink() {
	f := p.fields
	if len(f) != 3 && len(f) != 4 {
		p.problem(min(len(f)-1, 4), fmt.Sprintf("the role link has %d fields, not 2 or 3", len(f)-1), "a role link is g, subject, role, with a domain behind it if it is for one only")
		return
	}
	before := len(p.problems)
	p.checkSubject(1)
	if name, ok := strings.CutPrefix(f[2], "role:"); !ok || name == "" {
		p.problem(2, fmt.Sprintf("%s is not a role", quote(f[2])), "write role:<name>")
	}
	l := link{role: f[2], domain: p.domain(3)}
	if len(p.problems) > before || slices.Contains(p.policy.links[f[1]], l) {
		return
	}
	if _, ok := p.policy.linkAt[[2]string{f[1], l.role}]; !ok {
		p.policy.linkAt[[2]string{f[1], l.role}] = p.number
	}
	p.policy.links[f[1]] = append(p.policy.links[f[1]], l)
	p.policy.order = append(p.policy.order, []string{"g", f[1], l.role, l.domain})
}

// checkLinks refuses roles that lead back to themselves, whatever the domains,
// and chains of roles that Casbin would not follow to their end.
func (p *parser) checkLinks() {
	c := linkChecker{parser: p, depth: map[string]int{}}
	for _, s := range slices.Sorted(maps.Keys(p.policy.links)) {
		c.visit(s, nil)
	}
}

type linkChecker struct {
	*parser
	depth map[string]int // how many links follow a subject; -1 while it is being visited
}

func (c *linkChecker) visit(s string, path []string) int {
	if d, ok := c.depth[s]; ok {
		return max(d, 0)
	}
	path = append(path, s)
	c.depth[s] = -1
	longest := 0
	for _, l := range c.policy.links[s] {
		at := c.policy.linkAt[[2]string{s, l.role}]
		if c.depth[l.role] == -1 {
			loop := append(slices.Clone(path[slices.Index(path, l.role):]), l.role)
			c.problemAt(at, 1, "the role leads back to itself: "+strings.Join(loop[:min(len(loop), 10)], " → "), "remove one of these links")
			continue
		}
		longest = max(longest, 1+c.visit(l.role, path))
	}
	if longest == maxDepth+1 {
		c.problemAt(c.policy.linkAt[[2]string{s, c.policy.links[s][0].role}], 1,
			fmt.Sprintf("more than %d roles in a row follow %s", maxDepth, s), "link to the last roles themselves")
	}
	c.depth[s] = longest
	return longest
}
