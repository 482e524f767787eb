package mcp

import "encoding/base64"

// A cursor says after which name or URI a page begins, so that it stays true
// when the list changes between pages, on any node (server, pagination). It
// need not be sealed: whatever it says, it selects from what its sender may see.

func appendCursor(b []byte, kind byte, after string) []byte {
	text := make([]byte, 0, 1+len(after))
	text = append(append(text, kind), after...)
	return base64.RawURLEncoding.AppendEncode(b, text)
}

// readCursor returns what a cursor of the kind says. It reports false for what
// appendCursor did not make.
func readCursor(cursor string, kind byte) (string, bool) {
	const most = 4096
	if len(cursor) > most {
		return "", false
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(text) == 0 || text[0] != kind {
		return "", false
	}
	return string(text[1:]), true
}
