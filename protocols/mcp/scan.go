package mcp

import (
	"bytes"
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"
)

// An object walks the members of a JSON object without copying them. It is for
// texts that have passed schema.Check, where one strict pass has already been
// made; on any other text it ends early and never panics.
type object struct {
	data  []byte
	at    int             // where the next member, or the end, is looked for
	name  []byte          // of the current member, without quotes and escapes
	value json.RawMessage // of the current member, a part of data
	start int             // where value begins in data
}

// openObject returns a walk over data, which stands before the first member.
// It reports false where data is not an object.
func openObject(data []byte) (object, bool) {
	at := skipSpace(data, 0)
	if at >= len(data) || data[at] != '{' {
		return object{}, false
	}
	return object{data: data, at: at + 1}, true
}

// next moves to the next member and reports whether there is one.
func (o *object) next() bool {
	at := skipSpace(o.data, o.at)
	if at < len(o.data) && o.data[at] == ',' {
		at = skipSpace(o.data, at+1)
	}
	if at >= len(o.data) || o.data[at] != '"' {
		return false
	}
	end := skipString(o.data, at)
	if end < 0 {
		return false
	}
	quoted := o.data[at:end]
	o.name = quoted[1 : len(quoted)-1]
	if bytes.IndexByte(o.name, '\\') >= 0 {
		name, err := jsontext.AppendUnquote(nil, quoted)
		if err != nil && len(name) == 0 {
			return false
		}
		o.name = name // Half a surrogate pair is in it as U+FFFD.
	}
	at = skipSpace(o.data, end)
	if at >= len(o.data) || o.data[at] != ':' {
		return false
	}
	o.start = skipSpace(o.data, at+1)
	if o.at = skipValue(o.data, o.start); o.at < 0 {
		return false
	}
	o.value = o.data[o.start:o.at:o.at]
	return true
}

func skipSpace(data []byte, at int) int {
	for at < len(data) && (data[at] == ' ' || data[at] == '\t' || data[at] == '\n' || data[at] == '\r') {
		at++
	}
	return at
}

// skipString returns where the string that begins at data[at] ends, or -1.
func skipString(data []byte, at int) int {
	for i := at + 1; i < len(data); {
		n := bytes.IndexByte(data[i:], '"')
		if n < 0 {
			return -1
		}
		slashes := 0
		for slashes < n && data[i+n-1-slashes] == '\\' {
			slashes++
		}
		i += n + 1
		if slashes%2 == 0 {
			return i
		}
	}
	return -1
}

// skipValue returns where the value that begins at data[at] ends, or -1.
func skipValue(data []byte, at int) int {
	if at >= len(data) {
		return -1
	}
	switch data[at] {
	case '"':
		return skipString(data, at)
	case '{', '[':
		return skipNested(data, at)
	}
	end := at
	for end < len(data) && !bytes.ContainsRune([]byte(",:]}[{\" \t\r\n"), rune(data[end])) {
		end++
	}
	if end == at {
		return -1
	}
	return end
}

func skipNested(data []byte, at int) int {
	for depth := 0; at < len(data); {
		switch data[at] {
		case '"':
			if at = skipString(data, at); at < 0 {
				return -1
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
		}
		at++
	}
	return -1
}

// unquote returns the text of a JSON string and reports whether value is one.
func unquote(value []byte) (string, bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	if text := value[1 : len(value)-1]; bytes.IndexByte(text, '\\') < 0 {
		return string(text), true
	}
	text, err := jsontext.AppendUnquote(nil, value)
	return string(text), err == nil
}

// quote appends text as a JSON string.
func quote(b []byte, text string) []byte {
	b, _ = jsontext.AppendQuote(b, text) // The error reports invalid UTF-8, already replaced by U+FFFD.
	return b
}

// isObject reports whether a value is a JSON object.
func isObject(value []byte) bool { return len(value) > 0 && value[0] == '{' }

// isNull reports whether a value is absent or null: for optional members MCP
// clients use both.
func isNull(value []byte) bool { return len(value) == 0 || value[0] == 'n' }
