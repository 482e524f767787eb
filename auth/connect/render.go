package connect

import (
	"html/template"
	"log/slog"
	"net/http"
)

// A page is what one says; the zero values say nothing.
type page struct {
	Title, Text      string
	Upstream, Server string   // with Token: what is to be connected, and who asks next
	Scopes           []string // that are asked for
	Token            string   // of the form; "" is a page without one
}

const pageText = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Title}}</title>
<h1>{{.Title}}</h1>
{{with .Text}}<p>{{.}}</p>{{end}}{{if .Token}}
<p>The gateway will call <b>{{.Upstream}}</b> on your behalf, and keep what it needs for that until you or an
administrator end it. You are asked next by <b>{{.Server}}</b>.</p>
{{if .Scopes}}<p>It asks for:</p><ul>{{range .Scopes}}<li>{{.}}</li>{{end}}</ul>{{else}}<p>It asks for what the server
gives by default.</p>{{end}}
<form method="post"><input type="hidden" name="token" value="{{.Token}}"><button>Connect</button></form>
<p>If you did not ask for this, close the window.</p>{{end}}
</html>
`

func (c *Connections) render(w http.ResponseWriter, r *http.Request, status int, p page) {
	w.WriteHeader(status)
	if err := template.Must(template.New("page").Parse(pageText)).Execute(w, p); err != nil { // The browser went away.
		c.o.Logger.DebugContext(r.Context(), "a page was not sent", slog.Any("cause", err))
	}
}
