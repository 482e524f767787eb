package openapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"mime/multipart"
	"net/textproto"
	"slices"
	"strings"

	"github.com/trilith-gateway/trilith/internal/clip"
)

// A bodyForm is how a body is written.
type bodyForm uint8

const (
	bodyJSON   bodyForm = iota + 1 // the argument as it is
	bodyForms                      // application/x-www-form-urlencoded
	bodyParts                      // multipart/form-data
	bodyText                       // a string
	bodyBinary                     // a string, base64
)

// A body is the body of a request.
type body struct {
	form     bodyForm
	media    string // Content-Type, without the boundary of parts
	required bool
	about    string
	schema   json.RawMessage       // as the document has it, or nil
	fields   map[string]*parameter // of forms, those that the document describes
	types    map[string]string     // of parts, where the document says it
	binary   map[string]bool       // parts that are base64
}

// body returns the body of an operation, nil for none. Of several types it takes
// JSON if it can, then a form, then parts, then text; lack says which are left.
func (d *document) body(o *operation) (b *body, lack string, err error) {
	raw := member(o.raw, "requestBody")
	if kindOf(raw) != '{' {
		return nil, "", nil
	}
	if raw, err = d.resolve(raw); err != nil {
		return nil, "", fmt.Errorf("its body %w", err)
	}
	var best json.RawMessage
	var others []string
	b = &body{required: isTrue(member(raw, "required")), about: stringOf(member(raw, "description"))}
	for media, content := range members(member(raw, "content")) {
		form := formOf(media)
		if form == 0 || b.form != 0 && form >= b.form {
			others = append(others, media)
			continue
		}
		if b.form != 0 {
			others = append(others, b.media)
		}
		b.form, b.media, best = form, media, content
	}
	if b.form == 0 {
		if len(others) > 0 {
			return nil, "", fmt.Errorf("its body has no valid type: %s", clip.Text(strings.Join(others, ", "), 200))
		}
		return nil, "", nil
	}
	if len(others) > 0 {
		lack = clip.Text(fmt.Sprintf("its body is %s; not taken: %s", b.media, strings.Join(others, ", ")), 200)
	}
	if strings.Contains(b.media, "*") {
		b.media = map[bodyForm]string{bodyJSON: "application/json", bodyText: "text/plain", bodyBinary: "application/octet-stream"}[b.form]
	}
	b.schema = member(best, "schema")
	if b.form == bodyForms || b.form == bodyParts {
		b.describe(d, best)
	}
	return b, lack, nil
}

// formOf returns how a body of a media type is written, the preferred forms
// first, or 0 where the type is none.
func formOf(media string) bodyForm {
	t, _, err := mime.ParseMediaType(media)
	switch {
	case err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter), !strings.Contains(t, "/"), strings.ContainsAny(media, "\r\n"):
		return 0
	case isJSON(t), t == "*/*", t == "application/*":
		return bodyJSON
	case t == "application/x-www-form-urlencoded":
		return bodyForms
	case t == "multipart/form-data":
		return bodyParts
	case strings.HasPrefix(t, "text/"), t == "application/xml", strings.HasSuffix(t, "+xml"), t == "application/yaml", t == "application/x-yaml",
		t == "application/graphql", t == "application/x-ndjson", t == "application/javascript", t == "application/sql":
		return bodyText
	}
	return bodyBinary
}

// isJSON reports whether a media type is JSON (RFC 6839, section 3.1).
func isJSON(media string) bool {
	t, _, _ := strings.Cut(media, ";")
	t = strings.ToLower(strings.TrimSpace(t))
	return t == "application/json" || t == "text/json" || strings.HasPrefix(t, "application/") && strings.HasSuffix(t, "+json")
}

// describe reads how the members of a form are written: by the encoding that the
// document gives, or by what they are.
func (b *body) describe(d *document, content json.RawMessage) {
	b.fields, b.types, b.binary = map[string]*parameter{}, map[string]string{}, map[string]bool{}
	for name, property := range d.properties(b.schema) {
		b.binary[name] = b.form == bodyParts && d.isBinary(property)
	}
	for name, encoding := range members(member(content, "encoding")) {
		if t := stringOf(member(encoding, "contentType")); t != "" && !strings.ContainsAny(t, ",*\r\n") {
			b.types[name] = t
		}
		if member(encoding, "style") != nil || member(encoding, "explode") != nil || member(encoding, "allowReserved") != nil {
			p := &parameter{arg: bodyArg + "." + name, name: name, in: inQuery}
			p.setStyle(encoding)
			b.fields[name] = p
		}
	}
}

