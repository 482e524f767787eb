package graphql

import (
	"cmp"
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/gqlerror"
)

// The media types of responses.
const (
	typeJSON    = "application/json"
	typeGraphQL = "application/graphql-response+json"
	typeEvents  = "text/event-stream"
)

// accept picks the media type of the response: the one of the highest quality, then the first in the client's
// order. A client that says nothing or anything gets application/json (GraphQL over HTTP, section 6.1). It
// returns "" where none will do.
func accept(header []string) string {
	all := strings.Join(header, ",")
	if strings.TrimSpace(all) == "" {
		return typeJSON
	}
	best, bestQ := "", 0.0
	for part := range strings.SplitSeq(all, ",") {
		name, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil {
			continue
		}
		q := 1.0
		if v, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(v, 64); err != nil {
				continue
			}
		}
		switch name {
		case typeGraphQL, typeJSON, typeEvents:
		case "*/*", "application/*":
			name = typeJSON
		case "text/*":
			name = typeEvents
		default:
			continue
		}
		if q > bestQ {
			best, bestQ = name, q
		}
	}
	return best
}

// appendResponse writes a response (GraphQL, section 7.1). Data is JSON already and nil where the request failed
// before it ran: the response then has no such entry.
func appendResponse(b []byte, data json.RawMessage, errs gqlerror.List) []byte {
	b = append(b, '{')
	if len(errs) > 0 {
		b = appendErrors(append(b, `"errors":`...), errs)
		if data != nil {
			b = append(b, ',')
		}
	}
	if data != nil {
		b = append(append(b, `"data":`...), data...)
	}
	return append(b, '}')
}

// appendErrors writes errors in the order of the document.
func appendErrors(b []byte, errs gqlerror.List) []byte {
	slices.SortStableFunc(errs, inOrder)
	text, err := json.Marshal(errs)
	if err != nil { // Extensions hold only what marshals.
		text = []byte(`[{"message":"internal error","extensions":{"code":"INTERNAL"}}]`)
	}
	return append(b, text...)
}

// inOrder sorts errors by where they are in the document: fields of a query fail in any order.
func inOrder(a, b *gqlerror.Error) int {
	at := func(e *gqlerror.Error) gqlerror.Location {
		if len(e.Locations) == 0 {
			return gqlerror.Location{}
		}
		return e.Locations[0]
	}
	return cmp.Or(cmp.Compare(at(a).Line, at(b).Line), cmp.Compare(at(a).Column, at(b).Column))
}

func write(w http.ResponseWriter, contentType string, status int, body []byte) {
	w.Header().Set("Content-Type", contentType+"; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // The content type is JSON and may not be guessed. A client that has gone away needs no answer.
}
