package openapi

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/yosida95/uritemplate/v3"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/internal/clip"
)

// A resource is an operation that is read under a URI.
type resource struct {
	plan     *plan
	template *uritemplate.Template // nil for one without arguments
	args     map[string]string     // arguments by the names of the template's variables
}

// resource offers an operation as a resource, or as a template where it has
// arguments that must be given.
func (im *importer) resource(op *operation, p *plan) {
	subject := "resource of " + op.subject()
	if op.method != http.MethodGet || p.body != nil {
		im.notes.add(subject, gateway.NoteSkipped, "only GET without a body can be a resource")
		return
	}
	r := &resource{plan: p, args: map[string]string{}}
	uri := "openapi://" + im.o.Name + r.uriTemplate()
	def := quote([]byte(`{"name":`), op.name)
	if title := stringOf(member(op.raw, "summary")); title != "" {
		def = quote(append(def, `,"title":`...), clip.Text(title, 200))
	}
	about, _ := im.doc.about(op, p)
	def = quote(append(def, `,"description":`...), about)
	if media := im.doc.media(op); media != "" {
		def = quote(append(def, `,"mimeType":`...), media)
	}
	var err error
	if len(r.args) == 0 {
		var made *gateway.Resource
		if made, err = gateway.ParseResource(append(quote(append(def, `,"uri":`...), uri), '}')); err == nil {
			im.out.catalog.Resources = append(im.out.catalog.Resources, made)
		}
	} else {
		var made *gateway.Template
		if r.template, err = uritemplate.New(uri); err == nil {
			made, err = gateway.ParseTemplate(append(quote(append(def, `,"uriTemplate":`...), uri), '}'))
		}
		if err == nil {
			im.out.catalog.Templates = append(im.out.catalog.Templates, made)
		}
	}
	if err != nil {
		im.notes.add(subject, gateway.NoteSkipped, err.Error())
		return
	}
	im.out.resources[uri] = r
}

// uriTemplate returns what stands behind the name of the source in the URI: the
// path, and the arguments outside it that must be given.
func (r *resource) uriTemplate() string {
	var b strings.Builder
	for _, part := range r.plan.path {
		b.WriteString(part.literal)
		if part.param != nil {
			b.WriteString("{" + r.variable(part.param) + "}")
		}
	}
	var query []string
	for _, param := range r.plan.params {
		if param.required && param.in != inPath {
			query = append(query, r.variable(param))
		}
	}
	if len(query) > 0 {
		b.WriteString("{?" + strings.Join(query, ",") + "}")
	}
	return b.String()
}

// variable returns the template's variable for a parameter: its argument, with
// "_" for what variables may not have (RFC 6570, section 2.3).
func (r *resource) variable(p *parameter) string {
	name := strings.Trim(strings.ReplaceAll(p.arg, "-", "_"), ".")
	for r.args[name] != "" && r.args[name] != p.arg {
		name += "_"
	}
	r.args[name] = p.arg
	return name
}

// media returns the type of what an operation answers, "" where it is not known.
func (d *document) media(o *operation) string {
	for _, response := range d.successes(o) {
		for media := range members(member(response, "content")) {
			if formOf(media) != 0 && !strings.Contains(media, "*") {
				return clip.Text(media, 100)
			}
		}
	}
	return ""
}

// arguments returns those that a URI stands for.
func (r *resource) arguments(uri string) json.RawMessage {
	if r.template == nil {
		return json.RawMessage("{}")
	}
	args := []byte{'{'}
	values := r.template.Match(uri)
	for variable, arg := range r.args {
		v := values.Get(variable)
		if !v.Valid() {
			continue
		}
		if len(args) > 1 {
			args = append(args, ',')
		}
		args = append(quote(args, arg), ':')
		args = quote(args, v.String())
	}
	return append(args, '}')
}