// properties returns the properties of an object schema, with those of the
// schemas that it is made of, up to a bound.
func (d *document) properties(raw json.RawMessage) map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	open := []json.RawMessage{raw}
	for i := 0; i < len(open) && i < maxHiddenParts; i++ {
		s, err := d.resolve(open[i])
		if err != nil {
			continue
		}
		for name, property := range members(member(s, "properties")) {
			if _, ok := all[name]; !ok {
				all[name] = property
			}
		}
		for part := range elements(member(s, "allOf")) {
			open = append(open, part)
		}
	}
	return all
}

// isBinary reports whether a property is bytes, or a list of them.
func (d *document) isBinary(property json.RawMessage) bool {
	s, err := d.resolve(property)
	if err != nil {
		return false
	}
	if items := member(s, "items"); items != nil {
		if s, err = d.resolve(items); err != nil {
			return false
		}
	}
	t, f, m := stringOf(member(s, "type")), stringOf(member(s, "format")), stringOf(member(s, "contentMediaType"))
	return t == "file" || f == "binary" || stringOf(member(s, "contentEncoding")) == "base64" ||
		m != "" && !strings.HasPrefix(m, "text/") && !isJSON(m)
}

// encode writes a body, and returns it with its type. The bytes are its own.
func (b *body) encode(raw json.RawMessage) ([]byte, string, error) {
	switch b.form { //nolint:exhaustive // The others are objects.
	case bodyJSON:
		return bytes.Clone(raw), b.media, nil
	case bodyText:
		return []byte(textOf(raw)), b.media, nil
	case bodyBinary:
		data, err := fromBase64(raw)
		return data, b.media, err
	}
	if kindOf(raw) != '{' {
		return nil, "", errors.New("body must be an object")
	}
	if b.form == bodyForms {
		data, err := b.encodeForm(raw)
		return data, b.media, err
	}
	return b.encodeParts(raw)
}

func (b *body) encodeForm(raw json.RawMessage) (out []byte, err error) {
	for name, v := range members(raw) {
		p := b.fields[name]
		if p == nil {
			p = &parameter{arg: bodyArg + "." + name, name: name, in: inQuery, style: styleForm, explode: true}
			if kindOf(v) == '{' {
				p.style = styleJSON
			}
		}
		if kindOf(v) == 'n' {
			continue
		}
		if out, err = p.appendQuery(out, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (b *body) encodeParts(raw json.RawMessage) ([]byte, string, error) {
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	for name, v := range members(raw) {
		all := []json.RawMessage{v}
		if kindOf(v) == '[' && (b.types[name] == "" || b.binary[name]) {
			all = slices.Collect(elements(v))
		}
		if len(all) > maxItems {
			return nil, "", fmt.Errorf("body.%s: more than %d elements", name, maxItems)
		}
		for _, part := range all {
			if kindOf(part) == 'n' {
				continue
			}
			if err := b.encodePart(w, name, part); err != nil {
				return nil, "", err
			}
		}
	}
	if err := w.Close(); err != nil {
		return nil, "", err
	}
	return buf.Bytes(), w.FormDataContentType(), nil
}

func (b *body) encodePart(w *multipart.Writer, name string, v json.RawMessage) error {
	data, media, file := []byte(textOf(v)), b.types[name], ""
	switch kind := kindOf(v); {
	case b.binary[name]:
		var err error
		if data, err = fromBase64(v); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if file = name; media == "" {
			media = "application/octet-stream"
		}
	case isJSON(media):
		data = []byte(compact(v))
	case media == "" && (kind == '{' || kind == '['):
		media = "application/json"
	}
	h := textproto.MIMEHeader{"Content-Disposition": {disposition(name, file)}}
	if media != "" {
		h.Set("Content-Type", media)
	}
	part, err := w.CreatePart(h)
	if err != nil {
		return err
	}
	_, err = part.Write(data)
	return err
}

// disposition returns the header of a part (RFC 7578, section 4.2), its names
// written as browsers do (HTML, multipart form data), and without any control
// character.
func disposition(name, file string) string {
	esc := func(s string) string {
		return string(escapeBut(nil, s, func(c byte) bool { return c >= ' ' && c != '"' && c != 0x7f }))
	}
	d := `form-data; name="` + esc(name) + `"`
	if file != "" {
		d += `; filename="` + esc(file) + `"`
	}
	return d
}

// fromBase64 decodes a JSON string of base64, of either alphabet, padded or not.
func fromBase64(raw json.RawMessage) ([]byte, error) {
	s := strings.TrimRight(strings.NewReplacer("-", "+", "_", "/", "\n", "", "\r", "").Replace(stringOf(raw)), "=")
	data, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil || kindOf(raw) != '"' {
		return nil, errors.New("body must be base64")
	}
	return data, nil
}
