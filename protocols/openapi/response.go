package openapi

import (
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/internal/clip"
	"github.com/trilith-gateway/trilith/protocols/egress"
	"github.com/trilith-gateway/trilith/schema"
)

// Bounds on what a caller is shown of an answer besides its body.
const (
	maxErrorBody = 16 << 10
	maxLink      = 2 << 10
)

var (
	errCoding = errors.New("the answer has a content coding that nobody asked for")
	errNoJSON = errors.New("the answer says that it is JSON and is not")
)

// An answer is the response to a request, read to its end.
type answer struct {
	status int
	header http.Header
	media  string // without parameters
	body   []byte
}

// read reads a response of at most so many bytes, decoded.
func read(res *http.Response, most int) (*answer, error) {
	a := &answer{status: res.StatusCode, header: res.Header}
	a.media, _, _ = mime.ParseMediaType(res.Header.Get("Content-Type")) // "" where it is not valid.
	body, err := decoded(res)
	if err != nil {
		return nil, err
	}
	announced := res.ContentLength
	if body != res.Body || res.Request != nil && res.Request.Method == http.MethodHead {
		announced = -1
	}
	a.body, err = egress.ReadAll(body, announced, most)
	return a, err
}

// decoded returns the body of a response without its content coding.
func decoded(res *http.Response) (io.Reader, error) {
	switch strings.ToLower(strings.TrimSpace(res.Header.Get("Content-Encoding"))) {
	case "", "identity":
		return res.Body, nil
	case "gzip", "x-gzip":
		if res.StatusCode == http.StatusNoContent || res.ContentLength == 0 {
			return http.NoBody, nil
		}
		r, err := gzip.NewReader(res.Body)
		if errors.Is(err, io.EOF) {
			return http.NoBody, nil
		}
		return r, err
	}
	return nil, errCoding
}

// failed returns what an answer says that is not a success, as the result of a
// tool that ran and failed.
func (a *answer) failed() *gateway.Result {
	text := "HTTP " + strconv.Itoa(a.status) + " " + http.StatusText(a.status)
	if where := a.header.Get("Location"); a.status/100 == 3 && where != "" {
		text += "\nLocation: " + egress.OneLine(where, maxLink)
	}
	if body := strings.TrimSpace(a.text()); body != "" {
		text += "\n" + clip.Text(body, maxErrorBody)
	}
	return gateway.ErrorResult(text)
}

// text returns a body that is text, and says what one is that is not.
func (a *answer) text() string {
	if utf8.Valid(a.body) && (isJSON(a.media) || isText(a.media) || a.media == "") {
		return string(a.body)
	}
	if s, ok := a.latin1(); ok {
		return s
	}
	if len(a.body) == 0 {
		return ""
	}
	return fmt.Sprintf("(%d bytes of %s)", len(a.body), egress.OneLine(a.media, 100))
}

// latin1 returns a text that says to be in ISO 8859-1, as older services answer.
func (a *answer) latin1() (string, bool) {
	_, params, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	if c := strings.ToLower(params["charset"]); !isText(a.media) || c != "iso-8859-1" && c != "latin1" {
		return "", false
	}
	runes := make([]rune, len(a.body))
	for i, c := range a.body {
		runes[i] = rune(c)
	}
	return string(runes), true
}

func isText(media string) bool { return media != "" && formOf(media) == bodyText }

// result returns a successful answer as the result of a tool: JSON as a value,
// text as text, images and sound as what they are, anything else as bytes.
func (a *answer) result(uri string) (*gateway.Result, error) {
	if isJSON(a.media) && len(strings.TrimSpace(string(a.body))) > 0 {
		if err := checkJSON(a.body); err != nil {
			return nil, err
		}
		return a.linked(gateway.StructuredResult(a.body)), nil
	}
	var block []byte
	switch kind, _, _ := strings.Cut(a.media, "/"); {
	case len(a.body) == 0:
		return a.empty(), nil
	case kind == "image", kind == "audio":
		block = quote([]byte(`{"type":`), kind)
		block = quote(append(block, `,"mimeType":`...), a.media)
		block = appendBase64(append(block, `,"data":`...), a.body)
	default:
		if text, ok := a.plain(); ok {
			return a.linked(gateway.TextResult(text)), nil
		}
		block = append([]byte(`{"type":"resource","resource":`), a.contents(uri)...)
	}
	raw := append(append([]byte(`{"content":[`), block...), "}]}"...)
	return a.linked(&gateway.Result{Raw: raw}), nil
}

// plain returns a body that is text, whatever it says to be.
func (a *answer) plain() (string, bool) {
	if s, ok := a.latin1(); ok {
		return s, true
	}
	binary := a.media != "" && !isText(a.media) && !isJSON(a.media)
	return string(a.body), !binary && utf8.Valid(a.body)
}

// empty returns the result of an answer without a body: what its head says.
func (a *answer) empty() *gateway.Result {
	lines := []string{"HTTP " + strconv.Itoa(a.status) + " " + http.StatusText(a.status)}
	for _, name := range []string{"Content-Type", "Content-Length", "Last-Modified", "Etag", "Location"} {
		if v := a.header.Get(name); v != "" && (name != "Content-Length" || v != "0") {
			lines = append(lines, name+": "+egress.OneLine(v, maxLink))
		}
	}
	return a.linked(gateway.TextResult(strings.Join(lines, "\n")))
}

// linked adds where the next page is, where the answer says it (RFC 8288).
func (a *answer) linked(r *gateway.Result) *gateway.Result {
	link := strings.Join(a.header.Values("Link"), ", ")
	if !strings.Contains(link, "next") || len(link) > maxLink {
		return r
	}
	const before = len(`{"content":`)
	end := skip(r.Raw, before) - 1 // Where the content's array ends.
	raw := quote(append(r.Raw[:end:end], `,{"type":"text","text":`...), "Link: "+egress.OneLine(link, maxLink))
	r.Raw = append(append(raw, '}'), r.Raw[end:]...)
	return r
}

// contents returns a body as the contents of a resource.
func (a *answer) contents(uri string) []byte {
	b := quote([]byte(`{"uri":`), uri)
	if a.media != "" {
		b = quote(append(b, `,"mimeType":`...), a.media)
	}
	if text, ok := a.plain(); ok {
		return append(quote(append(b, `,"text":`...), text), '}')
	}
	return append(appendBase64(append(b, `,"blob":`...), a.body), '}')
}

func appendBase64(b, data []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(b, '"'), data), '"')
}

// checkJSON holds an answer against the bounds of JSON.
func checkJSON(data []byte) error {
	const tokens = 4_000_000
	if err := schema.Check(data, schema.Bounds{Bytes: len(data) + 1, Tokens: tokens, Halves: true}); err != nil {
		return fmt.Errorf("%w: %w", errNoJSON, err)
	}
	return nil
}

// read returns an answer as the result of reading a resource.
func (a *answer) read(uri string) *gateway.Result {
	return &gateway.Result{Raw: append(append([]byte(`{"contents":[`), a.contents(uri)...), "]}"...)}
}

// fault returns why a call has no answer, to the caller.
func (u *Upstream) fault(ctx context.Context, c *egress.Client, err error) error {
	if errors.Is(err, errNoJSON) || errors.Is(err, errCoding) || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) {
		return &gateway.Error{Code: gateway.Unknown, By: u.by, Msg: "the upstream's answer is not valid", Err: err}
	}
	if e, ok := errors.AsType[*badArgument](err); ok {
		return &gateway.Error{Code: gateway.InvalidArgument, By: u.by, Msg: clip.Text(e.reason, 300), Err: err}
	}
	return c.Fault(ctx, err)
}
