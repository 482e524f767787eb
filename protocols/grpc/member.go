package grpc

import (
	"bytes"
	"encoding/json"

	"github.com/trilith-gateway/trilith/gateway"
)

// structuredContent returns the structured content of a tool's result, or nil.
func structuredContent(res *gateway.Result) json.RawMessage {
	if known := res.Structured(); known != nil {
		return known
	}
	return member(res.Raw, "structuredContent")
}

// member returns the value of an object's member, or nil. The object is known to
// be valid JSON, so it only looks for where things end; the name is written
// without escapes.
func member(object []byte, name string) json.RawMessage {
	for i := blank(object, 0) + 1; i < len(object); {
		if i = blank(object, i); i >= len(object) || object[i] != '"' {
			return nil
		}
		end := endOfString(object, i)
		found := string(object[i+1:max(i+1, end-1)]) == name
		start := blank(object, blank(object, end)+1) // Behind the colon.
		if i = endOfValue(object, start); found && i <= len(object) && start < i {
			return object[start:i]
		}
		i = blank(object, i) + 1 // Behind the comma, or the end of the object.
	}
	return nil
}

// blank returns where the white space at i ends.
func blank(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// endOfString returns where the string that begins at i ends.
func endOfString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			break
		}
		i += n
		escapes := 0
		for b[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
	return len(b)
}

// endOfValue returns where the value that begins at i ends.
func endOfValue(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			i = endOfString(b, i)
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
			i++
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return i
			}
			i++
			continue
		default:
			i++
			continue
		}
		if depth == 0 {
			return i
		}
	}
	return i
}
