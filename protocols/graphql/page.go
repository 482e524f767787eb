package graphql

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
)

const (
	defaultPage = 50
	maxPage     = 100
	maxCursor   = 4096 // bytes; the longest key is a URI of 2048
	maxSearch   = 256  // bytes
)

// A slice is one page of a list.
type slice[T any] struct {
	items []T
	info  *generated.PageInfo
	total int32
}

// page cuts a page out of a list that is sorted by key. A cursor holds the key of its item, so that it stays valid
// when items before it come or go.
func page[T any](all []T, key func(T) string, keep func(T) bool, size *int32, after *string) (slice[T], error) {
	n := defaultPage
	if size != nil {
		if n = int(*size); n < 0 || n > maxPage {
			return slice[T]{}, invalidArgument("first must be 0 to 100")
		}
	}
	start := 0
	if after != nil {
		last, ok := parseCursor(*after)
		if !ok {
			return slice[T]{}, invalidArgument("after is not a cursor of this list")
		}
		i, found := slices.BinarySearchFunc(all, last, func(v T, k string) int { return cmp.Compare(key(v), k) })
		if start = i; found {
			start++
		}
	}
	out := slice[T]{info: &generated.PageInfo{}}
	for i, v := range all {
		if !keep(v) {
			continue
		}
		out.total++
		switch {
		case i < start:
			out.info.HasPreviousPage = true
		case len(out.items) < n:
			out.items = append(out.items, v)
		default:
			out.info.HasNextPage = true
		}
	}
	if len(out.items) > 0 {
		begin, end := cursor(key(out.items[0])), cursor(key(out.items[len(out.items)-1]))
		out.info.StartCursor, out.info.EndCursor = &begin, &end
	}
	return out, nil
}

// cursorForm is the version of the cursors' form, which clients may not rely on.
const cursorForm = "1"

func cursor(key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorForm + key))
}

func parseCursor(s string) (key string, ok bool) {
	if len(s) > maxCursor {
		return "", false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return "", false
	}
	return strings.CutPrefix(string(b), cursorForm)
}

// matcher returns the test that a filter makes.
func (f *Frontend) matcher(search, source, tag *string) (func(*gateway.Capability) bool, error) {
	text := ""
	if search != nil {
		if len(*search) > maxSearch {
			return nil, invalidArgument("filter.search is longer than 256 bytes")
		}
		text = strings.ToLower(*search)
	}
	var texts map[*gateway.Capability]string
	if text != "" {
		texts = f.searchTexts()
	}
	return func(c *gateway.Capability) bool {
		if source != nil && c.Source != *source || tag != nil && !slices.Contains(c.Tags, *tag) {
			return false
		}
		if text == "" {
			return true
		}
		in, ok := texts[c]
		if !ok { // It has left the registry meanwhile.
			in = searchText(c)
		}
		return strings.Contains(in, text)
	}, nil
}

// searchKey is under what the registry's snapshot keeps what is searched.
type searchKey struct{}

// searchTexts returns what is searched of every capability, whoever may see it.
func (f *Frontend) searchTexts() map[*gateway.Capability]string {
	return f.gw.Whole().Memo(searchKey{}, func(s *gateway.Snapshot) any { //nolint:forcetypeassert // the key is ours.
		texts := make(map[*gateway.Capability]string, len(s.Tools)+len(s.Resources)+len(s.Templates)+len(s.Prompts))
		for _, t := range s.Tools {
			texts[&t.Capability] = searchText(&t.Capability)
		}
		for _, r := range s.Resources {
			texts[&r.Capability] = searchText(&r.Capability)
		}
		for _, t := range s.Templates {
			texts[&t.Capability] = searchText(&t.Capability)
		}
		for _, p := range s.Prompts {
			texts[&p.Capability] = searchText(&p.Capability)
		}
		return texts
	}).(map[*gateway.Capability]string)
}

// searchText is what is searched of a capability.
func searchText(c *gateway.Capability) string {
	return strings.ToLower(c.Name) + searchGap + strings.ToLower(c.Title) + searchGap + strings.ToLower(c.Description)
}

// searchGap stands between texts. No request, being valid UTF-8, has it.
const searchGap = "\xff"

func invalidArgument(message string) *gateway.Error {
	return &gateway.Error{Code: gateway.InvalidArgument, By: door, Msg: message}
}
