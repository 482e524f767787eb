package graphql

import (
	"strings"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/schema/gqlschema"
)

// Notes returns what of a source's tools the typed fields do not show as it is, for the operator.
func (f *Frontend) Notes(source string) []gateway.Note {
	t := f.views.update(f.gw.Whole().Generation)
	var out []gateway.Note
	for _, tool := range f.gw.Whole().Tools {
		to := t.targets[tool]
		if to == nil || tool.Source != source {
			continue
		}
		if to.plan.Names.Field != gqlschema.Name(tool.Name) {
			out = append(out, gateway.Note{Subject: "graphql: tool " + tool.Origin, Change: gateway.NoteRenamed, Reason: "the field is " + to.plan.Names.Field + ", because another one has its name"})
		}
		for _, n := range to.plan.Notes {
			note := gateway.Note{Subject: "graphql: tool " + tool.Origin + ": " + n.At, Change: gateway.NoteApproximated, Reason: n.Reason}
			if strings.HasPrefix(n.Reason, gqlschema.Renamed) {
				note.Change = gateway.NoteRenamed
			}
			out = append(out, note)
		}
	}
	return out
}

// follow compiles tools when they are registered, so that no request waits for it.
func (f *Frontend) follow() {
	for {
		changed := f.gw.Changed()
		f.views.update(f.gw.Whole().Generation)
		select {
		case <-changed:
		case <-f.done:
			return
		}
	}
}
