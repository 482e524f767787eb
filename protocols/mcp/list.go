package mcp

import (
	"encoding/json"
	"sort"

	"github.com/trilith-gateway/trilith/gateway"
)

// A listing is one kind of a view's capabilities, ready to send: every page is
// a part of the same bytes.
type listing struct {
	keys   []string // names or URIs, sorted
	joined []byte   // the definitions with commas between them
	ends   []int    // where each definition ends in joined
}

// listKey names a listing in a snapshot's memo.
type listKey byte

// The listings, by the byte that marks their cursors.
const (
	listTools     listKey = 't'
	listResources listKey = 'r'
	listTemplates listKey = 'm'
	listPrompts   listKey = 'p'
)

// listOf returns the listing that a method serves.
func listOf(method string) listKey {
	switch method {
	case "tools/list":
		return listTools
	case "resources/list":
		return listResources
	case "resources/templates/list":
		return listTemplates
	default:
		return listPrompts
	}
}

// member is the member of the result that holds the list.
func (k listKey) member() string {
	switch k {
	case listTools, listLegacyTools:
		return "tools"
	case listResources:
		return "resources"
	case listTemplates:
		return "resourceTemplates"
	case listPrompts:
		return "prompts"
	}
	return ""
}

// kind is the kind of capability in the list.
func (k listKey) kind() gateway.Kind {
	switch k {
	case listTools, listLegacyTools:
		return gateway.KindTool
	case listResources:
		return gateway.KindResource
	case listTemplates:
		return gateway.KindTemplate
	case listPrompts:
		return gateway.KindPrompt
	}
	return 0
}

// list returns a listing of the view, made once for each snapshot.
func (k listKey) list(view *gateway.Snapshot) *listing {
	return view.Memo(k, func(s *gateway.Snapshot) any { //nolint:forcetypeassert // the key is ours.
		l := &listing{}
		switch k {
		case listTools:
			for _, t := range s.Tools {
				l.add(t.Name, t.Definition)
			}
		case listLegacyTools:
			for _, t := range s.Tools {
				l.add(t.Name, legacyDefinition(t))
			}
		case listResources:
			for _, r := range s.Resources {
				l.add(r.URI, r.Definition)
			}
		case listTemplates:
			for _, t := range s.Templates {
				l.add(t.URITemplate, t.Definition)
			}
		case listPrompts:
			for _, p := range s.Prompts {
				l.add(p.Name, p.Definition)
			}
		}
		return l
	}).(*listing)
}

func (l *listing) add(key string, definition json.RawMessage) {
	if len(l.keys) > 0 {
		l.joined = append(l.joined, ',')
	}
	l.keys = append(l.keys, key)
	l.joined = append(l.joined, definition...)
	l.ends = append(l.ends, len(l.joined))
}

// page returns the definitions after a key, at most size of them, how many they
// are, and the last key where more follow.
func (l *listing) page(after string, size int) (definitions []byte, count int, last string) {
	first := 0
	if after != "" {
		first = sort.Search(len(l.keys), func(i int) bool { return l.keys[i] > after })
	}
	if first == len(l.keys) {
		return nil, 0, ""
	}
	start := 0
	if first > 0 {
		start = l.ends[first-1] + 1
	}
	end := min(first+size, len(l.keys))
	if end < len(l.keys) {
		last = l.keys[end-1]
	}
	return l.joined[start:l.ends[end-1]], end - first, last
}
