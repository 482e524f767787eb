package config

import (
	"fmt"
	"slices"
	"strings"
)

// Toolset is a selection of what the gateway offers. A capability belongs to it
// when any of the selectors matches.
type Toolset struct {
	// Name of the toolset, the last segment of its endpoint's path.
	Name string `yaml:"name" format:"name" required:"true"`

	// What the toolset is for. Clients may show it to a model.
	Description string `yaml:"description"`

	// Tools, as patterns over their names, such as `github.*` or `*.search`. `*`
	// stands for anything but slashes, `**` between slashes for any number of
	// segments, `?` for one character, and `\` before a character means the
	// character itself.
	Tools []string `yaml:"tools" format:"pattern" max:"1000"`

	// Resources, as patterns over their URIs, and resource templates, as patterns
	// over their URI templates. A template is selected as a whole or not at all.
	Resources []string `yaml:"resources" format:"pattern" max:"1000"`

	// Prompts, as patterns over their names.
	Prompts []string `yaml:"prompts" format:"pattern" max:"1000"`

	// Everything of the sources that have one of these tags.
	Tags []string `yaml:"tags" format:"name" max:"100"`

	// Everything of the sources with these names.
	Sources []string `yaml:"sources" format:"name" max:"1000"`

	// Offer two tools instead of the selected ones: `search_tools`, which finds
	// tools by words, and `call_tool`, which calls one. It is for clients whose
	// models lose their way among very many tools. Such an endpoint has no
	// resources and no prompts.
	Search bool `yaml:"search"`
}

// checkToolsets finds toolsets that select nothing.
func (r *report) checkToolsets(c *Config) {
	var tags []string
	for _, s := range c.Sources {
		tags = append(tags, s.Tags...)
	}
	names := map[string]int{}
	for i, t := range c.Toolsets {
		path := fmt.Sprintf("toolsets[%d]", i)
		r.distinct(names, t.Name, i, path, "name")
		if t.Search {
			r.checkSearch(t, path)
		} else if len(t.Tools)+len(t.Resources)+len(t.Prompts)+len(t.Tags)+len(t.Sources) == 0 {
			r.add(path, "the toolset selects nothing", "set tools, resources, prompts, tags or sources")
		}
		for j, tag := range t.Tags {
			if tag == "" || slices.Contains(tags, tag) {
				continue
			}
			hint := ""
			if near := nearest(tag, tags); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			r.add(fmt.Sprintf("%s.tags[%d]", path, j), "no source has the tag "+show(tag), hint)
		}
	}
}

// checkSearch finds selectors that mean nothing where only tools are served.
func (r *report) checkSearch(t Toolset, path string) {
	for _, s := range []struct {
		key string
		all []string
	}{{"resources", t.Resources}, {"prompts", t.Prompts}} {
		if len(s.all) > 0 {
			r.add(joinPath(path, s.key), "search serves tools only", "give the "+s.key+" a toolset without search")
		}
	}
	if len(t.Tools)+len(t.Tags)+len(t.Sources) == 0 {
		r.add(path, "the toolset selects no tools", "set tools, tags or sources")
	}
}

// checkPattern checks a pattern of a selector.
func checkPattern(value string) (msg, hint string) {
	if len(value) > maxPattern {
		return fmt.Sprintf("a pattern is longer than %d bytes", maxPattern), ""
	}
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\':
			if i++; i == len(value) {
				return "the pattern ends in a \\", `write \\ for the character itself`
			}
		case strings.IndexByte("[]{}", c) >= 0:
			return fmt.Sprintf("%q has no meaning in a pattern", c), fmt.Sprintf(`write one pattern for each choice, \%c for the character itself`, c)
		case strings.HasPrefix(value[i:], "**"):
			if i > 0 && value[i-1] != '/' || i+2 < len(value) && value[i+2] != '/' {
				return "** must stand alone between slashes", "write * for anything within a segment"
			}
			i++
		}
	}
	return "", ""
}

// maxPattern bounds a pattern, in bytes.
const maxPattern = 512
