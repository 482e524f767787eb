package grpc

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
)

// protoPath is where REST shows the protobuf of typed services: a list of them,
// and one file for each source below it.
const protoPath = "/v1/proto"

// A protoFile is the protobuf of one source in the list.
type protoFile struct {
	Source  string `json:"source"`
	Package string `json:"package"`
	Service string `json:"service"` // its full name
	Path    string `json:"path"`    // of the file, as others would import it
}

// serveProto answers a request for protobuf: what the caller may use of it.
func (h *rest) serveProto(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET, HEAD")
		h.fail(w, r, refuseHTTP(http.StatusMethodNotAllowed, gateway.Unimplemented, "the method is not allowed here"))
		return
	}
	if err := knownQuery(r); err != nil {
		h.fail(w, r, err)
		return
	}
	p := auth.From(r.Context())
	view := h.gw.View(p)
	source, one := strings.CutPrefix(r.URL.Path, protoPath+"/")
	kind, count := "application/json", 1
	var body []byte
	if one {
		kind, body = "text/plain; charset=utf-8", h.protoText(view, strings.TrimSuffix(source, ".proto"))
		if !strings.HasSuffix(source, ".proto") || body == nil {
			h.fail(w, r, refuse(nil, gateway.NotFound, "there is no such file"))
			return
		}
	} else {
		list := h.protoList(view)
		count = len(list)
		body, _ = json.Marshal(map[string]any{"files": list}) // Strings always have a JSON form.
	}
	if err := h.gw.Listed(r.Context(), gateway.Listing{Principal: p, Via: "rest", Count: count}); err != nil {
		h.fail(w, r, &callError{err: gateway.AsError(err), recorded: true})
		return
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(body) // The client has gone; there is nobody to tell.
}

// protoList returns the files of which a view shows something.
func (f *Frontend) protoList(view *gateway.Snapshot) []protoFile {
	list := []protoFile{}
	now := f.types.Load()
	for _, name := range sortedKeys(now.sources) {
		s := now.sources[name]
		if s.shows(view) {
			list = append(list, protoFile{name, s.module.Package, s.service, s.module.Path()})
		}
	}
	return list
}

// A protoKey is the key of a source's file in the memo of a view.
type protoKey struct{ source *typedSource }

// protoText returns the file of a source with what a view shows of it, or nil
// where that is nothing.
func (f *Frontend) protoText(view *gateway.Snapshot, source string) []byte {
	s := f.types.Load().sources[source]
	if s == nil || !s.shows(view) {
		return nil
	}
	text := view.Memo(protoKey{s}, func(view *gateway.Snapshot) any {
		text, err := s.module.Text(s.visible(view))
		if err != nil { // It was linked when the module was made.
			f.options.Logger.Error("the protobuf of a source cannot be printed", slog.String("source", source), slog.Any("cause", err))
		}
		return text
	})
	return text.([]byte) //nolint:forcetypeassert // The key is of this function alone.
}
