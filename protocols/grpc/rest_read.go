package grpc

import (
	"encoding/base64"
	"mime"
	"net/http"
	"strconv"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway"
)

// readTyped answers with what a resource holds, as its own media type. Of one
// with several parts it is the part of that very URI.
func (h *rest) readTyped(w http.ResponseWriter, r *http.Request) error {
	call := &gateway.Call{Op: gateway.OpRead}
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET, HEAD")
		return refuseHTTP(http.StatusMethodNotAllowed, gateway.Unimplemented, "the method is not allowed here")
	}
	if fromElsewhere(r) {
		return refuseHTTP(http.StatusForbidden, gateway.PermissionDenied, "pages of other sites cannot lead here")
	}
	values, err := parseQuery(r, call)
	if err != nil {
		return err
	}
	if len(values) != 1 || len(values["uri"]) != 1 {
		return refuse(call, gateway.InvalidArgument, "the query has to be uri=, with the URI of one resource")
	}
	call.Name = values.Get("uri")
	res, err := h.do(r, call)
	if err != nil {
		return err
	}
	part, err := partOf(call, res)
	if err != nil {
		return failed(r.Context(), call, err)
	}
	return part.write(w)
}

// A part is one of the contents of a resource (MCP, resources).
type part struct {
	URI  string  `json:"uri"`
	MIME string  `json:"mimeType"`
	Text *string `json:"text"`
	Blob *string `json:"blob"`
	data []byte
}

// partOf returns the only content of a resource, or the one of the URI that was
// asked for.
func partOf(call *gateway.Call, res *gateway.Result) (*part, error) {
	var answer struct {
		Contents []*part `json:"contents"`
	}
	malformed := func(err error) (*part, error) {
		return nil, &gateway.Error{Code: gateway.Internal, Msg: "the upstream's answer is malformed", Err: err}
	}
	if err := jsonv2.Unmarshal(res.Raw, &answer, jsontext.AllowInvalidUTF8(true)); err != nil {
		return malformed(err)
	}
	var found *part
	for _, p := range answer.Contents {
		if p != nil && (len(answer.Contents) == 1 || p.URI == call.Name && found == nil) {
			found = p
		}
	}
	switch {
	case found == nil:
		return nil, &gateway.Error{
			Code: gateway.FailedPrecondition,
			Msg:  "the resource has " + strconv.Itoa(len(answer.Contents)) + " parts and none of this URI: read it at /v1/resources:read",
		}
	case found.Text != nil:
		found.data = []byte(*found.Text)
	case found.Blob != nil:
		var err error
		if found.data, err = base64.StdEncoding.DecodeString(*found.Blob); err != nil {
			return malformed(err)
		}
	}
	return found, nil
}

// write answers with the part. What a source says is not to run in a browser
// as if it were the gateway's own page.
func (p *part) write(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Content-Type", p.media())
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Content-Length", strconv.Itoa(len(p.data)))
	_, _ = w.Write(p.data) // The client went away.
	return nil
}

// media returns the media type of the part, which text says in UTF-8.
func (p *part) media() string {
	kind, params, err := mime.ParseMediaType(p.MIME)
	switch {
	case len(p.MIME) > 256 || err != nil || !strings.Contains(kind, "/"):
		kind, params = "application/octet-stream", nil
		if p.Text != nil {
			kind = "text/plain"
		}
	case strings.HasPrefix(kind, "multipart/"): // Browsers take it apart.
		kind, params = "application/octet-stream", nil
	case strings.HasSuffix(kind, "javascript"), strings.HasSuffix(kind, "ecmascript"), strings.HasSuffix(kind, "jscript"), strings.HasSuffix(kind, "livescript"),
		kind == "text/css", strings.HasPrefix(kind, "text/javascript"):
		kind, params = "text/plain", nil // A page of the gateway's own could be made to run it.
	}
	if p.Text != nil && strings.HasPrefix(kind, "text/") {
		params = map[string]string{"charset": "utf-8"}
	}
	if text := mime.FormatMediaType(kind, params); text != "" {
		return text
	}
	return "application/octet-stream"
}
