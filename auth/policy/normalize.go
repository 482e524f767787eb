package policy

import (
	"encoding/hex"
	"strings"
)

// normalize returns the object with the path of its URI decoded, without empty
// segments and dot segments, as a server may understand it (RFC 3986, section
// 6.2.2). Names of tools and prompts are never changed.
func normalize(text string) string {
	rest, ok := strings.CutPrefix(text, "resource/")
	if !ok {
		return text
	}
	source, uri, _ := strings.Cut(rest, "/")
	path, query := uri, ""
	if i := strings.IndexAny(uri, "?#"); i >= 0 && !climbs(uri[i:]) {
		path, query = uri[:i], uri[i:]
	}
	path = strings.ReplaceAll(decode(path), `\`, "/")
	head := ""
	if scheme, after, ok := strings.Cut(path, "://"); ok {
		authority, _, _ := strings.Cut(after, "/")
		head = path[:len(scheme)+len("://")+len(authority)]
	} else if i := strings.IndexByte(path, ':'); i >= 0 {
		head = path[:i+1]
	}
	return "resource/" + source + "/" + head + cleanPath(path[len(head):]) + decode(query)
}

// climbs reports whether a query or fragment has a segment that leads up: a
// server that takes the whole for a path, as many do for files, would follow
// it, and so the normal form does too.
func climbs(query string) bool {
	for segment := range strings.SplitSeq(strings.ReplaceAll(decode(query), `\`, "/"), "/") {
		if segment == ".." {
			return true
		}
	}
	return false
}

// cleanPath removes empty segments and dot segments, but keeps a slash at
// either end.
func cleanPath(path string) string {
	var out []string
	dir := false // whether the last segment says so
	for segment := range strings.SplitSeq(path, "/") {
		dir = segment == "" || segment == "." || segment == ".."
		switch {
		case segment == ".." && len(out) > 0:
			out = out[:len(out)-1]
		case !dir:
			out = append(out, segment)
		}
	}
	clean := strings.Join(out, "/")
	if strings.HasPrefix(path, "/") {
		clean = "/" + clean
	}
	if dir && len(out) > 0 {
		clean += "/"
	}
	return clean
}

// decode replaces each %XX by the byte that it stands for, and leaves what is
// malformed.
func decode(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if d, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b.Write(d)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
